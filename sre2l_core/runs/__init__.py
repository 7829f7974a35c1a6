"""Runs: the four stages in order, resumable, in a folder or in a store of many; what lies there; their pictures."""

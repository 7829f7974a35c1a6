"""Run folders: the four stages in order, resumable; what lies in a folder; the pictures a run leaves."""

"""Runs and what they leave behind: folders, pictures, tables. Everything above the stages that is not a notebook."""

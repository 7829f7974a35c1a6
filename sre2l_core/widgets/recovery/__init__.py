"""What panels of recoveries share."""

"""The parts of the explorer."""

"""Pictures: charts (SVG, drawn live) and plots (matplotlib, still), in the same colours."""

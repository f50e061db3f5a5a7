"""The plot command and its file formats."""

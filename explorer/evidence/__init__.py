"""Evidence: a view with its numbers, figures and what reproduces it, in one file."""

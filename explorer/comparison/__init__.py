"""One picture before and after a move, as several models see it."""

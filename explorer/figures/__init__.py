"""Figures: sheets of plain data, and how they are drawn."""

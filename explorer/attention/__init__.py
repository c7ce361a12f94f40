"""Attention of any model: watched while it runs, and placed on the image."""

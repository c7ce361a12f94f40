"""The explorer command."""

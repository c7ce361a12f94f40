"""Models: what to build, where it comes from, and the store of those that live."""

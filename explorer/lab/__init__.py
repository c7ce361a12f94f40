"""The laboratory: one recipe, procedural scenes, and models in which only the attention block differs."""

"""A stack of one's own with an observer on its graph: what the demonstration and the soak have in common."""

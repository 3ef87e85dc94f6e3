"""Reading and cutting a classifier that somebody else built: its layers, its last Dense layer, freezing, caching."""

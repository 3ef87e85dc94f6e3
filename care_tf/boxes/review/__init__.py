"""A local page on which a person corrects boxes."""

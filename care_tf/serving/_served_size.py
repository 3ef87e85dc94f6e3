"""How large an image may be that is decoded for whoever asks, by an exported model and by `care serve`: one rule."""

MOST_PIXELS = 50_000_000  # decoding and resizing them took up to 0.9 GB, as a 16-bit PNG in color
MOST_SIDE_PX = 30_000  # resizing to 224 px took 5.5 GB for 1,000,000 x 50 px, and 0.3 GB for 30,000 x 1,666
SIZE_RULE = f"at most {MOST_PIXELS:,} pixels, and {MOST_SIDE_PX:,} on a side"

"""Image files: headers, pixels, orientation, decoding in the graph."""

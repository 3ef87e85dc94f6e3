"""Boxes for a whole manifest, made by a saliency method or a segmentation network, on every core or a cluster."""

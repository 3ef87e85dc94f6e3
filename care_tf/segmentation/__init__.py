"""Lesion segmentation, cross-fitted so that no image is segmented by a network that saw its mask."""

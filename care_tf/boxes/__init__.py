"""Lesion boxes without annotators, from saliency, and from the files of annotation tools."""

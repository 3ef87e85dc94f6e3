"""Boxes of a manifest from and to the files of annotation tools."""

"""Saliency maps of single images: DSR and BMS, each step a function."""

"""Facial regions and the LBP-TOP features computed on them."""

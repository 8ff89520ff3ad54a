"""Clips made ready for features: face crop, and the Temporal Interpolation Model."""

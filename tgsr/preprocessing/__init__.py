"""Clips made ready for features: face crop, and the Temporal Interpolation Model."""

from tgsr.preprocessing._face import FaceNotFoundError, crop_face, find_face
from tgsr.preprocessing.interpolation import interpolate_clip
from tgsr.preprocessing.pipeline import prepare_clip

__all__ = ["FaceNotFoundError", "crop_face", "find_face", "interpolate_clip", "prepare_clip"]

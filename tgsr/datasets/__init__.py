"""Databases as features: one dataset type, its file format, and what finds and reads the known formats."""

from tgsr.datasets._alignment import align_features, check_extraction
from tgsr.datasets._clip_list import clip_list, load_folder, load_table
from tgsr.datasets._imported import import_features
from tgsr.datasets._pair import DatabasePair, pool
from tgsr.datasets._released import load_released
from tgsr.datasets._texts import one_spelling
from tgsr.datasets.catalogue import Found, find_damaged, find_databases, load_database, load_pair
from tgsr.datasets.clips import Clip, ClipCollection, read_frames
from tgsr.datasets.dataset import FeatureDataset
from tgsr.datasets.feature_file import is_feature_file, load_features, save_features
from tgsr.datasets.loaders import load_clips

__all__ = [
    "Clip",
    "ClipCollection",
    "DatabasePair",
    "FeatureDataset",
    "Found",
    "align_features",
    "check_extraction",
    "clip_list",
    "find_damaged",
    "find_databases",
    "import_features",
    "is_feature_file",
    "load_clips",
    "load_database",
    "load_features",
    "load_folder",
    "load_pair",
    "load_released",
    "load_table",
    "one_spelling",
    "pool",
    "read_frames",
    "save_features",
]


def __dir__() -> list[str]:
    """What the package offers."""
    return sorted(__all__)

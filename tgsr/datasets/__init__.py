"""Databases as features: one dataset type, its file format, and what finds and reads the known formats."""

from tgsr.datasets.catalogue import Found, find_damaged, find_databases, load_database, load_pair
from tgsr.datasets.dataset import FeatureDataset
from tgsr.datasets.feature_file import load_features, save_features
from tgsr.datasets.imported import import_features
from tgsr.datasets.loading import load_clips
from tgsr.datasets.pair import DatabasePair, pool
from tgsr.datasets.released import load_released

__all__ = [
    "DatabasePair",
    "FeatureDataset",
    "Found",
    "find_damaged",
    "find_databases",
    "import_features",
    "load_clips",
    "load_database",
    "load_features",
    "load_pair",
    "load_released",
    "pool",
    "save_features",
]

"""Where features meet, of two databases or of a model and rows: by their names, groups and extraction settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from tgsr.datasets.dataset import FeatureDataset, read_only
from tgsr.errors import DataError

__all__ = ["align_dataset", "align_features", "check_extraction"]

_SETTINGS = ("extractor", "n_frames", "size", "radii", "neighbours", "mapping", "interpolation", "grid")


Names = Sequence[str] | npt.NDArray[np.str_]


def align_features(wanted: Names | None, names: Names | None, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The columns of ``X`` (n, p) in the order of the names wanted; as they are where either has no names.

    Other names are a `DataError` that lists them.
    """
    order = _order(wanted, names)
    return X if order is None else X[:, order]


def align_dataset(first: FeatureDataset, data: FeatureDataset) -> FeatureDataset:
    """A dataset with its features in the order of another's.

    Features of another number, names, groups or extraction settings are a `DataError`.
    """
    pair = f"{first.name} and {data.name}"
    if data.X.shape[1] != first.X.shape[1] and (first.feature_names is None or data.feature_names is None):
        sizes = f"{first.name} has {first.X.shape[1]} features, {data.name} has {data.X.shape[1]}"
        raise DataError(f"{sizes}; extract both in the same way")
    check_extraction(first.parameters, data.parameters, pair)
    try:
        order = _order(first.feature_names, data.feature_names)
    except DataError as error:
        raise DataError(f"{pair}: {error}") from error
    if order is not None:
        changed: dict[str, Any] = {"features": read_only(data.X[:, order]), "feature_names": first.feature_names}
        if data.groups is not None:
            changed["groups"] = data.groups[order]
            if first.groups is not None and _same_parts(first.groups, changed["groups"]):
                names = {key: first.parameters[key] for key in ("group_names",) if key in first.parameters}
                changed |= {"groups": first.groups, "parameters": {**data.parameters, **names}}
        data = replace(data, **changed)
    if not np.array_equal(np.asarray(data.groups), np.asarray(first.groups)):  # both may be None
        raise DataError(f"{pair} have features in other groups; extract both in the same way")
    return data


def check_extraction(first: Mapping[str, Any], other: Mapping[str, Any], who: str) -> None:
    """Refuse features that were extracted with other settings; those that either does not tell are passed over."""
    for key in _SETTINGS:
        one, two = (list(value) if isinstance(value := side.get(key), tuple) else value for side in (first, other))
        if one is not None and two is not None and one != two:
            raise DataError(f"{who} were extracted with another {key} ({one}, {two}); extract both in the same way")


def _order(wanted: Names | None, names: Names | None) -> npt.NDArray[np.intp] | None:
    """Where each name wanted is; None where they are in that order already, or not known."""
    given, own = ([normalize("NFC", str(name)) for name in (() if side is None else side)] for side in (names, wanted))
    if not own or not given or own == given:
        return None
    place = {name: position for position, name in enumerate(given)}
    missing, besides = [name for name in own if name not in place], sorted(set(given) - set(own))
    if missing or besides or len(given) != len(own):
        parts = [
            f"{what} {', '.join(some[:5])}{' …' * (len(some) > 5)}"
            for what, some in (("without", missing), ("besides", besides))
            if some
        ]
        raise DataError(f"other features: {', '.join(parts) or 'a name is there twice'}; give the same ones")
    return np.array([place[name] for name in own], dtype=np.intp)


def _same_parts(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> bool:
    """Whether two groupings put the same features together, whatever the groups' numbers."""
    pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return bool(pairs == len(np.unique(first)) == len(np.unique(second)))

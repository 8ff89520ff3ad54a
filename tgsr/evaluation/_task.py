"""What a method or a rule may see of a pair of databases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tgsr.datasets import DatabasePair

__all__ = ["TransferTask", "mask_target"]


@dataclass(frozen=True)
class TransferTask:
    """The labelled source and the unlabelled target.

    Attributes
    ----------
    X : array of shape (n_source, n_features)
    y : array of int, shape (n_source,)
        Class indices.
    X_target : array of shape (n_target, n_features)
    subjects : array of str, shape (n_source,), or None
        Who is seen in each source sample, for cross-validation by subject.
    class_names : tuple of str
    groups : array of int, shape (n_features,), or None
    """

    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    X_target: npt.NDArray[np.float64]
    subjects: npt.NDArray[np.str_] | None
    class_names: tuple[str, ...]
    groups: npt.NDArray[np.intp] | None = None


def mask_target(pair: DatabasePair) -> TransferTask:
    """Drop the target's labels, so that no method can see them."""
    source = pair.source
    return TransferTask(
        source.X, source.known_labels, pair.target.X, source.subjects, source.class_names, source.groups
    )

"""Intervals by bootstrap over subjects, and Holm's correction for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["bootstrap_macro_f1", "holm", "subject_draws", "two_sided_p"]

Array = npt.NDArray[np.float64]


def subject_draws(subjects: Sequence[str] | npt.NDArray[np.str_], n_draws: int, seed: int = 0) -> Array:
    """How often each sample is in each bootstrap draw of the subjects: shape (n_draws, n_samples).

    Databases with the same subjects get the same draws, so that differences between them stay paired.
    """
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_draws)
    return drawn[:, index].astype(np.float64)


def bootstrap_macro_f1(truth: npt.NDArray[np.integer], codes: npt.NDArray[np.integer], draws: Array) -> Array:
    """Macro-F1 of predictions (n_samples,) in each draw (n_draws, n_samples), over the classes present there."""
    f1, present = [], []
    for code in np.unique(truth):
        true, predicted = truth == code, codes == code
        both = draws @ true + draws @ predicted
        f1.append(2 * (draws @ (true & predicted)) / np.maximum(both, 1))
        present.append(draws @ true > 0)
    mean: Array = np.sum(np.array(f1) * present, axis=0) / np.maximum(np.sum(present, axis=0), 1)
    return mean


def two_sided_p(differences: Array) -> float:
    """Share of bootstrap differences on the rarer side of 0, twice; never 0, because draws are finite."""
    n = len(differences)
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (n + 1))


def holm(p_values: Sequence[float]) -> Array:
    """Holm's step-down correction: adjusted p-values in the given order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted

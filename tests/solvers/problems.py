"""Kinds of problems that are hard on rounding, for the correctness suite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # source, class indices, target, groups


def _split(samples, rng, size, n_source) -> Drawn:
    codes = rng.permutation(np.arange(n_source) % 3)
    return samples[:n_source], codes, samples[n_source:], np.arange(samples.shape[1]) // size


def low_rank(rng):
    """More samples than rank: most of the labels cannot be explained by any feature."""
    rank, scale = rng.integers(1, 5), 10 ** rng.uniform(-1, 2)
    return _split(scale * rng.normal(size=(24, rank)) @ rng.normal(size=(rank, 30)), rng, 6, 16)


def duplicates(rng):
    """Every sample occurs with several labels."""
    samples = 10 ** rng.uniform(-1, 2) * rng.normal(size=(6, 30))
    return _split(np.vstack([samples, samples, samples, rng.normal(size=(6, 30))]), rng, 6, 18)


def near_duplicate_groups(rng):
    """Pairs of groups that differ by 1e-4 to 1e-9 of themselves."""
    half = rng.normal(size=(22, 18))
    return _split(np.hstack([half, half * (1 + 10 ** rng.uniform(-9, -4) * rng.normal(size=half.shape))]), rng, 6, 15)


def collinear(rng):
    """Groups that are combinations of other groups."""
    first = rng.normal(size=(22, 12))
    return _split(np.hstack([first, first @ rng.normal(size=(12, 24))]), rng, 6, 15)


def histograms(rng):
    """Rows of positive entries of which every group sums to 1."""
    counts = rng.gamma(0.5, size=(24, 5, 8)) + 0.1 * rng.gamma(0.5, size=(5, 8))
    return _split((counts / counts.sum(axis=2, keepdims=True)).reshape(24, 40), rng, 8, 15)


def offset(rng):
    """A large common offset."""
    return _split(rng.normal(size=(22, 36)) + 10 ** rng.uniform(1, 4), rng, 6, 15)


def constant_and_zero(rng):
    """A group of zeros, one that is constant, and zero columns elsewhere."""
    samples = rng.normal(size=(22, 36))
    samples[:, :6], samples[:, 6:12], samples[:, 15] = 0, 0.7, 0
    return _split(samples, rng, 6, 15)


def few_samples(rng):
    """Two or three samples in the source, one in the target."""
    n_source = rng.integers(2, 4)
    return _split(rng.normal(size=(n_source + 1, 36)), rng, 6, n_source)


def scaled(rng):
    """Features of a size between 1e-9 and 1e5."""
    return _split(10 ** rng.uniform(-9, 5) * rng.normal(size=(22, 36)), rng, 6, 15)


def mixed_scales(rng):
    """Groups whose sizes differ by up to 1e6."""
    return _split(rng.normal(size=(22, 36)) * 10 ** np.repeat(rng.uniform(-3, 3, 6), 6), rng, 6, 15)


KINDS: list[Callable[..., Drawn]] = [
    *(low_rank, duplicates, near_duplicate_groups, collinear, histograms),
    *(offset, constant_and_zero, few_samples, scaled, mixed_scales),
]

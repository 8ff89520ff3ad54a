"""Groups of features: which feature belongs to which, and the factors that their features are divided by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.protocols import N_REGIONS, check_choice
from tgsr.regions import N_BINS, N_PLANES, released_groups

__all__ = ["GROUPINGS", "SCALINGS", "feature_groups", "group_scales"]

GROUPINGS: tuple[str, ...] = ("region", "released")
"""Named groupings: the facial regions of the paper, and the groups that its released records were computed with."""

SCALINGS: tuple[str, ...] = ("none", "norm", "spread")
"""Named scalings of the groups, see `group_scales`."""

_REGION_SIZE = N_PLANES * N_BINS


def feature_groups(groups: str | npt.ArrayLike, n_features: int) -> npt.NDArray[np.intp]:
    """Resolve a grouping to one group number for every feature.

    Parameters
    ----------
    groups : {"region", "released"} or array of int, shape (n_features,)
        ``"region"``: every 177 consecutive features are one facial region (three planes × 59 bins); up to 177
        features are one region. ``"released"``: the grouping of the released records, see
        `tgsr.regions.released_groups`.

    Raises
    ------
    ParameterError
        If the grouping is unknown or does not fit the number of features.
    """
    if isinstance(groups, str):
        check_choice("groups (unless it is an array)", groups, GROUPINGS)
        face = N_REGIONS * _REGION_SIZE
        other = groups == "region" and (n_features <= _REGION_SIZE or not n_features % _REGION_SIZE)
        if n_features != face and not other:
            raise ParameterError(
                f"groups={groups!r} needs {face} features, or for 'region' another multiple of {_REGION_SIZE}; got "
                f"{n_features}; pass an array with a group for every feature"
            )
        return released_groups() if groups == "released" else np.arange(n_features) // _REGION_SIZE
    numbers = np.asarray(groups)
    if numbers.shape != (n_features,) or numbers.dtype.kind not in "iu":
        raise ParameterError(
            f"groups must hold one integer for each of the {n_features} features, got {numbers.dtype} {numbers.shape}"
        )
    return numbers.astype(np.intp)


def group_scales(
    scaling: str,
    X: npt.NDArray[np.float64],
    X_target: npt.NDArray[np.float64] | None,
    positions: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64] | None:
    """Resolve a scaling to one factor for each group, of mean square 1.

    Group norms compete in ‖C_i‖: sparse histograms of small blocks have larger ones than those of large blocks.

    ``"norm"``: the Frobenius norm of a group's features over both databases. ``"spread"``: the root of their summed
    squared deviations from the mean over both. A group whose factor would be 0 is left as it is. ``"none"`` gives None.
    ``positions`` (n_features,) has each feature's group, counted from 0.

    Raises
    ------
    ParameterError
        If the scaling is unknown.
    """
    check_choice("scaling", scaling, SCALINGS)
    if scaling == "none":
        return None
    both = X if X_target is None else np.vstack([X, X_target])
    if scaling == "spread":
        both = both - both.mean(axis=0)
    squares = np.bincount(positions, weights=(both**2).sum(axis=0))
    factors = np.sqrt(squares / (squares.mean() or 1.0))
    # a constant group's spread is rounding
    return np.where(factors > 1e-12 * factors.max(), factors, 1.0)

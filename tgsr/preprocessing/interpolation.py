"""The Temporal Interpolation Model: a clip of any length as a clip of fixed length.

Zhou, Zhao and Pietikäinen, "Towards a practical lipreading system", CVPR 2011. The N frames are the nodes of a path
graph. The eigenvectors of its Laplacian are samples of the curves

    v_k(pos) = sin(pos·kπ + π(N − k)/(2N)),   k = 1 … N − 1,   at pos = 1/N, 2/N, …, 1,

and the frames, centred and reduced by a thin SVD, are a linear function of them. New frames are read off the curve at
other positions. That linear function is solved for here: with Y the orthonormal eigenvectors (N × (N − 1)), the centred
frames X = UΣV^T are X·Y·Y^T whatever their rank, since their rows sum to zero, and the frame at pos is
mean + X·Y·y(pos): a fixed weight for each given frame. So neither the SVD nor a matrix inverse has to be computed, and
clips with repeated frames, where the inverse does not exist, need no special case.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.errors import DataError
from tgsr.protocols import check_integer

__all__ = ["check_clip", "interpolate_clip"]

Clip = npt.NDArray[np.float64]

_PIXELS = 2**12


def check_clip(frames: Sequence[npt.ArrayLike] | npt.ArrayLike) -> npt.NDArray[np.generic]:
    """Check frames and give them as one array (n_frames, height, width) of their own number type.

    Raises
    ------
    DataError
        If they are no grey frames of one size, hold NaN or infinity, or are fewer than two.
    """
    if isinstance(frames, Sequence) and len(frames) > 0:
        shapes = [np.shape(frame) for frame in frames]
        for number, shape in enumerate(shapes, start=1):
            if shape != shapes[0]:
                raise DataError(f"frame {number} has shape {shape}, frame 1 has {shapes[0]}; all must have one size")
    clip = np.asarray(frames)
    if clip.dtype.kind not in "fiu":
        raise DataError(f"frames must hold numbers, got {clip.dtype}")
    if clip.ndim != 3 or 0 in clip.shape[1:]:
        raise DataError(f"frames must be grey, of shape (n_frames, height, width); got {clip.shape}")
    if len(clip) < 2:
        raise DataError(f"{len(clip)} frame(s) in a clip; at least 2 are needed")
    if clip.dtype.kind == "f" and not np.isfinite(clip).all():
        raise DataError(f"NaN or infinity in frame {int(np.argmin(np.isfinite(clip).all(axis=(1, 2)))) + 1} of a clip")
    return clip


def interpolate_clip(frames: Sequence[npt.ArrayLike] | npt.ArrayLike, n_frames: int = 16) -> Clip:
    """Give a clip ``n_frames`` frames by the Temporal Interpolation Model.

    The result does not depend on the number of threads, nor on anything random.

    Parameters
    ----------
    frames : array of shape (N, height, width), or list of N arrays (height, width)
        Grey values of any number type; N ≥ 2, of any rank.
    n_frames : int
        Number of frames wanted, taken at the positions linspace(1/N, 1, n_frames).

    Returns
    -------
    ndarray of float64, shape (n_frames, height, width)
        Grey values in the units of ``frames``; they may overshoot the given range a little.

    Raises
    ------
    DataError
        If there are fewer than two frames, or they cannot be used (see `check_clip`).
    ParameterError
        If ``n_frames`` is not a positive integer.
    """
    n_frames = check_integer("n_frames", n_frames, 1)
    clip = check_clip(frames)
    flat, weights = clip.reshape(len(clip), -1), _weights(len(clip), n_frames)
    wanted = np.empty((n_frames, flat.shape[1]))
    # some pixels at a time: a long clip need not be there as real numbers. BLAS rounds by the size of a product and the
    # number of its threads, so that both are always the same
    with threadpool_limits(limits=1, user_api="blas"):
        for start in range(0, flat.shape[1], _PIXELS):
            part = flat[:, start : start + _PIXELS]
            padded = np.zeros((len(clip), _PIXELS))
            padded[:, : part.shape[1]] = part
            wanted[:, start : start + _PIXELS] = (weights @ padded)[:, : part.shape[1]]
    return wanted.reshape(n_frames, *clip.shape[1:])


@lru_cache(maxsize=256)
def _weights(n_given: int, n_wanted: int) -> npt.NDArray[np.float64]:
    """Weight of each given frame in each wanted frame, shape (n_wanted, n_given).

    y(pos)·Y^T for the frames less their mean, plus the mean, is y(pos)·Y^T(I − 11^T/N) + 1^T/N for the frames.
    """
    given = np.arange(1, n_given + 1) / n_given
    wanted = np.linspace(1 / n_given, 1, n_wanted)
    k = np.arange(1, n_given)
    phase = np.pi * (n_given - k) / (2 * n_given)
    # each v_k has squared norm N/2 at the given positions, and they are orthogonal there and sum to zero
    curves = np.sin(np.outer(wanted, k * np.pi) + phase) @ np.sin(np.outer(given, k * np.pi) + phase).T
    weights: Clip = curves * (2 / n_given)
    weights += (1 - weights.sum(axis=1, keepdims=True)) / n_given
    weights.setflags(write=False)
    return weights

"""The files of one trial: regression matrix, region mask in numbers, region mask as a picture."""

from __future__ import annotations

import functools
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.protocols import N_REGIONS
from tgsr.regions import N_PLANES, SCALES, region_boxes, released_groups
from tgsr.tracking.names import COEFFICIENTS, MASK, REGIONS
from tgsr.tracking.place import local_artifact_folder
from tgsr.tracking.records import MethodRecord, Record, StudyRun

__all__ = [
    "mask_picture",
    "present_folders",
    "read_coefficients_file",
    "region_weights",
    "save_coefficients",
    "write_trial_files",
]

_SIDE = 106
"""Side of a face in the mask picture: the interior on which the regions are defined."""
_GAP = 6


def write_trial_files(folder: Path, record: Record, grouping: str) -> list[Path]:
    """Write a trial's files into ``folder`` (made if missing) and list them; methods other than TGSR have none."""
    if isinstance(record, MethodRecord):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    weights = region_weights(record.group_norms, grouping)
    numbers: dict[str, Any] = {
        "kappa": record.kappa,
        "xi": record.xi,
        "grouping": grouping,
        "kept": np.flatnonzero(record.group_norms).tolist(),
        "group_norms": record.group_norms.tolist(),
    }
    if grouping != "region":
        numbers["region_weights"] = weights.tolist()
    (folder / REGIONS).write_text(json.dumps(numbers))
    (folder / MASK).write_bytes(mask_picture(weights))
    written = [folder / REGIONS, folder / MASK]
    if record.coef is not None:
        written.append(save_coefficients(folder / COEFFICIENTS, record.coef))
    return written


def present_folders(study: StudyRun) -> set[str] | None:
    """Names of the runs that have a folder of artifacts; None where that tells nothing.

    Artifacts may be on another machine, and trials of methods without groups have none.
    """
    folder = local_artifact_folder(study.artifact_location)
    if folder is None or not study.grouping:
        return None
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def save_coefficients(path: Path, coef: npt.NDArray[np.float64]) -> Path:
    """Write a regression matrix (n_features, n_classes) without its zero rows.

    Members of the ``.npz``: ``rows`` (indices of the stored rows), ``values`` (those rows, float64) and ``shape``;
    equal matrices give equal bytes.
    """
    rows = np.flatnonzero(coef.any(axis=1)).astype(np.uint16 if len(coef) <= 65536 else np.uint32)
    np.savez(path, rows=rows, values=coef[rows], shape=np.array(coef.shape))
    return path


def read_coefficients_file(path: str | Path) -> npt.NDArray[np.float64]:
    """Read what `save_coefficients` wrote: array of shape (n_features, n_classes)."""
    with np.load(path, allow_pickle=False) as stored:
        coef = np.zeros(tuple(stored["shape"]))
        coef[stored["rows"]] = stored["values"]
    return coef


def region_weights(group_norms: npt.NDArray[np.float64], grouping: str) -> npt.NDArray[np.float64]:
    """Strength of every facial region, shape (85,).

    With true regions it is ‖C_i‖_F. A ``released`` group is no region: its squared norm is spread evenly over the
    histograms that it covers.
    """
    if grouping == "region":
        return group_norms
    spread: npt.NDArray[np.float64] = np.sqrt(_spreading() @ np.square(group_norms))
    return spread


@functools.cache
def _spreading() -> npt.NDArray[np.float64]:
    """Share of each released group's squared norm in each region, shape (85, 85)."""
    groups = released_groups().reshape(N_REGIONS, N_PLANES, -1)
    shares = np.zeros((N_REGIONS, groups.max() + 1))
    regions = np.broadcast_to(np.arange(N_REGIONS)[:, None, None], groups.shape)
    np.add.at(shares, (regions.ravel(), groups.ravel()), 1.0)
    share: npt.NDArray[np.float64] = shares / shares.sum(axis=0)
    return share


def mask_picture(weights: npt.NDArray[np.float64]) -> bytes:
    """Draw the kept regions over a schematic face, one face a scale, as PNG; darker blue is a larger weight.

    Every picture has the same pixels, of which each names a region: only the palette differs, so that drawing one
    costs microseconds.
    """
    largest = float(weights.max(initial=0.0))
    relative = weights / largest if largest > 0 else weights
    opacity = np.append(np.where(relative > 0, 0.25 + 0.65 * relative, 0.0), 0.0)[:, None, None]
    palette = np.vstack([(_INKS * (1 - opacity) + _KEPT * opacity).reshape(-1, 3), _LINE])
    header, pixels = _canvas()
    return b"".join((header, _chunk(b"PLTE", palette.astype(np.uint8).tobytes()), pixels, _chunk(b"IEND", b"")))


_INKS = np.array([[255, 255, 255], [110, 110, 110]], dtype=np.float64)
"""Paper and the lines of the face, RGB; `_canvas` codes the pixels 2·region + ink, and grid lines last."""
_LINE = np.array([200, 200, 200], dtype=np.float64)
_KEPT = np.array([0, 114, 178], dtype=np.float64)
"""The colour-blind-safe blue #0072B2."""


@functools.cache
def _canvas() -> tuple[bytes, bytes]:
    """Faces side by side, as the parts of a palette PNG before and after its palette."""
    width = len(SCALES) * (_SIDE + _GAP) - _GAP
    codes = np.full((_SIDE, width), 2 * N_REGIONS, dtype=np.uint8)
    boxes = region_boxes(_SIDE, _SIDE)
    first = 0
    for panel, scale in enumerate(SCALES):
        left = panel * (_SIDE + _GAP)
        inked = _schematic_face() < 200
        for region in range(first, first + scale * scale):
            top, near, bottom, far = boxes[region]
            block = codes[top:bottom, left + near : left + far]
            block[:] = 2 * region + inked[top:bottom, near:far]
            block[[0, -1]] = block[:, [0, -1]] = 2 * (N_REGIONS + 1)
        first += scale * scale
    size = struct.pack(">IIBBBBB", width, _SIDE, 8, 3, 0, 0, 0)
    rows = np.insert(codes, 0, 0, axis=1).tobytes()  # each row begins with its filter: none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", size), _chunk(b"IDAT", zlib.compress(rows, 9))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _schematic_face() -> npt.NDArray[np.uint8]:
    import cv2

    image = np.full((_SIDE, _SIDE), 255, dtype=np.uint8)
    middle = _SIDE // 2
    cv2.ellipse(image, (middle, middle), (44, 51), 0, 0, 360, 0, 1)
    for side in (-1, 1):
        eye = (middle + side * 18, 42)
        cv2.ellipse(image, eye, (8, 4), 0, 0, 360, 0, 1)
        cv2.circle(image, eye, 2, 0, -1)
        cv2.ellipse(image, (eye[0], 34), (11, 4), 0, 200, 340, 0, 1)
    cv2.polylines(image, [np.array([[middle, 48], [middle - 6, 64], [middle + 4, 65]])], False, 0, 1)
    cv2.ellipse(image, (middle, 80), (15, 5), 0, 0, 360, 0, 1)
    return image

"""The files of one trial: regression matrix, groups kept in numbers, groups kept as a picture."""

from __future__ import annotations

import functools
import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tgsr.protocols import N_REGIONS
from tgsr.regions import N_PLANES, PLANES, SCALES, region_boxes, released_groups, schematic_face
from tgsr.tracking.names import COEFFICIENTS, MASK, REGIONS
from tgsr.trials.trial import Trial

__all__ = [
    "is_whole",
    "mask_picture",
    "parse_sizes",
    "read_coefficients_file",
    "save_coefficients",
    "sizes_text",
    "write_trial_files",
]


def write_trial_files(folder: Path, trial: Trial, grouping: str) -> dict[str, int]:
    """Write a trial's files into ``folder`` (made if missing); returns their sizes. Without groups there are none."""
    if trial.group_norms is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    kept = np.flatnonzero(trial.group_norms).tolist()
    numbers = {**trial.settings, "grouping": grouping, "kept": kept, "group_norms": trial.group_norms.tolist()}
    (folder / REGIONS).write_text(json.dumps(numbers))
    names = [REGIONS]
    if grouping in _LAYOUTS and len(trial.group_norms) == N_REGIONS:
        (folder / MASK).write_bytes(mask_picture(trial.group_norms, grouping))
        names.append(MASK)
    if trial.coef is not None:
        save_coefficients(folder / COEFFICIENTS, trial.coef)
        names.append(COEFFICIENTS)
    return {name: (folder / name).stat().st_size for name in names}


def sizes_text(sizes: Mapping[str, int]) -> str:
    """Names and sizes of files as text, as a trial's tag holds them."""
    return " ".join(f"{name}={size}" for name, size in sizes.items())


def parse_sizes(text: str | None) -> dict[str, int]:
    """Read what `sizes_text` wrote."""
    pairs = (entry.rpartition("=") for entry in (text or "").split())
    return {name: int(size) for name, _, size in pairs}


def is_whole(folder: str, sizes: Mapping[str, int]) -> bool:
    """Whether all these files are there, and none was emptied or cut; a few microseconds a file."""
    try:
        return all(os.stat(f"{folder}/{name}").st_size == size for name, size in sizes.items())  # noqa: PTH116
    except OSError:
        return False


def save_coefficients(path: Path, coef: npt.NDArray[np.float64]) -> Path:
    """Write a regression matrix (n_features, n_classes) without its zero rows.

    Members of the ``.npz``: ``rows`` (indices of the stored rows), ``values`` (those rows, float64) and ``shape``;
    equal matrices give equal bytes.
    """
    # column by column: any(axis=1) over three columns takes twice as long
    rows = np.flatnonzero(functools.reduce(np.logical_or, (column != 0 for column in coef.T))).astype(
        np.uint16 if len(coef) <= 65536 else np.uint32
    )
    np.savez(path, rows=rows, values=coef[rows], shape=np.array(coef.shape))
    return path


def read_coefficients_file(path: str | Path) -> npt.NDArray[np.float64]:
    """Read what `save_coefficients` wrote: array of shape (n_features, n_classes)."""
    with np.load(path, allow_pickle=False) as stored:
        coef = np.zeros(tuple(stored["shape"]))
        coef[stored["rows"]] = stored["values"]
    return coef


_SIDE = 106
"""Side of the face's interior, on which the regions are defined, in pixels of the databases."""
_GAP = 10
_LAYOUTS = {
    "region": (2, ("",), "Regions kept, by grid. White: left out."),
    "released": (1, PLANES, "Released groups: three histograms each, no facial regions."),
}
"""By grouping: enlargement, rows of faces, and the caption."""

_INKS = np.array([[255, 255, 255], [110, 110, 110]], dtype=np.float64)
"""Paper and the lines of the face, RGB; `_canvas` codes a pixel 2·group + ink."""
_KEPT = np.array([0, 114, 178], dtype=np.float64)
"""The colour-blind-safe blue #0072B2."""
_N_SHADES = 32
_PAPER, _LINE, _TEXT = 2 * N_REGIONS, 2 * N_REGIONS + 1, 2 * N_REGIONS + 2
_SHADES = 2 * N_REGIONS + 3
"""Codes behind those of the groups; the legend's shades come last."""


def mask_picture(group_norms: npt.NDArray[np.float64], grouping: str) -> bytes:
    """Draw the kept groups (‖C_i‖_F, shape (85,)) over schematic faces as PNG; a darker blue is a larger norm.

    One face for each of the four grids; of ``"released"`` groups, which are no regions, one for each grid and plane,
    as three histograms make a group. Every picture has the same pixels, of which each names a group: only the palette
    differs, so that drawing one costs microseconds.
    """
    largest = float(group_norms.max(initial=0.0))
    relative = group_norms / largest if largest > 0 else group_norms
    opacity = np.where(relative > 0, _opacity(relative), 0.0)
    colours = np.vstack([_tint(opacity), _FIXED])
    header, pixels = _canvas(grouping)
    return b"".join((header, _chunk(b"PLTE", colours.astype(np.uint8).tobytes()), pixels, _chunk(b"IEND", b"")))


def _opacity(relative: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 0.25 + 0.65 * relative


def _tint(opacity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Colours of paper and ink under a blue of each opacity, shape (2·n, 3)."""
    tinted: npt.NDArray[np.float64] = _INKS * (1 - opacity[:, None, None]) + _KEPT * opacity[:, None, None]
    return tinted.reshape(-1, 3)


_FIXED = np.vstack(
    [[[255, 255, 255], [200, 200, 200], [60, 60, 60]], _tint(_opacity(np.linspace(0, 1, _N_SHADES)))[::2]]
)
"""Paper, grid lines, text, and the legend's shades."""


@functools.cache
def _canvas(grouping: str) -> tuple[bytes, bytes]:
    """The parts of a palette PNG before and after its palette."""
    zoom, rows, caption = _LAYOUTS[grouping]
    side, left, top = _SIDE * zoom, 30 if len(rows) > 1 else _GAP, 24
    width, height = left + len(SCALES) * (side + _GAP), top + len(rows) * (side + _GAP) + 56
    codes = np.full((height, width), _PAPER, dtype=np.uint8)
    groups = _groups_of_regions(grouping)
    for row, name in enumerate(rows):
        y = top + row * (side + _GAP)
        _write(codes, name, 2, y + side // 2)
        first = 0
        for column, scale in enumerate(SCALES):
            x = left + column * (side + _GAP)
            _draw_face(codes[y : y + side, x : x + side], groups[first : first + scale * scale, row], scale)
            if row == 0:
                _write(codes, f"{scale} x {scale}", x, top - 8)
            first += scale * scale
    _write(codes, caption, 4, height - 36)
    _write(codes, "norm of C: small", 4, height - 12)
    codes[height - 22 : height - 8, 130 : 130 + 3 * _N_SHADES] = _SHADES + np.repeat(np.arange(_N_SHADES), 3)
    _write(codes, "largest", 136 + 3 * _N_SHADES, height - 12)
    size = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    lines = np.insert(codes, 0, 0, axis=1).tobytes()  # each line begins with its filter: none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", size), _chunk(b"IDAT", zlib.compress(lines, 9))


def _groups_of_regions(grouping: str) -> npt.NDArray[np.intp]:
    """The group of each region's histograms, shape (85, rows of faces)."""
    if grouping == "region":
        return np.arange(N_REGIONS)[:, None]
    return released_groups().reshape(N_REGIONS, N_PLANES, -1)[:, :, 0]


def _draw_face(codes: npt.NDArray[np.uint8], groups: npt.NDArray[np.intp], scale: int) -> None:
    """Fill a square with the codes of a grid's groups, row by row, over a schematic face."""
    side = len(codes)
    inked = schematic_face(side) < 180
    zoom = side // _SIDE
    for group, box in zip(groups, region_boxes(_SIDE, _SIDE, (scale,)) * zoom, strict=True):
        top, near, bottom, far = box
        block = codes[top:bottom, near:far]
        block[:] = 2 * group + inked[top:bottom, near:far]
        block[[0, -1]] = block[:, [0, -1]] = _LINE


def _write(codes: npt.NDArray[np.uint8], text: str, x: int, y: int) -> None:
    import cv2

    cv2.putText(codes, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT, 1)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

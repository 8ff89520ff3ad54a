"""The files of one trial: regression matrix, groups kept in numbers, groups kept as a picture."""

from __future__ import annotations

import functools
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tgsr.protocols import N_REGIONS
from tgsr.regions import N_PLANES, PLANES, SCALES, region_boxes, released_groups, schematic_face
from tgsr.tracking.names import COEFFICIENTS, MASK, REGIONS
from tgsr.trials.trial import Trial

__all__ = ["mask_picture", "parse_coefficients", "write_trial_files"]


def write_trial_files(folder: Path, trial: Trial, grouping: str) -> dict[str, int]:
    """Write a trial's files into ``folder`` (made if missing); returns their sizes. Without groups there are none."""
    if trial.group_norms is None:
        return {}
    kept = np.flatnonzero(trial.group_norms).tolist()
    numbers = {**trial.settings, "grouping": grouping, "kept": kept, "group_norms": trial.group_norms.tolist()}
    contents = {REGIONS: json.dumps(numbers).encode()}
    if grouping in _LAYOUTS and len(trial.group_norms) == N_REGIONS:
        contents[MASK] = mask_picture(trial.group_norms, grouping)
    if trial.coef is not None:
        contents[COEFFICIENTS] = _packed(trial.coef)
    folder.parent.mkdir(exist_ok=True)  # one after the other: "parents" tries the inner one first
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: len(content) for name, content in contents.items()}


def _packed(coef: npt.NDArray[np.float64]) -> bytes:
    """A matrix as a NumPy file of its rows that are not zero: a record has a ``row``'s index and its ``values``.

    The last row is always among them, so that the shape is known. An archive of several arrays takes ten times as long.
    """
    # column by column: any(axis=1) over three columns takes twice as long
    kept = functools.reduce(np.logical_or, (column != 0 for column in coef.T))
    kept[-1] = True
    rows = np.flatnonzero(kept)
    records = np.empty(len(rows), dtype=[("row", np.uint32), ("values", np.float64, (coef.shape[1],))])
    records["row"], records["values"] = rows, coef.take(rows, axis=0)
    file = io.BytesIO()
    np.save(file, records, allow_pickle=False)
    return file.getvalue()


def parse_coefficients(content: bytes) -> npt.NDArray[np.float64]:
    """The regression matrix (n_features, n_classes) in a trial's file."""
    records = np.load(io.BytesIO(content), allow_pickle=False)
    coef = np.zeros((int(records["row"][-1]) + 1, records["values"].shape[1]))
    coef[records["row"]] = records["values"]
    return coef


_SIDE, _GAP, _TOP = 106, 10, 24
"""Side of the face's interior, on which the regions are defined, and distances, in pixels."""
_LAYOUTS = {
    "region": (2, ("",), "Regions kept, by grid. Darker: larger norm; white: left out."),
    "released": (1, PLANES, "Groups of three histograms, no regions. Darker: larger norm."),
}
"""By grouping: enlargement, rows of faces, and the caption."""

_INKS = np.array([[255, 255, 255], [110, 110, 110]], dtype=np.float64)
"""Paper and the lines of the face, RGB; `_canvas` codes a pixel 2·group + ink."""
_BLUE = np.array([0, 114, 178], dtype=np.float64)
"""#0072B2, which colour-blind people tell from grey."""
_PAPER, _LINE, _TEXT = range(2 * N_REGIONS, 2 * N_REGIONS + 3)
_OTHER_COLOURS = np.array([[255, 255, 255], [200, 200, 200], [60, 60, 60]])


def mask_picture(group_norms: npt.NDArray[np.float64], grouping: str) -> bytes:
    """Draw the kept groups (‖C_i‖_F, shape (85,)) over schematic faces as PNG; a darker blue is a larger norm.

    One face for each of the four grids; of ``"released"`` groups, which are no regions, one for each grid and plane,
    as three histograms make a group. Every picture has the same pixels, of which each names a group: only the palette
    differs, so that drawing one costs microseconds. No library writes a palette alone; a whole PNG takes Pillow 2 ms.
    """
    opacity = np.where(group_norms > 0, 0.25 + 0.65 * group_norms / (group_norms.max(initial=0.0) or 1.0), 0.0)
    tinted = _INKS * (1 - opacity[:, None, None]) + _BLUE * opacity[:, None, None]
    palette = np.vstack([tinted.reshape(-1, 3), _OTHER_COLOURS]).astype(np.uint8)
    header, pixels = _canvas(grouping)
    return b"".join((header, _chunk(b"PLTE", palette.tobytes()), pixels, _chunk(b"IEND", b"")))


@functools.cache
def _canvas(grouping: str) -> tuple[bytes, bytes]:
    """The parts of a palette PNG before and after its palette."""
    import cv2

    zoom, planes, caption = _LAYOUTS[grouping]
    side, left = _SIDE * zoom, 30 if len(planes) > 1 else _GAP
    width, height = left + len(SCALES) * (side + _GAP), _TOP + len(planes) * (side + _GAP) + 32
    codes = np.full((height, width), _PAPER, dtype=np.uint8)
    inked, boxes = schematic_face(side) < 180, region_boxes(_SIDE, _SIDE) * zoom
    # the group of each region's histograms, shape (85, planes), and the face on which the region is
    groups = np.arange(N_REGIONS)[:, None]
    if grouping == "released":
        groups = released_groups().reshape(N_REGIONS, N_PLANES, -1)[:, :, 0]
    faces = np.repeat(np.arange(len(SCALES)), np.square(SCALES))

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(codes, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT, 1)

    for row, plane in enumerate(planes):
        y = _TOP + row * (side + _GAP)
        write(plane, 2, y + side // 2)
        for group, face, (top, near, bottom, far) in zip(groups[:, row], faces, boxes, strict=True):
            x = left + face * (side + _GAP)
            block = codes[y + top : y + bottom, x + near : x + far]
            block[:] = 2 * group + inked[top:bottom, near:far]
            block[[0, -1]] = block[:, [0, -1]] = _LINE
    for column, scale in enumerate(SCALES):
        write(f"{scale} x {scale}", left + column * (side + _GAP), _TOP - 8)
    write(caption, 4, height - 12)
    size = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    lines = np.insert(codes, 0, 0, axis=1).tobytes()  # each line begins with its filter: none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", size), _chunk(b"IDAT", zlib.compress(lines, 9))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

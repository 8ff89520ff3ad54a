"""Databases that come as an annotation sheet with a row for each clip, and folders of frames.

They differ in the sheet's columns and in the folders' names: a `CodedDatabase` says which, and reads them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap, read_label_map
from tgsr.datasets._clips import ClipCollection
from tgsr.datasets._sheet import Sheet, read_sheet, subject_number
from tgsr.datasets._tree import (
    Collector,
    all_folders,
    composed,
    existing_folder,
    find_sheet,
    find_tree,
    is_cropped,
    videos,
)
from tgsr.datasets._tree import folders as sub_folders
from tgsr.errors import DataError, MissingDataError, ParameterError
from tgsr.protocols import CLASS_NAMES

__all__ = ["EMOTIONS", "CodedDatabase", "Correction"]

EMOTIONS: dict[str, str] = {
    **dict.fromkeys(("happiness", "happy", "positive"), "positive"),
    **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sad", "sadness", "negative"), "negative"),
    "surprise": "surprise",
}
"""Emotion of a sheet (lower case) → class, where a database has no map of its own: the protocol ``cdmer``."""

_COLUMNS = {name: name for name in ("subject", "filename", "onset", "offset", "emotion")}
_OUTSIDE = {*EMOTIONS, "others", "other", "repression", "tense", "confused", "helpless", "pain", "neutral"}


@dataclass(frozen=True)
class Correction:
    """What is known to be wrong with one clip of a sheet."""

    subject: str  # as in the clip's id
    clip: str
    source: str  # who says so; shown to the user
    emotion: str = ""  # what it is; empty leaves the clip out
    stated: str | None = None  # corrected only where the sheet says this; by default whatever it says
    frames: tuple[int, int] | None = None  # of a clip that the sheet lacks: it is added if it is on disk
    protocols: tuple[str, ...] = ("cdmer", "megc2019")  # the label maps that it belongs to


@dataclass(frozen=True)
class _Coded:
    """One row: a clip, or an event of a recording."""

    where: str
    subject: str
    clip: str
    emotion: str
    onset: int | None
    offset: int | None
    id: str


@dataclass(frozen=True)
class CodedDatabase:
    """How a database is delivered."""

    name: str
    sheet: str  # regular expression of the sheet's file name
    sheet_known: str  # the sheet that this was written for, as a message names it
    n_rows: tuple[int, ...] = ()  # of the versions known; another number is noted
    # what the sheet calls subject, filename, onset, offset and emotion, where otherwise; in lower case
    columns: Mapping[str, str] = field(default_factory=dict)
    folder: str = "{clip}"  # where a clip is: anywhere, or with ``first``, such as "{subject}/{clip}"
    first: str | None = None  # regular expression of the first-level folders, if clips lie in such
    subject: str = "sub{:02d}"  # format of the subject's id from its number
    inner: str = ""  # folder within the clip's that holds the frames, where there is one
    named: str = "(.*)"  # regular expression whose group is what a sheet calls a clip's folder
    events: bool = False  # whether a recording has several rows: clips are then called after their frames
    always_cut: bool = False  # whether cropped frames too go beyond onset and offset
    # protocol → emotion → class, and the published numbers of clips: negative, positive, surprise
    label_maps: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"cdmer": EMOTIONS})
    expected: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()
    worksheet: str | None = None  # of the workbook; by default the first
    read: Callable[[Path], Sheet] | None = None  # of a sheet that has another form than rows below a header

    def load(
        self,
        root: str | os.PathLike[str],
        annotations: str | os.PathLike[str] | None = None,
        label_map: LabelMap | None = None,
    ) -> ClipCollection:
        """Find the clips that belong to the protocol; arguments and errors are those of `tgsr.datasets.load_clips`."""
        root = existing_folder(root)
        protocol, emotions = self._label_map(label_map)
        tree = self._find_tree(root)
        path = Path(annotations) if annotations is not None else find_sheet(root, tree, self.sheet)
        if path is None:
            raise MissingDataError(
                f"{root}: no {self.sheet_known} from {tree} up to two folders above {root}; put it there, or name "
                "it with --annotations"
            )
        collector = Collector(self.name, root, is_cropped(tree, root))
        rows = list(self._rows(path, collector))
        on_disk = self._clips_on_disk(collector, tree)
        rows = self._corrected(rows, protocol, on_disk, collector)
        self._add_rows(collector, path, rows, on_disk, emotions)
        return collector.finish(self.expected.get(protocol), protocol)

    def _label_map(self, label_map: LabelMap | None) -> tuple[str, Mapping[str, str]]:
        if label_map is None or (isinstance(label_map, str) and label_map in self.label_maps):
            return label_map or "cdmer", self.label_maps[label_map or "cdmer"]
        if isinstance(label_map, str) and re.fullmatch(r"\w+", label_map) and not Path(label_map).exists():
            raise ParameterError(
                f"{self.name} has no label map {label_map!r}; choose {' or '.join(self.label_maps)}, or name a CSV"
            )
        emotions = read_label_map(label_map)
        unknown = sorted(set(emotions.values()) - {*CLASS_NAMES, ""})
        if unknown:
            raise DataError(f"label map leads to {', '.join(unknown)}; the classes are {', '.join(CLASS_NAMES)}")
        return "own", emotions

    def _find_tree(self, root: Path) -> Path:
        if self.first is None:
            return root
        first = re.compile(self.first, re.IGNORECASE)
        expected = self.folder.format(subject=self.subject.format(1), clip="<clip>", emotion="<emotion>") + "/"
        return find_tree(
            root, lambda folder: any(first.fullmatch(child.name) for child in sub_folders(folder)), self.name, expected
        )

    def _rows(self, path: Path, collector: Collector) -> Iterator[_Coded]:
        columns = {**_COLUMNS, **self.columns}
        if self.read is not None:
            sheet = self.read(path)
        else:
            sheet = read_sheet(path, columns.values(), worksheet=self.worksheet)
        collector.notes.append(f"emotions and frames from {sheet.source}")
        if self.n_rows and len(sheet.rows) not in self.n_rows and not collector.generated:
            known = " or ".join(map(str, self.n_rows))
            collector.notes.append(
                f"{path}: {len(sheet.rows)} rows; the versions of {self.sheet_known} that are known have {known}"
            )
        for row in sheet.rows:
            stated, clip = row.text(columns["subject"]), row.text(columns["filename"])
            number = subject_number(stated)
            if not stated or not clip:
                collector.notes.append(f"{path}: row {row.number} names no subject and clip; passed over")
                continue
            if number is None:
                collector.skip(clip, path, f"row {row.number} of {path}: subject {stated!r} is not one number")
                continue
            subject, emotion = self.subject.format(number), row.text(columns["emotion"]).lower()
            onset, offset = row.integer(columns["onset"]), row.integer(columns["offset"])
            name = f"{subject}/{clip}@{onset}-{offset}" if self.events else f"{subject}/{clip}"
            yield _Coded(f"row {row.number} of {path}", subject, clip, emotion, onset, offset, name)

    def _key(self, row: _Coded) -> tuple[str, ...]:
        folder = self.folder.format(subject=row.subject, clip=row.clip, emotion=row.emotion)
        return tuple(map(_plain, folder.split("/")))

    def _clips_on_disk(self, collector: Collector, tree: Path) -> dict[tuple[str, ...], list[Path]]:
        """Folders and videos by what the sheet calls them."""
        found: dict[tuple[str, ...], list[Path]] = {}
        if self.first is None:
            for path in all_folders(tree):
                for entry in (path, *videos(path)):
                    found.setdefault((self._clip_name(entry),), []).append(entry)
            return found
        for folder in sub_folders(tree):
            if not re.fullmatch(self.first, folder.name, re.IGNORECASE):
                collector.note_strays(tree, [folder])
            elif not collector.skips_link(folder.name, folder):
                for path in collector.entries(folder):
                    found.setdefault((_plain(folder.name), self._clip_name(path)), []).append(path)
        return found

    def _clip_name(self, path: Path) -> str:
        name = path.stem if path.is_file() else path.name
        match = re.match(self.named, name)
        return _plain(match.group(1) if match else name)

    def _corrected(
        self, rows: list[_Coded], protocol: str, on_disk: Mapping[tuple[str, ...], list[Path]], collector: Collector
    ) -> list[_Coded]:
        """The rows with what is known to be wrong put right, each time with a note."""
        for fix in self.corrections:
            if protocol not in fix.protocols and not (protocol == "own" and fix.emotion):
                continue
            same = [i for i, row in enumerate(rows) if (row.subject, row.clip) == (fix.subject, fix.clip)]
            name, (onset, offset) = f"{fix.subject}/{fix.clip}", fix.frames or (None, None)
            added = _Coded(fix.source, fix.subject, fix.clip, fix.emotion, onset, offset, name)
            if fix.frames is not None and not same and self._key(added) in on_disk:
                rows.append(added)
                told = f"added as {fix.emotion}, frames {fix.frames[0]} to {fix.frames[1]}"
            elif fix.frames is None and any(fix.stated in (None, rows[i].emotion) for i in same):
                told = f"{rows[same[0]].emotion} in the sheet, taken as {fix.emotion or 'not of the protocol'}"
                for i in same:
                    rows[i] = replace(rows[i], emotion=fix.emotion or "left out")
            else:
                continue
            collector.notes.append(f"correction: {name}: {told} ({fix.source})")
        return rows

    def _add_rows(
        self,
        collector: Collector,
        sheet: Path,
        rows: list[_Coded],
        on_disk: Mapping[tuple[str, ...], list[Path]],
        emotions: Mapping[str, str],
    ) -> None:
        inside: Counter[str] = Counter()
        outside: Counter[str] = Counter()
        stated: dict[str, set[str]] = {}
        for row in rows:
            stated.setdefault(row.id.lower(), set()).add(row.emotion)
        seen: set[str] = set()
        for row in rows:
            paths = on_disk.get(self._key(row), [])
            if len(stated[row.id.lower()]) > 1:
                reason = f"{row.where}: the clip has rows of several emotions"
                collector.skip(row.id, paths[0] if paths else sheet, reason)
            elif row.id.lower() in seen:
                collector.notes.append(f"{row.where} repeats {row.id}")
            elif emotions.get(row.emotion):
                inside[row.emotion] += 1
                self._add_clip(collector, sheet, row, emotions[row.emotion], paths)
            elif row.emotion in emotions or row.emotion in _OUTSIDE:
                outside[row.emotion] += 1
            elif row.emotion != "left out":
                reason = f"unknown emotion {row.emotion!r} in {row.where}"
                collector.skip(row.id, paths[0] if paths else sheet, reason)
            seen.add(row.id.lower())
        for title, counts in (("selected", inside), ("not part of the protocol", outside)):
            if counts:
                counted = ", ".join(f"{count} {emotion}" for emotion, count in sorted(counts.items()))
                collector.notes.append(f"{sheet}: {title}: {counted}")
        if self.first is not None and not self.events:
            for key in sorted(set(on_disk) - set(map(self._key, rows))):
                for path in on_disk[key]:
                    name = f"{path.parent.name}/{path.name}"
                    collector.skip(name, path, f"not in {sheet}, so its emotion is unknown")

    def _add_clip(self, collector: Collector, sheet: Path, row: _Coded, label: str, paths: list[Path]) -> None:
        cut = self.always_cut or not collector.cropped
        if not paths:
            return collector.skip(row.id, sheet, f"{row.where} lists this {label} clip, but it is not on disk")
        if cut and (row.onset is None or row.offset is None):
            return collector.skip(row.id, paths[0], f"{row.where} gives no onset and offset frame")
        for path in paths:
            inner = path / self.inner if self.inner and (path / self.inner).is_dir() else path
            collector.add(row.id, inner, row.subject, label, row.onset, row.offset, stated=row.where, cut=cut)
        return None


def _plain(name: str) -> str:
    """A name without case, leading zeros and ways to write an accent: sub01 and Sub1, 006 and 6 are the same."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", composed(name).strip().lower())

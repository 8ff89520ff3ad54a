"""Databases that come as an annotation sheet with a row for each clip, and folders of frames.

They differ in the sheet's columns and in the folders' names: a `CodedDatabase` says which, and reads them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap, read_label_map
from tgsr.datasets._sheet import Sheet, read_sheet
from tgsr.datasets._texts import plain, spelling_key, subject_number
from tgsr.datasets._tree import (
    Collector,
    all_folders,
    existing_folder,
    find_tree,
    folders,
    is_cropped,
    videos,
)
from tgsr.datasets.clips import ClipCollection
from tgsr.errors import DataError, MissingDataError, ParameterError
from tgsr.protocols import CLASS_NAMES

__all__ = ["EMOTIONS", "CodedDatabase", "Correction"]

EMOTIONS: dict[str, str] = {
    **dict.fromkeys(("happiness", "happy", "positive"), "positive"),
    **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sad", "sadness", "negative"), "negative"),
    "surprise": "surprise",
}
"""Emotion of a sheet (lower case) → class, where a database has no map of its own: the protocol ``cdmer``."""

_COLUMNS = ("subject", "filename", "onset", "offset", "emotion")
_OUTSIDE = {*EMOTIONS, "others", "other", "repression", "tense", "confused", "helpless", "pain", "neutral"}
_LEFT_OUT = "left out"  # the emotion of a row that a correction takes out


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
    first: str | None = None  # regular expression of the subjects' folders, if clips lie in such and not anywhere
    subject: str = "sub{:02d}"  # format of the subject's id, and of the folder, from its number
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

    def load(self, root: Path, annotations: Path | None = None, label_map: LabelMap | None = None) -> ClipCollection:
        """Find the clips that belong to the protocol; arguments and errors are those of `tgsr.datasets.load_clips`."""
        root = existing_folder(root)
        protocol, emotions = self._label_map(label_map)
        tree = root
        if self.first is not None:
            expected = f"{self.subject.format(1)}/<clip>/"
            tree = find_tree(root, lambda folder: any(map(self._is_first, folders(folder))), self.name, expected)
        collector = Collector(self.name, root, is_cropped(tree, root))
        path = annotations or collector.find_sheet(tree, self.sheet)
        if path is None:
            raise MissingDataError(
                f"{root}: no {self.sheet_known} from {tree} up to two folders above {root}; put it there, or name "
                "it with --annotations"
            )
        rows = list(self._rows(path, collector))
        on_disk = self._clips_on_disk(collector, tree)
        self._correct(rows, protocol, on_disk, collector)
        self._add_rows(collector, path, rows, on_disk, emotions)
        return collector.finish(self.expected.get(protocol), protocol)

    def _is_first(self, folder: Path) -> bool:
        return re.fullmatch(self.first or "", folder.name, re.IGNORECASE) is not None

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

    def _rows(self, path: Path, collector: Collector) -> Iterator[_Coded]:
        sheet = self.read(path) if self.read else read_sheet(path, _COLUMNS, worksheet=self.worksheet)
        collector.notes.append(f"emotions and frames from {sheet.source}")
        if self.n_rows and len(sheet.rows) not in self.n_rows and not collector.generated:
            known = f"the versions of {self.sheet_known} that are known have {' or '.join(map(str, self.n_rows))}"
            collector.notes.append(f"{path}: {len(sheet.rows)} rows; {known}")
        for row in sheet.rows:
            stated, clip = row.text("subject"), row.text("filename")
            number, where = subject_number(stated), f"row {row.number} of {path}"
            if not stated or not clip:
                collector.notes.append(f"{path}: row {row.number} names no subject and clip; passed over")
                continue
            if number is None:
                collector.skip(clip, path, f"{where}: subject {stated!r} is not one number")
                continue
            subject, emotion = self.subject.format(number), row.text("emotion").lower()
            onset, offset = row.integer("onset"), row.integer("offset")
            name = f"{subject}/{clip}" + f"@{onset}-{offset}" * self.events
            yield _Coded(where, subject, clip, emotion, onset, offset, name)

    def _key(self, row: _Coded) -> tuple[str, ...]:
        """What a row's clip has in `_clips_on_disk`."""
        return tuple(map(plain, (row.clip,) if self.first is None else (row.subject, row.clip)))

    def _clips_on_disk(self, collector: Collector, tree: Path) -> dict[tuple[str, ...], list[Path]]:
        """Folders and videos by what the sheet calls them."""
        found: dict[tuple[str, ...], list[Path]] = {}

        def add(path: Path, *above: str) -> None:
            name = path.stem if path.is_file() else path.name
            match = re.match(self.named, name)
            found.setdefault((*above, plain(match.group(1) if match else name)), []).append(path)

        if self.first is None:
            for folder in all_folders(tree):
                for path in (folder, *videos(folder)):
                    add(path)
            return found
        for folder in folders(tree):
            if not self._is_first(folder):
                collector.note_strays(tree, [folder])
            elif not collector.skips_link(folder.name, folder):
                for path in collector.entries(folder):
                    add(path, plain(folder.name))
        return found

    def _correct(
        self, rows: list[_Coded], protocol: str, on_disk: Mapping[tuple[str, ...], list[Path]], collector: Collector
    ) -> None:
        """Put right what is known to be wrong with the rows, each time with a note."""
        for fix in self.corrections:
            if protocol not in fix.protocols and not (protocol == "own" and fix.emotion):
                continue
            same = [i for i, row in enumerate(rows) if (row.subject, row.clip) == (fix.subject, fix.clip)]
            name, (onset, offset) = f"{fix.subject}/{fix.clip}", fix.frames or (None, None)
            added = _Coded(fix.source, fix.subject, fix.clip, fix.emotion, onset, offset, name)
            if fix.frames is not None and not same and self._key(added) in on_disk:
                rows.append(added)
                told = f"added as {fix.emotion}, frames {onset} to {offset}"
            elif fix.frames is None and any(fix.stated in (None, rows[i].emotion) for i in same):
                told = f"{rows[same[0]].emotion} in the sheet, taken as {fix.emotion or 'not of the protocol'}"
                for i in same:
                    rows[i] = replace(rows[i], emotion=fix.emotion or _LEFT_OUT)
            else:
                continue
            collector.notes.append(f"correction: {name}: {told} ({fix.source})")

    def _add_rows(
        self,
        collector: Collector,
        sheet: Path,
        rows: list[_Coded],
        on_disk: Mapping[tuple[str, ...], list[Path]],
        emotions: Mapping[str, str],
    ) -> None:
        counts = {"selected": Counter[str](), "not part of the protocol": Counter[str]()}
        stated: dict[str, set[str]] = {}
        for row in rows:
            stated.setdefault(row.id.lower(), set()).add(row.emotion)
        seen: dict[str, _Coded] = {}
        for row in rows:
            paths, problem = on_disk.get(self._key(row), []), ""
            emotion = spelling_key(row.emotion)  # as label maps have it
            if len(stated[row.id.lower()]) > 1:
                problem = f"{row.where}: the clip has rows of several emotions"
            elif (first := seen.setdefault(row.id.lower(), row)) is not row:
                other = "" if (first.onset, first.offset) == (row.onset, row.offset) else " with other frames, not used"
                collector.notes.append(f"{row.where} repeats {row.id}{other}")
            elif label := emotions.get(emotion):
                counts["selected"][row.emotion] += 1
                problem = self._add_clip(collector, row, label, paths)
            elif emotion in emotions or row.emotion in _OUTSIDE:
                counts["not part of the protocol"][row.emotion] += 1
            elif row.emotion != _LEFT_OUT:
                problem = f"unknown emotion {row.emotion!r} in {row.where}"
            if problem:
                collector.skip(row.id, paths[0] if paths else sheet, problem)
        for title, counted in counts.items():
            if counted:
                shown = ", ".join(f"{count} {emotion}" for emotion, count in sorted(counted.items()))
                collector.notes.append(f"{sheet}: {title}: {shown}")
        if self.first is not None and not self.events:
            for key in sorted(set(on_disk) - set(map(self._key, rows))):
                for path in on_disk[key]:
                    name = f"{path.parent.name}/{path.name}"
                    collector.skip(name, path, f"not in {sheet}, so its emotion is unknown")

    def _add_clip(self, collector: Collector, row: _Coded, label: str, paths: list[Path]) -> str:
        """Add the clip of a row; what is wrong where it cannot be."""
        cut = self.always_cut or not collector.cropped
        if not paths:
            return f"{row.where} lists this {label} clip, but it is not on disk"
        if cut and (row.onset is None or row.offset is None):
            return f"{row.where} gives no onset and offset frame"
        for path in paths:
            inner = path / self.inner if (path / self.inner).is_dir() else path
            collector.add(row.id, inner, row.subject, label, row.onset, row.offset, stated=row.where, cut=cut)
        return ""

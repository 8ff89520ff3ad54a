"""What the databases' folder trees have in common: finding the tree and its sheet, and collecting clips."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tgsr.datasets._frame_order import number_frames
from tgsr.datasets._images import holds_several
from tgsr.datasets._texts import composed
from tgsr.datasets.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Clip, ClipCollection, Skipped, frame_files, is_film
from tgsr.errors import DataError, MissingDataError, TgsrError
from tgsr.names import name_problem
from tgsr.protocols import CLASS_NAMES

__all__ = [
    "Collector",
    "all_folders",
    "existing_folder",
    "find_path",
    "find_tree",
    "folders",
    "is_cropped",
    "is_hidden",
    "leads_out",
    "videos",
]

_DEPTH = 4  # folders between what the user names and the subjects' folders
_STRAYS_NAMED = 5
_GENERATED = "GENERATED.txt"
_OF_SYSTEMS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})


def existing_folder(root: str | os.PathLike[str]) -> Path:
    """The folder as a path; a `MissingDataError` if there is none."""
    folder = Path(root)
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: no such folder; --root takes the folder that holds the database")
    return folder


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path, once links are followed, lies outside the root; so does one that leads nowhere but to itself."""
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return True


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is an operating system's own: ``._`` files and ``__MACOSX`` of a Mac, for example."""
    return path.name.startswith(".") or path.name.lower() in _OF_SYSTEMS


def find_path(root: Path, name: str) -> Path:
    """The path of this name below a folder, however its accents and its separators are encoded.

    Macs write an é as e and an accent, Windows writes a backslash between folders. Without such a path it is the plain
    one.
    """
    path = root / name
    if path.exists():
        return path
    found = root
    for part in name.replace("\\", "/").split("/"):
        entries = found.iterdir() if found.is_dir() else ()
        alike = [entry for entry in entries if composed(entry.name) == composed(part)]
        if len(alike) != 1 and part not in ("", ".", ".."):
            return path
        found = alike[0] if alike else found / part
    return found


def folders(path: Path) -> list[Path]:
    """Sub-folders in natural order (s2 before s11), hidden ones left out."""

    def natural(folder: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", folder.name.lower())]

    try:
        return sorted((p for p in path.iterdir() if p.is_dir() and not is_hidden(p)), key=natural)
    except PermissionError:
        raise DataError(f"{path}: the folder cannot be opened; check its permissions") from None


def videos(folder: Path) -> list[Path]:
    """The video files in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and not is_hidden(path))


def all_folders(root: Path, depth: int = _DEPTH + 2, leaf: Callable[[Path], bool] = lambda _: False) -> list[Path]:
    """A folder and all below it but those below a ``leaf``, level by level; links out of it or upwards are left out."""

    def is_below(folder: Path) -> bool:
        return not folder.is_symlink() or (not leads_out(folder, root) and leads_out(folder.parent, folder))

    found: list[Path] = []
    level = [root]
    for _ in range(depth + 1):
        found += level
        level = [child for parent in level if not leaf(parent) for child in folders(parent) if is_below(child)]
    return found


def find_tree(root: Path, is_tree: Callable[[Path], bool], name: str, expected: str) -> Path:
    """The folder at or below ``root`` that holds the subjects' folders; a cropped one, where there are any.

    None is a `MissingDataError`, several are a `DataError`.
    """
    found = [folder for folder in all_folders(root, _DEPTH, is_tree) if is_tree(folder)]
    trees = [tree for tree in found if is_cropped(tree, root)] or found
    if len(trees) > 1:
        raise DataError(f"{root}: {name} is in {' and in '.join(map(str, trees))}; name one of them with --root")
    if not trees:
        raise MissingDataError(f"{root}: {name} is not there; expected {expected} below it")
    return trees[0]


def is_cropped(tree: Path, root: Path) -> bool:
    """Whether a tree holds cropped faces: its frames are called ``reg_…``, or the nearest folder name says so.

    Folders above the root are not asked: where a user keeps a database says nothing of its frames.
    """
    if _first_frame(tree).lower().startswith("reg_"):
        return True
    for folder in _up_to_root(tree, root):
        name = folder.resolve().name.lower()
        if re.search(r"(un|non?|not)[^a-z]?cropped|(^|[^a-z])raw([^a-z]|$)", name):
            return False
        if "cropped" in name:
            return True
    return False


def _first_frame(tree: Path) -> str:
    """The name of the first image file in the order of folders and files; empty if there is none."""
    for _, below, files in os.walk(tree):
        below.sort()
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                return name
    return ""


def _up_to_root(tree: Path, root: Path) -> list[Path]:
    above = [tree, *tree.parents]
    return above[: above.index(root) + 1] if root in above else [tree]


def _shown(text: str) -> str:
    """A text that can be printed: on Linux a file name may hold any bytes, and codes that steer a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@dataclass
class Collector:
    """Gathers clips; whatever is wrong with one becomes a `Skipped` that names the file."""

    database: str
    root: Path
    cropped: bool | None
    clips: dict[str, Clip] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def generated(self) -> bool:
        """Whether a mark beside the clips or above says that they were drawn."""
        return any((folder / _GENERATED).is_file() for folder in (self.root, *self.root.resolve().parents[:4]))

    def find_sheet(self, tree: Path, pattern: str) -> Path | None:
        """The sheet from the tree up to the root, else one folder below the root or two above it; the last by name."""
        places = _up_to_root(tree, self.root)
        places += [folder for folder in folders(self.root) if not re.fullmatch(r"s(ub)?\d+", folder.name.lower())]
        places += self.root.resolve().parents[:2]
        wanted = re.compile(rf"(?!~\$|\.){pattern}", re.IGNORECASE)  # no lock of an open workbook, nothing hidden
        for place in filter(lambda folder: os.access(folder, os.R_OK), places):
            sheets = sorted(p for p in place.iterdir() if wanted.fullmatch(p.name) and p.is_file())
            if others := ", ".join(path.name for path in sheets[:-1]):
                self.notes.append(f"{sheets[-1]} is read, and not {others}; --annotations names another")
            if sheets:
                return sheets[-1]
        return None

    def skips_link(self, clip: str, folder: Path) -> bool:
        """Whether a folder leads out of the root; it is then skipped."""
        outside = leads_out(folder, self.root)
        if outside:
            self.skip(clip, folder, f"a link that leads out of {self.root}; copy the folder into the tree")
        return outside

    def entries(self, folder: Path) -> list[Path]:
        """What may be clips in a folder: its sub-folders and videos; the rest is noted."""
        found = [*folders(folder), *videos(folder)]
        self.note_strays(folder, [path for path in sorted(folder.iterdir()) if path not in found])
        return found

    def skip(self, clip: str, path: Path, reason: str) -> None:
        """Record a clip that cannot be used."""
        while not str(path).isprintable():
            path = path.parent
        self.skipped.append(Skipped(_shown(clip), path, _shown(reason)))

    def add(
        self,
        clip_id: str,
        path: Path,
        subject: str | None,
        label: str | None,
        onset: int | None = None,
        offset: int | None = None,
        *,
        stated: str = "",
        cropped: bool | None = None,
        cut: bool | None = None,
    ) -> None:
        """Add the clip in a folder of frames or a video file; ``stated``: where onset and offset are from ("row 2").

        Raw frames are cut to onset … offset (``cut`` says otherwise): delivered cropped frames are cut already.
        A second clip of the same id is skipped, and so is the first: which of them is right would be a guess.
        """
        cropped = self.cropped if cropped is None else cropped
        cut = not cropped if cut is None else cut
        try:
            if onset is not None and offset is not None and offset <= onset:
                raise DataError(f"{stated}: offset {offset} is not after onset {onset}")
            self._check_duplicate(clip_id, path)
            frames, video = self._files(path)
            if problem := name_problem(clip_id):
                raise DataError(f"{problem}; rename it")
            clip = Clip(clip_id, self.database, subject, label, frames, video, onset, offset, cropped)
            if not is_film(clip):
                frames = self._between(path, frames, onset if cut else None, offset if cut else None)
                clip = replace(clip, frames=frames)
            elif not cut:  # the sheets number the camera's frames, not those of the cut film
                clip = replace(clip, onset=None, offset=None)
            self.clips[clip_id] = clip
        except TgsrError as error:
            self.skip(clip_id, path, str(error))
        except OSError as error:
            self.skip(clip_id, path, f"{error.filename or path}: cannot be read ({error.strerror})")

    def _check_duplicate(self, clip_id: str, path: Path) -> None:
        if any(entry.clip == clip_id and entry.reason.startswith("duplicate") for entry in self.skipped):
            raise DataError("duplicate: another folder or video has the same clip")
        if first := self.clips.pop(clip_id, None):
            self.skip(clip_id, first.path, f"duplicate of {path}; remove one of them")
            raise DataError(f"duplicate of {first.path}; remove one of them")

    def note_strays(self, where: Path, strays: list[Path] | tuple[Path, ...]) -> None:
        """Say which files were passed over."""
        if strays:
            names = ", ".join(path.name for path in strays[:_STRAYS_NAMED])
            more = f" and {len(strays) - _STRAYS_NAMED} more" if len(strays) > _STRAYS_NAMED else ""
            self.notes.append(_shown(f"{where}: passed over {names}{more}"))

    def finish(
        self,
        expected: tuple[int, int, int] | None = None,
        label_map: str = "",
        class_names: tuple[str, ...] = CLASS_NAMES,
    ) -> ClipCollection:
        """Everything gathered, with a remark on how the numbers of clips differ from those expected."""
        notes, clips = list(self.notes), tuple(self.clips.values())
        if self.generated:
            notes.append("generated data: not a recording of anyone, and not the database of this name")
        elif expected is not None:
            found = Counter(clip.label for clip in clips)
            counts = zip(CLASS_NAMES, expected, strict=True)
            others = [f"{name} {found[name]} instead of {count}" for name, count in counts if found[name] != count]
            if others:
                told = "the published protocol has other numbers of clips"
                notes.append(f"{self.database}: {told}: {'; '.join(others)}")
        return ClipCollection(
            self.database, clips, tuple(self.skipped), class_names, tuple(notes), self.generated, label_map
        )

    def _files(self, path: Path) -> tuple[tuple[Path, ...], Path | None]:
        """The image files of a clip, or its video file."""
        if leads_out(path, self.root):
            raise DataError(f"{path}: it leads out of {self.root}; copy the clip into the tree")
        if path.is_file():
            if path.suffix.lower() in VIDEO_SUFFIXES:
                return (), path
            if not holds_several(path):
                raise DataError(f"{path}: neither a folder of frames, nor a known kind of video, nor several pictures")
            return (path,), None
        if not all(str(entry).isprintable() for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES):
            raise DataError(f"{path}: a name that is not text; rename the folder or file")
        frames, strays = frame_files(path)
        self.note_strays(path, strays)
        outside = [frame for frame in frames if frame.is_symlink() and leads_out(frame, self.root)]
        if outside:
            raise DataError(f"{outside[0]}: a link that leads out of {self.root}; copy the file into the tree")
        if len(frames) > 1 and holds_several(frames[0]):
            self.notes.append(
                f"{path}: {len(frames)} files of several pictures are one clip; if each is one, list them in clips.csv"
            )
        return frames, None

    def _between(self, path: Path, frames: tuple[Path, ...], onset: int | None, offset: int | None) -> tuple[Path, ...]:
        """The frames from onset to offset; gaps in their numbers are noted."""
        if len(frames) < 2:
            raise DataError(f"{path}: {len(frames) or 'no'} frame(s) in this folder; at least 2 are needed")
        numbers = number_frames(frames)
        first, last = numbers[frames[0]], numbers[frames[-1]]
        start, end = first if onset is None else onset, last if offset is None else offset
        kept = tuple(frame for frame in frames if start <= numbers[frame] <= end)
        if not kept:
            raise DataError(f"{path}: none of the frames {first}-{last} lies between onset {start} and offset {end}")
        if len(kept) < 2:
            left = f"onset {start} to offset {end} leaves 1 of {len(frames)} frames"
            raise DataError(f"{path}: {left}; at least 2 are needed")
        if any(number % 1 for number in numbers.values()):
            self.notes.append(f"{path}: frames are in the order of the decimals in their names, {first} to {last}")
        elif len(kept) < end - start + 1:
            asked = f"onset {start} to offset {end}" if onset is not None or offset is not None else f"{start} to {end}"
            self.notes.append(f"{path}: {len(kept)} of the {end - start + 1} frames from {asked}")
        return kept

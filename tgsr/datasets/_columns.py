"""What the columns of a table are: labels, people, clips, features, or bookkeeping that must not become a feature."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError

__all__ = ["Columns", "assign_columns", "check_features", "has_role", "same_name"]

ROLES = {
    "label": "label labels class classes target targets emotion emotions estimatedemotion expression category truth "
    "groundtruth gt ytrue",
    "subject": "subject subjects subjectid sub subj subid participant participantid person personid patient patientid "
    "actor actorid individual proband volunteer identity",
    "clip": "clip clips clipid sample sampleid samplename sequence video videoid videoname file filename filepath",
}
"""What a column is used for, and the names that say so: compared without case, spaces and punctuation."""

_BOOKKEEPING = (
    "idx id ids uid uuid row rows rowid rownames no nr num number key fold folds foldid cvfold split set partition "
    "prediction predictions predicted pred ypred proba probability sampleweight "
    "framerate frame frames nframes onset apex offset time timestamp date datetime"
)
_ROLE = {name: role for role, names in ROLES.items() for name in names.split()}
_INDEX = re.compile(r"index|unnamed\d*(level\d+)?|(index)?level\d+")
_TELLING = re.compile(
    r"(?<![a-z])(labels?|class|target|emotion|subject|subj|participant|fold|index|idx|id|code|frames?|session|trial|batch"
    r"|age|gender|sex|alter|geschlecht|uid|hash|seed)(?![a-z])"
)
_FEWEST_ROWS = 4  # fewer are in some order by chance
_MOST_CODES = 20
_BLOCK = 4096  # columns looked at in one go


@dataclass(frozen=True)
class Columns:
    """Where what is found: the positions of label, subject and clip, where there are any, and of the features.

    ``index``: positions of what should be the rows' numbers only, and is left out. ``notes``: what a user must be told
    of the choice.
    """

    names: Sequence[str]
    known: dict[str, int]
    features: list[int]
    index: list[int]
    notes: list[str]

    @property
    def feature_names(self) -> list[str]:
        """The names of the features."""
        return [self.names[position] for position in self.features]


def same_name(name: str) -> str:
    """A column's name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def has_role(name: str) -> bool:
    """Whether a name is one of those of labels, people or clips."""
    return same_name(name) in _ROLE


def assign_columns(names: Sequence[str], label: str | None = None, drop: Collection[str] = ()) -> Columns:
    """Tell from the names what each column is for; see `ROLES`.

    A name with a ``/`` is always a feature; ``y`` is the labels if nothing else is, and nothing is called ``x``.
    ``label`` names the column of the labels, whatever it is called; ``drop`` those to leave out. A name that is there
    twice, or is none, is a `DataError`; so are two columns that could be the same thing.
    """
    for wanted in (*drop, *([] if label is None else [label])):
        if wanted not in names:
            raise DataError(f"it has no column {wanted!r}; it has {_listed(names)}")
    candidates: dict[str, list[int]] = {role: [] for role in ROLES}
    left_out, features, index, notes = list[str](), list[int](), list[int](), list[str]()
    takes_y = label is None and not any(
        same_name(name) == "x" or _ROLE.get(same_name(name)) == "label" for name in names
    )
    for position, name in enumerate(names):
        plain = "label" if same_name(name) == "y" and takes_y else same_name(name)
        if name == label:
            candidates["label"].append(position)
        elif name in drop:
            notes.append(f"left out, as asked: {name}")
        elif "/" in name:
            features.append(position)
        elif plain in _ROLE:
            candidates[_ROLE[plain]].append(position)
        elif name in ("", "#") or _INDEX.fullmatch(plain):
            index.append(position)
            left_out.append(name or f"the column without a name ({position + 1})")
        elif plain in _BOOKKEEPING.split() or plain.startswith("fps") or plain.endswith("fps"):
            left_out.append(name)
        else:
            features.append(position)
    known = {}
    for role, positions in candidates.items():
        # the column named by the user, else called as the role is, else the only one
        asked = [position for position in positions if role == "label" and names[position] == label]
        best = asked or [position for position in positions if same_name(names[position]) == role] or positions
        if len(best) > 1:
            raise DataError(
                f"{_listed([names[position] for position in best])} could each be the {role}; leave out all but one "
                "with --drop" + " or name it with --label" * (role == "label")
            )
        if best:
            known[role] = best[0]
            left_out += [names[position] for position in positions if position != best[0]]
            if not asked and same_name(names[best[0]]) != role:
                notes.append(f"{names[best[0]]} is taken as the {role}")
    counted = Counter(names[position] for position in features)
    if twice := [name for name, count in counted.items() if count > 1]:
        raise DataError(f"its columns {_listed(twice)} are there more than once; give each a name of its own")
    if left_out:
        notes.append(f"left out, as bookkeeping and no feature: {_listed(left_out)} (a feature is called GROUP/NAME)")
    return Columns(names, known, features, index, notes)


@np.errstate(over="ignore", invalid="ignore")  # what is too large is refused later, for what it is
def check_features(
    features: npt.NDArray[np.float64], names: Sequence[str], labels: npt.NDArray[Any] | None, remedy: str
) -> None:
    """Refuse a feature (n, p) that looks like bookkeeping, unless its name has a ``/``: rows' numbers, a label's code.

    The `DataError` names the column, says why, and what to do about it (``remedy``, where ``{name}`` is the column).
    """
    codes = None if labels is None else np.unique(labels, return_inverse=True)[1]
    for start in range(0, features.shape[1], _BLOCK):
        block = features[:, start : start + _BLOCK]
        step = np.diff(block, axis=0)
        even = (np.abs(step - step[:1]) <= 1e-9 * np.abs(step[:1])).all(axis=0) & step.any(axis=0)
        for position in np.flatnonzero((block == np.rint(block)).all(axis=0) | even).tolist():
            name = names[start + position]
            reason = "" if "/" in name else _looks_like(block[:, position], name, codes)
            if reason:
                raise DataError(f"column {name} {reason}; {remedy.format(name=name)}")


def _looks_like(values: npt.NDArray[np.float64], name: str, codes: npt.NDArray[np.intp] | None) -> str:
    """What a column of whole numbers, or of evenly rising ones, seems to be; empty for a feature."""
    n, distinct = len(values), np.unique(values)
    if _TELLING.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("_", " ")):
        return "is called like bookkeeping and holds whole numbers"
    if n < _FEWEST_ROWS or len(distinct) < 2:
        return ""
    if len(distinct) == n and distinct[-1] - distinct[0] == n - 1:
        return f"holds each of {distinct[0]:g}…{distinct[-1]:g} once, as numbers of the rows"
    if (np.diff(values) > 0).all() or (values != np.rint(values)).any():
        return "goes on from row to row, as numbers of rows or frames do, or times"
    if codes is None or len(distinct) > _MOST_CODES:
        return ""
    first = np.unique(codes, return_index=True)[1]
    one_to_one = len(np.unique(values[first])) == len(first)
    spare = n - len(first)  # rows that agree with their class's first one, by chance or not
    if (values == values[first][codes]).all() and spare >= (3 if one_to_one else 8):
        return "tells the label: the same whole number for all rows of a class"
    return ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

"""Labels, people and other names as users write them: which are one and the same, and which are none."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence

from tgsr.datasets._table import number
from tgsr.protocols import CLASS_NAMES

__all__ = ["composed", "is_absent", "note_alike", "one_spelling", "plain", "spelling_key", "subject_number"]

_ABSENT = ("", "nan", "<na>", "nat", "n/a", "#n/a", "?")
_MONTH = re.compile(r"(?<![a-z])(jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)(?![a-z])")


def composed(name: str) -> str:
    """A name with each accented letter as one character."""
    return unicodedata.normalize("NFC", name)


def plain(name: str) -> str:
    """A name without case, leading zeros and ways to write an accent: sub01 and Sub1, 006 and 6 are the same."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", composed(name).strip().lower())


def is_absent(text: str, role: str, known: Container[str] = ()) -> bool:
    """Whether a cell says that there is nothing; NA and Null may be people, but are no labels.

    A label that a label map has, ``known`` as `spelling_key` writes it, says something, whatever it is.
    """
    if role == "label" and spelling_key(text) in known:
        return False
    return text.lower() in _ABSENT or text == "None" or (role == "label" and text.lower() in ("na", "null"))


def subject_number(text: str) -> int | None:
    """The one number in a subject's name: 1 of 1, 01, 1.0, sub01, S1 and spNO.1; None without any, or of several.

    Of a date, as a spreadsheet makes 2-Jan of 1-2, it is None.
    """
    match = re.fullmatch(r"\D*(\d+)(?:\.0*)?\D*", text)
    return int(match.group(1)) if match and not _MONTH.search(text.lower()) else None


def _whole(label: str) -> str:
    """A label with accents as one character, and 1.0 as 1; 01 stays."""
    value = number(label)
    if value is not None and value.is_integer() and re.search("[.eE]", label):
        return f"{value:.0f}"
    return composed(label)


def spelling_key(label: str) -> str:
    """What labels that are one class have in common."""
    return re.sub(r"[\s_]+", " ", _whole(label.strip()).casefold())


def one_spelling(labels: Sequence[str], names: Sequence[str] = CLASS_NAMES) -> tuple[list[str], list[str]]:
    """Labels that differ in more than case, accents' encoding, blanks or 1.0 for 1; and a note, if need be.

    They are spelled as one of ``names``, else as the first of them is.
    """
    spellings: dict[str, str] = {}
    for name in names:
        spellings.setdefault(spelling_key(name), name)
    exact = set(names)
    taken = [one if one in exact else spellings.setdefault(spelling_key(one), _whole(one)) for one in labels]
    changed = Counter(f"{label} as {one}" for label, one in zip(labels, taken, strict=True) if label != one)
    return taken, [f"labels are taken in one spelling: {', '.join(list(changed)[:8])}"] if changed else []


def note_alike(names: Iterable[str], what: str = "person") -> list[str]:
    """A note on names that may be one in several spellings: 1 and 01, s1 and sub01, Anna and anna; none without."""
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        key = re.sub(r"^(s|sub|subj|subject)[-_ .]*(?=\d)", "", plain(name))
        alike.setdefault(key.removesuffix(".0"), []).append(name)
    several = [" and ".join(spellings) for spellings in alike.values() if len(spellings) > 1]
    return [f"are they one {what} each: {'; '.join(several[:5])}? Then write them alike"] if several else []

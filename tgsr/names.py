"""Names that users choose (classes, databases, people): what may be one, and what a tracking store calls it.

MLflow's metrics, params and tags take letters, digits, ``_ - . /`` and spaces in their names. `store_name` writes
any other character as ``_x28_``, its code in hexadecimal, so that no two names become one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = ["name_problem", "store_name"]

_LONGEST = 200  # MLflow takes 250, with what stands before the name
_FORMULA = ("=", "+", "-", "@")


def name_problem(name: str) -> str:
    """Why a text can be no name that is printed and written into tables; empty if it can.

    Control and invisible characters steer terminals or hide; a cell that begins with ``= + - @`` is a formula to a
    spreadsheet, unless it is a number.
    """
    hidden = next((character for character in name if not character.isprintable()), None)
    if hidden is not None:
        return f"{name!a:.60} has the character {hidden!a}, which is not printed"
    if unicodedata.normalize("NFKC", name[:1]) in _FORMULA and not re.fullmatch(r"[+-]\d+(\.\d+)?", name):
        return f"{name!r:.60} begins with {name[0]}, which a spreadsheet takes for a formula"
    return ""


def store_name(name: str) -> str:
    """A name as a tracking store takes it: the same one wherever that is possible, and never the same for two names."""
    stored = re.sub(r"[^\w.\- ]|_(?=[xX])", lambda match: f"_x{ord(match[0]):x}_", name)
    if len(stored) > _LONGEST:
        return f"{stored[: _LONGEST - 20]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return stored

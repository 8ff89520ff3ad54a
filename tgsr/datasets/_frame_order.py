"""The order of a clip's frames, by the numbers in their names: counts, or times such as 0.5 and 10.25."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from tgsr.errors import DataError

__all__ = ["number_frames"]

# a minus only where no letter or digit stands before it: img-5 has a hyphen
_NUMBER = re.compile(r"(?:(?<![^\W_])(-))?(\d+)(?:[.,](\d+))?")


def number_frames(paths: Sequence[Path]) -> dict[Path, Decimal]:
    """The frames in the order of the last number in their names, each with that number.

    ``0.5``, ``0.54``, ``1`` are decimals; ``take1.9``, ``take1.10`` count the frames of take 1. It is a `DataError` if
    an image has no number in its name, two have the same, one is called unlike the others (a copy such as
    ``img60 (1).jpg``, whose number is 1), or the numbers can be read in two ways: the order would be a guess.
    """
    found = {path: _last_number(path) for path in paths}
    _check_names(found)
    numbers = _numbers(found)
    ordered = sorted(paths, key=numbers.__getitem__)
    for before, path in pairwise(ordered):
        if numbers[before] == numbers[path]:
            raise DataError(f"{path}: same frame number as {before.name}; remove one of them")
    return {path: numbers[path] for path in ordered}


def _last_number(path: Path) -> re.Match[str]:
    if numbers := list(_NUMBER.finditer(path.stem)):
        return numbers[-1]
    raise DataError(f"{path}: no frame number in its name; rename it (img12.jpg) or move it away")


def _check_names(found: dict[Path, re.Match[str]]) -> None:
    """Refuse a frame whose name without its number is not that of the clip's others."""
    patterns = {path: (m.string[: m.start()] + "#" + m.string[m.end() :]).lower() for path, m in found.items()}
    usual = Counter(patterns.values()).most_common(1)
    for path, pattern in patterns.items():
        if pattern != usual[0][0]:
            raise DataError(
                f"{path}: its name is unlike those of the clip's others ({usual[0][0]}, # being the frame number); "
                "rename it or move it away"
            )


def _numbers(found: dict[Path, re.Match[str]]) -> dict[Path, Decimal]:
    parts = {path: (match[1] or "", match[2], match[3] or "") for path, match in found.items()}
    signed = [path for path, (sign, _, _) in parts.items() if sign]
    if signed and len(signed) == len(parts) > 1:
        raise DataError(f"{signed[0]}: is its number negative, or is that a hyphen? Rename the frames (img12.jpg)")
    decimals = {path: Decimal(f"{sign}{whole}.{digits}".rstrip(".")) for path, (sign, whole, digits) in parts.items()}
    fractions = [fraction for _, _, fraction in parts.values()]
    wholes = {int(whole) for _, whole, _ in parts.values()}
    if not any(fractions):
        return decimals
    counts = {path: Decimal(fraction or 0) for path, (_, _, fraction) in parts.items()}
    natural = {path: (int(whole), counts[path]) for path, (_, whole, _) in parts.items()}
    same_order = sorted(parts, key=decimals.__getitem__) == sorted(parts, key=natural.__getitem__)
    one_take = len(wholes) == 1 and all(fractions) and not signed and len(set(counts.values())) == len(counts)
    gapless = max(counts.values()) - min(counts.values()) == len(counts) - 1
    equal_times = len(set(decimals.values())) < len(decimals)
    if one_take and (gapless or equal_times or (same_order and wholes != {0})):
        return counts
    padded = len(set(map(len, fractions))) > 1 and any(fraction.startswith("0") for fraction in fractions)
    if same_order or padded or wholes == {0} or _is_regular(list(decimals.values())):
        return decimals
    first, second = sorted(parts, key=decimals.__getitem__)[:2]
    raise DataError(
        f"{first}: are numbers such as those in {first.name} and {second.name} times or counts? Give all as many digits"
    )


def _is_regular(numbers: list[Decimal]) -> bool:
    ordered = sorted(numbers)
    gaps = [after - before for before, after in pairwise(ordered)]
    return max(gaps) <= Decimal("2.5") * min(gaps)

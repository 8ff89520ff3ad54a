"""Parsing that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tgsr.errors import ParameterError
from tgsr.protocols import XIS

__all__ = ["parse_axes", "parse_kappas", "parse_limits", "parse_names", "parse_xis"]

_MOST = 100_000
"""Values of one parameter that a grid can have."""
T = TypeVar("T")


def parse_names(text: str) -> list[str]:
    """Read a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_kappas(text: str) -> list[int]:
    """Read κ values such as ``1-5,20`` or ``1-85:6`` (every sixth), ascending, each once."""
    return sorted(set(_parts(text, _integers, "kappa values", "1-85, 1-85:6 or 1-5,20")))


def parse_xis(text: str) -> list[float]:
    """Read ξ values: ``paper`` for the paper's grid, ``paper/N`` for every N-th of it, or numbers with commas."""
    name, slash, every = text.strip().partition("/")
    if name == "paper":
        if slash and not (every.isdigit() and int(every) > 0):
            raise ParameterError(f"xi values {text!r} are not understood; write paper/10 for every tenth of the grid")
        return [float(xi) for xi in XIS[:: int(every) if slash else 1]]
    return sorted(set(_parts(text, lambda part: [float(part)], "xi values", "paper, paper/10 or 0.1,1,10")))


def parse_axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Read ``NAME=VALUES`` of any parameter: numbers, ranges of integers such as ``1-50:7``, or words, with commas."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not (name.strip() and equals and values.strip()):
            raise ParameterError(f"--set {text!r} is not understood; write for example --set n_components=1-50")
        parts = _parts(values, _values, f"values of {name.strip()}", "1-50, 0.1,1,10 or a,b")
        axes[name.strip()] = list(dict.fromkeys(parts))
    return axes


def parse_limits(texts: Sequence[str]) -> dict[str, int]:
    """Read ``METHOD=N``: so many settings of a method's grid."""
    limits = {}
    for text in texts:
        name, _, count = text.partition("=")
        if not count.isdigit() or int(count) < 1:
            raise ParameterError(f"--limit {text!r} is not understood; write for example --limit TSRG=63")
        limits[name.strip()] = int(count)
    return limits


def _parts(text: str, read: Callable[[str], Sequence[T]], what: str, example: str) -> list[T]:
    values: list[T] = []
    for part in text.split(","):
        try:
            values += read(part.strip())
        except (ValueError, OverflowError):
            raise ParameterError(f"{what} {text!r} are not understood; write for example {example}") from None
    return values


def _integers(part: str) -> Sequence[int]:
    numbers, colon, step = part.partition(":")
    first, dash, last = numbers.partition("-")
    span = range(int(first), int(last if dash else first) + 1, int(step) if colon else 1)
    if not 0 < len(span) <= _MOST:
        raise ValueError("empty, or too many")
    return span


def _values(part: str) -> Sequence[Any]:
    for read in (_integers, lambda text: [float(text)]):
        try:
            return read(part)
        except ValueError:
            continue
    if not part:
        raise ValueError("empty")
    return [{"none": None, "true": True, "false": False}.get(part.lower(), part)]

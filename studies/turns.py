"""Taking turns: of the processes at one study, one at a time sets it up or sums it up.

Lamport's bakery algorithm on attributes of the study: each process draws a number above all others, and waits for the
lower ones. That needs nothing but attributes that are written whole, so that it holds on every storage, and the number
of a process that has died does not count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import optuna

from studies.owners import Owner, Watch

__all__ = ["turn"]

_KEY = "turn:"
_CHOOSING = 0
_WAIT_SECONDS = 0.05


@contextmanager
def turn(study: optuna.Study, owner: Owner | None = None) -> Iterator[None]:
    """Wait until no other process is within such a block of the same study; blocks do not nest.

    Parameters
    ----------
    study : optuna.Study
    owner : Owner, optional
        Who gives signs of life meanwhile; without one, processes elsewhere wait `STALE_SECONDS` at most.
    """
    owner = owner or Owner.this_process()
    watch = Watch()
    try:
        _draw(study, owner, _CHOOSING)
        number = 1 + max((other for other, _ in _numbers(study, owner, watch)), default=_CHOOSING)
        _draw(study, owner, number)
        while any((other, key) < (number, owner.key) for other, key in _numbers(study, owner, watch)):
            time.sleep(_WAIT_SECONDS)
        yield
    finally:
        _draw(study, owner, None)


def _draw(study: optuna.Study, owner: Owner, number: int | None) -> None:
    study.set_user_attr(f"{_KEY}{owner.key}", None if number is None else [number, owner.to_text()])


def _numbers(study: optuna.Study, owner: Owner, watch: Watch) -> list[tuple[int, str]]:
    """Number and key of every other process that waits or is in its block and lives."""
    attrs = study.user_attrs
    drawn = [entry for key, entry in attrs.items() if key.startswith(_KEY) and entry is not None]
    others = [(int(number), Owner.from_text(str(text))) for number, text in drawn]
    return [
        (number, other.key)
        for number, other in others
        if other is not None and other.key != owner.key and not watch.is_dead(other, attrs)
    ]

"""Which pairs of databases a command is about."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection
from pathlib import Path

from tgsr.datasets import DatabasePair, FeatureDataset, find_damaged, find_databases, load_database, load_pair, pool
from tgsr.errors import MissingDataError, ProtocolError
from tgsr.protocols import EXPERIMENTS, parse_pair

__all__ = ["choose_pair", "choose_pairs"]

_log = logging.getLogger(__name__)


def choose_pair(folder: Path, experiment: str | None, source: str | None, target: str | None) -> DatabasePair:
    """Load the pair that ``--experiment``, or ``--source`` and ``--target``, name.

    Raises
    ------
    ProtocolError
        If neither or both are given.
    MissingDataError, DataError
        If a database is not there, or cannot be used.
    """
    if experiment and (source or target):
        raise ProtocolError("give either --experiment or --source and --target, not both")
    if experiment:
        source, target = parse_pair(experiment)
    if not source or not target:
        raise ProtocolError("name the databases: --source and --target, or --experiment")
    pair = load_pair(source, target, folder)
    for warning in pair.warnings:
        _log.warning("%s", warning)
    return pair


def choose_pairs(
    folder: Path, experiment: str | None, source: str | None, target: str | None, pairs: str = "one"
) -> list[DatabasePair]:
    """Load one pair, the paper's (``experiment`` or ``pairs`` is ``"all"``, ``"paper"``) or every pair of a folder.

    ``pairs`` is ``"one"`` (see `choose_pair`), ``"paper"`` (those of the twelve experiments whose databases are there),
    ``"all"`` (every ordered pair) or ``"leave-one-out"`` (each database the target of all others together).

    Raises
    ------
    MissingDataError
        If the folder holds no such pair.
    """
    if experiment is not None and experiment.strip().lower() == "all" and not (source or target):
        pairs = "paper"
    if pairs == "one":
        return [choose_pair(folder, experiment, source, target)]
    if (experiment and pairs != "paper") or source or target:
        raise ProtocolError("--pairs takes the place of --experiment, --source and --target")
    return {"paper": _paper_pairs, "all": _every_pair, "leave-one-out": _leave_one_out}[pairs](folder)


def _paper_pairs(folder: Path) -> list[DatabasePair]:
    """Every experiment of the paper whose databases are in a folder, in the paper's order."""
    loaded = _load(folder, {name for experiment in EXPERIMENTS for name in (experiment.source, experiment.target)})
    pairs = []
    for experiment in EXPERIMENTS:
        absent = [name for name in (experiment.source, experiment.target) if name not in loaded]
        if absent:
            _log.info("left out: %s (no %s in %s)", experiment.name, " and ".join(absent), folder)
        else:
            pairs.append(DatabasePair(loaded[experiment.source], loaded[experiment.target]))
    if not pairs:
        held = ", ".join(sorted(found.name for found in find_databases(folder))) or "no feature file"
        raise MissingDataError(
            f"{folder}: no experiment of the paper has both of its databases here; the folder holds {held}; --pairs "
            "all takes every pair of them"
        )
    return pairs


def _every_pair(folder: Path) -> list[DatabasePair]:
    """Every ordered pair of a folder's databases; those without labels are targets only."""
    ordered = itertools.permutations(_load(folder).values(), 2)
    pairs = [DatabasePair(source, target) for source, target in ordered if source.is_labelled]
    if not pairs:
        raise MissingDataError(f"{folder}: a pair needs two databases, one of them with labels")
    return pairs


def _leave_one_out(folder: Path) -> list[DatabasePair]:
    """Each database of a folder as the target of all others that have labels, pooled."""
    loaded = _load(folder)
    if len(loaded) < 3:
        raise MissingDataError(f"{folder}: to leave one database out of several, three are needed at least")
    pairs = []
    for name, target in loaded.items():
        others = [data for other, data in loaded.items() if other != name and data.is_labelled]
        pairs.append(DatabasePair(pool(others), target))
    return pairs


def _load(folder: Path, wanted: Collection[str] | None = None) -> dict[str, FeatureDataset]:
    """The databases of a folder (of those wanted) by name; damaged ones are named and left out."""
    for reason in find_damaged(folder).values():
        _log.warning("damaged: %s", reason)
    names = sorted({found.name for found in find_databases(folder)})
    return {name: load_database(name, folder) for name in names if wanted is None or name in wanted}

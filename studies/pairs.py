"""Which pairs of databases a command is about."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from pathlib import Path

from tgsr.datasets import DatabasePair, FeatureDataset, find_damaged, find_databases, load_database, load_pair, pool
from tgsr.errors import MissingDataError, ProtocolError
from tgsr.protocols import EXPERIMENTS, parse_pair

__all__ = ["choose_pair", "choose_pairs", "every_pair", "leave_one_out", "paper_pairs"]

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

    Parameters
    ----------
    folder : Path
    experiment, source, target : str, optional
        See `choose_pair`.
    pairs : {"one", "paper", "all", "leave-one-out"}
        ``"paper"``: those of the twelve experiments whose databases are there; ``"all"``: every ordered pair;
        ``"leave-one-out"``: each database the target of all others together.
    """
    if experiment is not None and experiment.strip().lower() == "all" and not (source or target):
        pairs = "paper"
    if pairs == "one":
        return [choose_pair(folder, experiment, source, target)]
    if (experiment and pairs != "paper") or source or target:
        raise ProtocolError("--pairs takes the place of --experiment, --source and --target")
    return {"paper": paper_pairs, "all": every_pair, "leave-one-out": leave_one_out}[pairs](folder)


def paper_pairs(folder: Path) -> list[DatabasePair]:
    """Load every experiment of the paper whose databases are in a folder, in the paper's order.

    Raises
    ------
    MissingDataError
        If no experiment is complete.
    """
    present = {found.name for found in find_databases(folder)}
    _tell_damaged(folder)
    complete = []
    for experiment in EXPERIMENTS:
        absent = [name for name in (experiment.source, experiment.target) if name not in present]
        if absent:
            _log.info("left out: %s (no %s in %s)", experiment.name, " and ".join(absent), folder)
        else:
            complete.append((experiment.source, experiment.target))
    if not complete:
        held = ", ".join(sorted(present)) or "no feature file"
        raise MissingDataError(
            f"{folder}: no experiment of the paper has both of its databases here; the folder holds {held}; --pairs "
            "all takes every pair of them"
        )
    loaded = _load(folder, {name for pair in complete for name in pair})
    return [DatabasePair(loaded[source], loaded[target]) for source, target in complete]


def every_pair(folder: Path) -> list[DatabasePair]:
    """Load every ordered pair of a folder's databases; those without labels are targets only.

    Raises
    ------
    MissingDataError
        If there are fewer than two databases, or none has labels.
    """
    _tell_damaged(folder)
    loaded = _load(folder, {found.name for found in find_databases(folder)})
    pairs = [
        DatabasePair(source, target)
        for source, target in itertools.permutations(loaded.values(), 2)
        if source.is_labelled
    ]
    if not pairs:
        raise MissingDataError(f"{folder}: a pair needs two databases, one of them with labels")
    return pairs


def leave_one_out(folder: Path) -> list[DatabasePair]:
    """Load each database of a folder as the target of all others that have labels, pooled.

    Raises
    ------
    MissingDataError
        If there are fewer than three databases.
    """
    loaded = _load(folder, {found.name for found in find_databases(folder)})
    if len(loaded) < 3:
        raise MissingDataError(f"{folder}: to leave one database out of several, three are needed at least")
    pairs = []
    for name, target in loaded.items():
        others = [data for other, data in loaded.items() if other != name and data.is_labelled]
        pairs.append(DatabasePair(pool(others), target))
    return pairs


def _load(folder: Path, names: set[str]) -> Mapping[str, FeatureDataset]:
    return {name: load_database(name, folder) for name in sorted(names)}


def _tell_damaged(folder: Path) -> None:
    for reason in find_damaged(folder).values():
        _log.warning("damaged: %s", reason)

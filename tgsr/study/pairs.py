"""Which pairs of databases a command is about."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

from tgsr.datasets import DatabasePair, find_damaged, find_databases, load_database, load_pair, pool
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
    """Load one pair, the paper's, or every pair of a folder.

    ``pairs`` is ``"one"`` (see `choose_pair`), ``"paper"`` (those of the twelve experiments whose databases are there),
    ``"all"`` (every ordered pair; databases without labels are targets only) or ``"leave-one-out"`` (each database the
    target of all others together). Damaged databases are named and left out.

    Raises
    ------
    MissingDataError
        If the folder holds no such pair.
    """
    if pairs == "one":
        return [choose_pair(folder, experiment, source, target)]
    if experiment or source or target:
        raise ProtocolError("--pairs takes the place of --experiment, --source and --target")
    for reason in find_damaged(folder).values():
        _log.warning("damaged: %s", reason)
    loaded = {name: load_database(name, folder) for name in sorted({found.name for found in find_databases(folder)})}
    labelled = {name: data for name, data in loaded.items() if data.is_labelled}
    if pairs == "leave-one-out":
        if len(loaded) < 3:
            raise MissingDataError(f"{folder}: to leave one database out of several, three are needed at least")
        others = {name: pool([data for other, data in labelled.items() if other != name]) for name in loaded}
        return [DatabasePair(others[name], target) for name, target in loaded.items()]
    if pairs == "all":
        wanted = [(source, target) for source, target in itertools.permutations(loaded, 2) if source in labelled]
    else:
        wanted = [(one.source, one.target) for one in EXPERIMENTS]
    found = []
    for names in wanted:
        if absent := [name for name in names if name not in loaded]:
            _log.info("left out: %s (no %s in %s)", "-".join(names), " and ".join(absent), folder)
        else:
            found.append(DatabasePair(*(loaded[name] for name in names)))
    if not found:
        needed = "two databases, one of them with labels" if pairs == "all" else "both databases of an experiment"
        raise MissingDataError(
            f"{folder}: a pair needs {needed}; the folder holds {', '.join(loaded) or 'no feature file'}; --pairs all "
            "takes every pair of them"
        )
    return found

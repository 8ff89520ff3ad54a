"""The databases that `tgsr.datasets.load_clips` knows, each in a file of its own, and those of installed packages.

A loader of one's own is a callable ``load(root, annotations, label_map) -> ClipCollection``, registered by an entry
point of the group ``tgsr.loaders`` whose name is the database's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap
from tgsr.datasets._clips import ClipCollection
from tgsr.errors import ParameterError, ProtocolError
from tgsr.protocols import check_database, database_name

__all__ = ["GROUP", "LOADERS", "Loader", "canonical_name", "find_loader", "loader_name"]

Loader = Callable[[Path, Path | None, LabelMap | None], ClipCollection]

GROUP = "tgsr.loaders"
"""The entry point group of other packages' loaders."""

LOADERS: dict[str, str] = {
    "SMIC_HS": "smic:load_hs",
    "SMIC_VIS": "smic:load_vis",
    "SMIC_NIR": "smic:load_nir",
    "CASME2": "casme2:CASME2.load",
    "CASME": "casme:CASME.load",
    "SAMM": "samm:SAMM.load",
    "CAS_ME_2": "cas_me_2:CAS_ME_2.load",
    "CAS_ME_3_A": "cas_me_3:CAS_ME_3_A.load",
    "CAS_ME_3_C": "cas_me_3:CAS_ME_3_C.load",
    "MMEW": "mmew:MMEW.load",
    "4DME": "fourdme:FOURDME.load",
    "DFME": "dfme:DFME.load",
}
"""Database → where its loader is, below this package."""


def loader_name(database: str) -> str | None:
    """The name of a database that has a loader, given in any case or as it is written, such as ``CAS(ME)^2``."""
    try:
        return database_name(database)
    except ProtocolError:
        text = database.strip().upper().replace("²", "2").replace("³", "3")
        key = re.sub(r"[^A-Z0-9]+", "_", text).strip("_")
        others = {entry.name.upper(): entry.name for entry in entry_points(group=GROUP)}
        return key if key in LOADERS else others.get(key)


def canonical_name(database: str) -> str:
    """The name that a database is written under: that of a loader where it means one, else the user's own.

    Raises
    ------
    ProtocolError
        If it cannot be the name of one's own, see `tgsr.protocols.check_database`.
    """
    return loader_name(database) or check_database(database)


def find_loader(name: str) -> Loader:
    """The loader of a database, by the name that `loader_name` gives.

    Raises
    ------
    ParameterError
        If the loader of another package cannot be imported.
    """
    if name in LOADERS:
        entry = EntryPoint(name, f"{__name__}.{LOADERS[name]}", GROUP)
    else:
        (entry,) = entry_points(group=GROUP, name=name)
    try:
        return partial(entry.load())
    except (ImportError, AttributeError) as error:
        raise ParameterError(f"loader {entry.value} of database {name} cannot be imported: {error}") from error

"""Methods, rules and figures by name: built in, offered by an installed package, or given by their place.

A package offers one by an entry point of the group ``tgsr.methods``, ``tgsr.rules`` or ``tgsr.figures``; whatever can
be imported is named ``package.module:NAME``.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from tgsr.errors import ParameterError

__all__ = ["available", "resolve"]


def available(kind: str, builtin: Mapping[str, Any]) -> list[str]:
    """Names of a kind (such as ``"rule"``): those built in, then those that installed packages offer."""
    return list(dict.fromkeys([*builtin, *(entry.name for entry in entry_points(group=f"tgsr.{kind}s"))]))


def resolve(kind: str, name: str, builtin: Mapping[str, Any]) -> tuple[str, Any]:
    """Find a thing by its name; case, hyphens and underscores do not matter.

    Parameters
    ----------
    kind : str
        ``"method"``, ``"rule"`` or ``"figure"``.
    name : str
        A built-in name, an entry point's, or ``package.module:NAME``.
    builtin : mapping
        Name → the thing, or the place that it is imported from.

    Returns
    -------
    name : str
        As it is spelled where it is defined.
    thing : object

    Raises
    ------
    ParameterError
        If there is none, or it cannot be imported.
    """
    for known in builtin:
        if _plain(known) == _plain(name):
            thing = builtin[known]
            return known, _imported(kind, thing) if isinstance(thing, str) else thing
    for entry in entry_points(group=f"tgsr.{kind}s"):
        if _plain(entry.name) == _plain(name):
            return entry.name, _imported(kind, entry.value)
    if ":" in name:
        return name, _imported(kind, name)
    raise ParameterError(
        f"unknown {kind} {name!r}; use one of {', '.join(available(kind, builtin))}, or package.module:NAME"
    )


def _imported(kind: str, place: str) -> Any:
    try:
        return pkgutil.resolve_name(place)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParameterError(f"{kind} {place!r} cannot be imported ({error}); give package.module:NAME") from error


def _plain(name: str) -> str:
    return name.strip().upper().replace("-", "").replace("_", "")

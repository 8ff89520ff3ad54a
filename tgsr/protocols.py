"""The protocol of the paper: databases, classes, the twelve experiments, and the grid of (κ, ξ)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError, ProtocolError

__all__ = [
    "CLASS_NAMES",
    "DATABASES",
    "EXPECTED_COUNTS",
    "EXPERIMENTS",
    "N_REGIONS",
    "XIS",
    "Experiment",
    "canonical_database",
    "check_choice",
    "check_database",
    "check_integer",
    "check_kappa",
    "check_number",
    "check_xi",
    "database_name",
    "get_experiment",
    "pair_name",
    "parse_pair",
]

CLASS_NAMES: tuple[str, ...] = ("negative", "positive", "surprise")
"""The three classes, in the order of the released labels 1, 2, 3."""

DATABASES: dict[str, str] = {"H": "SMIC_HS", "V": "SMIC_VIS", "N": "SMIC_NIR", "C": "CASME2"}
"""The letters of the paper's tables and the names used everywhere here."""

EXPECTED_COUNTS: dict[str, tuple[int, int, int]] = {
    "SMIC_HS": (70, 51, 43),
    "SMIC_VIS": (23, 28, 20),
    "SMIC_NIR": (23, 28, 20),
    "CASME2": (73, 32, 25),
}
"""Samples a class (negative, positive, surprise) of each database, as counted in the released label vectors."""

N_REGIONS = 85
"""Facial regions: grids of 1×1, 2×2, 4×4 and 8×8 blocks."""


XIS: npt.NDArray[np.float64] = np.unique(
    [float(f"{step}e{exponent}") for exponent in range(-4, 2) for step in range(10, 101, 2)]
)
"""The paper's grid of ξ, ascending, shape (271,).

Six decades 0.001…0.01 up to 100…1000, each in 46 steps of a fifth of its start; shared ends once.
"""
XIS.setflags(write=False)


@dataclass(frozen=True)
class Experiment:
    """One cross-database experiment: train on ``source``, test on ``target``.

    Attributes
    ----------
    number : int
        1 to 12, as in the paper's Tables I and II.
    source, target : str
        Database names, such as ``"SMIC_VIS"``.
    """

    number: int
    source: str
    target: str

    @property
    def name(self) -> str:
        """The short name, such as ``"V-N"``."""
        return pair_name(self.source, self.target)

    @property
    def type(self) -> str:
        """``"TYPE-I"`` (between the cameras of SMIC) or ``"TYPE-II"`` (SMIC and CASME II)."""
        return "TYPE-II" if "CASME2" in (self.source, self.target) else "TYPE-I"


_PAIRS = ("HV", "VH", "HN", "NH", "VN", "NV", "CH", "HC", "CV", "VC", "CN", "NC")
EXPERIMENTS: tuple[Experiment, ...] = tuple(
    Experiment(number, DATABASES[pair[0]], DATABASES[pair[1]]) for number, pair in enumerate(_PAIRS, start=1)
)
"""The twelve experiments in the order of the paper's tables."""


def database_name(name: str) -> str:
    """Give the canonical name of one of the four databases, named by letter or name in any case.

    Raises
    ------
    ProtocolError
        If the name is not one of the four databases.
    """
    key = name.strip().upper().replace("-", "_").replace(" ", "_")
    aliases = {"CASME_II": "CASME2", "CASMEII": "CASME2", "HS": "SMIC_HS", "VIS": "SMIC_VIS", "NIR": "SMIC_NIR"}
    key = aliases.get(key, key)
    if key in DATABASES:
        return DATABASES[key]
    if key in DATABASES.values():
        return key
    known = ", ".join(f"{database} ({letter})" for letter, database in DATABASES.items())
    raise ProtocolError(f"unknown database {name!r}; use one of {known}")


def canonical_database(name: str) -> str:
    """The name under which a database is written: one of the four where it means one, else itself (Unicode's NFC)."""
    try:
        return database_name(name)
    except ProtocolError:
        return unicodedata.normalize("NFC", name)


def check_database(name: str) -> str:
    """Return the canonical name for a database of one's own if files, models and pairs can be called by it.

    Raises
    ------
    ProtocolError
        If it has other characters than letters, digits, ``_`` and ``.``, or ends as a file's name does.
    """
    name = canonical_database(name)
    if name.lower().endswith((".npz", ".mat", ".csv")):
        raise ProtocolError(f"database name {name!r} is that of a file; use one without {name[-4:]}")
    if not re.fullmatch(r"\w[\w.]{0,79}", name):
        raise ProtocolError(f"database name {name!r}: use letters, digits, _ and . only, as in my_clips")
    return name


def pair_name(source: str, target: str) -> str:
    """The name of a pair of databases: ``"V-N"`` for two of the four, else such as ``"SAMM-mine"``."""
    letters = {database: letter for letter, database in DATABASES.items()}
    if source in letters and target in letters:
        return f"{letters[source]}-{letters[target]}"
    return f"{source}-{target}"


def parse_pair(text: str | int) -> tuple[str, str]:
    """Source and target of a pair's name: an experiment's (``"V-N"``, 5), or any other such as ``"SAMM-mine"``.

    Returns
    -------
    (str, str)
        Names as `tgsr.datasets.load_pair` takes them.

    Raises
    ------
    ProtocolError
        If the text is neither.
    """
    source, dash, target = str(text).strip().replace("→", "-").replace("->", "-").partition("-")
    if not dash:
        experiment = get_experiment(text)
        return experiment.source, experiment.target
    if not source or not target or "-" in target:
        raise ProtocolError(f"{text!r} names no pair of databases; write SOURCE-TARGET, as in V-N or SAMM-mine")
    return canonical_database(source.strip()), canonical_database(target.strip())


def get_experiment(experiment: str | int) -> Experiment:
    """Find an experiment by number (1–12), by name (``"V-N"``) or by database names (``"SMIC_VIS-SMIC_NIR"``).

    Raises
    ------
    ProtocolError
        If there is no such experiment.
    """
    text = str(experiment).strip().replace("→", "-").replace("->", "-")
    named = parse_pair(text) if text.count("-") == 1 and all(text.split("-")) else None
    for one in EXPERIMENTS:
        if (one.source, one.target) == named or text == str(one.number):
            return one
    known = ", ".join(f"{one.number} = {one.name}" for one in EXPERIMENTS)
    raise ProtocolError(f"unknown experiment {experiment!r}; use a number or a name: {known}")


def check_integer(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Return a parameter as int if it is an integer from ``lowest`` to ``highest``.

    Raises
    ------
    ParameterError
        Otherwise; the message has the parameter's name and range.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and lowest <= value <= (highest or value):
        return int(value)
    limits = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
    raise ParameterError(f"{name} must be an integer {limits}, got {value!r}")


def check_number(name: str, value: Any, lowest: float = 0.0, *, strict: bool = False) -> float:
    """Return a parameter as float if it is a finite number ≥ ``lowest``, or with ``strict`` above it.

    Raises
    ------
    ParameterError
        Otherwise; the message has the parameter's name and range.
    """
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        number = float(value)
        if np.isfinite(number) and (number > lowest or (number == lowest and not strict)):
            return number
    raise ParameterError(f"{name} must be a finite number {'>' if strict else '≥'} {lowest:g}, got {value!r}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a parameter that is none of the names it can take.

    Raises
    ------
    ParameterError
        It lists them.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_kappa(kappa: int, n_groups: int = N_REGIONS) -> int:
    """`check_integer` for κ, the number of groups kept: 1…n_groups."""
    return check_integer("kappa, the number of groups kept,", kappa, 1, n_groups)


def check_xi(xi: float) -> float:
    """`check_number` for ξ ≥ 0."""
    return check_number("xi", xi)

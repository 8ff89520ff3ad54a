"""The protocol of the paper: databases, classes, the twelve experiments, and the grid of (κ, ξ)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError, ProtocolError

__all__ = [
    "CLASS_NAMES",
    "DATABASES",
    "EXPECTED_COUNTS",
    "EXPERIMENTS",
    "KAPPAS",
    "N_REGIONS",
    "XIS",
    "Experiment",
    "check_kappa",
    "check_xi",
    "database_name",
    "get_experiment",
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


def _paper_xi_grid() -> npt.NDArray[np.float64]:
    """Six decades 0.001…0.01 up to 100…1000, each in 46 steps of a fifth of its start; shared ends once."""
    steps = np.arange(10, 101, 2)
    values = [float(f"{step}e{exponent}") for exponent in range(-4, 2) for step in steps]
    return np.unique(np.array(values, dtype=np.float64))


XIS: npt.NDArray[np.float64] = _paper_xi_grid()
"""The paper's grid of ξ, ascending: shape (271,)."""
XIS.setflags(write=False)

KAPPAS: range = range(1, N_REGIONS + 1)
"""The paper's range of κ, the number of regions kept."""


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
        letters = {database: letter for letter, database in DATABASES.items()}
        return f"{letters[self.source]}-{letters[self.target]}"

    @property
    def type(self) -> str:
        """``"TYPE-I"`` (between the cameras of SMIC) or ``"TYPE-II"`` (SMIC and CASME II)."""
        return "TYPE-II" if "CASME2" in (self.source, self.target) else "TYPE-I"


_TYPE_ONE = (("H", "V"), ("V", "H"), ("H", "N"), ("N", "H"), ("V", "N"), ("N", "V"))
_TYPE_TWO = (("C", "H"), ("H", "C"), ("C", "V"), ("V", "C"), ("C", "N"), ("N", "C"))
_PAIRS = (*_TYPE_ONE, *_TYPE_TWO)

EXPERIMENTS: tuple[Experiment, ...] = tuple(
    Experiment(number, DATABASES[source], DATABASES[target]) for number, (source, target) in enumerate(_PAIRS, start=1)
)
"""The twelve experiments in the order of the paper's tables."""


def database_name(name: str) -> str:
    """Give the canonical name of a database named by letter or name in any case.

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


def get_experiment(experiment: str | int) -> Experiment:
    """Find an experiment by number (1–12), by name (``"V-N"``) or by database names (``"SMIC_VIS-SMIC_NIR"``).

    Raises
    ------
    ProtocolError
        If there is no such experiment.
    """
    text = str(experiment).strip()
    if text.isdigit():
        for candidate in EXPERIMENTS:
            if candidate.number == int(text):
                return candidate
    parts = text.replace("→", "-").replace("->", "-").split("-")
    if len(parts) == 2:
        try:
            source, target = (database_name(part) for part in parts)
        except ProtocolError:
            source = target = ""
        for candidate in EXPERIMENTS:
            if (candidate.source, candidate.target) == (source, target):
                return candidate
    known = ", ".join(f"{candidate.number} = {candidate.name}" for candidate in EXPERIMENTS)
    raise ProtocolError(f"unknown experiment {experiment!r}; use a number or a name: {known}")


def check_kappa(kappa: int, n_groups: int = N_REGIONS) -> int:
    """Return ``kappa`` if it is an integer in 1…n_groups.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if isinstance(kappa, (bool, np.bool_)) or not isinstance(kappa, (int, np.integer)):
        raise ParameterError(f"kappa must be an integer, got {kappa!r}")
    if not 1 <= kappa <= n_groups:
        raise ParameterError(f"kappa = {kappa} is out of range; choose 1 to {n_groups} (the number of groups)")
    return int(kappa)


def check_xi(xi: float) -> float:
    """Return ``xi`` as float if it is finite and not negative.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    given: object = xi
    if isinstance(given, bool) or not isinstance(given, Real):
        raise ParameterError(f"xi must be a number, got {xi!r}")
    value = float(xi)
    if not np.isfinite(value) or value < 0:
        raise ParameterError(f"xi = {xi!r} is out of range; choose a finite number ≥ 0 (the paper: 0.001 to 1000)")
    return value

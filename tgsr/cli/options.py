"""Parsing that several commands share."""

from __future__ import annotations

from tgsr.errors import ParameterError, ProtocolError
from tgsr.protocols import XIS, Experiment, get_experiment

__all__ = ["choose_experiment", "parse_kappas", "parse_xis"]


def choose_experiment(experiment: str | None, source: str | None, target: str | None) -> Experiment:
    """The experiment named by ``--experiment``, or by ``--source`` and ``--target``.

    Raises
    ------
    ProtocolError
        If neither or both are given, or there is no such experiment.
    """
    if experiment:
        if source or target:
            raise ProtocolError("give either --experiment or --source and --target, not both")
        return get_experiment(experiment)
    if not source or not target:
        raise ProtocolError("name the experiment: --source and --target, or --experiment")
    return get_experiment(f"{source}-{target}")


def parse_kappas(text: str) -> list[int]:
    """Read κ values such as ``1-5,20``.

    Raises
    ------
    ParameterError
        If the text is no list of integers and ranges.
    """
    kappas: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            kappas += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise ParameterError(
                f"kappa values {text!r} are not understood; write for example 1-85 or 1-5,20"
            ) from None
    return kappas


def parse_xis(text: str) -> list[float]:
    """Read ξ values: ``paper`` for the paper's grid, ``paper/N`` for every N-th of it, or numbers with commas.

    Raises
    ------
    ParameterError
        If the text is none of these.
    """
    name, _, every = text.strip().partition("/")
    try:
        if name == "paper":
            return [float(xi) for xi in XIS[:: int(every) if every else 1]]
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(f"xi values {text!r} are not understood; write paper, paper/10 or 0.1,1,10") from None

"""Where an engine's trials go; a further sink is a file here and a line in `SINKS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from tgsr.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from studies.options import StudyOptions
    from studies.spec import StudySpec
    from tgsr.datasets import DatabasePair
    from tgsr.tracking._trial import Trial

__all__ = ["SINKS", "Sink", "open_sink"]

SINKS: dict[str, str] = {
    "mlflow": "studies.sinks.mlflow:MlflowSink",
    "csv": "studies.sinks.csv:CsvSink",
}
"""Name → class, which is made with a specification, its databases and the options."""


class Sink(Protocol):
    """A study's place, opened by its only writer; a trial is there whole, or not at all.

    ``table`` has the finished trials that are there, with their ``cell``; ``deleted`` are cells that somebody has
    deleted: they are not run again.
    """

    table: pd.DataFrame
    deleted: set[str]

    def write(self, trials: Sequence[Trial]) -> None:
        """Write finished trials, of which none is there yet."""

    def finish(self, seconds: dict[str, float]) -> Any:
        """Sum the study up, its trials being complete, and close."""

    def abort(self, error: BaseException) -> None:
        """Close before the end: what was written stays."""


def open_sink(name: str, spec: StudySpec, pair: DatabasePair, options: StudyOptions) -> Sink:
    """Open a sink by its name.

    Raises
    ------
    ParameterError
        If there is no such sink.
    """
    if name not in SINKS:
        raise ParameterError(f"unknown sink {name!r}; use one of {', '.join(SINKS)}")
    module, _, kind = SINKS[name].partition(":")
    sink: Sink = getattr(import_module(module), kind)(spec, pair, options)
    return sink

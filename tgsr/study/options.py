"""How studies are run; nothing here changes a trial's result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tgsr.errors import ParameterError
from tgsr.tracking.config import TrackingConfig

__all__ = ["StudyOptions"]


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run.

    Attributes
    ----------
    data_folder : str
        Where the databases were read from; logged with them.
    out : Path or None
        File of the CSV sink.
    n_trials : int or None
        Trials of the study in all; None for the whole grid, or 200 sampled ones.
    batch : int
        Trials that are written together.
    jobs, scheduler
        Threads that fit, None for one a core; or the address of a Dask scheduler whose workers fit instead.
    matrices : str
        Regression matrices that are kept: ``all``, ``best:n`` of what is fitted together (a ξ of the grid), or ``none``
        (the best trial's always is).
    writer : {"auto", "bulk", "client"}
    storage : str or None
        An Optuna storage to be filled besides.
    restore : bool
        Whether runs that somebody deleted come back.
    page : bool
        Whether a finished study gets its report page.
    parent_run_id : str or None
        A run that the study's is a child of.
    """

    config: TrackingConfig
    data_folder: str
    out: Path | None = None
    n_trials: int | None = None
    batch: int = 256
    jobs: int | None = None
    scheduler: str | None = None
    matrices: str = "all"
    writer: str = "auto"
    storage: str | None = None
    restore: bool = False
    progress: bool = True
    page: bool = True
    parent_run_id: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"all|none|best:0*[1-9]\d*", self.matrices):
            raise ParameterError(
                f"--matrices {self.matrices!r}: use all, none, or best:3 (the three best trials of each ξ)"
            )
        if self.n_trials is not None and self.n_trials < 1:
            raise ParameterError(f"{self.n_trials} trials: a study needs at least 1")

    @property
    def keep(self) -> int | None:
        """How many regression matrices are kept of what is fitted together; None for all."""
        return None if self.matrices == "all" else int(self.matrices.removeprefix("best:").replace("none", "0"))

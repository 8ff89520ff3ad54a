"""How studies are run; nothing here changes a trial's result."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass

from tgsr.errors import ParameterError
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.rules import ALWAYS, check_choice_name, get_rule
from tgsr.tracking.config import TrackingConfig

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """How a study is run.

    Attributes
    ----------
    config : TrackingConfig
    data_folder : str
        Where the databases were read from; logged with them.
    n_trials : int or None
        Trials of the study in all; None for the whole grid, or 200 sampled ones.
    rules : tuple of str
        Rules besides those that every trial has; trials that are there get their values, too.
    choose : str or None
        The rule (or ``"oracle"``) that the summary is made by; None for the study's own, ``"circular"`` in a grid.
    jobs, scheduler
        Threads that fit, None for one a core; or the address of a Dask scheduler whose workers fit instead.
    matrices : {"all", "none"}
        Whether the regression matrices are kept.
    storage : str or None
        An Optuna storage to be filled besides.
    restore : bool
        Whether runs that somebody deleted come back.
    progress : bool
    page : bool
        Whether a finished study gets its report page.
    parent_run_id : str or None
        A run that the study's is a child of.
    """

    config: TrackingConfig
    data_folder: str
    n_trials: int | None = None
    rules: tuple[str, ...] = ()
    choose: str | None = None
    jobs: int | None = None
    scheduler: str | None = None
    matrices: str = "all"
    storage: str | None = None
    restore: bool = False
    progress: bool = True
    page: bool = True
    parent_run_id: str | None = None

    def __post_init__(self) -> None:
        if self.matrices not in ("all", "none"):
            raise ParameterError(f"--matrices {self.matrices!r}: use all or none")
        if self.n_trials is not None and self.n_trials < 1:
            raise ParameterError(f"{self.n_trials} trials: a study needs at least 1")
        choose, rules = self.choose, list(self.rules)
        if choose is not None:
            # a name that nobody offers here may be that of a rule of which the trials have values
            with nullcontext() if ":" in choose else suppress(ParameterError):
                choose = check_choice_name(choose)
                rules += [] if choose == ORACLE else [str(self.choose)]  # its values must be there
        given = {get_rule(name).name: name for name in rules}
        object.__setattr__(self, "choose", choose)
        object.__setattr__(self, "rules", tuple(name for known, name in given.items() if known not in ALWAYS))

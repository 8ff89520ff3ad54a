"""How studies are run; nothing here changes a trial's result."""

from __future__ import annotations

from dataclasses import dataclass

from tgsr.errors import ParameterError
from tgsr.evaluation.rules import ALWAYS, RULES, get_rule
from tgsr.plugins import available
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
        given = {rule.name: name for name, rule in zip(self.rules, map(get_rule, self.rules), strict=True)}
        choose = self.choose
        if choose is not None and (":" in choose or choose in available("rule", RULES)):
            rule = get_rule(choose)
            given.setdefault(rule.name, choose)  # to choose by it, its values must be there
            choose = rule.name
        object.__setattr__(self, "choose", choose)
        object.__setattr__(self, "rules", tuple(name for known, name in given.items() if known not in ALWAYS))

"""A study and its trials, without a place to keep them: what is searched, and what a fit of some settings gives."""

from tgsr.trials.fitter import Fitter, make_context, make_estimator
from tgsr.trials.spec import StudySpec, make_spec
from tgsr.trials.tasks import Task, grid_tasks
from tgsr.trials.trial import Trial

__all__ = [
    "Fitter",
    "StudySpec",
    "Task",
    "Trial",
    "grid_tasks",
    "make_context",
    "make_estimator",
    "make_spec",
]

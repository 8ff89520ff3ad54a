"""Studies: run, go on, read back as `optuna.Study`; several methods side by side; one subject left out at a time."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.study.comparing import ComparePlan, compare_methods
    from tgsr.study.composite import run_composite
    from tgsr.study.grid import grid_table
    from tgsr.study.loading import Study, load_study
    from tgsr.study.options import RunOptions
    from tgsr.study.running import run_studies, run_study
    from tgsr.tracking.config import TrackingConfig, resolve_config
    from tgsr.trials.spec import StudySpec, make_spec

__all__ = [
    "ComparePlan",
    "RunOptions",
    "Study",
    "StudySpec",
    "TrackingConfig",
    "compare_methods",
    "grid_table",
    "load_study",
    "make_spec",
    "resolve_config",
    "run_composite",
    "run_studies",
    "run_study",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)

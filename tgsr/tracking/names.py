"""Names under which results are stored in MLflow: tags, parameters, metrics, artifact files.

Whoever reads or writes stored results takes the names from here; ``studies/README.md`` explains them.
"""

from __future__ import annotations

__all__ = [
    "COEFFICIENTS",
    "COMPARISON_TITLE",
    "CONFUSION",
    "CURVES",
    "GENERATED_NOTE",
    "MASK",
    "PAPER_TITLE",
    "REGIONS",
    "REPORTS_TITLE",
    "SURFACE",
    "SURFACE_PICTURE",
    "TRIALS_CSV",
    "TRIALS_PARQUET",
    "Tag",
    "experiment_title",
    "model_name",
]


class Tag:
    """Keys of the tags on runs and model versions."""

    KIND = "tgsr.kind"
    """``study``, ``trial``, ``paper``, ``compare``, ``method`` or ``grid``."""
    EXPERIMENT = "tgsr.experiment"
    """Such as ``V-N``."""
    SELECTION = "tgsr.selection"
    """The selection rule: ``oracle`` wherever target labels chose."""
    GROUPING = "tgsr.grouping"
    METHOD = "tgsr.method"
    """The method of a comparison's run, of a study and of its trials; TGSR's own studies go without."""
    SAMPLER = "tgsr.sampler"
    TRIAL = "tgsr.trial"
    """Optuna's trial number, on a trial's run."""
    STUDY = "tgsr.study"
    """Optuna's study name."""
    STORAGE = "tgsr.storage"
    BEST_TRIAL = "tgsr.best_trial"
    BEST_RUN = "tgsr.best_run"
    BEST_SETTINGS = "tgsr.best_settings"
    """On the study of another method than TGSR: the best trial's parameters, for people."""
    TRIAL_EXPERIMENT = "tgsr.trial_experiment"
    SOURCE_DIGEST = "tgsr.source_digest"
    TARGET_DIGEST = "tgsr.target_digest"
    CODE_VERSION = "tgsr.code_version"
    CONTINUES = "tgsr.continues"
    """On a project run that went on with an earlier study: the run id of that study's parent."""
    REPEATS = "tgsr.repeats"
    GENERATED = "tgsr.generated"
    """``true`` where the databases were drawn by ``tgsr demo-data`` and not recorded."""

    PARENT = "mlflow.parentRunId"
    RUN_NAME = "mlflow.runName"
    NOTE = "mlflow.note.content"
    USER = "mlflow.user"
    SOURCE_NAME = "mlflow.source.name"
    SOURCE_TYPE = "mlflow.source.type"


COEFFICIENTS = "coefficients.npz"
"""A trial's regression matrix: ``rows``, ``values``, ``shape``."""
REGIONS = "regions.json"
"""A trial's region mask in numbers."""
MASK = "regions.png"
"""A trial's region mask as a picture."""
CONFUSION = "confusion.json"
"""The best trial's confusion matrix on the target, on the parent: ``classes``, ``confusion`` (rows are true)."""
TRIALS_CSV, TRIALS_PARQUET = "trials.csv", "trials.parquet"
"""The table of all trials, on the parent."""
SURFACE, SURFACE_PICTURE = "surface.npz", "surface.png"
"""Scores over (κ, ξ), on the parent: ``kappas``, ``xis``, and one matrix (κ × ξ) a metric, NaN where no trial is."""
CURVES = ("over_kappa_at_xi_{:g}", "over_xi_at_kappa_{:g}")
"""Curves on the parent: ``accuracy_over_kappa_at_xi_34`` (step = κ), ``accuracy_over_xi_at_kappa_14`` (step = rank of
ξ in the grid), ``macro_f1_…``. Where they cut is in the name: a study that goes on may be best elsewhere."""


GENERATED_NOTE = (
    "**Generated data**: clips drawn by `tgsr demo-data`, no recorded person; the paper's numbers do not apply."
)
"""Heads the descriptions of whatever has the tag ``tgsr.generated``."""


COMPARISON_TITLE, PAPER_TITLE, REPORTS_TITLE = "tgsr/compare", "tgsr/paper", "tgsr/reports"
"""MLflow's experiments for comparisons of methods, for all twelve experiments in one go, and for their reports."""


def experiment_title(experiment: str) -> str:
    """MLflow's experiment for one of the twelve experiments: ``"tgsr/V-N"``."""
    return f"tgsr/{experiment}"


def model_name(experiment: str, method: str = "TGSR") -> str:
    """Registered model of one of the twelve experiments: ``"tgsr-V-N"``, of another method ``"tgsr-V-N-TCA"``."""
    return f"tgsr-{experiment}" if method == "TGSR" else f"tgsr-{experiment}-{method}"

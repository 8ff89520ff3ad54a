"""Names under which results are stored in MLflow: tags, parameters, metrics, artifact files.

Whoever reads or writes stored results takes the names from here; ``studies/README.md`` explains them.
"""

from __future__ import annotations

__all__ = [
    "COEFFICIENTS",
    "COMPARISON_TITLE",
    "CONFUSION",
    "GENERATED_NOTE",
    "MASK",
    "PAPER_TITLE",
    "REGIONS",
    "REPORTS_TITLE",
    "STUDY_JSON",
    "SURFACE",
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
    """The method of a study, of its trials and of its models."""
    SAMPLER = "tgsr.sampler"
    TRIAL = "tgsr.trial"
    """On a trial: its number, the place in the grid or in the order of sampling."""
    CELL = "tgsr.cell"
    """On a trial: 16 hex digits that name its settings; a study has each cell once."""
    SETTINGS = "tgsr.settings"
    """On a trial: what it tried, as JSON."""
    PREDICTIONS = "tgsr.predictions"
    """On a trial: the class index predicted for each target sample, one base-36 digit a sample."""
    FILES = "tgsr.files"
    """On a trial: names and sizes of the files that it has."""
    DISCARDED = "tgsr.discarded"
    """On a deleted trial: why it was removed by the program, not by a person."""
    LOCK = "tgsr.lock"
    """On an experiment, with a dot and the study's hash behind it: who works on the study."""
    STUDY = "tgsr.study"
    """The study's name, which ends in a hash of all that defines it."""
    DATA_FOLDER = "tgsr.data_folder"
    """On a study: where its databases were read from."""
    BEST_TRIAL = "tgsr.best_trial"
    BEST_RUN = "tgsr.best_run"
    BEST_SETTINGS = "tgsr.best_settings"
    """On a study: what the best trial tried, for people."""
    SOURCE_DIGEST = "tgsr.source_digest"
    TARGET_DIGEST = "tgsr.target_digest"
    CODE_VERSION = "tgsr.code_version"
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
STUDY_JSON = "study.json"
"""The study's specification, on the parent."""
TRIALS_CSV, TRIALS_PARQUET = "trials.csv", "trials.parquet"
"""The table of all trials, on the parent."""
SURFACE = "surface.npz"
"""Scores over two numeric settings, on the parent: ``axes`` (their names), the values of each under its name, and one
matrix a score (first × second setting), NaN where no trial is."""


GENERATED_NOTE = (
    "**Generated data**: clips drawn by `tgsr demo-data`, no recorded person; the paper's numbers do not apply."
)
"""Heads the descriptions of whatever has the tag ``tgsr.generated``."""


COMPARISON_TITLE, PAPER_TITLE, REPORTS_TITLE = "tgsr/compare", "tgsr/paper", "tgsr/reports"
"""MLflow's experiments for comparisons of methods, for all twelve experiments in one go, and for their reports."""


def experiment_title(pair: str) -> str:
    """MLflow's experiment for a pair of databases: ``"tgsr/V-N"``."""
    return f"tgsr/{pair}"


def model_name(pair: str, method: str = "TGSR") -> str:
    """Registered model of a pair: ``"tgsr-V-N"``, of another method than TGSR ``"tgsr-V-N-TCA"``.

    A method of one's own (``"package.module:Class"``) gives its class's name.
    """
    return f"tgsr-{pair}" if method == "TGSR" else f"tgsr-{pair}-{method.rpartition(':')[2]}"

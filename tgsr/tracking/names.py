"""Names under which results are stored in MLflow: tags, parameters, metrics, artifact files.

Whoever reads or writes stored results takes the names from here; ``tgsr/study/README.md`` explains them.
"""

from __future__ import annotations

__all__ = [
    "CHOICES",
    "CLASSES",
    "COEFFICIENTS",
    "CONSENSUS",
    "GENERATED_NOTE",
    "MASK",
    "PAGE",
    "REGIONS",
    "STUDY_JSON",
    "TRIALS_CSV",
    "TRIALS_PARQUET",
    "Tag",
    "experiment_title",
    "model_name",
]


class Tag:
    """Keys of the tags on runs and model versions."""

    KIND = "tgsr.kind"
    """``study``, ``trial``, or the command (``compare``, ``paper``, …) whose studies are the run's children."""
    EXPERIMENT = "tgsr.experiment"
    """The pair of databases, such as ``V-N``."""
    CHOOSE = "tgsr.choose"
    """The rule that the study's summary was made by, or a model was chosen by: ``oracle`` where target labels chose."""
    GROUPING = "tgsr.grouping"
    METHOD = "tgsr.method"
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
    BEST_SETTINGS = "tgsr.best_settings"
    """On a study: what the chosen trial tried, for people."""
    SOURCE_DIGEST = "tgsr.source_digest"
    TARGET_DIGEST = "tgsr.target_digest"
    CODE_VERSION = "tgsr.code_version"
    CODE_DIGEST = "tgsr.code_digest"
    """On a study: digest of the code that its trials were computed with."""
    GENERATED = "tgsr.generated"
    """``true`` where the databases were drawn by ``tgsr demo-data`` and not recorded."""

    PARENT = "mlflow.parentRunId"
    RUN_NAME = "mlflow.runName"
    NOTE = "mlflow.note.content"
    USER = "mlflow.user"
    SOURCE_NAME = "mlflow.source.name"
    SOURCE_TYPE = "mlflow.source.type"
    DATASET_ROLE = "mlflow.data.context"
    """On a study's databases: ``source`` or ``target``."""


COEFFICIENTS = "coefficients.npy"
"""A trial's regression matrix without its rows of zeros: records of ``row`` and ``values``."""
REGIONS = "regions.json"
"""A trial's region mask in numbers."""
MASK = "regions.png"
"""A trial's region mask as a picture."""
CLASSES = "classes.json"
"""On a study: the names of the ``classes``, and the ``target_labels`` as base-36 digits (null where unknown)."""
STUDY_JSON = "study.json"
"""The study's specification."""
TRIALS_CSV, TRIALS_PARQUET = "trials.csv", "trials.parquet"
"""On a study: the table of all trials."""
CHOICES = "choices.csv"
"""On a study: a row a rule, with what it chooses."""
CONSENSUS = "consensus.json"
"""On a study of a linear method: which trials were averaged, and how often each group is kept among them."""
PAGE = "report.html"
"""On a study: its page."""


GENERATED_NOTE = (
    "**Generated data**: clips drawn by `tgsr demo-data`, no recorded person; the paper's numbers do not apply."
)
"""Heads the descriptions of whatever has the tag ``tgsr.generated``."""


def experiment_title(name: str) -> str:
    """MLflow's experiment for a pair of databases, ``"tgsr/V-N"``, or a command, ``"tgsr/compare"``."""
    return f"tgsr/{name}"


def model_name(pair: str, method: str = "TGSR") -> str:
    """Registered model of a pair: ``"tgsr-V-N"``, of another method than TGSR ``"tgsr-V-N-TCA"``.

    A method of one's own (``"package.module:Class"``) gives its class's name.
    """
    return f"tgsr-{pair}" if method == "TGSR" else f"tgsr-{pair}-{method.rpartition(':')[2]}"

"""Stored studies, read back as Optuna's."""

from __future__ import annotations

from tgsr.errors import MissingDataError
from tgsr.study.optuna_study import Study
from tgsr.tracking.client import open_client
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.names import Tag
from tgsr.tracking.records import StudyRecord, list_studies, read_study

__all__ = ["find_study", "load_study"]


def load_study(
    study: str | None = None, *, pair: str | None = None, config: TrackingConfig | None = None, by: str | None = None
) -> Study:
    """Read a study back from MLflow as an `optuna.Study`; nothing is fitted.

    Parameters
    ----------
    study : str, optional
        Its run id, or its name; by default the newest.
    pair : str, optional
        Only studies of this pair, such as ``"V-N"``.
    config : TrackingConfig, optional
        Where results are kept; by default the place that the command line uses here.
    by : str, optional
        The rule (or ``"oracle"``) that ranks the trials; by default the study's own choice.

    Raises
    ------
    MissingDataError
        If there is no such study.
    """
    client = open_client((config or resolve_config()).tracking_uri, create=False)
    if study is not None and len(study) == 32 and " " not in study:
        return Study(read_study(client, study), by)
    found = [one for one in list_studies(client, pair) if study in (None, one.name, one.tags.get(Tag.STUDY))]
    return Study(find_study(found), by)


def find_study(found: list[StudyRecord]) -> StudyRecord:
    """The newest of some studies.

    Raises
    ------
    MissingDataError
        If there is none.
    """
    if not found:
        raise MissingDataError("no such study is stored there; `tgsr trials --list` shows them, --home names the place")
    return found[0]

"""Where results are kept: MLflow's client, stored studies, and the names under which they are stored."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.tracking.client import open_client
    from tgsr.tracking.config import TrackingConfig, resolve_config
    from tgsr.tracking.records import StudyRecord, list_studies, read_study
    from tgsr.tracking.summary import choices_table

__all__ = [
    "StudyRecord",
    "TrackingConfig",
    "choices_table",
    "list_studies",
    "open_client",
    "read_study",
    "resolve_config",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)

"""Which studies are reported on, and where their reports go."""

from __future__ import annotations

from tgsr.tracking.records import StudyRecord


def log_study_page(record: StudyRecord) -> None:
    """Put a study's page onto its run; what prevents it is said and stops nothing."""

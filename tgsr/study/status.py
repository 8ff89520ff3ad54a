"""How the stored studies stand."""

from __future__ import annotations

from tgsr.tracking._lock import lock_holder
from tgsr.tracking.config import TrackingConfig, open_client
from tgsr.tracking.names import Tag
from tgsr.tracking.reading import StudySummary, list_studies

__all__ = ["status_lines"]


def status_lines(config: TrackingConfig) -> list[str]:
    """Name, state, best trial and who is at work, of every study: lines for the terminal."""
    client = open_client(config.tracking_uri, create=False)
    lines = []
    for study in list_studies(client):
        name = study.tags.get(Tag.STUDY, study.name)
        holder = lock_holder(config, client, study.experiment_id, name)
        state = f"at work: {holder}" if holder else _state(study)
        lines += [name, f"  {state}; MLflow run {study.run_id}"]
        if study.best_run_id and "selection_value" in study.metrics:
            best = study.tags.get(Tag.BEST_SETTINGS, "")
            lines.append(f"  best: {study.metrics['selection_value']:.4f}{f' at {best}' if best else ''}")
    return lines or ["no study yet"]


def _state(study: StudySummary) -> str:
    if study.status == "FINISHED":
        return f"finished, {study.metrics.get('trials', 0):,.0f} trials"
    return "interrupted; the same command goes on" if study.status in ("RUNNING", "KILLED") else study.status.lower()

"""How the stored studies stand."""

from __future__ import annotations

from tgsr.evaluation.choice import ORACLE, SCORE
from tgsr.evaluation.metrics import METRICS
from tgsr.evaluation.remarks import REMEDY, one_class_remark, solver_remark
from tgsr.tracking.client import open_client
from tgsr.tracking.config import TrackingConfig
from tgsr.tracking.lock import lock_holder
from tgsr.tracking.names import Tag
from tgsr.tracking.records import StudyRecord, list_studies
from tgsr.trials.trial import show_settings

__all__ = ["result_lines", "status_lines"]


def result_lines(record: StudyRecord, by: str) -> list[str]:
    """A study for the terminal: what was chosen and how, and what to do next."""
    choice = record.choose(by)
    who = "oracle: chosen by the target's labels" if by == ORACLE else f"chosen by {by}, without target labels"
    scored = [METRICS[key].describe(choice.metrics[key]) for key in (SCORE, "accuracy") if key in choice.metrics]
    lines = [
        f"{record.spec.title}: {len(record.table):,} trials; MLflow run {record.run_id}",
        f"best: {show_settings(choice.settings) or 'no setting to choose'} ({who})",
        f"on the target: {', '.join(scored) or 'no labels, so no scores'}",
    ]
    consensus = record.metrics.get(f"{SCORE}.consensus")
    if consensus is not None and by == record.tags.get(Tag.CHOOSE):
        lines.append(
            f"the best twentieth averaged: {METRICS[SCORE].describe(consensus)}; "
            f"`tgsr register --study {record.run_id}` takes this"
        )
    one_class = one_class_remark(choice.row["predictions"], record.classes[0])
    unsolved = solver_remark(record.table, choice)
    remarks = (
        one_class and f"it {one_class}",
        record.regression_remark(choice.settings),
        unsolved and f"{unsolved}: {REMEDY}",
    )
    return [*lines, *(f"note: {remark}" for remark in remarks if remark)]


def status_lines(config: TrackingConfig) -> list[str]:
    """Name, state, choice and who is at work, of every study: lines for the terminal."""
    client = open_client(config.tracking_uri, create=False)
    lines = []
    for study in list_studies(client):
        name = study.tags.get(Tag.STUDY, study.name)
        if holder := lock_holder(config, client, study.experiment_id, name):
            state = f"at work: {holder}"
        elif study.status == "FINISHED":
            state = f"finished, {len(study.table):,} trials"
        else:
            stopped = study.status in ("RUNNING", "KILLED")
            state = "interrupted; the same command goes on" if stopped else study.status.lower()
        lines += [name, f"  {state}; MLflow run {study.run_id}"]
        if study.status == "FINISHED" and len(study.table):
            choice = study.choose()
            lines.append(f"  {choice.by}: {choice.value:.4f} at {show_settings(choice.settings) or 'no setting'}")
    return lines or ["no study yet"]

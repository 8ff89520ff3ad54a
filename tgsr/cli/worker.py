"""``tgsr worker``: help with a study that another process has started."""

from __future__ import annotations

import click

from tgsr.cli import shared

__all__ = ["command"]


@click.command()
@click.option("--study", required=True, help="The study's name, as `tgsr study --status` shows it.")
@click.option("--storage", default="auto", show_default=True, help="Optuna's storage, as the study's.")
@click.option(
    "--data", default="auto", show_default=True, help="Folder with the feature files; auto: from the tracking server."
)
@click.option("--tracking-uri", default="auto", show_default=True, help="MLflow; auto: the one the study names.")
@click.option("--trials", type=shared.NATURAL, default=0, show_default=True, help="Trials in all; 0: as the study's.")
@shared.batch
@click.option(
    "--jobs", type=shared.NATURAL, default=1, show_default=True, help="Threads of this worker; 0: one a core."
)
@click.option("--matrices", default="auto", show_default=True, help="Regression matrices kept; auto: as the study's.")
@shared.writer
@click.option("--home", help="Folder of optuna.journal where the storage is auto.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def command(
    study: str,
    storage: str,
    data: str,
    tracking_uri: str,
    trials: int,
    batch: int,
    jobs: int,
    matrices: str,
    writer: str,
    home: str | None,
    quiet: bool,
) -> None:
    """Join a study by name and storage, and work until it is done; any number of workers, on any machine.

    Trials in all, matrices kept and the writer are those that `tgsr study` was last given, unless they are given here.
    """
    from studies.study import StudyOptions
    from studies.worker import WorkerOptions, run_worker
    from tgsr.tracking.place import resolve_place

    options = StudyOptions(
        place=resolve_place(home),
        data_folder=data,
        storage=None if storage == "auto" else storage,
        n_trials=trials or None,
        batch=batch or None,
        jobs=jobs or None,
        writer=writer,
        progress=not quiet,
        say=lambda text: click.echo(text, err=True),
    )
    worker = WorkerOptions(
        options,
        data_folder=None if data == "auto" else data,
        tracking_uri=None if tracking_uri == "auto" else tracking_uri,
        matrices=None if matrices == "auto" else matrices,
    )
    click.echo(f"this worker ran {run_worker(study, worker)} trials")

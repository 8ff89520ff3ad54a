"""``tgsr study``: search the settings of a method for one experiment, every trial tracked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tgsr.cli import shared

if TYPE_CHECKING:
    from studies.method_spec import AnySpec
    from studies.study import StudyOptions, StudyResult
    from tgsr.datasets import DatabasePair
    from tgsr.protocols import Experiment
    from tgsr.tracking.place import Place

__all__ = ["command"]


_OF_TGSR = ("grouping", "kappas", "xis", "matrices", "mu", "rho", "tol", "max_iter")
"""Options that mean nothing to another method."""


@click.command()
@click.option("--experiment", help="1 to 12, or a name such as V-N (source-target by letter).")
@click.option("--source", help="Instead of --experiment: the source database, by name or letter.")
@click.option("--target", help="Instead of --experiment: the target database.")
@click.option("--data", default="features", show_default=True, help="Folder with the feature files.")
@click.option("--method", default="TGSR", show_default=True, help="TGSR, or one of the nine others, such as TCA.")
@shared.sampler
@click.option(
    "--selection",
    default="source-cv",
    show_default=True,
    help="What ranks the trials: source-cv needs no target labels; oracle uses them, as the paper's tables do.",
)
@shared.grouping
@click.option(
    "--trials",
    type=shared.NATURAL,
    default=0,
    show_default=True,
    help="Trials in all; 0: the grid, or 200 sampled.",
)
@shared.kappas
@shared.xis
@click.option("--seed", type=shared.NATURAL, default=0, show_default=True, help="Of the sampler and of the folds.")
@click.option(
    "--storage",
    default="auto",
    show_default=True,
    help="Optuna's storage: a journal file, postgresql://…, grpc://host:port; auto: optuna.journal in the home folder.",
)
@click.option(
    "--matrices",
    default="all",
    show_default=True,
    help="Regression matrices kept: all, best:3 (of each ξ), or none (the best trial's always is).",
)
@shared.writer
@shared.batch
@click.option("--jobs", type=shared.NATURAL, default=0, show_default=True, help="Threads; 0: one a core.")
@click.option("--mu", type=float, default=1e-3, show_default=True, help="First penalty of Algorithm 1.")
@click.option("--rho", type=float, default=1.1, show_default=True, help="Its factor an iteration.")
@click.option("--tol", type=float, default=1e-8, show_default=True, help="Stop when max|C − D| is below.")
@click.option(
    "--max-iter",
    type=int,
    default=1000,
    show_default=True,
    help="Give up after so many iterations; the trial then says so.",
)
@shared.home
@click.option("--share-data", is_flag=True, help="Store the databases with the study, for workers elsewhere.")
@click.option("--status", is_flag=True, help="Show how the studies in the storage stand, and do nothing.")
@click.option("--mirror", is_flag=True, help="Add to MLflow what Optuna knows as finished and MLflow lacks, and end.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Search (κ, ξ), or another method's settings, for one experiment; every trial becomes an MLflow run.

    Interrupted or killed, the same command goes on where it stopped.
    """
    from tgsr.tracking.place import resolve_place

    place = resolve_place(given["home"])
    if given["status"]:
        _show_status(place, given["storage"])
        return
    from studies.study import complete_mirror, run_study
    from tgsr.cli.options import choose_experiment
    from tgsr.datasets import load_pair

    chosen = choose_experiment(experiment, source, target)
    pair = load_pair(chosen, given["data"])
    spec = _spec(chosen, pair, given)
    options = _options(place, given)
    if given["mirror"]:
        click.echo(f"{complete_mirror(spec, pair, options)} finished trials added to MLflow")
        return
    try:
        result = run_study(spec, pair, options)
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise
    _report(result, spec, place)
    shared.tell_generated([pair])


def _spec(experiment: Experiment, pair: DatabasePair, given: dict[str, Any]) -> AnySpec:
    from studies.method_spec import MethodSpec
    from studies.space import Space
    from studies.spec import StudySpec
    from tgsr.cli.options import parse_kappas, parse_xis
    from tgsr.errors import ParameterError
    from tgsr.estimators.spaces import get_method
    from tgsr.solvers import SolverSettings

    method = get_method(given["method"]).name
    if method != "TGSR":
        for option in command.params:
            if option.name in _OF_TGSR and given[option.name] != option.default:
                raise ParameterError(
                    f"{option.opts[0]} is an option of TGSR; {method} has its own settings: leave it out"
                )
        chosen = {key: given[key] for key in ("sampler", "selection", "seed")}
        return MethodSpec.of(experiment.name, pair, method, **chosen)
    return StudySpec(
        experiment=experiment.name,
        source_digest=pair.source.digest,
        target_digest=pair.target.digest,
        space=Space(tuple(parse_kappas(given["kappas"])), tuple(parse_xis(given["xis"]))),
        sampler=given["sampler"],
        selection=given["selection"],
        grouping=given["grouping"],
        seed=given["seed"],
        settings=SolverSettings(mu=given["mu"], rho=given["rho"], tol=given["tol"], max_iter=given["max_iter"]),
    )


def _options(place: Place, given: dict[str, Any]) -> StudyOptions:
    from studies.study import StudyOptions

    return StudyOptions(
        place=place,
        data_folder=str(Path(given["data"]).resolve()),
        storage=None if given["storage"] == "auto" else given["storage"],
        n_trials=given["trials"] or None,
        batch=given["batch"] or None,
        jobs=given["jobs"] or None,
        matrices=given["matrices"],
        writer=given["writer"],
        share=given["share_data"],
        progress=not given["quiet"],
        say=lambda text: click.echo(text, err=True),
    )


def _report(result: StudyResult, spec: AnySpec, place: Place) -> None:
    from tgsr.reports.building import add_study_page
    from tgsr.tracking.records import settings_text

    if spec.method == "TGSR":  # the page is about κ, ξ and regions
        add_study_page(place, result.run_id, lambda text: click.echo(text, err=True))
    best, where = result.best, settings_text(result.settings, ", ") or "nothing to choose"
    note = " (an oracle: chosen by the target's labels)" if spec.selection == "oracle" else ""
    click.echo(f"study {result.name!r}: {len(result.table)} trials, MLflow run {result.run_id}")
    click.echo(
        f"best by {spec.selection}{note}: {where}; on the target "
        f"macro-F1 {best['macro_f1']:.4f}, accuracy {100 * best['accuracy']:.2f} %"
    )
    click.echo(f"look at it: {place.ui_hint}")
    data = "" if spec.method == "TGSR" else " --data DIR"
    click.echo(f"register it: tgsr register --study {result.run_id}{data}{place.option}")


def _show_status(place: Place, storage: str) -> None:
    from studies.status import list_status
    from studies.storage import open_storage

    states = list_status(open_storage(place.storage if storage == "auto" else storage, create=False, read_only=True))
    click.echo("\n".join(line for state in states for line in state.lines()) or "no study yet")

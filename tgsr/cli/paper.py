"""``tgsr paper``: all twelve experiments in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tgsr.cli import shared

__all__ = ["command"]


@click.command()
@click.option("--data", default="features", show_default=True, help="Folder with the feature files.")
@shared.sampler
@click.option("--selection", default="source-cv", show_default=True, help="source-cv, or oracle as in the paper.")
@shared.grouping
@click.option(
    "--trials",
    type=shared.NATURAL,
    default=0,
    show_default=True,
    help="Trials each; 0: the grid, or 200 sampled.",
)
@shared.kappas
@shared.xis
@click.option("--methods", default="all", show_default=True, help="Methods to compare, with commas; all; or none.")
@click.option(
    "--tsrg-grid",
    type=click.Choice(["full", "thin"]),
    default="full",
    show_default=True,
    help="TSRG's oracle over all 259 pairs, or 63 of them.",
)
@click.option("--seed", type=shared.NATURAL, default=0, show_default=True, help="Of samplers and folds.")
@click.option("--storage", default="auto", show_default=True, help="Optuna's storage; auto: in the home folder.")
@click.option("--matrices", default="all", show_default=True, help="Regression matrices kept: all, best:3, or none.")
@click.option("--jobs", type=shared.NATURAL, default=0, show_default=True, help="Threads; 0: one a core.")
@shared.home
@click.option("--quiet", is_flag=True, help="No progress bars.")
def command(**given: Any) -> None:
    """Run every experiment whose databases are there: studies, models, comparison, report; one run above all.

    Interrupted or killed, the same command goes on where it stopped.
    """
    from studies.paper import PaperPlan, run_paper
    from studies.space import Space
    from studies.study import StudyOptions
    from tgsr.cli.options import parse_kappas, parse_xis
    from tgsr.estimators.spaces import METHODS
    from tgsr.tracking.place import resolve_place

    named = [name for name in given["methods"].split(",") if name.strip()]
    plan = PaperPlan(
        sampler=given["sampler"],
        selection=given["selection"],
        grouping=given["grouping"],
        space=Space(tuple(parse_kappas(given["kappas"])), tuple(parse_xis(given["xis"]))),
        seed=given["seed"],
        methods={"all": list(METHODS), "none": []}.get(given["methods"], named),
        thin_tsrg=given["tsrg_grid"] == "thin",
    )
    place = resolve_place(given["home"])
    options = StudyOptions(
        place=place,
        data_folder=str(Path(given["data"]).resolve()),
        storage=None if given["storage"] == "auto" else given["storage"],
        n_trials=given["trials"] or None,
        jobs=given["jobs"] or None,
        matrices=given["matrices"],
        progress=not given["quiet"],
        say=click.echo,
    )
    try:
        result = run_paper(plan, options)
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise
    for name, study in result.studies.items():
        best = study.best
        click.echo(
            f"{name}: kappa {best['kappa']}, xi {best['xi']:g}, macro-F1 {best['macro_f1']:.4f}, "
            f"accuracy {100 * best['accuracy']:.2f} %"
        )
    click.echo(f"report.html is with run {result.run_id}; look at it: {place.ui_hint}")

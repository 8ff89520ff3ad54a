"""``tgsr main``: the whole way on generated clips, from nothing to a prediction."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command()
@click.option("--experiment", default="V-N", show_default=True, help="1 to 12, or a name such as V-N.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the generated clips and of the study.")
@click.option("--home", help="Folder for everything that is made.  [default: TGSR_HOME, else this folder]")
def command(experiment: str, seed: int, home: str | None) -> None:
    """Generated clips → features → a short study → a registered model → a prediction. Needs no database."""
    from studies.walkthrough import walk_through
    from tgsr.reports.building import add_study_page
    from tgsr.tracking.place import resolve_place

    place = resolve_place(home)
    done = walk_through(place, experiment, seed, click.echo)
    add_study_page(place, done.study.run_id, lambda text: click.echo(text, err=True))
    row = done.prediction.iloc[0]
    click.echo(f"   {row['clip']}: {row['label']} (generated as {row['true']}); regions {row['regions'][:5]} …")
    best = done.study.best
    click.echo(
        f"done: best of {len(done.study.table)} trials kappa {best['kappa']}, xi {best['xi']:g}; "
        f"accuracy on the target {100 * best['accuracy']:.1f} %"
    )
    click.echo(f"look at it: {place.ui_hint}")
    click.echo(f"predict:    tgsr predict --model {done.model.uri} --home {place.home} CLIP")

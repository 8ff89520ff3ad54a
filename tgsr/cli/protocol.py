"""``tgsr protocol``: leave one subject out over several databases, as in MEGC2019's composite."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command(name="protocol")
@click.option(
    "--databases",
    default="SMIC_HS,CASME2,SAMM",
    help="Databases of the folder, with commas; MEGC2019's are the default (CASME II by --label-map megc2019).",
)
@shared.data
@click.option("--methods", default="TGSR", help="Methods, with commas, or 'all' ten.")
@shared.grouping()
@shared.preprocess
@click.option("--set", "fixed", multiple=True, metavar="NAME=VALUE", help="A setting in place of a method's default.")
@click.option("--out", type=shared.PATH, default="composite.csv", help="CSV with the scores.")
@click.option("--predictions", type=shared.PATH, help="CSV with every sample's predicted class.")
@shared.jobs
@shared.scheduler
@shared.quiet
@shared.home
def command(databases: str, fixed: tuple[str, ...], **given: Any) -> None:
    """Pool databases, leave out one subject at a time, and score all predictions together: UF1 and UAR.

    The subject that is left out is the target, without labels. Settings are fixed beforehand: nothing is chosen. Each
    method is a study in MLflow, each subject a trial; interrupted, the same command goes on. To leave out one database
    at a time: tgsr compare --pairs leave-one-out.
    """
    from tgsr.datasets import load_database
    from tgsr.errors import ParameterError
    from tgsr.files import check_output, write_text
    from tgsr.study import resolve_config, run_composite

    out = check_output(given["out"], ".csv")
    axes = shared.parse_axes(fixed)
    for name, values in axes.items():
        if len(values) > 1:
            raise ParameterError(f"--set {name}: one value; subjects are left out at fixed settings")
    table, predictions = run_composite(
        [load_database(name, given["data"]) for name in shared.parse_names(databases)],
        shared.method_names(given["methods"]),
        shared.make_options(resolve_config(given["home"]), given),
        grouping=given["grouping"],
        preprocess=given["preprocess"],
        fixed={name: values[0] for name, values in axes.items()},
    )
    write_text(out, table.to_csv(index=False))
    if given["predictions"] is not None:
        write_text(given["predictions"], predictions.to_csv(index=False))
    click.echo(table.drop(columns="params").to_string(index=False, float_format="{:.4f}".format))
    click.echo(f"{out}: UF1 and UAR over the predictions of all subjects together")

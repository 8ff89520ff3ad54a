"""Options that several commands have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from studies.options import StudyOptions
    from tgsr.datasets import DatabasePair
    from tgsr.tracking.config import TrackingConfig

__all__ = [
    "NATURAL",
    "data",
    "fixed_of",
    "grid_options",
    "grouping",
    "home",
    "make_options",
    "method",
    "pair_options",
    "run_options",
    "seed",
    "solver_options",
    "tell_generated",
]

Command = TypeVar("Command", bound=Callable[..., Any])
NATURAL = click.IntRange(min=0)

data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default="features",
    show_default=True,
    help="Folder with the feature files.",
)
home = click.option("--home", help="Folder of mlflow.db and mlruns.  [default: TGSR_HOME, else this folder]")
method = click.option(
    "--method",
    default="TGSR",
    show_default=True,
    help="One of the ten, such as TCA, or a class of your own: package.module:Class.",
)
seed = click.option("--seed", type=NATURAL, default=0, show_default=True, help="Of samplers, folds and bootstraps.")

_PAIR = (
    click.option("--experiment", help="1 to 12, or a name such as V-N (source-target by letter)."),
    click.option("--source", help="Instead of --experiment: database by name, letter or file; A+B pools two."),
    click.option("--target", help="Instead of --experiment: the target database; it may be without labels."),
)


def grouping(default: str = "region") -> Callable[[Command], Command]:
    """The option that names the groups of features."""
    return click.option(
        "--grouping",
        type=click.Choice(["region", "released"]),
        default=default,
        show_default=True,
        help="Facial regions, or the groups that the released records were computed with.",
    )


_GRID = (
    click.option("--kappas", default="auto", show_default=True, help="κ of the grid, such as 1-85:6 or 1-5,20."),
    click.option("--xis", default="auto", show_default=True, help="ξ of the grid: paper, paper/10, or numbers."),
    click.option(
        "--set", "axes", multiple=True, metavar="NAME=VALUES", help="Values of any parameter; may be repeated."
    ),
    click.option(
        "--scaling",
        type=click.Choice(["none", "norm", "spread"]),
        default="none",
        show_default=True,
        help="Divide each region's features by their norm or spread; none: the paper's.",
    ),
)
_SOLVER = (
    click.option("--mu", type=float, help="First penalty of Algorithm 1.  [default: 1e-3]"),
    click.option("--rho", type=float, help="Its factor an iteration.  [default: 1.1]"),
    click.option("--tol", type=float, help="Stop when max|C − D| is below.  [default: 1e-8]"),
    click.option("--max-iter", type=int, help="Give up after so many iterations; the trial says so.  [default: 1000]"),
)
_RUN = (
    click.option("--jobs", type=NATURAL, default=0, show_default=True, help="Threads; 0: one a core."),
    click.option(
        "--scheduler", default="none", show_default=True, help="A Dask scheduler, tcp://host:8786, instead of threads."
    ),
    click.option(
        "--matrices",
        default="all",
        show_default=True,
        help="Regression matrices kept: all, best:3 (of each ξ), or none (the best trial's always is).",
    ),
    click.option(
        "--writer",
        type=click.Choice(["auto", "bulk", "client"]),
        default="auto",
        show_default=True,
        help="How trials reach MLflow: bulk (its own database), client (public, slower); auto: bulk where it can.",
    ),
    click.option(
        "--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Trials written together."
    ),
    click.option(
        "--storage",
        default="none",
        show_default=True,
        envvar="TGSR_STORAGE",
        show_envvar=True,
        help="An Optuna storage to fill besides: a journal file, sqlite:///…, postgresql://… (for optuna-dashboard).",
    ),
    click.option(
        "--restore", type=bool, default=False, is_flag=False, flag_value=True, help="Bring deleted runs back."
    ),
    click.option("--quiet", type=bool, default=False, is_flag=False, flag_value=True, help="No progress bar."),
)


def _apply(options: Iterable[Callable[[Command], Command]], what: str) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(tuple(options)):
            command = option(command)
        return command

    decorate.__doc__ = f"Add the options that say {what}."
    return decorate


pair_options = _apply(_PAIR, "which databases")
grid_options = _apply(_GRID, "what is searched")
solver_options = _apply(_SOLVER, "how Algorithm 1 runs")
run_options = _apply(_RUN, "how studies run")


def make_options(config: TrackingConfig, given: dict[str, Any], **more: Any) -> StudyOptions:
    """How studies are run, from the options of `run_options`."""
    from studies.options import StudyOptions

    named = {
        "data_folder": str(Path(given["data"]).resolve()),
        "n_trials": given.get("trials") or None,
        "jobs": given["jobs"] or None,
        "scheduler": None if given["scheduler"] == "none" else given["scheduler"],
        "batch": given["batch"],
        "matrices": given["matrices"],
        "writer": given["writer"],
        "storage": None if given["storage"] == "none" else given["storage"],
        "restore": given["restore"],
        "progress": not given["quiet"],
    }
    return StudyOptions(config, **{**named, **more})


def fixed_of(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What the options of `grid_options` and `solver_options` fix, and the values that they search."""
    from tgsr.cli._options import parse_axes, parse_kappas, parse_xis

    fixed = {name: given[name] for name in ("mu", "rho", "tol", "max_iter") if given.get(name) is not None}
    if given["scaling"] != "none":
        fixed["scaling"] = given["scaling"]
    axes = parse_axes(given["axes"])
    if given["kappas"] != "auto":
        axes["kappa"] = list(parse_kappas(given["kappas"]))
    if given["xis"] != "auto":
        axes["xi"] = list(parse_xis(given["xis"]))
    return fixed, axes


def tell_generated(pairs: Iterable[DatabasePair]) -> None:
    """Say which of the databases were drawn and not recorded, if any."""
    names = {data.name for pair in pairs for data in (pair.source, pair.target) if data.is_generated}
    if names:
        logging.getLogger(__name__).info(
            "generated data: %s; the paper's numbers do not apply", ", ".join(sorted(names))
        )

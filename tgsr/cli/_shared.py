"""Options that several commands have in common."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.datasets import DatabasePair
    from tgsr.study import RunOptions, StudySpec, TrackingConfig

__all__ = [
    "NATURAL",
    "PATH",
    "data",
    "fixed_of",
    "flag",
    "grid_options",
    "grouping",
    "home",
    "jobs",
    "limits",
    "make_options",
    "make_study_spec",
    "mention_generated",
    "method",
    "name_pair",
    "pair_options",
    "pairs",
    "preprocess",
    "quiet",
    "run_options",
    "scheduler",
    "seed",
    "solver_options",
    "trust",
    "write_csv",
]

Command = TypeVar("Command", bound=Callable[..., Any])
NATURAL = click.IntRange(min=0)
PATH = click.Path(path_type=Path)


def flag(name: str, text: str) -> Callable[[Command], Command]:
    """A switch that an entry point can give a value, too."""
    return click.option(name, type=bool, default=False, is_flag=False, flag_value=True, show_default=False, help=text)


def _together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Options that several commands have in common, as one decorator."""

    def decorate(command: Command) -> Command:
        """Add these options to a command."""
        return functools.reduce(lambda made, option: option(made), reversed(options), command)

    return decorate


data = click.option("--data", type=PATH, default="features", help="Folder with the feature files.")
home = click.option("--home", help="Folder of mlflow.db and mlruns.  [default: TGSR_HOME, else this folder]")
method = click.option(
    "--method", default="TGSR", help="One of the ten, such as TCA, or a class of your own: package.module:Class."
)
seed = click.option("--seed", type=NATURAL, default=0, help="Of samplers, folds and bootstraps.")
jobs = click.option("--jobs", type=NATURAL, default=0, help="Threads; 0: one a core.")
scheduler = click.option("--scheduler", help="A Dask scheduler, tcp://host:8786, instead of threads.")
quiet = flag("--quiet", "No progress bar.")
trust = click.option(
    "--trust",
    multiple=True,
    envvar="TGSR_TRUST",
    show_envvar=True,
    help="Type that a model may hold beyond those that are known to be safe: package.module:Class.",
)
preprocess = click.option(
    "--preprocess",
    type=click.Choice(["none", "standard", "robust", "maxabs", "unit", "standard+unit"]),
    default="none",
    help="What is done to each database's features first, by itself; none: the paper's. unit or standard suit features "
    "of another program; with standard both means are 0, and TGSR's ξ changes nothing.",
)
limits = click.option(
    "--limit", "limits", multiple=True, metavar="METHOD=N", help="So many settings of a method's grid, spread over it."
)

pair_options = _together(
    click.option("--experiment", help="1 to 12, or a name such as V-N (source-target by letter)."),
    click.option("--source", help="Instead of --experiment: database by name, letter or file; A+B pools two."),
    click.option("--target", help="Instead of --experiment: the target database; it may be without labels."),
)


def pairs(*more: str, default: str) -> Callable[[Command], Command]:
    """The option that names several pairs at once."""
    return click.option(
        "--pairs",
        type=click.Choice([*more, "paper", "all", "leave-one-out"]),
        default=default,
        help="paper: those of the twelve experiments whose databases are there; all: every pair of the folder; "
        "leave-one-out: each database the target of all others.",
    )


def grouping(default: str = "region") -> Callable[[Command], Command]:
    """The option that names the groups of features."""
    return click.option(
        "--grouping",
        type=click.Choice(["region", "released"]),
        default=default,
        help="Facial regions, or the groups that the released records were computed with.",
    )


grid_options = _together(
    click.option("--kappas", help="κ of the grid, such as 1-85:6 or 1-5,20.  [default: 1-85]"),
    click.option("--xis", help="ξ of the grid: paper/10 (every tenth), or numbers.  [default: paper, 271 values]"),
    click.option(
        "--set", "axes", multiple=True, metavar="NAME=VALUES", help="Values of any parameter; may be repeated."
    ),
    click.option(
        "--scaling",
        type=click.Choice(["none", "norm", "spread"]),
        default="none",
        help="Divide each region's features by their norm or spread; none: the paper's.",
    ),
    preprocess,
)
solver_options = _together(
    click.option("--mu", type=float, help="First penalty of Algorithm 1.  [default: 1e-3]"),
    click.option("--rho", type=float, help="Its factor an iteration.  [default: 1.1]"),
    click.option("--tol", type=float, help="Stop when max|C − D| is below.  [default: 1e-8]"),
    click.option("--max-iter", type=int, help="Give up after so many iterations; the trial says so.  [default: 1000]"),
)
run_options = _together(
    jobs,
    scheduler,
    click.option(
        "--storage",
        envvar="TGSR_STORAGE",
        show_envvar=True,
        help="An Optuna storage to fill besides: a journal file, sqlite:///…, postgresql://… (for optuna-dashboard).",
    ),
    flag("--restore", "Bring deleted runs back."),
    quiet,
)


def make_options(config: TrackingConfig, given: dict[str, Any], **more: Any) -> RunOptions:
    """How studies are run, from the options of `run_options`, or some of them."""
    from tgsr.cli._options import parse_names
    from tgsr.study import RunOptions

    same = ("scheduler", "matrices", "storage", "restore", "choose")
    named = {name: given[name] for name in same if name in given}
    return RunOptions(
        config,
        str(Path(given["data"]).resolve()),
        n_trials=given.get("trials") or None,
        rules=tuple(parse_names(given.get("rules") or "")),
        jobs=given["jobs"] or None,
        progress=not given["quiet"],
        **{**named, **more},
    )


def make_study_spec(pair: DatabasePair, given: dict[str, Any]) -> StudySpec:
    """What one study searches, from the options of `grid_options` and `solver_options` and those beside them."""
    from tgsr.study import make_spec

    fixed, axes = fixed_of(given)
    names = ("grouping", "sampler", "objective", "preprocess", "seed")
    named = {name: given[name] for name in names if name in given}
    return make_spec(pair, given["method"], fixed=fixed, axes=axes, **named)


def fixed_of(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What the options of `grid_options` and `solver_options` fix, and the values that they search."""
    from tgsr.cli._options import parse_axes, parse_kappas, parse_xis

    fixed = {name: given.get(name) for name in ("mu", "rho", "tol", "max_iter")}
    if given["scaling"] != "none":
        fixed["scaling"] = given["scaling"]
    axes = parse_axes(given["axes"])
    if given["kappas"]:
        axes["kappa"] = list(parse_kappas(given["kappas"]))
    if given["xis"]:
        axes["xi"] = list(parse_xis(given["xis"]))
    return {name: value for name, value in fixed.items() if value is not None}, axes


def name_pair(experiment: str | None, source: str | None, target: str | None) -> str | None:
    """The name of the stored pair that the options of `pair_options` mean; None if they are not given."""
    from tgsr.datasets import load_database
    from tgsr.errors import ProtocolError
    from tgsr.protocols import pair_name, parse_pair

    if bool(source) != bool(target) or (experiment and source):
        raise ProtocolError("name the pair by --experiment, or by --source and --target")
    if source and target:
        source, target = (load_database(one, ".").name if Path(one).is_file() else one for one in (source, target))
        experiment = f"{source}-{target}"
    return pair_name(*parse_pair(experiment)) if experiment else None


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table in one step."""
    from tgsr.files import atomic_path

    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def mention_generated(pairs: Iterable[DatabasePair]) -> None:
    """Say which of the databases were drawn and not recorded, if any."""
    names = {data.name for pair in pairs for data in (pair.source, pair.target) if data.is_generated}
    if names:
        logging.getLogger(__name__).info(
            "generated data: %s; the paper's numbers do not apply", ", ".join(sorted(names))
        )

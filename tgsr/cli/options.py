"""Options that several commands have in common, and how their texts are read."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tgsr.errors import ParameterError, ProtocolError
from tgsr.protocols import XIS, pair_name, parse_pair

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair
    from tgsr.study import ComparePlan, RunOptions, StudySpec, TrackingConfig

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
    "make_plan",
    "make_study_spec",
    "mention_generated",
    "method",
    "method_names",
    "name_pair",
    "pair_options",
    "pairs",
    "parse_axes",
    "parse_kappas",
    "parse_limits",
    "parse_names",
    "parse_xis",
    "preprocess",
    "quiet",
    "run_options",
    "scheduler",
    "seed",
    "solver_options",
    "trust",
]

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")
NATURAL = click.IntRange(min=0)
PATH = click.Path(path_type=Path)
_MOST = 100_000
"""Values of one parameter that a grid can have."""


def flag(name: str, text: str) -> Callable[[Command], Command]:
    """A switch that an entry point can give a value, too."""
    return click.option(name, type=bool, default=False, is_flag=False, flag_value=True, show_default=False, help=text)


def _together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator."""

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


def make_options(config: TrackingConfig, given: dict[str, Any]) -> RunOptions:
    """How studies are run, from the options of `run_options`, or some of them."""
    from tgsr.study import RunOptions

    same = ("scheduler", "matrices", "storage", "restore", "choose")
    return RunOptions(
        config,
        str(Path(given["data"]).resolve()),
        n_trials=given.get("trials") or None,
        rules=tuple(parse_names(given.get("rules") or "")),
        jobs=given["jobs"] or None,
        progress=not given["quiet"],
        **{name: given[name] for name in same if name in given},
    )


def make_study_spec(pair: DatabasePair, given: dict[str, Any]) -> StudySpec:
    """What one study searches, from the options of `grid_options` and `solver_options` and those beside them."""
    from tgsr.study import make_spec

    fixed, axes = fixed_of(given)
    names = ("grouping", "sampler", "objective", "preprocess", "seed")
    named = {name: given[name] for name in names if name in given}
    return make_spec(pair, given["method"], fixed=fixed, axes=axes, **named)


def make_plan(given: dict[str, Any], grouping: str) -> ComparePlan:
    """What is compared, from ``--methods``, the choices, ``--limit`` and `grid_options`."""
    from tgsr.study import ComparePlan

    fixed, axes = fixed_of(given)
    methods, choices = method_names(given["methods"]), parse_names(given["choices"])
    limits, seed = parse_limits(given["limits"]), given["seed"]
    return ComparePlan(methods, choices, grouping, given["preprocess"], fixed, axes, limits, seed)


def fixed_of(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What the options of `grid_options` and `solver_options` fix, and the values that they search."""
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

    if bool(source) != bool(target) or (experiment and source):
        raise ProtocolError("name the pair by --experiment, or by --source and --target")
    if source and target:
        source, target = (load_database(one, ".").name if Path(one).is_file() else one for one in (source, target))
        experiment = f"{source}-{target}"
    return pair_name(*parse_pair(experiment)) if experiment else None


def parse_names(text: str) -> list[str]:
    """Read a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def method_names(text: str) -> list[str]:
    """Read a list of methods, or ``all`` for the ten."""
    from tgsr.estimators.methods import METHODS

    return list(METHODS) if text == "all" else parse_names(text)


def parse_kappas(text: str) -> list[int]:
    """Read κ values such as ``1-5,20`` or ``1-85:6`` (every sixth), ascending, each once."""
    return sorted(set(_parts(text, _integers, "kappa values", "1-85, 1-85:6 or 1-5,20")))


def parse_xis(text: str) -> list[float]:
    """Read ξ values: ``paper`` for the paper's grid, ``paper/N`` for every N-th of it, or numbers with commas."""
    name, slash, every = text.strip().partition("/")
    if name == "paper":
        if slash and not (every.isdigit() and int(every) > 0):
            raise ParameterError(f"xi values {text!r} are not understood; write paper/10 for every tenth of the grid")
        return [float(xi) for xi in XIS[:: int(every) if slash else 1]]
    return sorted(set(_parts(text, lambda part: [float(part)], "xi values", "paper, paper/10 or 0.1,1,10")))


def parse_axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Read ``NAME=VALUES`` of any parameter: numbers, ranges of integers such as ``1-50:7``, or words, with commas."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not (name.strip() and equals and values.strip()):
            raise ParameterError(f"--set {text!r} is not understood; write for example --set n_components=1-50")
        parts = _parts(values, _values, f"values of {name.strip()}", "1-50, 0.1,1,10 or a,b")
        axes[name.strip()] = list(dict.fromkeys(parts))
    return axes


def parse_limits(texts: Sequence[str]) -> dict[str, int]:
    """Read ``METHOD=N``: so many settings of a method's grid."""
    limits = {}
    for text in texts:
        name, _, count = text.partition("=")
        if not count.isdigit() or int(count) < 1:
            raise ParameterError(f"--limit {text!r} is not understood; write for example --limit TSRG=63")
        limits[name.strip()] = int(count)
    return limits


def _parts(text: str, read: Callable[[str], Sequence[T]], what: str, example: str) -> list[T]:
    values: list[T] = []
    for part in text.split(","):
        try:
            values += read(part.strip())
        except (ValueError, OverflowError):
            raise ParameterError(f"{what} {text!r} are not understood; write for example {example}") from None
    return values


def _integers(part: str) -> Sequence[int]:
    numbers, colon, step = part.partition(":")
    first, dash, last = numbers.partition("-")
    span = range(int(first), int(last if dash else first) + 1, int(step) if colon else 1)
    if not 0 < len(span) <= _MOST:
        raise ValueError("empty, or too many")
    return span


def _values(part: str) -> Sequence[Any]:
    for read in (_integers, lambda text: [float(text)]):
        try:
            return read(part)
        except ValueError:
            continue
    if not part:
        raise ValueError("empty")
    return [{"none": None, "true": True, "false": False}.get(part.lower(), part)]


def mention_generated(pairs: Iterable[DatabasePair]) -> None:
    """Say which of the databases were drawn and not recorded, if any."""
    names = {data.name for pair in pairs for data in (pair.source, pair.target) if data.is_generated}
    if names:
        logging.getLogger(__name__).info(
            "generated data: %s; the paper's numbers do not apply", ", ".join(sorted(names))
        )

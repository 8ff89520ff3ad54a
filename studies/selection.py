"""The evidence for rules: what each of them, and each consensus, would have attained where the labels are known.

``python -m studies.selection --data DIR --out DIR`` runs methods over a (thinned) grid on every pair of databases in a
folder, lets every rule choose, and writes ``choices.csv`` (a row a pair and choice), ``cells.csv`` (a row a cell of the
grid), ``summary.csv`` and ``.md`` (means over the pairs, with intervals), ``variants.csv`` (what other parameters of a
method do) and ``selection.png``. The labels score the choices; only the oracle sees them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata, spearmanr
from tgsr.evaluation.selection import RULES

from studies._selection_summary import draw_summary, summarise, summarise_variants, to_markdown
from tgsr.datasets import DatabasePair, find_databases, load_database, load_pair
from tgsr.errors import ParameterError
from tgsr.estimators._consensus import aggregation_weights, best_tenth, vote
from tgsr.estimators.methods import expand_grid, get_method
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Outcome, Settings, Sweep
from tgsr.evaluation.intervals import subject_draws
from tgsr.evaluation.metrics import score
from tgsr.evaluation.rules.base import PrepareSweep, RuleContext
from tgsr.evaluation.rules.folds import held_out_outcomes
from tgsr.evaluation.task import TransferTask
from tgsr.files import write_text
from tgsr.protocols import parse_pair
from tgsr.solvers import project_simplex
from tgsr.solvers.importance import kliep
from tgsr.trials.fitter import make_context
from tgsr.trials.spec import make_spec

__all__ = ["Case", "main", "run_case", "thin_grid", "whiten_regions"]

Codes = npt.NDArray[np.intp]
Array = npt.NDArray[np.float64]

_TEXTS = ("grouping", "variant", "predictions")  # may be empty, or look like numbers
FREE = ("oracle", "entropy", "snd", "mano", "class-balance", "ensemble")
"""Rules that refit nothing."""
CHEAP = (*FREE, "source-cv", "iw-cv", "dev")
"""Rules that refit nothing or the folds only."""
_WHITENED = "whitened"
"""No parameter of a method, but of the features: so many components of each region, of equal variance."""


@dataclass(frozen=True)
class Case:
    """One method with fixed parameters on one pair of databases."""

    folder: str
    source: str
    target: str
    method: str
    grouping: str = ""  # of methods with groups
    variant: str = ""  # further parameters of the method, such as scaling=spread
    references: Mapping[str, Settings] = field(default_factory=dict)  # other fixed choices, by name
    rules: Sequence[str] = tuple(RULES)
    cells: int = 200
    seed: int = 0


def thin_grid(grid: list[dict[str, list[Any]]], cells: int) -> list[dict[str, list[Any]]]:
    """Thin each block of a grid to at most so many cells: its longest axis is halved, ends kept, as often as needed."""
    return [_thin_block({name: list(values) for name, values in block.items()}, cells) for block in grid]


def _thin_block(block: dict[str, list[Any]], cells: int) -> dict[str, list[Any]]:
    while math.prod(len(values) for values in block.values()) > cells:
        name = max(block, key=lambda name: len(block[name]))
        values = block[name]
        steps = np.linspace(0, len(values) - 1, (len(values) + 1) // 2)
        block[name] = [values[int(step)] for step in steps]
    return block


class _Memory:
    """Sweeps that keep what they solved, because several rules ask for the same refits."""

    def __init__(self, prepare: PrepareSweep) -> None:
        self.prepare = prepare
        self.known: dict[str, dict[str, Outcome]] = {}

    def __call__(self, X: Array, codes: Codes, X_target: Array, X_new: Array | None) -> Sweep:
        known = self.known.setdefault(str(joblib.hash((X, codes, X_target, X_new))), {})

        def sweep(settings: Sequence[Settings]) -> list[Outcome]:
            names = [json.dumps(dict(one), sort_keys=True) for one in settings]
            missing = {name: one for name, one in zip(names, settings, strict=True) if name not in known}
            if missing:
                solved = self.prepare(X, codes, X_target, X_new)(list(missing.values()))
                known.update(zip(missing, (replace(outcome, coef=None) for outcome in solved), strict=True))
            return [known[name] for name in names]

        return sweep


def run_case(case: Case) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let every rule and every consensus choose, scored by the target's labels.

    Returns
    -------
    choices : DataFrame
        A row a choice.
    cells : DataFrame
        A row a cell of the grid: its settings, macro_f1, the rules' values, and the predictions.
    """
    pair = load_pair(case.source, case.target, case.folder)
    fixed = _settings(case.variant)
    if _WHITENED in fixed:
        pair = whiten_regions(pair, fixed.pop(_WHITENED))
    spec = make_spec(pair, case.method, selection="oracle", grouping=case.grouping, fixed=fixed, seed=case.seed)
    context = make_context(spec, pair)
    context = replace(context, sweep=_Memory(context.sweep))
    task, truth = context.task, pair.target.known_labels
    settings = expand_grid(thin_grid(spec.grid, case.cells))
    sweep = context.sweep(task.X, task.y.astype(np.intp), task.X_target, None)
    outcomes = sweep(settings)
    f1 = RULES["oracle"].scorer(context, truth)(outcomes)

    references = {"fixed": context.defaults, **case.references}
    at = zip(references, sweep(list(references.values())), strict=True)
    rows = [_row(pair, name, outcome.codes, outcome.settings) for name, outcome in at]
    rows.append({"choice": "median", "macro_f1": float(np.median(f1))})
    found = _values(case, context, truth, outcomes)
    for name, values in found.items():
        best = outcomes[int(np.argmax(values))]
        rho = float(spearmanr(values, f1).statistic) if np.ptp(values) and np.ptp(f1) else np.nan
        rows.append({**_row(pair, name, best.codes, best.settings), "rho": rho})
        if name != "oracle":
            tenth = [outcome for outcome, weight in zip(outcomes, best_tenth(values), strict=True) if weight]
            rows += [_row(pair, f"{name}, tenth {how}", codes) for how, codes in _combined(tenth, task).items()]
    rows += [_row(pair, f"all {how}", codes) for how, codes in _combined(outcomes, task).items()]
    if outcomes[0].group_norms is not None:
        rows.append(_row(pair, "all averaged on the simplex", _on_simplex(outcomes)))
        rows.append(_row(pair, "all by IWA", _aggregated(context, outcomes)))
    label = {"pair": pair.name, "method": spec.method, "grouping": spec.grouping, "variant": case.variant}
    metrics = pd.DataFrame([outcome.metrics for outcome in outcomes])
    predictions = [_digits(outcome.codes) for outcome in outcomes]
    cells = pd.DataFrame(settings).join(metrics).assign(**label, macro_f1=f1, **found, predictions=predictions)
    return pd.DataFrame([{**label, **row} for row in rows]), cells


def whiten_regions(pair: DatabasePair, size: int) -> DatabasePair:
    """Each region by its leading principal components over both databases, of equal variance.

    The group lasso's usual remedy for groups of unequal scale, orthonormal columns (Simon and Tibshirani 2012), needs
    more samples than a group has features. With fewer, all groups become alike: their Gram matrices are the identity.
    """
    if pair.source.features.ndim != 3:
        raise ParameterError(f"{_WHITENED} needs the 85 facial regions, and {pair.source.name} has groups of its own")
    both = np.vstack([pair.source.features, pair.target.features]).astype(np.float64)
    both -= both.mean(axis=0)
    left, values, _ = np.linalg.svd(both.transpose(1, 0, 2), full_matrices=False)
    parts = np.where(values[:, None, :size] > 1e-9 * values.max(), left[:, :, :size], 0.0).transpose(1, 0, 2)
    source, target = np.split(parts, [len(pair.source)])
    return DatabasePair(replace(pair.source, features=source), replace(pair.target, features=target))


def _values(case: Case, context: RuleContext, truth: Codes, outcomes: list[Outcome]) -> dict[str, Array]:
    values = {}
    for name in case.rules:
        if name == "fixed":
            continue
        try:
            values[name] = RULES[name].scorer(context, truth)(outcomes)
        except ParameterError as refused:
            click.echo(f"{case.method} {case.source}-{case.target}: {refused}", err=True)
    ranked = [rankdata(one) for name, one in values.items() if not RULES[name].uses_target_labels]
    if len(ranked) > 1:
        values["mean rank"] = np.mean(ranked, axis=0)
    return values


def _row(pair: DatabasePair, choice: str, codes: Codes, settings: Settings | None = None) -> dict[str, Any]:
    scores = score(pair.target.known_labels, np.asarray(codes, dtype=np.int64), len(pair.class_names))
    return {
        "choice": choice,
        "macro_f1": scores.macro_f1,
        "accuracy": scores.accuracy,
        "settings": json.dumps(dict(settings or {}), sort_keys=True),
        "predictions": _digits(codes),
    }


def _digits(codes: Codes) -> str:
    """Class indices as text, a digit a sample."""
    return "".join(np.base_repr(code, 36) for code in codes)


def _combined(outcomes: Sequence[Outcome], task: TransferTask) -> dict[str, Codes]:
    """Predictions of several outcomes together; scores are averaged for linear methods with groups only."""
    combined = {"voting": vote(np.array([outcome.codes for outcome in outcomes]), len(task.class_names))}
    if outcomes[0].group_norms is not None:
        decisions = np.array([_decisions(outcome) for outcome in outcomes])
        combined["averaged"] = decisions.mean(axis=0).argmax(axis=1)
    return combined


def _on_simplex(outcomes: Sequence[Outcome]) -> Codes:
    """Predictions by the mean of what users see as scores."""
    codes: Codes = np.mean([project_simplex(_decisions(outcome)) for outcome in outcomes], axis=0).argmax(axis=1)
    return codes


def _decisions(outcome: Outcome) -> Array:
    assert outcome.decisions is not None
    return outcome.decisions


def _aggregated(context: RuleContext, outcomes: Sequence[Outcome]) -> Codes:
    task = context.task
    span = Span.of(task.X, task.X_target)
    held_out = np.empty((len(outcomes), len(task.y), len(task.class_names)))
    for fold, refits in held_out_outcomes(context)(outcomes):
        held_out[:, fold] = [refit.new_decisions for refit in refits]
    decisions = np.array([_decisions(outcome) for outcome in outcomes])
    weights = aggregation_weights(decisions, held_out, task.y, kliep(span.source, span.target))
    codes: Codes = np.tensordot(weights, decisions, axes=1).argmax(axis=1)
    return codes


def _kept(case: Case, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run a case, or read what an earlier run of it left."""
    digests = [load_database(name, case.folder).digest for name in (case.source, case.target)]
    identity = json.dumps([*digests, asdict(case)], sort_keys=True)
    name = f"{case.source}-{case.target}_{case.method}_{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    paths = [folder / f"{name}_{part}.csv" for part in ("cells", "choices")]
    if not all(path.is_file() for path in paths):
        choices, cells = run_case(case)
        for path, table in zip(paths, (cells, choices), strict=True):
            write_text(path, table.to_csv(index=False))
    cells, choices = (_read(path) for path in paths)
    return choices, cells


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str))
    return table.fillna({name: "" for name in _TEXTS if name in table})


def _cases(
    folder: str,
    pairs: Sequence[str],
    methods: Iterable[str],
    groupings: Sequence[str],
    variants: Sequence[str],
    **options: Any,
) -> list[Case]:
    names = [found.name for found in find_databases(folder)]
    wanted = [parse_pair(pair) for pair in pairs] or list(itertools.permutations(sorted(names), 2))
    cases = []
    for method in (get_method(name) for name in methods):
        own = method.make().get_params()
        suitable = [text for text in variants if _settings(text).keys() <= {*own, _WHITENED}]
        kinds = itertools.product(groupings if "groups" in own else [""], suitable or [""])
        cases += [Case(folder, *pair, method.name, *kind, **options) for kind in kinds for pair in wanted]
    return cases


def _joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(tables)).sort_values(["method", "grouping", "variant", "pair"], kind="stable")


def _draws(folder: str, table: pd.DataFrame, n_draws: int) -> dict[str, tuple[Codes, Array]]:
    """For each pair the target's labels, and the bootstrap draws of its subjects (samples, where none are known)."""
    found = {}
    for name in table["pair"].unique():
        target = load_pair(*parse_pair(name), folder).target
        subjects = np.arange(len(target)).astype(str) if target.subjects is None else target.subjects
        found[name] = (target.known_labels, subject_draws(subjects, n_draws))
    return found


def _settings(text: str) -> dict[str, Any]:
    """Read settings such as ``kappa=20,init=zeros``."""
    settings: dict[str, Any] = {}
    for name, mark, value in (part.partition("=") for part in text.split(",") if part):
        if not mark:
            raise click.BadParameter(f"{text!r} is no list of settings such as kappa=20,xi=1")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False), help="Folder of feature files.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")
@click.option("--pair", "pairs", multiple=True, help="A pair such as V-N; by default all in the folder.")
@click.option("--method", "methods", multiple=True, default=("TGSR",), show_default=True, help="May be repeated.")
@click.option("--grouping", "groupings", multiple=True, default=("region", "released"), show_default=True, help="TGSR.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    default=("scaling=none", "scaling=spread"),
    show_default=True,
    help="Parameters of the method, where it has them; or whitened=10, for regions by 10 components each.",
)
@click.option("--also", multiple=True, help="A further fixed choice such as kappa=20,xi=1; may be repeated.")
@click.option(
    "--rules",
    type=click.Choice(["all", "cheap", "free", "none"]),
    default="all",
    show_default=True,
    help="Which rules run beside the oracle; free: what refits nothing; cheap: also what refits folds.",
)
@click.option(
    "--cells", default=200, show_default=True, help="Cells to which larger grids are thinned, at equal steps."
)
@click.option("--draws", default=2000, show_default=True, help="Bootstrap draws of the target's subjects.")
@click.option("--seed", default=0, show_default=True, help="Of folds and refits.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def main(
    data: str,
    out: Path,
    pairs: Sequence[str],
    methods: Sequence[str],
    groupings: Sequence[str],
    variants: Sequence[str],
    also: Sequence[str],
    rules: str,
    cells: int,
    draws: int,
    seed: int,
    jobs: int,
) -> None:
    """Compare rules of selection and consensus where the target's labels are known."""
    names = {"all": tuple(RULES), "cheap": CHEAP, "free": FREE, "none": FREE[:1]}[rules]
    references = {text: _settings(text) for text in also}
    options: dict[str, Any] = {"references": references, "rules": names, "cells": cells, "seed": seed}
    cases = _cases(data, pairs, methods, groupings, variants, **options)
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    tables = []
    run = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    for table in run(joblib.delayed(_kept)(case, parts) for case in cases):
        tables.append(table)
        click.echo(f"{len(tables)} of {len(cases)}: {' '.join(table[0].iloc[0, :4].astype(str))}")
    choices, grids = _joined(table for table, _ in tables), _joined(table for _, table in tables)
    summary = summarise(choices, _draws(data, choices, draws))
    write_text(out / "choices.csv", choices.to_csv(index=False))
    write_text(out / "cells.csv", grids.to_csv(index=False))
    write_text(out / "summary.csv", summary.to_csv(index=False))
    write_text(out / "summary.md", to_markdown(choices, summary))
    write_text(out / "variants.csv", summarise_variants(choices, grids).to_csv(index=False))
    draw_summary(summary, out / "selection.png")


if __name__ == "__main__":
    main()

"""The evidence for rules: what each of them would have attained where the labels are known.

    python -m studies.evidence --data FOLDER --out DIR

runs methods over a (thinned) grid on every pair of databases in a folder and lets every rule choose: its best cell, and
its best twentieth together. The target's labels score the choices; only the oracle sees them. Written are
``choices.csv`` (a row a pair and choice), ``cells.csv`` (a row a cell of the grid) and ``summary.csv`` (means over the
pairs, with intervals; how the solver went), which is printed, too.

Files of other programs are imported, and kept in ``DIR/imported``: what `tgsr.datasets.import_features` takes, and
``.mat`` files with counts ``fts`` and ``labels``, such as Office-Caltech's; counts are divided by their sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.io
from threadpoolctl import threadpool_limits

from studies.evidence_summary import summarise
from tgsr.cli.options import parse_axes
from tgsr.datasets import DatabasePair, FeatureDataset, find_databases, import_features, load_database, save_features
from tgsr.errors import DataError, MissingDataError, ParameterError
from tgsr.estimators import Outcome
from tgsr.estimators.preprocess import PREPROCESSES
from tgsr.evaluation import rank_trials, score
from tgsr.evaluation.choice import METRIC, ORACLE, RULE, SCORE, choose, column_of, names_of
from tgsr.evaluation.rules import ALWAYS, RULES, get_rules
from tgsr.files import reading, write_text
from tgsr.models.consensus import TWENTIETH
from tgsr.trials.fitter import Fitter, compared_values, make_context, prepare_task
from tgsr.trials.spec import StudySpec, make_spec
from tgsr.trials.tasks import grid_tasks
from tgsr.trials.trial import decode_predictions, encode_predictions, settings_json
from tgsr.version import code_digest

__all__ = ["main", "make_pairs", "read_folder", "run_case", "thin_grid"]

Codes = npt.NDArray[np.intp]
Grid = list[dict[str, list[Any]]]

CHEAP = (*ALWAYS, "entropy")
"""Rules that refit nothing, or once."""


def read_folder(data: Path, imported: Path) -> dict[str, FeatureDataset]:
    """The databases of a folder by name; those of other programs are imported, and kept in another folder."""
    own = find_databases(data)
    found = {name: load_database(name, data) for name in dict.fromkeys(database.name for database in own)}
    for path in sorted({*data.iterdir()} - {database.path for database in own}):
        try:
            dataset = _import(path)
        except DataError as refused:
            click.echo(f"passed over: {refused}", err=True)
            continue
        if dataset is not None and dataset.name not in found:
            found[dataset.name] = dataset
            imported.mkdir(parents=True, exist_ok=True)
            save_features(dataset, imported / f"{dataset.name}.tgsr.npz")
    return found


def _import(path: Path) -> FeatureDataset | None:
    """A file of another program as a database of its name; None if it holds none."""
    if path.suffix in (".csv", ".parquet", ".npz"):
        return import_features(path, path.stem)
    if path.suffix != ".mat":
        return None
    with reading(path, "no features can be read"):
        if not {"fts", "labels"} <= {name for name, _, _ in scipy.io.whosmat(path)}:
            return None
        content = scipy.io.loadmat(path)
        counts = content["fts"].astype(np.float64)
        classes, labels = np.unique(content["labels"], return_inverse=True)
        features, groups = counts / counts.sum(axis=1, keepdims=True), np.arange(counts.shape[1])
        parameters = {"origin": "imported", "file": path.name}
        names = tuple(map(str, classes.tolist()))
        return FeatureDataset(path.stem, features, labels.ravel(), names, parameters=parameters, groups=groups)


def make_pairs(databases: Mapping[str, FeatureDataset], patterns: Sequence[str] = ()) -> dict[str, DatabasePair]:
    """The pairs that can be scored, or those of them whose names fit a pattern, by name.

    Raises
    ------
    MissingDataError
        If there is none.
    """
    found = {}
    labelled = [database for database in databases.values() if database.is_labelled]
    for source, target in itertools.permutations(labelled, 2):
        try:
            pair = DatabasePair(source, target)
        except DataError:  # other features, or other classes
            continue
        if any(fnmatchcase(pair.name, pattern) for pattern in patterns or ["*"]):
            found[pair.name] = pair
    if not found:
        held = ", ".join(databases) or "no database"
        raise MissingDataError(f"no such pair: the folder holds {held}; two with labels and like features make a pair")
    return found


def thin_grid(grid: Grid, cells: int) -> Grid:
    """Thin each block of a grid to at most so many cells: its longest axis is halved, ends kept, as often as needed."""
    thinned = [dict(block) for block in grid]
    for block in thinned:
        while math.prod(map(len, block.values())) > cells:
            name = max(block, key=lambda name: len(block[name]))
            steps = np.linspace(0, len(block[name]) - 1, (len(block[name]) + 1) // 2)
            block[name] = [block[name][int(step)] for step in steps]
    return thinned


def run_case(
    spec: StudySpec, pair: DatabasePair, rules: Sequence[str], share: float = TWENTIETH
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let every rule that suits the method choose among a study's cells, scored by the target's labels.

    ``share`` of the cells are taken together.

    Returns
    -------
    choices : DataFrame
        A row a choice.
    table : DataFrame
        A row a cell, see `tgsr.evaluation.choice`.
    """
    rules = [rule for rule in rules if _suits(rule, spec, pair)]
    fitter, X_target = Fitter(spec, pair, rules), prepare_task(spec, pair).X_target
    trials, decisions = [], {}
    with threadpool_limits(limits=1, user_api="blas"):
        (fixed,) = fitter.fit(((0, spec.definition.defaults_for(spec.shape)),))
        for trial in itertools.chain.from_iterable(map(fitter.fit, grid_tasks(spec))):
            if trial.coef is not None:  # the mean of matrices decides as the mean of their decisions
                decisions[trial.number] = X_target @ trial.coef
            trials.append(replace(trial, coef=None))
    trials.sort(key=lambda trial: trial.number)
    outcomes = [Outcome(dict(trial.settings), trial.predictions) for trial in trials]
    compared = compared_values(get_rules(rules), make_context(spec, pair), outcomes)
    table = pd.DataFrame(
        {
            "number": trial.number,
            "settings": settings_json(trial.settings),
            **{METRIC + name: value for name, value in trial.metrics.items()},
            **{RULE + name: value for name, value in trial.rules.items()},
            "predictions": encode_predictions(trial.predictions),
        }
        for trial in trials
    ).assign(**{RULE + name: values for name, values in compared.items()})

    def row(choice: str, codes: Codes, **facts: Any) -> dict[str, Any]:
        scores = score(pair.target.known_labels, codes.astype(np.int64), len(pair.class_names))
        scored = {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "predictions": encode_predictions(codes)}
        return {"choice": choice, **scored, **facts}

    def together(best: pd.DataFrame) -> Codes:
        if decisions:
            codes: Codes = np.mean([decisions[number] for number in best["number"]], axis=0).argmax(axis=1)
        else:
            votes = np.array([decode_predictions(text) for text in best["predictions"]])
            codes = np.array([(votes == code).sum(axis=0) for code in range(len(pair.class_names))]).argmax(axis=0)
        return codes

    f1 = table[METRIC + SCORE]
    rows: list[dict[str, Any]] = [{"choice": "median", "macro_f1": f1.median()}]
    rows.append(row("fixed", fixed.predictions, settings=settings_json(fixed.settings)))
    for by in (ORACLE, *names_of(table, RULE)):
        best, rho = choose(table, by).row, pd.DataFrame([f1, table[column_of(by)]]).T.rank().corr().iloc[0, 1]
        rows.append(row(by, decode_predictions(best["predictions"]), settings=best["settings"], rho=rho))
        if by != ORACLE:
            some = rank_trials(table, by).head(math.ceil(share * len(table)))
            rows.append(row(f"{by}, best {share:.0%}", together(some)))
    rows.append(row("all cells together", together(table)))
    return pd.DataFrame(rows), table


def _suits(rule: str, spec: StudySpec, pair: DatabasePair) -> bool:
    """Whether a method allows a rule; those that every trial should have are left out without a word."""
    if rule not in ALWAYS:
        try:
            Fitter(spec, pair, (rule,)).fit((spec.cells()[0],))
        except ParameterError as refused:
            click.echo(f"{spec.title}: {refused}", err=True)
            return False
    return True


def make_specs(
    pair: DatabasePair, method: str, groupings: Iterable[str], variants: Iterable[str], cells: int, **options: Any
) -> dict[str, StudySpec]:
    """What is run of a method on a pair, by label; a method without groups, or features with their own, once."""
    found = {}
    for grouping, variant in itertools.product(groupings, variants):
        spec = make_spec(pair, method, grouping=grouping, fixed=_settings(variant), **options)
        label = [spec.method, spec.grouping, spec.preprocess, variant]
        name = " · ".join(part for part in label if part not in ("", "none"))
        found[name] = replace(spec, grid=thin_grid(spec.grid, cells))
    return found


def _settings(text: str) -> dict[str, Any]:
    """Read settings such as ``kappa=20,init=zeros``."""
    settings = parse_axes(text.split(",") if text else [])
    if several := next((name for name, values in settings.items() if len(values) > 1), None):
        raise click.BadParameter(f"{text!r}: give {several} one value")
    return {name: values[0] for name, values in settings.items()}


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of feature files.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the results.")
@click.option("--pair", "patterns", multiple=True, help="Such as V-N or 'lbp_top_*'; by default all.")
@click.option("--method", "methods", multiple=True, default=("TGSR",), show_default=True, help="May be repeated.")
@click.option("--grouping", "groupings", multiple=True, default=("region",), show_default=True, help="Or released.")
@click.option("--variant", "variants", multiple=True, default=("",), help="Such as scaling=spread,rho=1.2.")
@click.option(
    "--preprocess", type=click.Choice(PREPROCESSES), default="none", show_default=True, help="Of the features."
)
@click.option("--rules", default="cheap", show_default=True, help="Names with commas; cheap, all or none.")
@click.option("--share", default=TWENTIETH, show_default=True, help="Of the cells, those that are taken together.")
@click.option("--cells", default=200, show_default=True, help="Cells to which larger grids are thinned.")
@click.option("--draws", default=2000, show_default=True, help="Of the bootstraps.")
@click.option("--seed", default=0, show_default=True, help="Of folds and refits.")
@click.option("--jobs", default=1, show_default=True, help="Processes.")
def main(data: Path, out: Path, patterns: Sequence[str], methods: Sequence[str], **given: Any) -> None:
    """Compare rules where the target's labels are known."""
    rules = {"cheap": CHEAP, "all": tuple(RULES), "none": ()}.get(given["rules"], tuple(given["rules"].split(",")))
    pairs = make_pairs(read_folder(data, out / "imported"), patterns)
    options = {name: given[name] for name in ("groupings", "variants", "cells", "preprocess", "seed")}
    cases = [
        (name, label, spec)
        for method in methods
        for name, pair in pairs.items()
        for label, spec in make_specs(pair, method, **options).items()
    ]
    # an interrupted run goes on; other code begins anew
    code = code_digest("tgsr.solvers", "tgsr.estimators", "tgsr.evaluation", "tgsr.evaluation.rules", "tgsr.trials")
    run = joblib.delayed(joblib.Memory(out / "parts" / code[:12], verbose=0).cache(run_case, ignore=["pair"]))
    found = joblib.Parallel(given["jobs"], return_as="generator")(
        run(spec, pairs[name], rules, given["share"]) for name, _, spec in cases
    )
    parts = []
    for (name, label, _), tables in zip(cases, found, strict=True):
        parts.append([table.assign(study=label, pair=name) for table in tables])
        click.echo(f"{len(parts)} of {len(cases)}: {label}, {name}")
    choices, cells = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    solved = cells.filter(regex=r"^study$|^metrics\.(iterations|converged|regions_kept)$").groupby("study").mean()
    summary = summarise(choices, pairs, given["draws"]).join(solved, on="study")
    for name, table in {"choices": choices, "cells": cells, "summary": summary}.items():
        write_text(out / f"{name}.csv", table.to_csv(index=False))
    for study, part in summary.sort_values("macro_f1", ascending=False, kind="stable").groupby("study", sort=False):
        shown = part.drop(columns="study").dropna(axis=1, how="all")
        click.echo(f"\n{study}\n{shown.to_string(index=False, float_format='{:.3f}'.format, na_rep='')}")


if __name__ == "__main__":
    main()

"""Leave one subject out over several databases at once: the composite protocol of MEGC2019.

Each subject in turn is the target, without labels; everybody else is the source. Scores are taken once, over the
predictions of all subjects together: UF1 is their macro-F1, UAR their macro-recall (See et al., FG 2019).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tgsr.trials.fitter import make_estimator
from tgsr.trials.spec import make_spec
from tgsr.datasets import DatabasePair, FeatureDataset, pool
from tgsr.errors import DataError
from tgsr.estimators.sweep import prepare_sweep
from tgsr.evaluation.metrics import score
from tgsr.evaluation.task import mask_target

__all__ = ["composite_folds", "run_composite"]


def composite_folds(data: FeatureDataset) -> Iterator[tuple[np.ndarray[Any, Any], DatabasePair]]:
    """Give for each subject the indices of its samples, and the pair of everybody else and that subject.

    Raises
    ------
    DataError
        If subjects are not known, or there is only one.
    """
    if data.subjects is None:
        raise DataError(f"{data.name}: subjects are not known for all samples, so that none can be left out")
    names = np.unique(data.subjects)
    if len(names) < 2:
        raise DataError(f"{data.name}: one subject only; nobody is left to learn from")
    for name in names:
        left_out = data.subjects == name
        yield np.flatnonzero(left_out), DatabasePair(data.select(~left_out), data.select(left_out))


def run_composite(
    databases: Sequence[FeatureDataset],
    methods: Sequence[str],
    *,
    grouping: str = "region",
    fixed: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run methods at their fixed settings on databases that are pooled (see `tgsr.datasets.pool`).

    Parameters
    ----------
    fixed : mapping, optional
        Settings in place of a method's defaults, for the methods that have them.
    jobs : int, optional
        Threads; by default one a core.

    Returns
    -------
    table : DataFrame
        A row for each method and part (``all``, and each database): ``method, part, uf1, uar, accuracy, samples,
        subjects, params``.
    predictions : DataFrame
        A row for each sample: ``sample, database, subject, true``, and a column for each method.

    Raises
    ------
    DataError
        If the databases cannot be pooled, or subjects are not known.
    """
    data = pool(databases)
    folds = list(composite_folds(data))
    # in the pool are samples of classes that all databases have
    kept = [sum(part.counts.get(name, 0) for name in data.class_names) for part in databases]
    origin = np.repeat([part.name for part in databases], kept)
    shown = pd.DataFrame({"sample": data.sample_ids, "database": origin, "subject": data.subjects})
    shown["true"] = [data.class_names[code] for code in data.known_labels]
    rows = []
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(jobs or cpu_count()) as pool_of_threads:
        for method in methods:
            estimator, params = _fixed_estimator(folds[0][1], method, grouping, fixed or {})
            bar = tqdm(total=len(folds), desc=f"{data.name} {method}", unit="subject", disable=not progress)
            codes = np.empty(len(data), dtype=np.intp)
            fits = pool_of_threads.map(lambda fold: _predict(estimator, fold[1]), folds)  # noqa: B023
            for (left_out, _), predicted in zip(folds, fits, strict=True):
                codes[left_out] = predicted
                bar.update(1)
            bar.close()
            shown[method] = [data.class_names[code] for code in codes]
            rows += _rows(method, params, codes, data, shown)
    return pd.DataFrame(rows), shown


def _fixed_estimator(
    pair: DatabasePair, method: str, grouping: str, fixed: Mapping[str, Any]
) -> tuple[BaseEstimator, dict[str, Any]]:
    """The estimator of all folds, and the settings that were fixed beforehand."""
    spec = make_spec(pair, method, selection="fixed", grouping=grouping, only_defaults=True)
    known = make_estimator(spec, pair).get_params()
    params = {**spec.cells()[0][1], **{name: value for name, value in fixed.items() if name in known}}
    return make_estimator(spec, pair, params), params


def _predict(estimator: BaseEstimator, pair: DatabasePair) -> np.ndarray[Any, Any]:
    task = mask_target(pair)
    sweep = prepare_sweep(estimator, task.X, task.y, task.X_target, n_classes=len(task.class_names))
    return sweep([{}])[0].codes


def _rows(
    method: str,
    params: Mapping[str, Any],
    codes: np.ndarray[Any, Any],
    data: FeatureDataset,
    shown: pd.DataFrame,
) -> list[dict[str, Any]]:
    origin = shown["database"].to_numpy()
    parts = {"all": np.ones(len(data), dtype=bool), **{name: origin == name for name in dict.fromkeys(origin)}}
    rows = []
    for name, inside in parts.items():
        scores = score(data.known_labels[inside], codes[inside], len(data.class_names))
        values = {"uf1": scores.macro_f1, "uar": scores.recall, "accuracy": scores.accuracy}
        counts = {"samples": int(inside.sum()), "subjects": len(set(shown["subject"][inside]))}
        rows.append({"method": method, "part": name, **values, **counts, "params": json.dumps(params, sort_keys=True)})
    return rows

"""Leave one subject out over several databases at once: the composite protocol of MEGC2019.

Scores are taken once, over the predictions of all subjects together: UF1 is their macro-F1, UAR their macro-recall (See
et al., FG 2019). A method is a study, whose trials are the subjects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.datasets import DatabasePair, FeatureDataset, pool
from tgsr.estimators.preprocess import Scaling
from tgsr.evaluation.metrics import score
from tgsr.evaluation.remarks import one_class_remark, solver_remark
from tgsr.study.options import RunOptions
from tgsr.study.running import run_studies
from tgsr.tracking.client import open_client
from tgsr.tracking.runs import command_run
from tgsr.trials.folds import SUBJECT, subjects_of
from tgsr.trials.spec import StudySpec, make_spec
from tgsr.trials.trial import decode_predictions, encode_predictions

if TYPE_CHECKING:
    from tgsr.tracking.records import StudyRecord

__all__ = ["run_composite"]


def run_composite(
    databases: Sequence[FeatureDataset],
    methods: Sequence[str],
    options: RunOptions,
    *,
    grouping: str = "region",
    preprocess: str = "none",
    fixed: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run methods at their fixed settings on databases that are pooled (see `tgsr.datasets.pool`).

    ``preprocess`` is applied to each database as a whole, before it is pooled; ``fixed`` has settings in place of a
    method's defaults, for the methods that have them. Interrupted and run again, it goes on where it stopped.

    Returns
    -------
    table : DataFrame
        A row for each method and part (``all``, and each database): ``method, part, uf1, uar, accuracy, samples,
        subjects, params``, and ``remark`` where one class is predicted for all, or fits did not
        converge.
    predictions : DataFrame
        A row for each sample: ``sample, database, subject, true``, and a column for each method.

    Raises
    ------
    DataError
        If the databases cannot be pooled, or subjects are not known.
    """
    data = pool([_scaled(part, preprocess) for part in databases])
    pair, subjects, names = DatabasePair(data, data), subjects_of(data), np.array(data.class_names)
    # in the pool are samples of classes that all databases have
    kept = [sum(part.counts.get(name, 0) for name in names) for part in databases]
    origin = np.repeat([part.name for part in databases], kept)
    shown = pd.DataFrame({"sample": data.sample_ids, "database": origin, "subject": data.subjects})
    shown["true"] = names[data.known_labels]
    specs = [_spec(pair, subjects, name, grouping, preprocess, fixed or {}) for name in methods]
    client, rows = open_client(options.config.tracking_uri), []
    with command_run(
        client,
        options.config,
        "protocol",
        "-".join(spec.name.rpartition(" ")[2] for spec in specs)[:250],
        name=f"protocol {data.name}",
        description=f"Leave one subject out ({len(subjects)} subjects of {data.name}); each method is a study.",
    ) as run_id:
        inside = replace(options, matrices="none", page=False, parent_run_id=run_id)
        for record in run_studies([(spec, pair, inside) for spec in specs]):
            codes = np.zeros(len(data), dtype=np.intp)
            for settings, predictions in record.table[["settings", "predictions"]].itertuples(index=False):
                codes[shown["subject"] == json.loads(settings)[SUBJECT]] = decode_predictions(predictions)
            shown[record.spec.variant] = names[codes]
            over_all, *parts = _rows(record, codes, data, shown)
            rows += [over_all, *parts]
            for key in ("uf1", "uar"):
                client.log_metric(run_id, f"{key}.{record.method}", over_all[key])
        table = pd.DataFrame(rows)
        if not table["remark"].any():
            table = table.drop(columns="remark")
        client.log_text(run_id, table.to_csv(index=False), "composite.csv")
        client.log_text(run_id, shown.to_csv(index=False), "predictions.csv")
    return table, shown


def _scaled(data: FeatureDataset, preprocess: str) -> FeatureDataset:
    """A database on its own scale: of one subject's few samples there would be none."""
    return data if preprocess == "none" else replace(data, features=Scaling.of(preprocess, data.X).transform(data.X))


def _spec(
    pair: DatabasePair, subjects: list[str], method: str, grouping: str, preprocess: str, fixed: Mapping[str, Any]
) -> StudySpec:
    """A study whose trials are the subjects, and whose settings are those fixed beforehand."""
    at = make_spec(pair, method, sampler="fixed", grouping=grouping, preprocess=preprocess)
    known = at.definition.make().get_params()
    settings = {**at.cells()[0][1], **{name: value for name, value in fixed.items() if name in known}}
    grid: list[dict[str, list[Any]]] = [{SUBJECT: list(subjects)}]
    return replace(at, pair=pair.source.name, sampler="subjects", fixed={**at.fixed, **settings}, grid=grid)


def _rows(
    record: StudyRecord, codes: npt.NDArray[np.intp], data: FeatureDataset, shown: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """Scores over all samples, then of each database."""
    params = {name: value for name, value in record.spec.fixed.items() if name != "groups"}
    for part in ("all", *dict.fromkeys(shown["database"])):
        inside = (shown["database"] == part).to_numpy() | (part == "all")
        scores = score(data.known_labels[inside], codes[inside], len(data.class_names))
        one_class = one_class_remark(encode_predictions(codes[inside]), data.class_names)
        remarks = (one_class, solver_remark(record.table) if part == "all" else "")
        yield {
            "method": record.spec.variant,
            "part": part,
            "uf1": scores.macro_f1,
            "uar": scores.recall,
            "accuracy": scores.accuracy,
            "samples": int(inside.sum()),
            "subjects": shown["subject"][inside].nunique(),
            "params": json.dumps(params, sort_keys=True),
            "remark": "; ".join(remark for remark in remarks if remark),
        }

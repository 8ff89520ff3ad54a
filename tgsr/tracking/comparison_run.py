"""Comparing methods: one run for the comparison, one child for each experiment, method and selection."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tgsr.errors import MissingDataError
from tgsr.evaluation.comparison import COLUMNS, ComparisonResult
from tgsr.protocols import CLASS_NAMES, Experiment
from tgsr.tracking.names import COMPARISON_TITLE, Tag
from tgsr.tracking.place import Place, open_client
from tgsr.tracking.reading import find_run, read_artifact, search_children
from tgsr.tracking.records import source_tags
from tgsr.tracking.study_runs import ParentSpec, find_parent, finish_parent, log_inputs, start_parent
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from tgsr.datasets import DatabasePair

__all__ = ["LOGGED", "ComparisonRun", "open_comparison"]

LOGGED = "logged_ms"
"""Column of the stored table: when the row was logged, in milliseconds since 1970."""
_TABLE = "comparison.csv"
_KEY = ["experiment", "method", "selection"]

_NOTE = (
    "The ten methods under one protocol: a child run for each experiment, method and selection. `default`: settings "
    "fixed beforehand. **`oracle`**: the best macro-F1 over the method's grid, chosen by the target's labels as in the "
    "published tables. `paper_macro_f1` and `paper_accuracy` are the published numbers."
)


class ComparisonRun:
    """The tracked side of a comparison, as a context; leaving it stores the table and ends the run.

    There is one run for the same experiments, data and groups: a later comparison adds its methods to it, and replaces
    what has changed.

    Parameters
    ----------
    client : MlflowClient
    artifact_root : str or None
    pairs : mapping of Experiment to DatabasePair
    grouping : str
        TGSR's groups.
    where : str
        The folder that the databases were read from.
    parent_run_id : str, optional
        A run that this one is a child of.
    """

    def __init__(
        self,
        client: MlflowClient,
        artifact_root: str | None,
        pairs: Mapping[Experiment, DatabasePair],
        grouping: str,
        where: str,
        parent_run_id: str | None = None,
    ) -> None:
        self._client = client
        digests = sorted({data.digest for pair in pairs.values() for data in (pair.source, pair.target)})
        names = " ".join(experiment.name for experiment in pairs)
        key = hashlib.sha256(repr((digests, names, grouping, parent_run_id)).encode()).hexdigest()[:12]
        spec = ParentSpec(
            title=COMPARISON_TITLE,
            name=f"compare {names}" if len(pairs) < 4 else f"compare {len(pairs)} experiments",
            description=_NOTE,
            tags={Tag.KIND: "compare", Tag.STUDY: key, Tag.GROUPING: grouping, Tag.CODE_VERSION: code_version()},
            params={"experiments": names, "grouping": grouping},
            parent_run_id=parent_run_id,
        )
        known = find_parent(client, "compare", key)
        self.run_id = known or start_parent(client, spec, artifact_root, join=parent_run_id is None)
        if known is None:
            datasets = {data.name: data for pair in pairs.values() for data in (pair.source, pair.target)}
            log_inputs(client, self.run_id, datasets, where)
        else:
            client.set_tag(known, Tag.CODE_VERSION, code_version())
        parent = find_run(client, self.run_id)
        self._experiment_id = parent.info.experiment_id
        self._known: dict[str, list[Run]] = {}
        for run in search_children(client, parent, "method"):
            self._known.setdefault(str(run.info.run_name), []).append(run)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "FAILED"
        try:
            self._store()
            if kind is None or not issubclass(kind, Exception):
                status = "FINISHED" if kind is None else "KILLED"
        finally:
            finish_parent(self._client, self.run_id, status)

    def log(self, result: ComparisonResult) -> None:
        """Log one result: a child run, in the place of one that says something else; an equal one is left alone."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        name = f"{result.experiment.name} {result.method} {result.selection}"
        tags = {
            **source_tags(),
            Tag.PARENT: self.run_id,
            Tag.KIND: "method",
            Tag.EXPERIMENT: result.experiment.name,
            Tag.SELECTION: result.selection,
            Tag.METHOD: result.method,
            Tag.CODE_VERSION: code_version(),
        }
        row = result.row()
        metrics = {**result.scores.as_metrics(CLASS_NAMES), "seconds": result.seconds}
        metrics["candidates"] = float(result.n_candidates)
        metrics |= {key: row[key] for key in ("paper_macro_f1", "paper_accuracy") if row[key] is not None}
        params = {"experiment": result.experiment.name, "method": result.method, "selection": result.selection}
        params |= {key: str(value) for key, value in result.params.items() if key not in params}
        self._rows.append(row | {LOGGED: now})
        if not self._replaces(name, params, metrics):
            return
        run = self._client.create_run(
            self._experiment_id, start_time=now - int(1000 * result.seconds), tags=tags, run_name=name
        )
        self._client.log_batch(
            run.info.run_id,
            metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()],
            params=[Param(key, value) for key, value in params.items()],
        )
        self._client.set_terminated(run.info.run_id, end_time=now)

    def _replaces(self, name: str, params: Mapping[str, str], metrics: Mapping[str, float]) -> bool:
        """Delete the child runs of this name that say something else; False if one says the same."""
        same = False
        for run in self._known.pop(name, []):
            stored = {**run.data.metrics, "seconds": metrics["seconds"]}  # time is no part of a result
            by_this_code = run.data.tags.get(Tag.CODE_VERSION) == code_version()
            if not same and by_this_code and run.data.params == params and stored == metrics:
                same = True
            else:
                self._client.delete_run(run.info.run_id)
        return not same

    def _store(self) -> None:
        """Merge what was logged into the stored table; store it and the mean macro-F1 of each method and selection."""
        import pandas as pd

        if not self._rows:
            return
        new = pd.DataFrame(self._rows, columns=[*COLUMNS, LOGGED])
        try:
            stored = pd.read_csv(io.BytesIO(read_artifact(self._client, self.run_id, _TABLE)))
        except MissingDataError:
            table = new
        else:
            table = pd.DataFrame([*stored.to_dict("records"), *self._rows], columns=new.columns)
        table = table.drop_duplicates(_KEY, keep="last")
        self._client.log_text(self.run_id, table.to_csv(index=False), _TABLE)
        for (method, selection), value in _pairs(table.groupby(["method", "selection"])["macro_f1"].mean()):
            self._client.log_metric(self.run_id, f"macro_f1_{method}_{selection}", value)


def open_comparison(place: Place, pairs: Mapping[Experiment, DatabasePair], grouping: str, where: str) -> ComparisonRun:
    """Open the comparison's run in a place."""
    return ComparisonRun(open_client(place.tracking_uri), place.artifact_root, pairs, grouping, where)


def _pairs(means: pd.Series) -> Iterable[tuple[tuple[str, str], float]]:
    for index, value in means.to_dict().items():
        method, selection = str(index[0]), str(index[1])  # type: ignore[index]
        yield (method.replace(" ", "_"), selection), float(value)

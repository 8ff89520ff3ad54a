"""Trials as a CSV file, which appears in one step when all are there; until then they are in parts beside it."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from studies.options import StudyOptions
from studies.spec import StudySpec
from tgsr import __version__
from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.errors import DataError, ParameterError
from tgsr.evaluation._metrics import confusion_matrices
from tgsr.evaluation.best import setting_columns
from tgsr.files import check_output, write_text
from tgsr.tracking._lock import LockedError
from tgsr.tracking._trial import Trial, cell_id, encode_predictions
from tgsr.version import code_digest

__all__ = ["CsvSink"]

_log = logging.getLogger(__name__)


class CsvSink:
    """The table of a study as a CSV file, with ``<path>.json`` beside it, which tells what it was made from.

    Finished trials are kept in ``<path>.parts``, each part with its number of rows and its digest, so that an
    interrupted study goes on; its table is byte for byte the same. A finished file of the same content is not computed
    again.

    Parameters
    ----------
    spec : StudySpec
    pair : DatabasePair
    options : StudyOptions
        With ``out``.

    Raises
    ------
    DataError
        If the parts beside the file come from other data, settings or code.
    LockedError
        If another process writes the same file.
    ParameterError
        If ``out`` does not end in .csv, or is a folder.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair, options: StudyOptions) -> None:
        if options.out is None:
            raise ParameterError("the CSV sink needs a file to write; name it with --out")
        self._path = check_output(options.out, ".csv")
        self._pair = pair
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._beside("lock"), timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise LockedError(f"{self._path} is being written by another process; wait for it, or stop it") from error
        self._provenance = _provenance(spec, pair, options)
        self._fingerprint = hashlib.sha256(json.dumps(self._provenance, sort_keys=True).encode()).hexdigest()
        self.deleted: set[str] = set()
        self._finished = _read_finished(self._path, self._fingerprint)
        self.table = self._read_parts() if self._finished is None else self._with_cells(spec, self._finished)

    def write(self, trials: Sequence[Trial]) -> None:
        """Keep finished trials as a part."""
        text = self._frame(trials).to_csv(index=False)
        head = json.dumps({"rows": len(trials), "sha256": hashlib.sha256(text.encode()).hexdigest()})
        write_text(self._beside("parts") / f"{trials[0].number:07d}-{trials[0].cell}.part", f"{head}\n{text}")

    def finish(self, seconds: dict[str, float]) -> pd.DataFrame:  # noqa: ARG002
        """Write the table, sorted by the trials' numbers, and remove the parts."""
        if self._finished is None:
            table = self._read_parts().sort_values("trial", ignore_index=True)
            text = table.drop(columns="cell").to_csv(index=False)
            sealed = {"fingerprint": self._fingerprint, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            self._path.unlink(missing_ok=True)  # an older table must not stand beside the new description
            write_text(self._beside("json"), json.dumps({**sealed, **self._provenance}, indent=1))
            write_text(self._path, text)
            self._finished = _read_finished(self._path, self._fingerprint)
        shutil.rmtree(self._beside("parts"), ignore_errors=True)
        self._release()
        if self._finished is None:
            raise DataError(f"{self._path} was changed while it was written; run the same command again")
        return self._finished

    @staticmethod
    def _with_cells(spec: StudySpec, table: pd.DataFrame) -> pd.DataFrame:
        names = setting_columns(table)
        settings = (
            dict(spec.cells())
            if spec.sampler == "grid"
            else dict(zip(table["trial"], table[names].to_dict("records"), strict=True))
        )
        return table.assign(cell=[cell_id(settings[number]) for number in table["trial"]])

    def abort(self, error: BaseException) -> None:  # noqa: ARG002
        """Leave the parts for the next time."""
        self._release()

    def _release(self) -> None:
        self._lock.release()
        self._beside("lock").unlink(missing_ok=True)

    def _beside(self, ending: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{ending}")

    def _frame(self, trials: Sequence[Trial]) -> pd.DataFrame:
        names, labels = self._pair.source.class_names, self._pair.target.labels
        rows: list[dict[str, Any]] = []
        for trial in trials:
            metrics = {name: value for name, value in trial.metrics.items() if name != "fit_seconds"}
            rows.append({"trial": trial.number, **trial.settings, **metrics})
        table = pd.DataFrame(rows)
        if labels is not None:
            counts = confusion_matrices(labels, np.array([trial.predictions for trial in trials]), len(names))
            for true, predicted in itertools.product(range(len(names)), repeat=2):
                table[f"confusion_{names[true]}_{names[predicted]}"] = counts[:, true, predicted]
        table["predictions"] = [encode_predictions(trial.predictions) for trial in trials]
        table["cell"] = [trial.cell for trial in trials]
        return table

    def _read_parts(self) -> pd.DataFrame:
        """What earlier runs have left, if it is of the same plan; parts that were cut or changed do not count."""
        folder, plan = self._beside("parts"), self._beside("parts") / "plan.json"
        parts = sorted(folder.glob("*.part"))
        if parts and _stored(plan).get("fingerprint") != self._fingerprint:
            self._release()
            raise DataError(f"{folder}: left by a study of other data, settings or version; finish it, or remove it")
        write_text(plan, json.dumps({"fingerprint": self._fingerprint, **self._provenance}, indent=1))
        tables = [table for part in parts if (table := _read_part(part)) is not None]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["trial", "cell"])


def _provenance(spec: StudySpec, pair: DatabasePair, options: StudyOptions) -> dict[str, Any]:
    """All that decides the table's content, as JSON values."""
    return {
        "source": _identity(pair.source),
        "target": _identity(pair.target),
        "spec": json.loads(spec.to_json()),
        "trials": options.n_trials,
        "class_names": list(pair.source.class_names),
        "code": code_digest("tgsr.evaluation", "tgsr.solvers", "tgsr.estimators"),
        "tgsr": __version__,
    }


def _identity(data: FeatureDataset) -> dict[str, Any]:
    return {"name": data.name, "digest": data.digest} | ({"generated": True} if data.is_generated else {})


def _read_part(path: Path) -> pd.DataFrame | None:
    head, _, text = path.read_bytes().partition(b"\n")
    try:
        stored = json.loads(head)
        if stored["sha256"] == hashlib.sha256(text).hexdigest():
            return _read_table(io.BytesIO(text))
    except (ValueError, KeyError, TypeError):
        pass
    _log.warning("%s: damaged; its trials are run again", path)
    path.unlink()
    return None


def _read_finished(path: Path, fingerprint: str) -> pd.DataFrame | None:
    """The table if it is there, is of the same content and is as it was written."""
    stored = _stored(path.with_name(f"{path.name}.json"))
    if not path.is_file() or stored.get("fingerprint") != fingerprint:
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != stored.get("sha256"):
        _log.warning("%s was changed since it was written; it is computed again", path)
        return None
    return _read_table(io.BytesIO(content))


def _read_table(stream: io.BytesIO) -> pd.DataFrame:
    # what is read is written again: pandas 3 reads every digit; predictions are digits, not a number
    return pd.read_csv(stream, dtype={"predictions": str, "cell": str})


def _stored(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

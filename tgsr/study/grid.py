"""Trials as a CSV file, which appears in one step when all are there; until then they are in parts beside it."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from tgsr.study.options import StudyOptions
from tgsr.trials.spec import StudySpec
from tgsr import __version__
from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.errors import DataError, ParameterError
from tgsr.evaluation.metrics import confusion_matrices
from tgsr.files import check_output, write_text
from tgsr.tracking._lock import LockedError
from tgsr.trials.trial import Trial, cell_id, encode_predictions
from tgsr.version import code_digest

__all__ = ["CsvSink"]

_log = logging.getLogger(__name__)


class CsvSink:
    """The table of a study as the CSV file ``options.out``, and ``<path>.json``, which tells what it was made from.

    Finished trials are kept in ``<path>.parts``, each part with its digest, so that an interrupted study goes on; its
    table is byte for byte the same. A finished file of the same content is not computed again.

    Raises
    ------
    DataError
        If the parts beside the file come from other data, settings or code.
    LockedError
        If another process writes the same file.
    ParameterError
        If ``out`` does not end in .csv or is a folder, or the study is sampled.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair, options: StudyOptions) -> None:
        if options.out is None or spec.sampler != "grid":
            raise ParameterError("the CSV sink needs a grid, and a file to write; name it with --out")
        self._path = check_output(options.out, ".csv")
        self._pair = pair
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._beside("lock"), timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise LockedError(f"{self._path} is being written by another process; wait for it, or stop it") from error
        self._provenance = _provenance(spec, pair, options)
        self._fingerprint = _digest(json.dumps(self._provenance, sort_keys=True))
        self.deleted: set[str] = set()
        self._finished = _read_finished(self._path, self._fingerprint)
        if self._finished is None:
            self.table = self._read_parts()
        else:
            settings = dict(spec.cells())
            cells = [cell_id(settings[number]) for number in self._finished["trial"]]
            self.table = self._finished.assign(cell=cells)

    def write(self, trials: Sequence[Trial]) -> None:
        """Keep finished trials as a part."""
        text = self._frame(trials).to_csv(index=False)
        write_text(self._beside("parts") / f"{trials[0].number:07d}-{trials[0].cell}.part", f"{_digest(text)}\n{text}")

    def finish(self, seconds: dict[str, float]) -> pd.DataFrame:  # noqa: ARG002
        """Write the table, sorted by the trials' numbers, and remove the parts."""
        if self._finished is None:
            table = self._read_parts().sort_values("trial", ignore_index=True)
            text = table.drop(columns="cell").to_csv(index=False)
            sealed = {"fingerprint": self._fingerprint, "sha256": _digest(text)}
            self._path.unlink(missing_ok=True)  # an older table must not stand beside the new description
            write_text(self._beside("json"), json.dumps({**sealed, **self._provenance}, indent=1))
            write_text(self._path, text)
            self._finished = _read_finished(self._path, self._fingerprint)
        shutil.rmtree(self._beside("parts"), ignore_errors=True)
        self._release()
        if self._finished is None:
            raise DataError(f"{self._path} was changed while it was written; run the same command again")
        return self._finished

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
        rows = [{"trial": trial.number, **trial.settings, **trial.metrics} for trial in trials]
        table = pd.DataFrame(rows).drop(columns="fit_seconds")
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
    digest, _, text = path.read_bytes().partition(b"\n")
    if digest.decode("ascii", "replace") == _digest(text):
        return _read_table(text)
    _log.warning("%s: damaged; its trials are run again", path)
    path.unlink()
    return None


def _read_finished(path: Path, fingerprint: str) -> pd.DataFrame | None:
    """The table if it is there, is of the same content and is as it was written."""
    stored = _stored(path.with_name(f"{path.name}.json"))
    if not path.is_file() or stored.get("fingerprint") != fingerprint:
        return None
    content = path.read_bytes()
    if _digest(content) == stored.get("sha256"):
        return _read_table(content)
    _log.warning("%s was changed since it was written; it is computed again", path)
    return None


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _read_table(text: bytes) -> pd.DataFrame:
    # what is read is written again: pandas 3 reads every digit; predictions are digits, not a number
    return pd.read_csv(io.BytesIO(text), dtype={"predictions": str, "cell": str})


def _stored(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}

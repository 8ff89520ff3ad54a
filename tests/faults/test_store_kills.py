"""A coordinator that is killed at any moment of writing: every cell is there once, whole, as without the kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tgsr.tracking._runs import ParentSpec, start_parent
from tgsr.tracking._store import TrialStore

from tgsr.tracking.client import open_client, resolve_config
from tgsr.tracking.names import Tag
from tgsr.trials.trial import StudyRun

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("TGSR_KILLS", "3"))
N_TRIALS = 240

_COORDINATE = """
import sys
from pathlib import Path
import numpy as np
from tgsr.tracking.config import TrackingConfig, open_client
from tgsr.tracking._lock import study_lock
from tgsr.tracking._store import TrialStore
from tgsr.trials.trial import StudyRun, Trial, cell_id
home, uri, run_id, experiment_id, location, writer, n = sys.argv[1:]
client = open_client(uri)
with study_lock(TrackingConfig(Path(home), uri), client, experiment_id, "kills"):
    store = TrialStore(client, StudyRun(run_id, experiment_id, location, "TGSR", "region"), writer)
    store.clean()
    there = set(store.table()["cell"])
    trials = []
    for number in range(int(n)):
        settings = {"kappa": number, "xi": 0.5}
        coef = np.random.default_rng(number).normal(size=(15045, 3))
        norms = np.arange(85) % 2 + float(number)
        metrics = {"macro_f1": number / 7}
        trial = Trial(number, cell_id(settings), settings, metrics, np.arange(9) % 3, norms, coef, 1, 2)
        if trial.cell not in there:
            trials.append(trial)
    print("ready", flush=True)
    for start in range(0, len(trials), 6):
        store.write(trials[start : start + 6])
    print("done", flush=True)
"""


def _start(home: Path) -> tuple[Any, StudyRun]:
    config = resolve_config(home)
    client = open_client(config.tracking_uri)
    run_id = start_parent(client, ParentSpec("tgsr/V-N", "kills", "", {Tag.KIND: "study"}), config.artifact_root)
    experiment_id = client.get_run(run_id).info.experiment_id
    location = client.get_experiment(experiment_id).artifact_location
    return client, StudyRun(run_id, experiment_id, location, "TGSR", "region")


def _coordinate(client: Any, home: Path, study: StudyRun, writer: str, kill_after: float | None) -> bool:
    """Run a coordinator, kill it after so many seconds of writing; whether it came to its end."""
    arguments = [str(home), client.tracking_uri, study.run_id, study.experiment_id, study.artifact_location, writer]
    process = subprocess.Popen(
        [sys.executable, "-c", _COORDINATE, *arguments, str(N_TRIALS if writer == "bulk" else N_TRIALS // 6)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    return process.communicate()[0] == "done\n"


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_every_cell_is_there_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
        monkeypatch.delenv(variable, raising=False)
    contents = []
    for home, kills in ((tmp_path / "killed", KILLS), (tmp_path / "undisturbed", 0)):
        client, study = _start(home)
        dice = random.Random(0)
        for _ in range(kills):
            _coordinate(client, home, study, writer, dice.uniform(0.01, 0.6))
        assert _coordinate(client, home, study, writer, None)
        store = TrialStore(client, study)
        assert store.clean() == 0
        table = store.table()
        runs = client.search_runs([study.experiment_id], f"tags.`{Tag.PARENT}` = '{study.run_id}'")
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert len(runs) == len(table)
        folder = Path(study.artifact_location.removeprefix("file://"))
        files = [
            {path.name: path.read_bytes() for path in (folder / run_id / "artifacts").iterdir()}
            for run_id in table["run_id"]
        ]
        contents.append((table.drop(columns="run_id").to_dict("list"), files))
    assert len(contents[0][1]) == (N_TRIALS if writer == "bulk" else N_TRIALS // 6)
    assert contents[0] == contents[1]

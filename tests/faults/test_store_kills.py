"""A coordinator that is killed at any moment of writing: every cell is there once, whole, as without the kills."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tgsr.datasets import load_pair
from tgsr.tracking.client import open_client
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.names import Tag
from tgsr.tracking.records import list_studies
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.spec import make_spec

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("TGSR_KILLS", "3"))
N_TRIALS = {"bulk": 240, "client": 40}

_COORDINATE = """
import sys
from pathlib import Path
import numpy as np
from tgsr.datasets import load_pair
from tgsr.errors import TrackingError
from tgsr.tracking import study_store
from tgsr.tracking.config import TrackingConfig
from tgsr.trials.spec import make_spec
from tgsr.trials.trial import Trial
home, uri, data, way, n = sys.argv[1:]

def refuse(*_):
    raise TrackingError("not here")

if way == "client":
    study_store.BulkWriter = refuse
pair = load_pair("V", "N", Path(data))
store = study_store.StudyStore(make_spec(pair), pair, TrackingConfig(Path(home), uri), data_folder=data)
trials = []
for number in range(int(n)):
    coef = np.random.default_rng(number).normal(size=(15045, 3))
    norms = np.arange(85) % 2 + float(number)
    settings, metrics, rules = {"kappa": number, "xi": 0.5}, {"macro_f1": number / 7}, {"circular": number / 3}
    trial = Trial(number, settings, metrics, np.arange(9) % 3, rules, norms, coef, 1, 2)
    if trial.cell not in set(store.table["cell"]):
        trials.append(trial)
print("ready", flush=True)
for start in range(0, len(trials), 6):
    store.write(trials[start : start + 6])
store.add_values({cell: {"luck": 0.5} for cell in store.read_table()["cell"]})
store.close()
print("done", flush=True)
"""


class Coordinator:
    """Processes that write the trials of one study."""

    def __init__(self, run_python: Callable[..., Popen[str]], config: TrackingConfig, data: Path, way: str) -> None:
        self._run, self.config, self._data, self.way = run_python, config, data, way

    def write(self, kill_after: float | None = None) -> bool:
        """Run one, and kill it after so many seconds of writing; whether it came to its end."""
        arguments = [str(self.config.home), self.config.tracking_uri, str(self._data), self.way]
        process = self._run("-c", _COORDINATE, *arguments, str(N_TRIALS[self.way]))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[0]
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        return process.communicate()[0] == "done\n"


def _content(config: TrackingConfig, data: Path) -> dict[str, Any]:
    """All that is there, without what names this store."""
    pair, client = load_pair("V", "N", data), open_client(config.tracking_uri)
    store = StudyStore(make_spec(pair), pair, config, data_folder="")
    table = store.table
    store.close()
    (study,) = list_studies(client)
    runs = client.search_runs([study.experiment_id], f"tags.`{Tag.PARENT}` = '{study.run_id}'", max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == len(table) == table["cell"].nunique()
    folders = [Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")) for run_id in table["run_id"]]
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    return {"table": table.drop(columns="run_id").to_dict("list"), "files": files}


@pytest.mark.parametrize(("way", "database"), [("bulk", "SQLite"), ("client", "SQLite"), ("bulk", "PostgreSQL")])
def test_every_cell_is_there_once_and_whole(
    tmp_path: Path, data_folder: Path, run_python: Any, request: pytest.FixtureRequest, way: str, database: str
) -> None:
    killed_uri = request.getfixturevalue("empty_postgres") if database == "PostgreSQL" else None
    killed, undisturbed = resolve_config(tmp_path / "killed", killed_uri), resolve_config(tmp_path / "undisturbed")
    dice, coordinator = random.Random(0), Coordinator(run_python, killed, data_folder, way)
    # The earliest first: a coordinator that comes to its end leaves the later ones nothing to be killed at.
    moments = sorted(dice.uniform(0.01, 0.6) for _ in range(KILLS))
    n_killed = sum(not coordinator.write(moment) for moment in moments)
    assert n_killed > 0
    assert coordinator.write()
    assert Coordinator(run_python, undisturbed, data_folder, way).write()
    found = _content(killed, data_folder)
    assert len(found["files"]) == N_TRIALS[way]
    assert found == _content(undisturbed, data_folder)

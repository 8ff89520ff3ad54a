"""kill -9 at any moment, and the same command ends with the table and the matrix of an undisturbed study."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from studies.ledger import Ledger
from studies.storage import open_storage
from studies.study import StudyOptions, run_study
from tgsr.datasets import DatabasePair
from tgsr.tracking.place import open_client
from tgsr.tracking.reading import list_studies, read_artifact, read_trials

Make = Callable[..., Any]
TIMING = ["fit_seconds", "trial", "run_id"]


def _table(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=TIMING).sort_values(["kappa", "xi"], ignore_index=True)


def _finished(path: Path) -> int:
    """Finished trials by the journal alone."""
    return path.read_bytes().count(b'"op_code":6') if path.exists() else 0


@pytest.mark.parametrize("kills", [2])
def test_killed_studies_end_like_undisturbed_ones(
    make_spec: Make,
    make_options: Make,
    small_pair: DatabasePair,
    run_tgsr: Callable[..., subprocess.Popen[str]],
    data_folder: Path,
    kills: int,
) -> None:
    spec = make_spec()
    undisturbed = make_options(home="undisturbed")
    expected = run_study(spec, small_pair, undisturbed)
    options: StudyOptions = make_options(home="killed")
    command = ["study", "--experiment", "V-N", "--data", str(data_folder), "--selection", "oracle", "--quiet"]
    command += ["--kappas", "3,20,85", "--xis", "0.01,1,30,200", "--home", str(options.place.home)]
    command += ["--batch", "2", "--jobs", "1"]
    journal = options.place.home / "optuna.journal"
    for kill in range(kills):
        process = run_tgsr(*command)
        while _finished(journal) < 3 * (kill + 1) and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.communicate()
    done = run_tgsr(*command)
    output, _ = done.communicate()
    assert done.returncode == 0, output
    client = open_client(options.place.tracking_uri)
    (study,) = list_studies(client)
    table = read_trials(client, study.run_id, stored_table=False)
    pd.testing.assert_frame_equal(_table(table), _table(expected.table), rtol=1e-9)
    matrix = read_artifact(client, str(study.best_run_id), "coefficients.npz")
    plain = open_client(undisturbed.place.tracking_uri)
    assert matrix == read_artifact(plain, str(expected.best["run_id"]), "coefficients.npz")
    # Optuna agrees, and no trial is left running
    storage = open_storage(str(journal))
    name = storage.get_all_studies()[0].study_name
    import optuna

    ledger = Ledger(optuna.load_study(study_name=name, storage=storage), storage, spec.space.distributions)
    ledger.refresh()
    assert not ledger.running
    assert sorted(ledger.complete) == table["trial"].tolist()


def test_status_and_trials_show_the_study(
    make_options: Make, run_tgsr: Callable[..., subprocess.Popen[str]], data_folder: Path, tmp_path: Path
) -> None:
    options: StudyOptions = make_options()
    home = ["--home", str(options.place.home)]
    command = ["study", "--experiment", "V-N", "--data", str(data_folder), "--kappas", "85", "--xis", "1,10", "--quiet"]
    outputs = []
    for arguments in ([*command, *home], ["study", "--status", *home], ["trials", "--out", "t.csv", *home]):
        process = run_tgsr(*arguments)
        outputs.append(process.communicate()[0])
        assert process.returncode == 0, outputs[-1]
    assert "best by source-cv" in outputs[0]
    assert "2 of 2 finished, 0 running, 0 failed" in outputs[1]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_command_started_twice_at_once_runs_one_study(
    make_options: Make, run_tgsr: Callable[..., subprocess.Popen[str]], data_folder: Path, sampler: str
) -> None:
    options: StudyOptions = make_options()
    command = ["study", "--experiment", "V-N", "--data", str(data_folder), "--selection", "oracle", "--quiet"]
    command += ["--kappas", "1-20", "--xis", "0.01,1,30,200", "--batch", "3", "--jobs", "1", "--sampler", sampler]
    command += ["--home", str(options.place.home)] + (["--trials", "40"] if sampler == "random" else [])
    processes = [run_tgsr(*command) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    client = open_client(options.place.tracking_uri)
    (study,) = list_studies(client)
    assert study.status == "FINISHED"
    table = read_trials(client, study.run_id, stored_table=False)
    cells = list(zip(table["kappa"], table["xi"], strict=True))
    assert len(set(cells)) == len(cells) == (80 if sampler == "grid" else 40)
    assert read_trials(client, study.run_id).equals(table)

"""The command in processes of its own: one at a time, its end at Ctrl-C, what it shows afterwards."""

from __future__ import annotations

import signal
import sqlite3
import time

import pandas as pd

COMMAND = ["study", "--experiment", "V-N", "--selection", "oracle", "--quiet"]
GRID = ["--kappas", "3,20,85", "--xis", "0.01,1,30,200"]


def n_runs(database) -> int:
    """Runs in a tracking database, read without MLflow."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_a_second_command_is_refused_at_once_and_the_first_goes_on(make_options, run_tgsr, data_folder):
    options = make_options()
    home = ["--data", str(data_folder), "--home", str(options.config.home)]
    first = run_tgsr(*COMMAND, "--kappas", "1-85", "--xis", "paper/20", *home)
    while n_runs(options.config.home / "mlflow.db") < 1 and first.poll() is None:
        time.sleep(0.01)
    second = run_tgsr(*COMMAND, "--kappas", "1-85", "--xis", "paper/20", *home)
    output, _ = second.communicate()
    assert second.returncode == 1, output
    assert "since" in output
    text, _ = first.communicate()
    assert first.returncode == 0, text


def test_status_and_trials_show_the_study(make_options, run_tgsr, data_folder, tmp_path):
    home = ["--home", str(make_options().config.home)]
    command = ["study", "--experiment", "V-N", "--data", str(data_folder), "--kappas", "85", "--xis", "1,10", "--quiet"]
    command += ["--selection", "source-cv"]
    outputs = []
    for arguments in ([*command, *home], ["study", "--status", *home], ["trials", "--out", "t.csv", *home]):
        process = run_tgsr(*arguments)
        outputs.append(process.communicate()[0])
        assert process.returncode == 0, outputs[-1]
    assert "chosen by source-cv" in outputs[0]
    assert "finished, 2 trials" in outputs[1]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2


def test_a_study_of_endless_cells_says_so_shows_that_time_goes_by_and_ends_at_ctrl_c(
    make_options, run_tgsr, data_folder
):
    endless = ["--rho", "1", "--tol", "1e-300", "--max-iter", "1000000"]
    home = ["--data", str(data_folder), "--home", str(make_options().config.home)]
    process = run_tgsr("study", "--experiment", "V-N", "--selection", "oracle", *GRID, *endless, *home)
    text = ""
    while "use a larger rho" not in text or text.count("0/12 [") < 5:
        text += process.stdout.read(1)
        assert process.poll() is None, text
    process.send_signal(signal.SIGINT)
    # cells of a million iterations take minutes: whoever waited for them would not come to an end here
    text += process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "stopped; the same command goes on from here" in text
    assert "Traceback" not in text

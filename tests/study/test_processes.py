"""The command in processes of its own: one at a time, its end at Ctrl-C and SIGTERM, what it shows afterwards."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time

import pandas as pd
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.tracking.client import open_client
from tgsr.tracking.records import list_studies

COMMAND = ["study", "--experiment", "V-N", "--quiet", "--jobs", "2"]
GRID = ["--kappas", "3,20,85", "--xis", "0.01,1,30,200"]
SLOW = [*GRID[:2], "--xis", "0.01,0.1,1,3,10,20,30,50,100,200", "--tol", "1e-300", "--max-iter", "1000"]
ENDLESS = ["--rho", "1", "--tol", "1e-300", "--max-iter", "100000000"]
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
SECONDS = 10
"""So long a stop may take, on a machine that is busy with other things."""


@pytest.fixture
def home(make_options, data_folder):
    """Make a home folder: the options that name it and the data."""

    def make(name="home"):
        return ["--data", str(data_folder), "--home", str(make_options(name).config.home)]

    return make


def n_runs(database) -> int:
    """Runs in a tracking database, read without MLflow."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.Error:
        return 0


def wait_for_the_study(process, home) -> None:
    """Wait until a command has begun its study."""
    while n_runs(f"{home[-1]}/mlflow.db") < 1:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def stop(process, number) -> str:
    """Send a signal; what the command then says, which has to end soon, by the signal's status, in one word."""
    process.send_signal(number)
    pressed = time.monotonic()
    text = process.communicate(timeout=60)[0]
    assert time.monotonic() - pressed < SECONDS
    assert process.returncode == SIGNALS[number], text
    assert text.splitlines()[-1] == "stopped; what was finished is kept, and the same command goes on from here"
    assert "Traceback" not in text
    return text


def table_of(options):
    (study,) = list_studies(open_client(options.config.tracking_uri))
    assert study.status == "FINISHED"
    return study.table.drop(columns=["run_id", "metrics.fit_seconds"])


def test_a_second_command_is_refused_at_once_and_the_first_goes_on(home, run_tgsr):
    place = home()
    first = run_tgsr(*COMMAND, *GRID, *ENDLESS, *place)
    wait_for_the_study(first, place)
    second = run_tgsr(*COMMAND, *GRID, *ENDLESS, *place)
    output, _ = second.communicate()
    assert second.returncode == 1, output
    assert "works on the study" in output
    assert "since" in output
    assert first.poll() is None
    stop(first, signal.SIGTERM)


def test_status_and_trials_show_the_study(home, tmp_path):
    place = home()
    command = [*COMMAND, "--kappas", "85", "--xis", "1,10", "--rules", "source-cv", "--choose", "source-cv", *place]
    out = str(tmp_path / "t.csv")
    outputs = []
    for arguments in (command, ["study", "--status", *place[2:]], ["trials", "--out", out, *place[2:]]):
        result = CliRunner().invoke(cli, arguments)
        outputs.append(result.output)
        assert result.exit_code == 0, result.output
    assert "chosen by source-cv" in outputs[0]
    assert "finished, 2 trials" in outputs[1]
    assert len(pd.read_csv(out)) == 2


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_study_of_endless_cells_says_so_shows_that_time_goes_by_and_ends_at_once(number, home, run_tgsr):
    process = run_tgsr("study", "--experiment", "V-N", "--jobs", "2", *GRID, *ENDLESS, *home())
    text = ""
    while "use a larger rho" not in text or text.count("0/12 [") < 5:
        text += process.stdout.read(1)
        assert process.poll() is None, text
    stop(process, number)


@pytest.fixture(scope="module")
def moments():
    return random.Random(0)


@pytest.mark.faults
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("repeat", range(6 if os.environ.get("TGSR_FAULTS") == "full" else 2))
def test_stopped_at_any_moment_the_same_command_ends_with_the_same_table(
    number, repeat, home, run_tgsr, make_options, moments
):
    place = home()
    process = run_tgsr(*COMMAND, *SLOW, *place)
    wait_for_the_study(process, place)
    time.sleep(moments.uniform(0, 1))
    stop(process, number)
    (study,) = list_studies(open_client(make_options().config.tracking_uri))
    assert study.status in ("KILLED", "RUNNING")
    for where in (place, home("undisturbed")):
        again = CliRunner().invoke(cli, [*COMMAND, *SLOW, *where])
        assert again.exit_code == 0, again.output
    found, expected = (table_of(make_options(name)) for name in ("home", "undisturbed"))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    matrices = [
        sorted(path.read_bytes() for path in make_options(name).config.home.glob("mlruns/**/coefficients.npy"))
        for name in ("home", "undisturbed")
    ]
    assert len(matrices[0]) == 30
    assert matrices[0] == matrices[1]

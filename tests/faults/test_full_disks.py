"""A disk that is full at any moment, or read-only: one line that names it, and with more room the same result.

With ``TGSR_FAULTS=full`` each disk is a third larger than the last, otherwise twice as large.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.errors import TrackingError
from tgsr.tracking import study_store
from tgsr.tracking.client import open_client
from tgsr.tracking.records import list_studies, trial_table

pytestmark = pytest.mark.faults

CELLS = ["--kappas", "3,20,85", "--xis", "0.01,1,30,200", "--quiet", "--jobs", "1"]

STEPS = 3 if os.environ.get("TGSR_FAULTS") == "full" else 1
FULL_DISK = "the disk is full; .*safe|cannot be written .no space left"
NOT_WRITABLE = "it is not writable; .*safe|cannot be written .*read-only"


class Disk:
    """A small file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=32k", "tmpfs")

    def _mount(self, *options: str) -> None:
        done = subprocess.run(["mount", *options, str(self.folder)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")

    def grow(self, kilobytes: int) -> None:
        self._mount("-o", f"remount,rw,size={kilobytes}k")

    def lock(self) -> None:
        self._mount("-o", "remount,ro")

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture
def data(data_folder: Path, tmp_path: Path) -> Path:
    np.savez(
        tmp_path / "own.npz",
        features=np.random.default_rng(0).random((30, 15045)),
        labels=np.array(["a", "b", "c"] * 10),
    )
    return data_folder


@pytest.fixture
def by_client(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let trials be written by MLflow's public client."""

    def refuse(*_: Any) -> None:
        raise TrackingError("not here")

    return lambda: monkeypatch.setattr(study_store, "BulkWriter", refuse)


def command(name: str, data: Path, out: Path, own: Path) -> list[str]:
    pair = ["--experiment", "V-N", "--data", str(data), *CELLS]
    return {
        "study": ["study", *pair, "--home", str(out)],
        "study by the client": ["study", *pair, "--home", str(out)],
        "grid": ["grid", *pair, "--out", str(out / "grid.csv")],
        "features": ["features", "--database", "own", "--import", str(own / "own.npz"), "--out", str(out)],
    }[name]


def fails(arguments: list[str], disk: Disk, reason: str) -> bool:
    """Whether a command ended with one line that names the disk and the reason; else it ended well."""
    done = CliRunner().invoke(cli, arguments)
    assert isinstance(done.exception, (SystemExit, type(None))), done.exception
    if done.exit_code == 0:
        return False
    last = done.output.splitlines()[-1]
    assert last.startswith("Error: "), done.output
    assert str(disk.folder) in last, last
    assert re.search(reason, last, re.IGNORECASE), last
    return True


def content(name: str, out: Path) -> Any:
    if name == "grid":
        return (out / "grid.csv").read_bytes()
    if name == "features":
        return next(out.glob("*.npz")).read_bytes()
    client = open_client(f"sqlite:///{out / 'mlflow.db'}")
    (study,) = list_studies(client)
    table = trial_table(client, study.run_id, study.experiment_id)
    assert {run.info.status for run in client.search_runs([study.experiment_id])} == {"FINISHED"}
    return table.drop(columns=["metrics.fit_seconds", "run_id"]).to_dict("list")


# older versions of NumPy leave an archive open that could not be written, which then complains at its end
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["study", "study by the client", "grid", "features"])
def test_a_full_disk_is_named_and_with_more_room_the_result_is_the_same(
    name: str, disk: Disk, data: Path, tmp_path: Path, by_client: Callable[[], None]
) -> None:
    if name == "study by the client":
        by_client()
    kilobytes, failures = 32, 0
    while fails(command(name, data, disk.folder, tmp_path), disk, FULL_DISK):
        failures += 1
        kilobytes += max(kilobytes // STEPS, 32)
        assert kilobytes < 100_000
        disk.grow(kilobytes)
    print(f"{name}: {failures} full disks, enough at {kilobytes} kB")
    assert failures > 0
    (tmp_path / "undisturbed").mkdir()
    assert CliRunner().invoke(cli, command(name, data, tmp_path / "undisturbed", tmp_path)).exit_code == 0
    assert content(name, disk.folder) == content(name, tmp_path / "undisturbed")


@pytest.mark.parametrize("name", ["study", "grid", "features"])
def test_a_read_only_disk_is_named(name: str, disk: Disk, data: Path, tmp_path: Path) -> None:
    disk.lock()
    assert fails(command(name, data, disk.folder, tmp_path), disk, NOT_WRITABLE)


def test_a_study_on_a_disk_that_has_become_read_only_goes_no_further(disk: Disk, data: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(cli, command("study", data, tmp_path / "home", tmp_path)).exit_code == 0
    disk.grow(50_000)
    shutil.copytree(tmp_path / "home", disk.folder / "home")
    relocated = CliRunner().invoke(cli, ["relocate", "--home", str(disk.folder / "home")])
    assert relocated.exit_code == 0, relocated.output
    disk.lock()
    more = [word.replace("0.01,1,30,200", "0.01,7") for word in command("study", data, disk.folder / "home", tmp_path)]
    assert fails(more, disk, NOT_WRITABLE)
    report = ["report", "--home", str(tmp_path / "home"), "--out", str(disk.folder / "report")]
    assert fails(report, disk, NOT_WRITABLE)

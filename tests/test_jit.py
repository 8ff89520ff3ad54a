"""Kernels are compiled wherever the package is installed; it is said when that takes time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNEL = """
from tgsr.jit import compile_kernel

@compile_kernel()
def inner(x: float) -> float:
    return 2.0 * x

@compile_kernel(fastmath={"contract"})
def double(x: float) -> float:
    return inner(x)
"""
CALL = """
import logging, resource, sys
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
from tgsr.kernels import double
if "full" in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
print(double(21.0))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with kernels: they are kept in its folder, if they can be."""
    folder = tmp_path / "site/tgsr"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "jit.py").write_text((ROOT / "tgsr/jit.py").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "kernels.py").write_text(KERNEL, encoding="utf-8")
    return folder


def call(package: Path, *arguments: str, **environment: str) -> list[str]:
    """What a process says that calls a kernel of the package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG"))}
    paths = {"HOME": str(package.parents[1]), "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", CALL, *arguments],
        cwd=package.parent,
        env={**kept, **paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def forbid(folder: Path) -> str:
    """A file where a folder is wanted: not even root can write below it."""
    folder.write_text("")
    return str(folder)


@pytest.mark.parametrize("place", ["package", "home", "NUMBA_CACHE_DIR"])
def test_compiled_code_is_kept_and_compiling_is_said_once(package, tmp_path, place):
    if place != "package":
        forbid(package / "__pycache__")
    environment = (
        {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "HOME": "/dev/null"} if place == "NUMBA_CACHE_DIR" else {}
    )
    first, second = (call(package, **environment) for _ in range(2))
    assert first == ["INFO compiling the numerical kernels: some ten seconds, once on this machine", "42.0"]
    assert second == ["42.0"]


@pytest.mark.faults
@pytest.mark.parametrize("named", [False, True], ids=["no home", "no home, and NUMBA_CACHE_DIR is no folder"])
def test_without_any_folder_kernels_are_compiled_in_each_process(package, tmp_path, named):
    forbid(package / "__pycache__")
    environment = {"NUMBA_CACHE_DIR": forbid(tmp_path / "file")} if named else {}
    for _ in range(2):
        said, result = call(package, HOME="/dev/null", **environment)
        assert "in each process" in said
        assert "set NUMBA_CACHE_DIR" in said
        assert result == "42.0"


def test_a_full_disk_costs_the_kept_code_and_not_the_result(package):
    *said, result = call(package, "full")
    assert any("cannot be kept" in line for line in said)
    assert result == "42.0"

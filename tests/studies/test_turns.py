"""Only one process at a time, on every storage, and one that has died does not count."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from studies.owners import Owner
from studies.storage import open_storage
from studies.turns import turn


def _study(storage: str) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=open_storage(storage), load_if_exists=True)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_turns_are_taken_one_after_the_other(tmp_path: Path, kind: str) -> None:
    storage = str(tmp_path / "j") if kind == "journal" else f"sqlite:///{tmp_path / 'o.db'}"
    _study(storage)
    inside: list[int] = []
    together = []

    def take(number: int) -> None:
        study = _study(storage)
        for _ in range(3):
            with turn(study):
                inside.append(number)
                time.sleep(0.01)
                together.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
    assert together == [1] * 12


def test_who_has_died_holds_nobody_up(tmp_path: Path) -> None:
    study = _study(str(tmp_path / "j"))
    this = Owner.this_process()
    for key, number in (("choosing", 0), ("inside", 1)):
        dead = Owner(this.machine, 2**22 + 1, "1", key)
        study.set_user_attr(f"turn:{key}", [number, dead.to_text()])
    with turn(study):
        pass

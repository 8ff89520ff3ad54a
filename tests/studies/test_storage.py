"""The journal file survives being cut, and several processes never run a cell twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from studies.ledger import Ledger
from studies.owners import Owner, Watch
from studies.space import Space
from studies.storage import hold, open_storage
from tgsr.errors import MissingDataError, TrackingError

SPACE = Space((1, 2, 3, 4, 5), tuple(float(xi) for xi in range(1, 13)))


def _ledger(path: Path | str, watch: Watch | None = None) -> Ledger:
    storage = open_storage(str(path))
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize", load_if_exists=True)
    return Ledger(study, storage, SPACE.distributions, watch)


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_journal_cut_in_its_last_record_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "optuna.journal"
    ledger = _ledger(path)
    ledger.tell(ledger.claim(SPACE.cells(), 5), [0.5] * 5)
    path.write_bytes(path.read_bytes()[:-cut])
    again = _ledger(path)
    claims = again.claim(SPACE.cells(), 5)
    again.tell(claims, [0.5] * 5)
    # Optuna's own backend reads the file, too
    plain = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(path))))
    complete = [trial for trial in plain.trials if trial.state == TrialState.COMPLETE]
    assert len(complete) >= 9


def test_a_record_left_half_written_by_another_process_is_removed_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    ledger = _ledger(path)
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    assert len(ledger.claim(SPACE.cells(), 3)) == 3
    assert len(_ledger(path).study.trials) == 3


def test_processes_that_claim_at_the_same_time_share_the_cells_out(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    _ledger(path)

    def work(_: int) -> int:
        ledger, done = _ledger(path), 0
        while claims := ledger.claim(SPACE.cells(), 4):
            done += sum(ledger.tell(claims, [0.1] * len(claims)))
        return done

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(work, range(4)))
    trials = _ledger(path).study.trials
    complete = [(t.params["kappa"], t.params["xi"]) for t in trials if t.state == TrialState.COMPLETE]
    assert sorted(complete) == sorted(SPACE.cells())
    assert sum(counts) == 60
    assert all(trial.state.is_finished() for trial in trials)


def test_a_trial_taken_away_is_not_told(tmp_path: Path) -> None:
    slow, other = _ledger(tmp_path / "j"), _ledger(tmp_path / "j")
    (claim,) = slow.claim(SPACE.cells(), 1)
    other._finish(claim.trial_id, TrialState.FAIL)
    assert slow.tell([claim], [0.3]) == [False]


def test_an_owner_elsewhere_is_dead_only_when_it_gives_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("studies.owners.time.monotonic", lambda: clock[0])
    elsewhere = Owner("another-machine", 12, "34", "abc")
    watch = Watch(stale_seconds=60)
    assert not watch.is_dead(elsewhere, {elsewhere.beat_key: 1})
    clock[0] = 50
    assert not watch.is_dead(elsewhere, {elsewhere.beat_key: 1})
    assert not watch.is_dead(elsewhere, {elsewhere.beat_key: 2})
    clock[0] = 109
    assert not watch.is_dead(elsewhere, {elsewhere.beat_key: 2})
    clock[0] = 111
    assert watch.is_dead(elsewhere, {elsewhere.beat_key: 2})


def test_this_process_is_alive_and_a_reused_number_is_not_it() -> None:
    this = Owner.this_process()
    assert Owner.from_text(this.to_text()) == this
    assert not Watch().is_dead(this, {})
    assert Watch().is_dead(Owner(this.machine, this.pid, "1", "x"), {})
    assert Owner.from_text("nonsense") is None


def test_records_written_together_are_one_append(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path / "j")
    with hold(ledger._storage):
        ledger.study.set_user_attr("a", 1)
        ledger.study.set_user_attr("b", 2)
    assert _ledger(tmp_path / "j").study.user_attrs == {"a": 1, "b": 2}


def test_a_storage_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"nothing\.journal"):
        open_storage(str(tmp_path / "nothing.journal"), create=False)
    with pytest.raises(TrackingError, match="…@"):
        open_storage("postgresql+psycopg://user:secret@127.0.0.1:1/none?connect_timeout=1")


def test_several_processes_with_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    first: Callable[[], Ledger] = lambda: Ledger(  # noqa: E731
        optuna.create_study(study_name="s", storage=url, direction="maximize", load_if_exists=True),
        open_storage(url),
        SPACE.distributions,
    )
    a, b = first(), first()
    mine, theirs = a.claim(SPACE.cells(), 5), b.claim(SPACE.cells(), 5)
    assert len({claim.cell for claim in [*mine, *theirs]}) == 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_process_stopped_while_the_sampler_draws_leaves_no_trial_without_an_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    ledger = _ledger(tmp_path / "j")

    def stopped(*_: object) -> None:
        raise error

    monkeypatch.setattr(ledger.study.sampler, "sample_relative", stopped)
    with pytest.raises(error):
        ledger.ask(3, 60)
    (cut_off,) = _ledger(tmp_path / "j").study.trials
    assert cut_off.state == TrialState.RUNNING
    assert Owner.from_text(cut_off.user_attrs["owner"]) == ledger.owner  # a kill -9 here is recognised by it
    ledger.release()
    assert all(trial.state == TrialState.FAIL for trial in ledger.study.trials)


def test_a_running_trial_without_an_owner_is_nobodys(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path / "j")
    ledger.study.ask(SPACE.distributions)
    ledger.refresh()
    assert ledger.reap() == 1
    assert not ledger.running


def test_a_look_at_a_database_loads_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    ledger, other = _ledger(url), _ledger(url)
    ledger.tell(ledger.claim(SPACE.cells(), 30), [0.5] * 30)
    ledger.refresh()
    other.refresh()
    loaded = []
    load = optuna.storages.RDBStorage._get_trials

    def counted(self: optuna.storages.RDBStorage, *arguments: Any, **named: Any) -> Any:
        found = load(self, *arguments, **named)
        loaded.append(len(found))
        return found

    monkeypatch.setattr(optuna.storages.RDBStorage, "_get_trials", counted)
    theirs = other.claim(SPACE.cells(), 5)
    ledger.refresh()  # sees the other's as running, then as finished
    assert set(ledger.running) == {claim.number for claim in theirs}
    other.tell(theirs, [0.5] * 5)
    ledger.refresh()
    assert len(ledger.complete) == 35
    assert not ledger.running
    assert max(loaded) == 5


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    _ledger(path).claim(SPACE.cells(), 2)
    for garbage in (b"<<<<<<< HEAD\n", b"[1, 2]\n", b"\xff\xfe\n"):
        lines = path.read_bytes().splitlines(keepends=True)
        broken = tmp_path / "broken.journal"
        broken.write_bytes(b"".join([*lines[:2], garbage, *lines[2:]]))
        with pytest.raises(TrackingError, match=r"broken\.journal, line 3"):
            open_storage(str(broken))


def test_looking_leaves_a_journal_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    _ledger(path)
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')  # somebody is just writing this
    before = path.read_bytes()
    path.chmod(0o400)
    assert [study.study_name for study in open_storage(str(path), create=False, read_only=True).get_all_studies()] == [
        "s"
    ]
    assert path.read_bytes() == before


def test_processes_that_ask_at_the_same_time_do_not_ask_for_more_than_the_study_is_to_have(tmp_path: Path) -> None:
    ledgers = [_ledger(tmp_path / "j") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        asked = list(pool.map(lambda ledger: ledger.ask(8, 10), ledgers))
    assert sorted(claim.number for claims in asked for claim in claims) == list(range(10))

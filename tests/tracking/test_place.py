"""Where results are kept: found, made and reached as the user expects."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tgsr.errors import TrackingError
from tgsr.tracking.place import open_client, resolve_place


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_hint_names_the_home_folder_only_where_it_would_not_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_place().option == ""
    assert resolve_place(tmp_path).option == ""
    away = resolve_place(tmp_path / "a home")
    assert away.option == f" --home '{tmp_path / 'a home'}'"
    assert away.variable == f"MLFLOW_TRACKING_URI='{away.tracking_uri}' "
    monkeypatch.setenv("TGSR_HOME", str(tmp_path / "a home"))
    assert away.option == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away.tracking_uri)
    assert away.variable == ""


def test_what_only_reads_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"elsewhere.*--home"):
        open_client(resolve_place(tmp_path / "elsewhere").tracking_uri, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_told_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(TrackingError, match="no tracking server answers"):
        open_client(address)

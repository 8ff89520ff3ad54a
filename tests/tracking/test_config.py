"""Where results are kept: found, made and reached as the user expects; nothing secret is shown."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tgsr.errors import TrackingError
from tgsr.tracking.config import TrackingConfig, ensure_experiment, masked, open_client, resolve_config


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_hint_names_the_home_folder_only_where_it_would_not_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_config().option == ""
    assert resolve_config(tmp_path).option == ""
    away = resolve_config(tmp_path / "a home")
    assert away.option == f" --home '{tmp_path / 'a home'}'"
    assert away.variable == f"MLFLOW_TRACKING_URI='{away.tracking_uri}' "
    monkeypatch.setenv("TGSR_HOME", str(tmp_path / "a home"))
    assert away.option == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away.tracking_uri)
    assert away.variable == ""


def test_home_is_followed_then_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TGSR_HOME", str(tmp_path / "home"))
    assert resolve_config().tracking_uri == f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert resolve_config().tracking_uri == "http://127.0.0.1:5000"
    assert resolve_config(tmp_path).tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here.db")
    assert resolve_config().tracking_uri == f"sqlite:///{tmp_path / 'here.db'}"
    monkeypatch.setenv("MLFLOW_RUN_ID", "0")  # what `mlflow run` hands down counts
    assert resolve_config(tmp_path / "home").tracking_uri == f"sqlite:///{tmp_path / 'here.db'}"
    with pytest.raises(TrackingError, match="sqlite:///"):
        resolve_config(tracking_uri="./mlruns")


def test_what_only_reads_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"elsewhere.*--home"):
        open_client(resolve_config(tmp_path / "elsewhere").tracking_uri, create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("user", ["", "ana:S3CRET@"])
def test_a_server_that_does_not_answer_is_told_at_once_and_without_its_password(user: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://{user}127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(TrackingError, match="no tracking server answers") as caught:
        open_client(address)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://ana:S3CRET@db:5432/mlflow", "postgresql+psycopg://…@db:5432/mlflow"),
        ("postgresql://ana:PA/S3CRET@db/mlflow", "postgresql://…@db/mlflow"),
        ("postgresql://ana:P@S3CRET@db/mlflow", "postgresql://…@db/mlflow"),
        (
            "postgresql://db/m?user=ana&password=S3CRET&sslmode=require",
            "postgresql://db/m?user=…&password=…&sslmode=require",
        ),
        ("https://ana:S3CRET@host/path?access_token=S3CRET#x", "https://…@host/path?access_token=…#x"),
        ("sqlite:////home/ana/mlflow.db", "sqlite:////home/ana/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("cannot open 'postgresql://ana:S3CRET@db/m': no route", "cannot open 'postgresql://…@db/m': no route"),
        ("models:/tgsr-V-N@champion", "models:/tgsr-V-N@champion"),
    ],
)
def test_urls_are_shown_without_credentials(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_hints_and_errors_are_without_credentials(tmp_path: Path) -> None:
    config = TrackingConfig(tmp_path, "postgresql+psycopg://ana:S3CRET@127.0.0.1:1/m?password=S3CRET")
    assert "S3CRET" not in config.ui_hint + config.variable + config.option
    with pytest.raises(TrackingError) as caught:
        open_client("mysql+nodriver://ana:S3CRET@127.0.0.1:1/m?password=S3CRET")
    assert "S3CRET" not in str(caught.value)
    assert "nodriver" in str(caught.value)


def test_a_file_that_is_no_database_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("my notes\n" * 1000)
    with pytest.raises(TrackingError, match=r"mlflow\.db: the file is no .*SQLite database; move it away"):
        open_client(resolve_config(tmp_path).tracking_uri)


def test_a_locked_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = resolve_config(tmp_path).tracking_uri
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    monkeypatch.setattr("tgsr.tracking.config._PATIENCE_SECONDS", 0.1)
    other = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(TrackingError, match="another program keeps the database locked"):
            open_client(uri)
    finally:
        other.close()


def test_a_folder_that_is_not_writable_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        # root may write anywhere: what the system would say
        from tgsr.tracking.config import storage_errors

        with (
            pytest.raises(TrackingError, match=r"home/x: it is not writable; .*finished trials are safe"),
            storage_errors(str(folder)),
        ):
            raise PermissionError(13, "Permission denied", str(folder / "x"))
    else:
        with pytest.raises(TrackingError, match="it is not writable"):
            open_client(resolve_config(folder).tracking_uri)


def test_an_experiment_is_created_once(tmp_path: Path) -> None:
    config = resolve_config(tmp_path)
    client = open_client(config.tracking_uri)
    first = ensure_experiment(client, "tgsr/V-N", config.artifact_root)
    assert ensure_experiment(client, "tgsr/V-N", config.artifact_root) == first
    client.delete_experiment(first)
    with pytest.raises(TrackingError, match="restore"):
        ensure_experiment(client, "tgsr/V-N", config.artifact_root)
    assert os.environ.get("MLFLOW_DISABLE_TELEMETRY") == "true"


def test_a_killed_creation_leaves_no_half_made_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = resolve_config(tmp_path / "home")
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_client(config.tracking_uri)
    assert not (config.home / "mlflow.db").exists()
    client = open_client(config.tracking_uri)
    assert client.get_experiment("0").artifact_location == (config.home / "mlruns" / "0").as_uri()


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt

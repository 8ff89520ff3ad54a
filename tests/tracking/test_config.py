"""Where results are kept: found, made and reached as the user expects; nothing secret is shown."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import DatabasePair
from tgsr.errors import TrackingError
from tgsr.tracking.client import ensure_experiment, experiment_ids, open_client, search_runs
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.records import list_studies
from tgsr.tracking.storage_errors import masked, storage_errors
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.spec import make_spec


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "S3CRET" not in config.ui_command + config.variable + config.option
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
    monkeypatch.setattr("tgsr.tracking.client._PATIENCE_SECONDS", 0.1)
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
    first = ensure_experiment(client, "tgsr/V-N", config)
    assert ensure_experiment(client, "tgsr/V-N", config) == first
    client.delete_experiment(first)
    with pytest.raises(TrackingError, match="restore"):
        ensure_experiment(client, "tgsr/V-N", config)


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


def test_studies_are_found_among_more_than_a_thousand_experiments(
    tmp_path: Path, empty_store: Path, small_pair: DatabasePair
) -> None:
    config = resolve_config(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(experiments)")]
        row = dict(zip(columns, connection.execute("SELECT * FROM experiments").fetchone(), strict=True))
        rows = [{**row, "experiment_id": number, "name": f"tgsr/other {number}"} for number in range(1, 2501)]
        marks = ", ".join(f":{name}" for name in columns)
        connection.executemany(f"INSERT INTO experiments VALUES ({marks})", rows)
    client = open_client(config.tracking_uri)
    assert list_studies(client) == []
    store = StudyStore(make_spec(small_pair, "SVM"), small_pair, config, data_folder="")
    store.abort(KeyboardInterrupt())
    (found,) = list_studies(client)
    assert found.run_id == store.run_id
    assert len(experiment_ids(client)) == 2501
    assert len(list(search_runs(client, [*experiment_ids(client), "0"], ""))) == 1
    again = StudyStore(make_spec(small_pair, "SVM"), small_pair, config, data_folder="")
    again.abort(KeyboardInterrupt())
    assert again.run_id == store.run_id


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_home_folder_elsewhere_than_its_results_is_refused_in_one_line_with_the_remedy(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    client = open_client(resolve_config(before).tracking_uri)
    ensure_experiment(client, "tgsr/V-N", resolve_config(before))
    (before / "mlruns").mkdir(exist_ok=True)
    shutil.copytree(before, after) if how == "copied" else before.rename(after)
    config = resolve_config(after)
    with pytest.raises(TrackingError, match="tgsr relocate --home") as caught:
        open_client(config.tracking_uri)
    assert "\n" not in str(caught.value)
    for arguments in (["trials"], ["register"], ["report"], ["predict", "--model", "models:/m@champion", "clip"]):
        result = CliRunner().invoke(cli, [*arguments, "--home", str(after)])
        assert result.exit_code == 1
        assert "tgsr relocate --home" in result.output
    assert str(before / "mlruns") in str(caught.value)
    assert str(after) in str(caught.value)
    # whoever keeps artifacts there on purpose says so
    monkeypatch.setenv("TGSR_ARTIFACT_ROOT", (before / "mlruns").as_uri())
    assert ensure_experiment(open_client(config.tracking_uri), "tgsr/V-N", config)


@pytest.mark.parametrize("name", ["50%", "what?", "run#1", "a%20b"])
@pytest.mark.parametrize("given", ["home", "database"])
def test_a_folder_whose_name_mlflow_cannot_take_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, given: str
) -> None:
    places = {
        "home": {"home": tmp_path / name / "below"},
        "database": {"tracking_uri": f"sqlite:///{tmp_path / name}/mlflow.db"},
    }
    with pytest.raises(TrackingError, match="choose another one with --home"):
        resolve_config(**places[given])
    assert list(tmp_path.iterdir()) == []
    assert resolve_config(tmp_path / "a b, ü & 'c'").home.name == "a b, ü & 'c'"


@pytest.mark.parametrize("driver", ["", "+psycopg"])
def test_a_database_server_that_is_not_there_is_told_in_seconds(driver: str) -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed: pip install 'tgsr[postgres]'")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(TrackingError, match="the database cannot be reached") as caught:
        open_client(f"postgresql{driver}://ana:S3CRET@127.0.0.1:{port}/mlflow")
    assert time.monotonic() - begun < 15
    assert "S3CRET" not in str(caught.value)
    assert "\n" not in str(caught.value)

"""The server for a team, as the page sets it up: nobody without a password, artifacts through the server."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from servers import tracking_server

from tgsr.errors import TrackingError
from tgsr.study import RunOptions, make_spec, resolve_config, run_study
from tgsr.tracking.client import open_client
from tgsr.tracking.records import read_coefficients

pytestmark = pytest.mark.faults

PASSWORD = "a long one of our own"
AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///auth.db
admin_username = admin
auth_cache_ttl_seconds = 60
"""


@pytest.fixture(scope="module")
def team_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("flask_wtf", reason="MLflow's authentication is not installed: pip install 'tgsr[server]'")
    folder = tmp_path_factory.mktemp("team")
    (folder / "auth.ini").write_text(AUTH)
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "32 bytes of chance",
    }
    options = ["--app-name", "basic-auth", "--allowed-hosts", "127.0.0.1:*,localhost:*"]
    with tracking_server(folder, options, **variables) as address:
        yield address


def status(address: str, path: str, user: str = "", body: Any = None, **headers: str) -> int:
    data = None if body is None else json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    if user:
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    try:
        with urlopen(Request(f"{address}/{path}", data, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


SEARCH = "api/2.0/mlflow/experiments/search?max_results=1"


@pytest.mark.parametrize(
    "path", [SEARCH, SEARCH.replace("api", "ajax-api", 1), "api/2.0/mlflow-artifacts/artifacts", "", "graphql"]
)
def test_who_has_no_password_is_refused(team_server: str, path: str) -> None:
    assert status(team_server, path) == 401
    assert status(team_server, path, "admin:password1234") == 401


def test_a_request_under_another_host_s_name_is_refused(team_server: str) -> None:
    assert status(team_server, SEARCH, f"admin:{PASSWORD}") == 200
    assert status(team_server, SEARCH, f"admin:{PASSWORD}", Host="evil.example") == 403


def test_a_study_is_recorded_with_user_and_password_and_not_without(
    team_server: str, pair_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team_server)
    monkeypatch.chdir(tmp_path)
    config, pair = resolve_config(), pair_factory(n_source=15, n_target=12)
    options = RunOptions(config, "generated", progress=False, jobs=1, page=False)
    spec = make_spec(pair, axes={"kappa": [20], "xi": [1.0, 10.0]})
    with pytest.raises(TrackingError, match=r"asks who you are; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASS"):
        run_study(spec, pair, options)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    user = {"username": "ana", "password": PASSWORD}
    assert status(team_server, "api/2.0/mlflow/users/create", f"admin:{PASSWORD}", user) == 200
    study = run_study(spec, pair, options)
    assert len(study.table) == 2
    assert read_coefficients(open_client(team_server), study.choose().row["run_id"]).shape == (15045, 3)
    # another member of the team may read, and not write
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    assert open_client(team_server).get_run(study.record.run_id).info.status == "FINISHED"
    more = make_spec(pair, axes={"kappa": [30], "xi": [1.0]})
    with pytest.raises(TrackingError, match=r"does not permit this; ask .* EDIT"):
        run_study(more, pair, options)

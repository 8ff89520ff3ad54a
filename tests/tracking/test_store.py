"""Trials written in bulk, by the client and by the fluent interface read back the same; each cell is there once."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError, TrackingError
from tgsr.tracking import _bulk, study_store
from tgsr.tracking._client import ClientWriter, trial_content
from tgsr.tracking._files import mask_picture, parse_coefficients, write_trial_files
from tgsr.tracking.client import open_client
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.names import Tag
from tgsr.tracking.records import StudyRecord, find_run, list_studies, read_artifact, read_study
from tgsr.tracking.study_store import StudyStore
from tgsr.tracking.views import VIEWS
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import Trial, cell_id, decode_predictions

Make = Callable[..., TrackingConfig]


def make_trial(number: int, **changes: Any) -> Trial:
    rng = np.random.default_rng(number)
    norms = rng.gamma(1.0, size=85) * (np.arange(85) % (number + 2) == 0)
    given = {
        "number": number,
        "settings": {"kappa": number + 5, "xi": 0.002 * 10**number},
        "metrics": {
            "macro_f1": float("nan") if number == 1 else rng.random(),
            "objective": float("inf") if number == 2 else 2.0,
            "fit_seconds": 0.25,
        },
        "rules": {"circular": rng.random(), "class-balance": -0.0},
        "predictions": rng.integers(0, 3, size=12),
        "group_norms": norms,
        # as in a study whose matrices are not kept
        "coef": None if number == 3 else (rng.normal(size=(85, 177, 3)) * (norms > 0)[:, None, None]).reshape(-1, 3),
        "start_ms": 1_700_000_000_000,
        "end_ms": 1_700_000_000_007,
    }
    return Trial(**{**given, **changes})


TRIALS = [make_trial(number) for number in range(4)]


class World:
    """A study in a store of its own, opened by one way of writing or the other."""

    def __init__(self, config: TrackingConfig, spec: StudySpec, pair: DatabasePair, way: str) -> None:
        self.config, self.spec, self.pair, self.way = config, spec, pair, way
        self.client = open_client(config.tracking_uri)

    @contextmanager
    def store(self, **options: Any) -> Iterator[StudyStore]:
        """The study's store; closed at the end, aborted by an error."""
        with pytest.MonkeyPatch.context() as patch:
            if self.way == "client":
                patch.setattr(study_store, "BulkWriter", _raise(TrackingError("not here")))
            store = StudyStore(self.spec, self.pair, self.config, data_folder="generated", **options)
            try:
                yield store
            except BaseException as error:
                store.abort(error)
                raise
            store.close()

    def write(self, *trials: Trial) -> pd.DataFrame:
        """Write trials in a session of its own; what is there afterwards."""
        with self.store() as store:
            store.write(trials)
            return store.read_table()

    @property
    def run_id(self) -> str:
        (study,) = list_studies(self.client)
        return study.run_id

    @property
    def record(self) -> StudyRecord:
        return read_study(self.client, self.run_id)

    def folder(self, run_id: str) -> Path:
        """A run's artifacts."""
        return Path(str(self.client.get_run(run_id).info.artifact_uri).removeprefix("file://"))


MakeWorld = Callable[..., World]


@pytest.fixture
def make_config(empty_store: Path, tmp_path: Path) -> Make:
    def make(home: str = "home") -> TrackingConfig:
        config = resolve_config(tmp_path / home)
        config.home.mkdir(exist_ok=True)
        shutil.copy(empty_store, config.home / "mlflow.db")
        return config

    return make


@pytest.fixture
def make_world(make_config: Make, make_spec: Callable[..., StudySpec], small_pair: DatabasePair) -> MakeWorld:
    def make(way: str = "bulk", home: str = "home", config: TrackingConfig | None = None) -> World:
        return World(config or make_config(home), make_spec(), small_pair, way)

    return make


@pytest.fixture(params=["bulk", "client"])
def world(request: pytest.FixtureRequest, make_world: MakeWorld) -> World:
    """A study that is written by each way."""
    return make_world(request.param)


def _write_fluent(world: World) -> None:
    import mlflow

    with world.store() as store:
        parent = store.run_id
    mlflow.set_tracking_uri(world.config.tracking_uri)
    try:
        with mlflow.start_run(run_id=parent):
            experiment = mlflow.active_run().info.experiment_id
            for trial in TRIALS:
                name, params, metrics, tags = trial_content(world.spec, parent, trial)
                with mlflow.start_run(experiment_id=experiment, run_name=name, nested=True, tags=tags):
                    mlflow.log_params(params)
                    mlflow.log_metrics(metrics)
                    files = world.config.home / "files" / str(trial.number)
                    mlflow.set_tag(Tag.FILES, json.dumps(write_trial_files(files, trial, "region")))
                    mlflow.log_artifacts(str(files))
    finally:
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def _read_back(world: World) -> dict[int, Any]:
    """All that MLflow's public client reads of a study's trials."""
    client, run_id = world.client, world.run_id
    parent = find_run(client, run_id)
    condition = f"tags.`mlflow.parentRunId` = '{run_id}'"
    found = {}
    for run in client.search_runs([parent.info.experiment_id], condition, order_by=["metrics.macro_f1 DESC"]):
        found_so, asked_so = (
            json.dumps(one.to_dictionary(), sort_keys=True) for one in (run, client.get_run(run.info.run_id))
        )
        assert found_so == asked_so
        history = {
            key: [(point.value + 0.0, point.step) for point in client.get_metric_history(run.info.run_id, key)]
            for key in sorted(run.data.metrics)
        }
        files = sorted((entry.path, entry.file_size) for entry in client.list_artifacts(run.info.run_id))
        assert run.info.artifact_uri.endswith(f"/{run.info.run_id}/artifacts")
        with tempfile.TemporaryDirectory() as folder:
            contents = {
                name: Path(client.download_artifacts(run.info.run_id, name, folder)).read_bytes() for name, _ in files
            }
        tags = dict(run.data.tags)
        tags.pop("mlflow.parentRunId")
        found[int(tags[Tag.TRIAL])] = {
            "name": run.info.run_name,
            "state": (run.info.status, run.info.lifecycle_stage, run.info.user_id),
            "params": run.data.params,
            "metrics": {key: repr(value + 0.0) for key, value in run.data.metrics.items()},
            "history": repr(history),
            "tags": tags,
            "files": files,
            "contents": contents,
            "inputs": len(run.inputs.dataset_inputs),
        }
    return found


def test_bulk_client_and_fluent_interface_read_back_the_same(make_world: MakeWorld) -> None:
    stored = {}
    for way in ("bulk", "client"):
        world = make_world(way, way)
        with world.store() as store:
            assert store._writer.name == way
            store.write(TRIALS)
        stored[way] = _read_back(world)
    fluent = make_world("bulk", "fluent")
    _write_fluent(fluent)
    stored["fluent"] = _read_back(fluent)
    assert set(stored["bulk"]) == {0, 1, 2, 3}
    assert stored["bulk"] == stored["client"]
    for number, trial in stored["fluent"].items():
        # what the fluent interface adds by itself, such as the commit of the working directory
        trial["tags"] = {key: value for key, value in trial["tags"].items() if key in stored["bulk"][number]["tags"]}
    assert stored["bulk"] == stored["fluent"]
    params = stored["bulk"][2]["params"]
    assert params.items() >= {"kappa": "7", "xi": "0.2", "log10_xi": "-0.69897", "grouping": "region"}.items()


def test_postgresql_holds_what_sqlite_holds(make_world: MakeWorld, empty_postgres: str, tmp_path: Path) -> None:
    stored = []
    for config in (None, resolve_config(tmp_path / "postgresql", empty_postgres)):
        world = make_world(config=config)
        with world.store() as store:
            store.write(TRIALS)
            assert store._writer.name == "bulk", "what was written first was read back as it was meant"
            store.add_values({TRIALS[0].cell: {"circular": 0.5, "luck": float("nan")}})
        stored.append(_read_back(world))
    assert stored[0] == stored[1]


def _alter_as_3_18(path: Path) -> None:
    """What MLflow 3.18's migrations do to a SQLite database: its skills and issues, none of the five tables."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE skills (workspace VARCHAR(63) NOT NULL, organization VARCHAR(64) NOT NULL,
                name VARCHAR(128) NOT NULL, PRIMARY KEY (workspace, organization, name));
            ALTER TABLE issues ADD COLUMN last_seen_timestamp BIGINT;
            ALTER TABLE issues ADD COLUMN last_updated_by VARCHAR(255);
            ALTER TABLE issues ADD COLUMN metadata TEXT;
            CREATE TABLE issue_categories (issue_id VARCHAR(36) NOT NULL, category_hash VARCHAR(64) NOT NULL,
                category TEXT NOT NULL, PRIMARY KEY (issue_id, category_hash),
                FOREIGN KEY (issue_id) REFERENCES issues (issue_id) ON DELETE CASCADE);
            UPDATE alembic_version SET version_num = 'f4a9b2c7d1e6';
            """
        )


def test_the_next_version_s_schema_is_written_in_bulk(make_world: MakeWorld) -> None:
    world, today = make_world("bulk"), make_world("bulk", "as of today")
    with world.store():
        pass
    _alter_as_3_18(world.config.home / "mlflow.db")
    with world.store() as store:
        assert store._writer.name == "bulk"
        store.write(TRIALS)
    today.write(*TRIALS)
    assert _read_back(world) == _read_back(today)


@pytest.mark.parametrize(
    ("name", "columns", "named"), [("params", "key content run_uuid", "content"), ("labels", "key value run", "labels")]
)
def test_tables_that_are_not_as_expected_are_written_by_the_client(
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    columns: str,
    named: str,
) -> None:
    tables = tuple(_bulk._table(name, columns) if table.name == "params" else table for table in _bulk._TABLES)
    monkeypatch.setattr(_bulk, "_TABLES", tables)
    world, today = make_world("bulk"), make_world("bulk", "as of today")
    with caplog.at_level("INFO", logger="tgsr"), world.store() as store:
        store.write(TRIALS)
        assert store._writer.name == "client"
    assert "which is slower: the tables of the database are not as expected" in caplog.text
    assert named in caplog.text
    monkeypatch.undo()
    today.write(*TRIALS)
    assert _read_back(world) == _read_back(today)


def test_values_are_added_by_the_client_to_tables_that_are_not_as_expected(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world("bulk")
    world.write(*TRIALS)
    with monkeypatch.context() as patch:
        patch.setattr(_bulk, "_proven", set())
        patch.setattr(_bulk, "_LATEST", _bulk._table("newest", "key value timestamp run_uuid step is_nan"))
        with world.store() as store:
            store.add_values({TRIALS[0].cell: {"luck": 0.25}})
            assert store._writer.name == "client"
            table = store.read_table()
    assert table["rules.luck"].isna().tolist() == [False, True, True, True]
    with world.store() as store:
        pd.testing.assert_frame_equal(store.table, table)


def test_a_table_with_a_further_column_is_written_in_bulk(make_world: MakeWorld) -> None:
    world, today = make_world("bulk"), make_world("bulk", "as of today")
    with sqlite3.connect(world.config.home / "mlflow.db") as connection:
        connection.executescript("ALTER TABLE runs ADD COLUMN workspace TEXT")
    with world.store() as store:
        store.write(TRIALS)
        assert store._writer.name == "bulk"
    today.write(*TRIALS)
    assert _read_back(world) == _read_back(today)


def test_a_run_that_the_client_reads_otherwise_than_meant_ends_bulk_writing(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = _bulk.BulkWriter._rows

    def wrong(self: Any, run_id: str, trial: Trial) -> Any:
        run, metrics, latest, params, tags = right(self, run_id, trial)
        return run, metrics, latest, params[1:], tags

    monkeypatch.setattr(_bulk.BulkWriter, "_rows", wrong)
    world = make_world("bulk")
    with caplog.at_level("INFO", logger="tgsr"), world.store() as store:
        store.write(TRIALS)
        assert store._writer.name == "client"
        assert store.read_table()["number"].tolist() == [0, 1, 2, 3]
    assert "its parameters" in caplog.text
    assert _read_back(world)[2]["params"]["kappa"] == "7"


def test_remote_artifacts_are_not_written_in_bulk(make_world: MakeWorld) -> None:
    world = make_world("bulk")
    with world.store():
        pass
    run = world.client.get_run(world.run_id)
    run.info._artifact_uri = "s3://bucket/folder"
    with pytest.raises(TrackingError, match="s3://bucket/folder"):
        _bulk.BulkWriter(world.client, run, world.spec)


def test_the_table_tells_what_was_written_with_its_types(world: World) -> None:
    other = make_trial(7, settings={"kernel": "linear", "degree": None}, group_norms=None, coef=None)
    with world.store() as store:
        assert len(store.table) == 0
        assert store.read_table() is store.table
        store.write([*TRIALS[1:], other, TRIALS[0]])
        table = store.read_table()
    assert table.columns.tolist() == [
        *("number", "run_id", "cell", "params.kappa", "params.xi", "params.kernel", "params.degree"),
        *("metrics.macro_f1", "metrics.objective", "metrics.fit_seconds", "rules.circular", "rules.class-balance"),
        *("settings", "predictions"),
    ]
    assert table["number"].tolist() == [0, 1, 2, 3, 7]
    assert table["params.xi"].tolist()[:4] == [trial.settings["xi"] for trial in TRIALS]
    assert table["rules.circular"].tolist() == [trial.rules["circular"] for trial in (*TRIALS, other)]
    assert table["params.kernel"][4] == "linear"
    assert json.loads(table["settings"][4]) == other.settings
    assert table["cell"].tolist() == [trial.cell for trial in (*TRIALS, other)]
    assert np.isnan(table["metrics.macro_f1"][1])
    assert table["metrics.objective"][2] == 1.7976931348623157e308
    np.testing.assert_array_equal(decode_predictions(table["predictions"][2]), TRIALS[2].predictions)
    np.testing.assert_array_equal(world.record.coefficients(table["run_id"][2]), TRIALS[2].coef)
    np.testing.assert_array_equal(world.record.group_norms(table["run_id"][3]), TRIALS[3].group_norms)
    assert world.record.coefficients(table["run_id"][3]) is None
    with pytest.raises(MissingDataError, match=r"no readable artifact coefficients\.npy"):
        read_artifact(world.client, table["run_id"][3], "coefficients.npy")


def test_values_of_rules_are_added_to_trials_that_are_there_and_replaced(world: World) -> None:
    world.write(*TRIALS)
    values: Mapping[str, Mapping[str, float]] = {
        TRIALS[0].cell: {"luck": 0.25, "circular": 0.125},
        TRIALS[2].cell: {"luck": float("nan")},
        "0" * 16: {"luck": 1.0},
    }
    with world.store() as store:
        store.add_values(values)
        table = store.read_table()
    assert table["rules.luck"].isna().tolist() == [False, True, True, True]
    assert (table["rules.luck"][0], table["rules.circular"][0]) == (0.25, 0.125)
    assert table["rules.circular"][2] == TRIALS[2].rules["circular"]
    with world.store() as store:
        store.add_values({trial.cell: {"luck": number / 7} for number, trial in enumerate(TRIALS)})
        store.add_values({})
        table = store.read_table()
    assert table["rules.luck"].tolist() == [number / 7 for number in range(4)]
    run = world.client.get_run(table["run_id"][3])
    assert (run.info.status, run.data.metrics["rules.luck"]) == ("FINISHED", 3 / 7)
    assert len(world.client.search_runs([run.info.experiment_id], "metrics.`rules.luck` > 0.2")) == 2


def test_bulk_and_client_add_the_same_values(make_world: MakeWorld) -> None:
    found = []
    for way in ("bulk", "client"):
        world = make_world(way, way)
        world.write(*TRIALS)
        with world.store() as store:
            store.add_values({trial.cell: {"luck": number / 7} for number, trial in enumerate(TRIALS)})
        found.append(_read_back(world))
    assert found[0] == found[1]


def test_a_cell_is_there_once_and_stays_deleted_until_it_is_restored(world: World) -> None:
    before = world.write(*TRIALS[:3])
    world.write(*TRIALS, replace(TRIALS[0], number=9))
    after = world.write(*TRIALS)
    assert after["number"].tolist() == [0, 1, 2, 3]
    assert after["run_id"].tolist()[:3] == before["run_id"].tolist()
    world.client.delete_run(after["run_id"][1])
    with world.store() as store:
        assert store.deleted == {TRIALS[1].cell}
        store.write(TRIALS)
        store.add_values({TRIALS[1].cell: {"luck": 1.0}})
        assert store.read_table()["number"].tolist() == [0, 2, 3]
    with world.store(restore=True) as store:
        assert store.deleted == set()
        pd.testing.assert_frame_equal(store.read_table(), after)
    with world.store() as store:
        assert store.deleted == set()


def test_what_an_interruption_left_is_removed_and_run_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="tgsr")
    by_client = World(world.config, world.spec, world.pair, "client")
    create = ClientWriter._write_one

    def interrupted(self: ClientWriter, trial: Trial) -> str:
        monkeypatch.setattr(self._client, "set_terminated", _interrupt)
        try:
            return create(self, trial)
        finally:
            monkeypatch.undo()

    with monkeypatch.context() as patch:  # killed before a run's end; the outage of a server leaves the same
        patch.setattr(ClientWriter, "_write_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            by_client.write(TRIALS[0])
    table = by_client.write(*TRIALS[1:])
    assert table["number"].tolist() == [1, 2, 3]
    assert caplog.text.count("1 trials that an interruption left unfinished are removed") == 1
    lost, cut, emptied = (world.folder(run_id) for run_id in table["run_id"])
    shutil.rmtree(lost.parent)
    matrix = (cut / "coefficients.npy").read_bytes()
    (cut / "coefficients.npy").write_bytes(matrix[: len(matrix) // 2])
    with world.store() as store:
        assert store.deleted == set()
        assert store.table["number"].tolist() == [3]
        store.write(TRIALS)
        assert store.read_table()["number"].tolist() == [0, 1, 2, 3]
    (emptied / "regions.json").write_bytes(b"")
    with world.store() as store:
        assert store.table["number"].tolist() == [0, 1, 2]
        assert store.deleted == set()


def test_a_cell_that_is_there_twice_is_there_once_afterwards(world: World) -> None:
    by_client = World(world.config, world.spec, world.pair, "client")
    by_client.write(*TRIALS[:2])
    with by_client.store() as store:
        store._whole = {}  # as a coordinator that does not know of another
        store.write(TRIALS[:2])
        assert len(store.read_table()) == 4
    with world.store() as store:
        assert store.table["number"].tolist() == [0, 1]
        assert store.deleted == set()


def test_a_folder_of_artifacts_that_is_away_makes_no_trial_unfinished(world: World) -> None:
    table = world.write(*TRIALS)
    folder = world.folder(table["run_id"][0]).parents[1]
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(TrackingError, match="mount or restore"), world.store():
        pass
    folder.with_name("elsewhere").rename(folder)
    with world.store() as store:
        pd.testing.assert_frame_equal(store.table, table)


def test_a_trial_whose_matrix_is_damaged_is_run_again(world: World) -> None:
    table = world.write(*TRIALS)
    (world.folder(table["run_id"][2]) / "coefficients.npy").write_bytes(b"cut off")
    assert world.record.coefficients(table["run_id"][2]) is None
    again = world.write(*TRIALS)
    np.testing.assert_array_equal(world.record.coefficients(again["run_id"][2]), TRIALS[2].coef)


def test_a_full_disk_is_named_and_leaves_whole_runs_only(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world("bulk")
    world.write(*TRIALS[:2])
    full = OSError(28, "No space left on device", "coefficients.npy")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", _raise(full))
        with pytest.raises(TrackingError, match=r"the disk is full; free some space.*safe"):
            world.write(*TRIALS)
    with sqlite3.connect(world.config.home / "mlflow.db") as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    many = [make_trial(number, coef=None, settings={"kappa": number}) for number in range(10, 90)]
    with _bulk.connect(world.config.tracking_uri).connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 5}")
    with pytest.raises(TrackingError, match=r"mlflow\.db: the disk is full"):
        world.write(*many)
    with _bulk.connect(world.config.tracking_uri).connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={2**30}")
    with world.store() as opened:
        assert opened.table["number"].tolist() == [0, 1]


def _raise(error: BaseException) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_settings_have_one_name_whatever_their_order_and_type() -> None:
    assert cell_id({"kappa": np.int64(3), "xi": np.float64(0.1)}) == cell_id({"xi": 0.1, "kappa": 3})
    assert cell_id({"xi": 0.1}) != cell_id({"xi": 0.1 + 1e-16})
    assert len(cell_id({})) == 16


def test_stored_matrix_is_readable_with_numpy_alone_and_leaves_zero_blocks_out(tmp_path: Path) -> None:
    trial = TRIALS[2]
    write_trial_files(tmp_path / "trial", trial, "region")
    path = tmp_path / "trial" / "coefficients.npy"
    assert trial.coef is not None
    stored = np.load(path, allow_pickle=False)
    assert len(stored) == np.count_nonzero(trial.group_norms) * 177 + (trial.group_norms[-1] == 0)  # the last is there
    assert stored["values"].dtype == np.float64
    np.testing.assert_array_equal(parse_coefficients(path.read_bytes()), trial.coef)


def test_groups_of_one_s_own_have_numbers_and_no_picture(tmp_path: Path) -> None:
    trial = replace(TRIALS[2], group_norms=np.array([0.0, 1.0]), coef=np.ones((4, 3)))
    assert list(write_trial_files(tmp_path, trial, "own")) == ["regions.json", "coefficients.npy"]


def test_mask_picture_shows_the_kept_regions_on_their_face_only() -> None:
    import cv2

    weights = np.zeros(85)
    weights[[1, 4]] = 0.5, 1.0  # both in the face of 2 × 2 blocks: the first and the last
    picture = cv2.imdecode(np.frombuffer(mask_picture(weights, "region"), np.uint8), cv2.IMREAD_COLOR)
    blue = picture[:250, :, 0].astype(int) - picture[:250, :, 2]  # without caption and legend
    face = blue[24:236, 232:444]
    assert 0 < face[20, 40] < face[160, 120]
    assert face[20, 120] == face[160, 40] == 0
    face[:106, :106] = face[106:, 106:] = 0
    assert not blue.any()


def test_groups_of_the_released_files_are_drawn_as_histograms_by_plane() -> None:
    import cv2

    weights = np.zeros(85)
    weights[1] = 1.0  # three of the twelve histograms of the grid of 2 × 2 blocks, all of the first plane
    picture = cv2.imdecode(np.frombuffer(mask_picture(weights, "released"), np.uint8), cv2.IMREAD_COLOR)
    blue = picture[:370, :, 0].astype(int) - picture[:370, :, 2]
    assert blue[24:130, 146:252].any()
    blue[24:130, 146:252] = 0
    assert not blue.any()


def _summed_up(world: World, by: str, grid: list[dict[str, Any]], **columns: list[float]) -> str:
    """A study of these cells that is summed up twice, as one that is started again; its run id."""
    trials = [
        make_trial(
            number,
            settings=cell,
            metrics={"macro_f1": columns["macro_f1"][number], "accuracy": 0.5},
            rules={"circular": columns["circular"][number]},
            group_norms=None,
            coef=None,
        )
        for number, cell in enumerate(grid)
    ]
    for _ in range(2):
        with world.store() as store:
            store.write(trials)
            store.finish(by, store.read_table(), metrics={"seconds_fit": 1.5}, files={"more.txt": "more"})
    return world.run_id


GRID = [{"kappa": kappa, "xi": xi} for kappa in (3, 20, 85) for xi in (0.01, 1.0)]
SCORES = {"macro_f1": [0.1, 0.2, 0.3, 0.6, 0.5, 0.4], "circular": [0.9, 0.1, 0.9, 0.2, 0.3, 0.4]}


def test_a_study_is_summed_up_by_a_choice_with_curves_whose_names_fit_every_study(world: World) -> None:
    client, run_id = world.client, _summed_up(world, "oracle", GRID, **SCORES)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    metrics = run.data.metrics
    assert (metrics["macro_f1"], metrics["macro_f1.oracle"], metrics["macro_f1.circular"]) == (0.6, 0.6, 0.1)
    assert metrics["macro_f1.median"] == pytest.approx(0.35)
    assert (metrics["best_kappa"], metrics["best_xi"]) == (20, 1)
    assert (metrics["trials"], metrics["seconds_fit"]) == (6, 1.5)
    assert (run.data.tags[Tag.CHOOSE], run.data.tags[Tag.BEST_SETTINGS]) == ("oracle", "κ = 20, ξ = 1")
    assert run.data.tags[Tag.NOTE].count("What each rule chooses") == 1
    history = {axis: client.get_metric_history(run_id, f"macro_f1_over_{axis}") for axis in ("kappa", "xi")}
    assert sorted((point.step, point.value) for point in history["kappa"]) == [(3, 0.2), (20, 0.6), (85, 0.4)]
    assert sorted((point.step, point.value) for point in history["xi"]) == [(0, 0.3), (1, 0.6)]
    assert not any("20" in name or "_at_" in name for name in metrics)


def test_a_summed_up_study_has_its_table_its_choices_and_what_defines_it_as_files(world: World) -> None:
    client, run_id = world.client, _summed_up(world, "circular", GRID, **SCORES)
    record = read_study(client, run_id)
    assert record.spec == world.spec
    assert record.classes[0] == world.pair.class_names
    stored = pd.read_parquet(io.BytesIO(read_artifact(client, run_id, "trials.parquet")))
    with world.store() as store:
        pd.testing.assert_frame_equal(stored, store.table)
    pd.testing.assert_frame_equal(record.table, stored)
    text = pd.read_csv(io.BytesIO(read_artifact(client, run_id, "trials.csv")), dtype={"predictions": str})
    assert text["rules.circular"].tolist() == SCORES["circular"]
    choices = pd.read_csv(io.BytesIO(read_artifact(client, run_id, "choices.csv"))).set_index("choice")
    assert choices["settings"].to_dict() == {"oracle": "κ = 20, ξ = 1", "circular": "κ = 3, ξ = 0.01"}
    assert choices["ties"].to_dict() == {"oracle": 1, "circular": 2}
    assert read_artifact(client, run_id, "more.txt") == b"more"


def test_a_study_is_summed_up_again_only_if_something_has_changed(world: World) -> None:
    _summed_up(world, "circular", GRID, **SCORES)
    with world.store() as store:
        assert store.is_summed_up("circular")
        assert not store.is_summed_up("oracle")
        store.add_values({cell_id(GRID[0]): {"luck": 1.0}})
        assert not store.is_summed_up("circular")


def test_a_setting_that_is_no_number_has_no_curve(world: World) -> None:
    cells = [{"kernel": kernel, "dim": dim} for kernel in ("a", "b") for dim in (1, 2)]
    run_id = _summed_up(world, "oracle", cells, macro_f1=[0.1, 0.2, 0.4, 0.3], circular=[0.1] * 4)
    metrics = world.client.get_run(run_id).data.metrics
    assert {name for name in metrics if name.startswith("macro_f1_over_")} == {"macro_f1_over_dim"}
    assert metrics["best_dim"] == 1
    assert "best_kernel" not in metrics


def test_a_finished_study_leaves_statistics_with_the_database(make_world: MakeWorld) -> None:
    world = make_world("bulk")
    _summed_up(world, "oracle", GRID, **SCORES)
    with sqlite3.connect(world.config.home / "mlflow.db") as connection:
        analyzed = {name for (name,) in connection.execute("SELECT DISTINCT tbl FROM sqlite_stat1")}
    assert analyzed >= {"runs", "metrics", "latest_metrics", "params", "tags"}


def _fail_after_writing(store: StudyStore, error: BaseException) -> None:
    store.write(TRIALS[:1])
    raise error


@pytest.mark.parametrize("call", ["log_batch", "log_inputs", "log_text", "set_experiment_tag"])
def test_a_study_that_was_killed_at_its_very_beginning_is_described_when_it_goes_on(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    world, whole = make_world(), make_world(home="whole")
    whole.write(*TRIALS)
    with monkeypatch.context() as patch:
        patch.setattr(f"mlflow.MlflowClient.{call}", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            world.write(*TRIALS)
    world.write(*TRIALS)
    (found, expected) = (one.client.get_run(one.run_id) for one in (world, whole))
    assert found.data.params == expected.data.params
    assert [entry.dataset.name for entry in found.inputs.dataset_inputs] == [
        entry.dataset.name for entry in expected.inputs.dataset_inputs
    ]
    record = read_study(world.client, world.run_id)
    assert (record.spec, record.classes[0], record.is_generated) == (world.spec, world.pair.class_names, True)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED"), (ValueError(), "FAILED")]
)
def test_a_study_that_is_not_finished_says_how_it_ended(world: World, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), world.store() as store:
        _fail_after_writing(store, error)
    assert read_study(world.client, world.run_id).status == status
    assert world.write(*TRIALS)["number"].tolist() == [0, 1, 2, 3]


def test_a_finished_study_that_is_opened_in_vain_stays_finished(world: World) -> None:
    run_id = _summed_up(world, "oracle", GRID, **SCORES)
    with pytest.raises(KeyboardInterrupt), world.store():
        raise KeyboardInterrupt
    assert world.client.get_run(run_id).info.status == "FINISHED"


def test_saved_views_do_not_mix_studies_and_trials_or_rank_label_free_ones_by_target_scores(
    make_world: MakeWorld,
) -> None:
    world = make_world("bulk")
    world.write(*TRIALS)
    experiment_id = world.client.get_run(world.run_id).info.experiment_id
    tags = world.client.get_experiment(experiment_id).tags
    assert all(view.tag in tags for view in VIEWS)
    assert [view.order for view in VIEWS] == ["", "rules.circular", "macro_f1"]
    found = [len(world.client.search_runs([experiment_id], view.search)) for view in VIEWS]
    assert found == [1, 4, 4]

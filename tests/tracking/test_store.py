"""Trials written in bulk, by the client and by the fluent interface read back the same; each cell is there once."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tgsr.tracking._runs import ParentSpec, finish_parent, log_summary, start_parent
from tgsr.tracking._store import TrialStore
from tgsr.tracking._views import VIEWS
from tgsr.tracking.reading import (
    find_run,
    list_studies,
    read_coefficients,
    read_regions,
    read_spec_json,
    read_surface,
    read_trials,
)

from tgsr.errors import MissingDataError, TrackingError
from tgsr.tracking import _bulk
from tgsr.tracking._files import mask_picture, read_coefficients_file, sizes_text, write_trial_files
from tgsr.tracking.config import TrackingConfig, open_client, resolve_config
from tgsr.tracking.names import STUDY_JSON, Tag
from tgsr.trials.trial import StudyRun, Trial, cell_id, decode_predictions, source_tags

WAYS = ("bulk", "client", "fluent")
Make = Callable[..., TrackingConfig]


@pytest.fixture
def make_config(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def make(home: str = "home") -> TrackingConfig:
        config = resolve_config(tmp_path / home)
        config.home.mkdir(exist_ok=True)
        shutil.copy(empty_store, config.home / "mlflow.db")
        return config

    return make


def make_trial(number: int, **changes: Any) -> Trial:
    rng = np.random.default_rng(number)
    norms = rng.gamma(1.0, size=85) * (np.arange(85) % (number + 2) == 0)
    settings = {"kappa": number + 5, "xi": 0.002 * 10**number}
    given = {
        "number": number,
        "cell": cell_id(settings),
        "settings": settings,
        "metrics": {
            "selection_value": rng.random(),
            "macro_f1": float("nan") if number == 1 else rng.random(),
            "objective": float("inf") if number == 2 else 2.0,
            "fit_seconds": 0.25,
        },
        "predictions": rng.integers(0, 3, size=20),
        "group_norms": norms,
        # as in a study whose matrices are thinned out
        "coef": None if number == 3 else (rng.normal(size=(85, 177, 3)) * (norms > 0)[:, None, None]).reshape(-1, 3),
        "start_ms": 1_700_000_000_000,
        "end_ms": 1_700_000_000_007,
    }
    return Trial(**{**given, **changes})


TRIALS = [make_trial(number) for number in range(4)]


def start_study(config: TrackingConfig, grouping: str = "region") -> tuple[Any, StudyRun]:
    client = open_client(config.tracking_uri)
    spec = ParentSpec(
        "tgsr/V-N",
        "V-N TGSR grid oracle region",
        "An *oracle*.",
        {Tag.KIND: "study", Tag.EXPERIMENT: "V-N"},
        {"grouping": grouping},
        files={STUDY_JSON: '{"pair": "V-N"}'},
    )
    run_id = start_parent(client, spec, config.artifact_root)
    info = client.get_run(run_id).info
    location = client.get_experiment(info.experiment_id).artifact_location
    tags = {Tag.EXPERIMENT: "V-N", Tag.SELECTION: "oracle", Tag.METHOD: "TGSR", **source_tags()}
    return client, StudyRun(run_id, info.experiment_id, location, "TGSR oracle", grouping, {"mu": "0.001"}, tags)


def _write(way: str, config: TrackingConfig) -> tuple[Any, str]:
    client, study = start_study(config)
    if way == "fluent":
        _write_fluent(study, config)
    else:
        store = TrialStore(client, study, way)
        assert store.writer == way
        store.write(TRIALS)
    return client, study.run_id


def _write_fluent(study: StudyRun, config: TrackingConfig) -> None:
    import mlflow

    with mlflow.start_run(run_id=study.run_id):
        for trial in TRIALS:
            name, tags = study.trial_name(trial), study.trial_tags(trial)
            with mlflow.start_run(experiment_id=study.experiment_id, run_name=name, nested=True, tags=tags):
                mlflow.log_params(study.trial_params(trial))
                mlflow.log_metrics(trial.metrics)
                files = config.home / "files" / str(trial.number)
                mlflow.set_tag(Tag.FILES, sizes_text(write_trial_files(files, trial, study.grouping)))
                mlflow.log_artifacts(str(files))


def _read_back(client: Any, run_id: str) -> dict[int, Any]:
    parent = find_run(client, run_id)
    condition = f"tags.`mlflow.parentRunId` = '{run_id}'"
    found = {}
    for run in client.search_runs([parent.info.experiment_id], condition, order_by=["metrics.macro_f1 DESC"]):
        assert repr(run.to_dictionary()) == repr(client.get_run(run.info.run_id).to_dictionary())
        history = {
            key: [(point.value, point.step) for point in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
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
            "metrics": {key: repr(value) for key, value in run.data.metrics.items()},
            "history": repr(history),
            "tags": tags,
            "files": files,
            "contents": contents,
            "inputs": len(run.inputs.dataset_inputs),
        }
    return found


def test_bulk_client_and_fluent_interface_read_back_the_same(make_config: Make) -> None:
    stored = {way: _read_back(*_write(way, make_config(way))) for way in WAYS}
    assert set(stored["bulk"]) == {0, 1, 2, 3}
    assert stored["bulk"] == stored["client"]
    for number, trial in stored["fluent"].items():
        # what the fluent interface adds by itself, such as the commit of the working directory
        trial["tags"] = {key: value for key, value in trial["tags"].items() if key in stored["bulk"][number]["tags"]}
    assert stored["bulk"] == stored["fluent"]
    assert stored["bulk"][2]["params"] == {"kappa": "7", "xi": "0.2", "log10_xi": "-0.69897", "mu": "0.001"}


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


def test_the_next_version_s_schema_is_written_in_bulk(make_config: Make) -> None:
    config = make_config()
    client, study = start_study(config)
    _alter_as_3_18(config.home / "mlflow.db")
    store = TrialStore(client, study, "bulk")
    store.write(TRIALS)
    assert _read_back(client, study.run_id) == _read_back(*_write("bulk", make_config("as of today")))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE runs ADD COLUMN workspace TEXT", "runs.workspace"),
        ("ALTER TABLE params RENAME COLUMN value TO content", "params.content"),
        ("DROP TABLE latest_metrics", "latest_metrics"),
        ("ALTER TABLE tags DROP COLUMN value; ALTER TABLE tags ADD COLUMN value INTEGER", "tags.value"),
        (
            "ALTER TABLE tags DROP COLUMN value; ALTER TABLE tags ADD COLUMN value TEXT NOT NULL DEFAULT ''",
            "tags.value",
        ),
    ],
)
def test_other_columns_fall_back_to_the_client_and_are_named(
    make_config: Make, caplog: pytest.LogCaptureFixture, change: str, named: str
) -> None:
    config = make_config()
    client, study = start_study(config)
    with sqlite3.connect(config.home / "mlflow.db") as connection:
        connection.executescript(change)
    with caplog.at_level("INFO", logger="tgsr"):
        assert TrialStore(client, study).writer == "client"
    assert named in caplog.text
    with pytest.raises(TrackingError, match=named):
        TrialStore(client, study, "bulk")


def test_a_run_that_the_client_reads_otherwise_than_meant_ends_bulk_writing(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client, study = start_study(make_config())
    right = _bulk.BulkWriter._rows

    def wrong(self: Any, run_id: str, trial: Trial, files: Any) -> Any:
        run, metrics, latest, params, tags = right(self, run_id, trial, files)
        return run, metrics, latest, params[1:], tags

    monkeypatch.setattr(_bulk.BulkWriter, "_rows", wrong)
    with pytest.raises(TrackingError, match="its parameters"):
        TrialStore(client, study, "bulk").write(TRIALS)
    store = TrialStore(client, study)
    with caplog.at_level("INFO", logger="tgsr"):
        store.write(TRIALS)
    assert "its parameters" in caplog.text
    assert store.writer == "client"
    assert store.table()["trial"].tolist() == [0, 1, 2, 3]


def test_remote_artifacts_are_not_written_in_bulk(make_config: Make) -> None:
    client, study = start_study(make_config())
    with pytest.raises(TrackingError, match="s3://bucket/folder"):
        TrialStore(client, replace(study, artifact_location="s3://bucket/folder"), "bulk")


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_the_table_tells_what_was_written_with_its_types(make_config: Make, way: str) -> None:
    client, study = start_study(make_config())
    store = TrialStore(client, study, way)
    assert len(store.table()) == 0
    other = make_trial(7, settings={"kernel": "linear", "degree": None}, cell="0" * 16, group_norms=None, coef=None)
    store.write([*TRIALS[1:], other, TRIALS[0]])
    table = store.table()
    assert table.columns.tolist() == [
        *("trial", "run_id", "cell", "kappa", "xi", "kernel", "degree"),
        *("selection_value", "macro_f1", "objective", "predictions", "fit_seconds"),
    ]
    assert table["trial"].tolist() == [0, 1, 2, 3, 7]
    assert table["xi"].tolist()[:4] == [trial.settings["xi"] for trial in TRIALS]
    assert table["kernel"][4] == "linear"
    assert np.isnan(table["macro_f1"][1])
    assert table["objective"][2] == 1.7976931348623157e308
    np.testing.assert_array_equal(decode_predictions(table["predictions"][2]), TRIALS[2].predictions)
    np.testing.assert_array_equal(read_coefficients(client, table["run_id"][2]), TRIALS[2].coef)
    np.testing.assert_array_equal(read_regions(client, table["run_id"][3])["group_norms"], TRIALS[3].group_norms)
    with pytest.raises(MissingDataError, match="no artifact"):
        read_coefficients(client, table["run_id"][3])


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_a_cell_is_there_once_and_stays_deleted_until_it_is_restored(make_config: Make, way: str) -> None:
    client, study = start_study(make_config())
    store = TrialStore(client, study, way)
    store.write(TRIALS[:3])
    before = store.table()
    store.write([*TRIALS, replace(TRIALS[0], number=9)])
    TrialStore(client, study, way).write(TRIALS)
    after = store.table()
    assert after["trial"].tolist() == [0, 1, 2, 3]
    assert after["run_id"].tolist()[:3] == before["run_id"].tolist()
    client.delete_run(after["run_id"][1])
    again = TrialStore(client, study, way)
    assert again.clean() == 0
    assert again.deleted() == {TRIALS[1].cell}
    again.write(TRIALS)
    assert again.table()["trial"].tolist() == [0, 2, 3]
    assert again.restore() == 1
    assert again.deleted() == set()
    assert again.table().equals(after)


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_what_an_interruption_left_is_removed_and_run_again(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    client, study = start_study(make_config())
    with monkeypatch.context() as patch:  # killed before a run's end; the outage of a server leaves the same
        patch.setattr(client, "set_terminated", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            TrialStore(client, study, "client").write(TRIALS[:1])
    TrialStore(client, study, "client").write(TRIALS[1:])
    folder = Path(study.artifact_location.removeprefix("file://"))
    lost, cut, emptied = (folder / run_id / "artifacts" for run_id in TrialStore(client, study).table()["run_id"])
    shutil.rmtree(lost.parent)
    matrix = (cut / "coefficients.npz").read_bytes()
    (cut / "coefficients.npz").write_bytes(matrix[: len(matrix) // 2])
    store = TrialStore(client, study, way)
    assert store.clean() == 3
    assert store.clean() == 0
    assert store.deleted() == set()
    assert store.table()["trial"].tolist() == [3]
    store.write(TRIALS)
    assert store.table()["trial"].tolist() == [0, 1, 2, 3]
    (emptied / "regions.json").write_bytes(b"")
    assert TrialStore(client, study, way).clean() == 1


def test_a_cell_that_is_there_twice_is_there_once_afterwards(make_config: Make) -> None:
    client, study = start_study(make_config())
    for _ in range(2):
        store = TrialStore(client, study, "client")
        store._whole = {}  # two coordinators that do not know of each other
        store.write(TRIALS[:2])
    assert store.clean() == 2
    assert store.table()["trial"].tolist() == [0, 1]


def test_a_folder_of_artifacts_that_is_away_makes_no_trial_unfinished(make_config: Make) -> None:
    client, study = start_study(make_config())
    store = TrialStore(client, study)
    store.write(TRIALS)
    folder = Path(study.artifact_location.removeprefix("file://"))
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(TrackingError, match="mount or restore"):
        store.clean()
    assert len(store.table()) == 4


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_a_matrix_is_added_and_then_belongs_to_the_trial(make_config: Make, way: str) -> None:
    client, study = start_study(make_config())
    store = TrialStore(client, study, way)
    store.write(TRIALS)
    coef = np.eye(15045, 3)
    store.write_coef(TRIALS[3].cell, coef)
    run_id = store.table()["run_id"][3]
    np.testing.assert_array_equal(read_coefficients(client, run_id), coef)
    assert store.clean() == 0
    folder = Path(study.artifact_location.removeprefix("file://")) / run_id / "artifacts"
    (folder / "coefficients.npz").write_bytes(b"cut off")
    with pytest.raises(MissingDataError, match="damaged"):
        read_coefficients(client, run_id)
    assert store.clean() == 1
    with pytest.raises(TrackingError, match="run the study again"):
        store.write_coef(TRIALS[3].cell, coef)


def test_a_full_disk_is_named_and_leaves_whole_runs_only(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    client, study = start_study(make_config())
    store = TrialStore(client, study)
    store.write(TRIALS[:2])
    full = OSError(28, "No space left on device", "coefficients.npz")
    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez", _raise(full))
        with pytest.raises(TrackingError, match=r"the disk is full; free some space.*safe"):
            store.write(TRIALS)
    with sqlite3.connect(client.tracking_uri.removeprefix("sqlite:///")) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    many = [
        make_trial(number, coef=None, settings={"kappa": number}, cell=f"{number:016x}") for number in range(10, 90)
    ]
    with _bulk.connect(client.tracking_uri).connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 5}")
    with pytest.raises(TrackingError, match=r"mlflow\.db: the disk is full"):
        store.write(many)
    assert TrialStore(client, study).clean() == 0
    assert store.table()["trial"].tolist() == [0, 1]


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
    path = tmp_path / "trial" / "coefficients.npz"
    assert trial.coef is not None
    with np.load(path, allow_pickle=False) as stored:
        assert len(stored["rows"]) == np.count_nonzero(trial.group_norms) * 177
        assert stored["values"].dtype == np.float64
    np.testing.assert_array_equal(read_coefficients_file(path), trial.coef)


def test_groups_of_one_s_own_have_numbers_and_no_picture(tmp_path: Path) -> None:
    trial = replace(TRIALS[2], group_norms=np.array([0.0, 1.0]), coef=np.ones((4, 3)))
    assert list(write_trial_files(tmp_path, trial, "own")) == ["regions.json", "coefficients.npz"]


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


def test_a_study_is_summed_up_with_curves_whose_names_fit_every_study(make_config: Make) -> None:
    client, study = start_study(make_config())
    grid = [{"kappa": kappa, "xi": xi} for kappa in (3, 20, 85) for xi in (0.01, 1.0)]
    scores = [0.1, 0.2, 0.3, 0.6, 0.5, 0.4]
    store = TrialStore(client, study)
    store.write(
        [
            make_trial(number, settings=cell, cell=cell_id(cell), metrics={"macro_f1": score, "selection_value": score})
            for number, (cell, score) in enumerate(zip(grid, scores, strict=True))
        ]
    )
    table = store.table()
    for _ in range(2):  # a study that is started again is summed up again
        log_summary(
            client, study.run_id, table, table.iloc[3].to_dict(), grid[3], grid=True, files={"more.txt": "more"}
        )
    finish_parent(client, study.run_id)
    run = client.get_run(study.run_id)
    assert run.data.metrics["best_kappa"] == 20
    assert run.data.metrics["trials"] == 6
    assert run.data.tags[Tag.BEST_SETTINGS] == "kappa 20 xi 1"
    history = {axis: client.get_metric_history(study.run_id, f"macro_f1_over_{axis}") for axis in ("kappa", "xi")}
    assert sorted((point.step, point.value) for point in history["kappa"]) == [(3, 0.2), (20, 0.6), (85, 0.4)]
    assert sorted((point.step, point.value) for point in history["xi"]) == [(0, 0.3), (1, 0.6)]
    assert not any("20" in name or "_at_" in name for name in run.data.metrics)
    surface = read_surface(client, study.run_id)
    assert surface["axes"].tolist() == ["kappa", "xi"]
    np.testing.assert_array_equal(surface["macro_f1"], np.reshape(scores, (3, 2)))
    assert read_trials(client, study.run_id).equals(read_trials(client, study.run_id, stored_table=False))
    assert (read_spec_json(client, study.run_id), len(list_studies(client, "V-N"))) == ({"pair": "V-N"}, 1)


def test_one_numeric_setting_has_a_curve_and_no_surface_and_names_none(make_config: Make) -> None:
    client, study = start_study(make_config(), grouping="")
    cells = [{"kernel": kernel, "dim": dim} for kernel in ("a", "b") for dim in (1, 2)]
    store = TrialStore(client, study)
    store.write([make_trial(n, settings=c, cell=cell_id(c), group_norms=None) for n, c in enumerate(cells)])
    table = store.table()
    log_summary(client, study.run_id, table, table.iloc[2].to_dict(), cells[2], grid=True)
    names = {name for name in client.get_run(study.run_id).data.metrics if "_over_" in name}
    assert names == {"selection_value_over_dim", "macro_f1_over_dim"}
    with pytest.raises(MissingDataError):
        read_surface(client, study.run_id)


def test_saved_views_do_not_mix_studies_and_trials_or_rank_label_free_ones_by_target_scores(make_config: Make) -> None:
    client, study = start_study(make_config())
    tags = client.get_experiment(study.experiment_id).tags
    assert [view.name for view in VIEWS] == ["Studies", "Trials, label-free", "Trials, oracle"]
    assert all(view.tag in tags for view in VIEWS)
    assert [view.order for view in VIEWS] == ["", "selection_value", "macro_f1"]
    TrialStore(client, study).write(TRIALS)
    found = [len(client.search_runs([study.experiment_id], view.search)) for view in VIEWS]
    assert found == [1, 0, 4]

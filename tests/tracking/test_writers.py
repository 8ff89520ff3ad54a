"""One study written by each way of writing reads back the same through MLflow's public client."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tgsr.errors import TrackingError
from tgsr.tracking import bulk
from tgsr.tracking.artifacts import mask_picture, read_coefficients_file, write_trial_files
from tgsr.tracking.place import Place, ensure_experiment, open_client, resolve_place
from tgsr.tracking.reading import find_run, read_coefficients, read_regions, read_trials
from tgsr.tracking.records import StudyRun, TrialRecord, source_tags
from tgsr.tracking.study_runs import ParentSpec, finish_parent, log_best, log_trial_table, start_parent
from tgsr.tracking.writers import choose_writer

WAYS = ("bulk", "client", "fluent")


def _records() -> list[TrialRecord]:
    rng = np.random.default_rng(5)
    records = []
    for number in range(4):
        norms = rng.gamma(1.0, size=85) * (np.arange(85) % (number + 2) == 0)
        coef = (rng.normal(size=(85, 177, 3)) * (norms > 0)[:, None, None]).reshape(-1, 3)
        metrics = {
            "accuracy": rng.random(),
            "macro_f1": float("nan") if number == 1 else rng.random(),
            "objective": 2.0,
        }
        if number == 2:
            metrics["objective"] = float("inf")
        thinned = coef if number != 3 else None
        records.append(
            TrialRecord(
                number, number + 5, 0.002 * 10**number, metrics, norms, thinned, 1_700_000_000_000, 1_700_000_000_007
            )
        )
    return records


def _write(way: str, place: Place) -> tuple[Any, str]:
    client = open_client(place.tracking_uri)
    spec = ParentSpec(
        "tgsr/V-N", "V-N grid oracle region", "An *oracle*.", {"tgsr.kind": "study"}, {"grouping": "region"}
    )
    run_id = start_parent(client, spec, place.artifact_root)
    info = client.get_run(run_id).info
    location = client.get_experiment(info.experiment_id).artifact_location
    tags = {"tgsr.experiment": "V-N", "tgsr.selection": "oracle", **source_tags()}
    study = StudyRun(run_id, info.experiment_id, location, "oracle", "region", {"mu": "0.001"}, tags)
    if way == "fluent":
        _write_fluent(study, place)
    else:
        writer, reason = choose_writer(client, location, way)
        assert (writer.name, reason) == (way, "")
        assert len(writer.write(study, _records())) == 4
    finish_parent(client, run_id)
    return client, run_id


def _write_fluent(study: StudyRun, place: Place) -> None:
    import mlflow

    with mlflow.start_run(run_id=study.run_id):
        for record in _records():
            name, tags = study.trial_name(record), study.trial_tags(record)
            with mlflow.start_run(experiment_id=study.experiment_id, run_name=name, nested=True, tags=tags):
                mlflow.log_params(study.trial_params(record))
                mlflow.log_metrics(record.metrics)
                files = place.home / "files" / str(record.number)
                write_trial_files(files, record, study.grouping)
                mlflow.log_artifacts(str(files))


def _read_back(client: Any, run_id: str) -> dict[int, Any]:
    parent = find_run(client, run_id)
    condition = f"tags.`mlflow.parentRunId` = '{run_id}'"
    found = {}
    for run in client.search_runs([parent.info.experiment_id], condition, order_by=["metrics.accuracy DESC"]):
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
        found[int(tags["tgsr.trial"])] = {
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


def test_bulk_client_and_fluent_interface_read_back_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    stored = {way: _read_back(*_write(way, resolve_place(tmp_path / way))) for way in WAYS}
    assert set(stored["bulk"]) == {0, 1, 2, 3}
    assert stored["bulk"] == stored["client"]
    for number, trial in stored["fluent"].items():
        # what the fluent interface adds by itself, such as the commit of the working directory
        trial["tags"] = {key: value for key, value in trial["tags"].items() if key in stored["bulk"][number]["tags"]}
    assert stored["bulk"] == stored["fluent"]


def test_a_trial_written_twice_is_there_once_and_can_be_deleted_and_restored(tmp_path: Path) -> None:
    place = resolve_place(tmp_path)
    client, run_id = _write("bulk", place)
    parent = find_run(client, run_id)
    location = client.get_experiment(parent.info.experiment_id).artifact_location
    study = StudyRun(run_id, parent.info.experiment_id, location, "oracle", "region")
    writer, _ = choose_writer(client, location, "bulk")
    again = writer.write(study, _records())
    assert len(client.search_runs([parent.info.experiment_id])) == 5
    client.delete_run(again[0])
    assert len(client.search_runs([parent.info.experiment_id])) == 4
    client.restore_run(again[0])
    table = read_trials(client, run_id)
    assert table["trial"].tolist() == [0, 1, 2, 3]
    assert table["run_id"].tolist() == again
    assert table["kappa"].tolist() == [5, 6, 7, 8]
    np.testing.assert_array_equal(read_coefficients(client, again[2]), _records()[2].coef)
    np.testing.assert_array_equal(read_regions(client, again[2])["group_norms"], _records()[2].group_norms)


def test_an_unknown_schema_falls_back_to_the_client_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = resolve_place(tmp_path)
    client = open_client(place.tracking_uri)
    monkeypatch.setattr(bulk, "KNOWN_SCHEMAS", {"0123456789ab": "9.9"})
    writer, reason = choose_writer(client, place.artifact_root or "")
    assert writer.name == "client"
    assert "schema" in reason
    with pytest.raises(TrackingError, match="schema"):
        choose_writer(client, place.artifact_root or "", "bulk")


def test_remote_artifacts_are_not_written_in_bulk(tmp_path: Path) -> None:
    client = open_client(resolve_place(tmp_path).tracking_uri)
    writer, reason = choose_writer(client, "s3://bucket/folder")
    assert writer.name == "client"
    assert "s3://bucket/folder" in reason


def test_stored_matrix_is_readable_with_numpy_alone_and_leaves_zero_blocks_out(tmp_path: Path) -> None:
    record = _records()[2]
    write_trial_files(tmp_path / "trial", record, "region")
    path = tmp_path / "trial" / "coefficients.npz"
    assert record.coef is not None
    with np.load(path, allow_pickle=False) as stored:
        assert len(stored["rows"]) == np.count_nonzero(record.group_norms) * 177
        assert stored["values"].dtype == np.float64
    np.testing.assert_array_equal(read_coefficients_file(path), record.coef)


def test_summary_of_a_study_reads_back(tmp_path: Path) -> None:
    place = resolve_place(tmp_path)
    client, run_id = _write("bulk", place)
    table = read_trials(client, run_id, stored_table=False)
    best = table.iloc[0].to_dict()
    log_best(client, run_id, best, len(table))
    log_trial_table(client, run_id, table)
    assert read_trials(client, run_id).equals(table)
    assert client.get_run(run_id).data.metrics["best_kappa"] == 5


def test_place_follows_home_then_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("TGSR_HOME", str(tmp_path / "home"))
    assert resolve_place().tracking_uri == f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert resolve_place().tracking_uri == "http://127.0.0.1:5000"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here.db")
    assert resolve_place().tracking_uri == f"sqlite:///{tmp_path / 'here.db'}"
    with pytest.raises(TrackingError, match="sqlite:///"):
        resolve_place(tracking_uri="./mlruns")


def test_experiment_is_created_once(tmp_path: Path) -> None:
    place = resolve_place(tmp_path)
    client = open_client(place.tracking_uri)
    first = ensure_experiment(client, "tgsr/V-N", place.artifact_root)
    assert ensure_experiment(client, "tgsr/V-N", place.artifact_root) == first
    client.delete_experiment(first)
    with pytest.raises(TrackingError, match="restore"):
        ensure_experiment(client, "tgsr/V-N", place.artifact_root)
    assert os.environ.get("MLFLOW_DISABLE_TELEMETRY") == "true"


def test_mask_picture_shows_the_kept_regions_on_their_face_only() -> None:
    import cv2

    weights = np.zeros(85)
    weights[[1, 4]] = 0.5, 1.0  # both in the face of 2 × 2 blocks: the first and the last
    picture = cv2.imdecode(np.frombuffer(mask_picture(weights), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (106, 442, 3)
    blue_over_red = picture[..., 0].astype(int) - picture[..., 2]
    face = blue_over_red[:, 112:218]
    assert face[3:50, 3:50].min() >= 0
    assert face[10, 20] < face[80, 60]
    assert face[10, 60] == face[80, 20] == 0
    face[:53, :53] = face[53:, 53:] = 0
    assert not blue_over_red.any()


def test_two_processes_that_write_the_same_trial_at_once_leave_it_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, run_id = _write("bulk", resolve_place(tmp_path))
    parent = find_run(client, run_id)
    location = client.get_experiment(parent.info.experiment_id).artifact_location
    writer = bulk.open_bulk_writer(client, location)
    look, calls = writer._known, []

    def sees_nothing_at_first(run_ids: Any) -> set[str]:
        calls.append(1)
        return look(run_ids) if len(calls) > 1 else set()

    monkeypatch.setattr(writer, "_known", sees_nothing_at_first)
    writer.write(StudyRun(run_id, parent.info.experiment_id, location, "oracle", "region"), _records())
    assert len(calls) == 2
    assert len(client.search_runs([parent.info.experiment_id])) == 5


def test_a_killed_creation_leaves_no_half_made_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = resolve_place(tmp_path / "home")
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_client(place.tracking_uri)
    assert not (place.home / "mlflow.db").exists()
    client = open_client(place.tracking_uri)
    assert client.get_experiment("0").artifact_location == (place.home / "mlruns" / "0").as_uri()


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def _parent(client: Any, place: Place) -> StudyRun:
    run_id = start_parent(client, ParentSpec("tgsr/V-N", "V-N", "", {"tgsr.kind": "study"}), place.artifact_root)
    info = client.get_run(run_id).info
    location = client.get_experiment(info.experiment_id).artifact_location
    return StudyRun(run_id, info.experiment_id, location, "oracle", "region")


def test_looking_trials_up_leaves_alone_what_another_process_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = resolve_place(tmp_path)
    client = open_client(place.tracking_uri)
    study = _parent(client, place)
    one, other = (choose_writer(client, study.artifact_location, "client")[0] for _ in range(2))
    end, seen = client.set_terminated, []

    def looked_at(*arguments: Any, **named: Any) -> None:
        seen.append(sorted(other.written(study, range(4))))  # while the trial is not yet whole
        other.discard([number for number in range(4) if number != len(seen) - 1])  # whose processes have gone
        end(*arguments, **named)

    monkeypatch.setattr(client, "set_terminated", looked_at)
    one.write(study, _records())
    assert seen == [[], [0], [0, 1], [0, 1, 2]]
    assert other.written(study, range(4)) == {0, 1, 2, 3}


def test_what_is_cut_off_or_there_twice_is_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = resolve_place(tmp_path)
    client = open_client(place.tracking_uri)
    study = _parent(client, place)
    writer, _ = choose_writer(client, study.artifact_location, "client")
    writer.write(study, _records())
    writer.write(study, _records()[:1])
    with monkeypatch.context() as patch:
        patch.setattr(client, "set_terminated", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            writer.write(study, [replace(_records()[0], number=7)])
    assert writer.written(study, range(8)) == {0, 1, 2, 3}
    writer.discard([7])
    assert sorted(read_trials(client, study.run_id)["trial"]) == [0, 1, 2, 3]
    assert len(client.search_runs([study.experiment_id])) == 5


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_deleted_runs_are_restored_and_lost_files_written_again(tmp_path: Path, way: str) -> None:
    place = resolve_place(tmp_path)
    client = open_client(place.tracking_uri)
    study = _parent(client, place)
    writer, _ = choose_writer(client, study.artifact_location, way)
    run_ids = writer.write(study, _records())
    client.delete_run(run_ids[1])
    folder = Path(study.artifact_location.removeprefix("file://"))
    shutil.rmtree(folder / run_ids[2])
    assert writer.written(study, range(4)) == {0, 3}
    assert writer.restore(study, [1, 2]) == 1
    assert writer.written(study, range(4)) == {0, 1, 3}
    writer.discard([2])
    writer.write(study, [_records()[2]])
    table = read_trials(client, study.run_id)
    assert table["trial"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(read_coefficients(client, table["run_id"][2]), _records()[2].coef)

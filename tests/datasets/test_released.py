"""The released feature files, and damaged ones: read exactly, or refused by name."""

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from tgsr.datasets import find_damaged, find_databases, load_database, load_pair, load_released
from tgsr.errors import DataError, MissingDataError, ProtocolError, TgsrError
from tgsr.protocols import EXPECTED_COUNTS
from tgsr.regions import (
    SCALES,
    region_boxes,
    released_groups,
    released_histograms,
    released_to_canonical,
)


@pytest.fixture
def features():
    return np.random.default_rng(0).random((5, 15045))


LABELS = np.array([[1, 2, 3, 1, 2]], dtype=float)


def write_hdf5(path, features, labels, prefix="SMIC_VIS"):
    with h5py.File(path, "w") as file:  # MATLAB's n × 15,045 appears with its axes swapped
        file[f"{prefix}_micro_feature"] = features.T
        file[f"{prefix}_micro_label"] = np.asarray(labels).T
    return path


def write_older(path, features, labels, prefix="SMIC_VIS"):
    scipy.io.savemat(path, {f"{prefix}_micro_feature": features, f"{prefix}_micro_label": labels})
    return path


def write_version_4(path, features, labels, prefix="SMIC_VIS"):
    scipy.io.savemat(path, {f"{prefix}_micro_feature": features, f"{prefix}_micro_label": labels}, format="4")
    return path


def write_sparse(path, features, labels):
    return write_older(path, scipy.sparse.csc_matrix(features), labels)


def write_octave(path, features, labels, prefix="SMIC_VIS"):
    with h5py.File(path, "w") as file:
        for name, values in ((f"{prefix}_micro_feature", features), (f"{prefix}_micro_label", np.asarray(labels))):
            file.create_group(name)["value"] = values.T
    return path


@pytest.mark.parametrize("write", [write_hdf5, write_older, write_version_4, write_sparse, write_octave])
def test_all_kinds_of_mat_file_give_the_same_dataset(tmp_path, features, write):
    dataset = load_released(write(tmp_path / "x.mat", features, LABELS))
    assert dataset.name == "SMIC_VIS"
    np.testing.assert_array_equal(dataset.labels, [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(dataset.features, released_to_canonical(features))


def write_sparse_hdf5(path):
    with h5py.File(path, "w") as file:
        for suffix in ("feature", "label"):
            group = file.create_group(f"SMIC_VIS_micro_{suffix}")
            group.attrs["MATLAB_sparse"] = np.uint64(5)
            group["data"] = np.ones(3)


def write_sparse_octave(path):
    with h5py.File(path, "w") as file:
        for suffix in ("feature", "label"):
            file.create_group(f"SMIC_VIS_micro_{suffix}").create_group("value")["data"] = np.ones(3)


def write_values(values):
    return lambda path: scipy.io.savemat(path, {"SMIC_VIS_micro_feature": values, "SMIC_VIS_micro_label": [[1.0, 2.0]]})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("# Created by Octave 6.1\n# name: SMIC_VIS_micro_feature\n 1 2\n"), "text.*-v7"),
        (lambda path: path.write_text("1 2 3\n"), "text.*no MATLAB file"),
        (write_sparse_hdf5, "is sparse; save full"),
        (write_sparse_octave, "is sparse; save full"),
        (write_values(scipy.sparse.csc_matrix((10**5, 10**5))), "takes 76293 MB"),
        (write_values(np.array([[1], "a"], dtype=object)), "numbers, got a cell array"),
        (write_values({"a": 1}), "numbers, got a struct"),
        (write_values("abc"), "numbers, got text"),
        (lambda path: path.write_bytes(b""), "not a readable MATLAB file"),
    ],
)
def test_files_of_another_kind_are_refused_for_what_they_are(tmp_path, write, message):
    write(tmp_path / "x.mat")
    with pytest.raises(DataError, match=rf"x\.mat: .*{message}"):
        load_released(tmp_path / "x.mat")


def test_layouts_are_a_permutation_with_the_stated_order():
    positions = np.arange(15045.0)[None]
    canonical = released_to_canonical(positions)[0].reshape(85, 3, 59)
    assert canonical[0, 0, 0] == 0  # 1×1, XY
    assert canonical[0, 1, 0] == 59  # 1×1, XT
    # 2×2 blocks run column by column in the file: its second block is the lower left one, region 3 here
    assert canonical[3, 0, 0] == 177 + 59
    assert canonical[2, 0, 0] == 177 + 2 * 59
    np.testing.assert_array_equal(np.sort(canonical, axis=None), positions[0])
    # bins of one histogram stay together
    assert (np.diff(canonical, axis=2) == 1).all()


def test_released_groups_are_three_neighbouring_histograms():
    groups = released_groups().reshape(85, 3, 59)
    assert (groups == groups[:, :, :1]).all()
    histograms = released_histograms()
    for group in (0, 1, 40, 84):
        covered = {tuple(histogram) for histogram in histograms[3 * group : 3 * group + 3]}
        assert covered == {(int(r), int(p)) for r, p in zip(*np.nonzero(groups[:, :, 0] == group), strict=True)}
    assert len(set(released_groups()[:177])) == 1  # the first is a facial region, by chance of the layout


def test_region_boxes_cover_the_face_once_a_scale():
    boxes = region_boxes(106, 106)
    assert len(boxes) == 85
    first = 0
    for scale in SCALES:
        canvas = np.zeros((106, 106), dtype=int)
        for top, left, bottom, right in boxes[first : first + scale**2]:
            canvas[top:bottom, left:right] += 1
        assert (canvas == 1).all()
        first += scale**2
    np.testing.assert_array_equal(boxes[1:5, 2:], [[53, 53], [53, 106], [106, 53], [106, 106]])
    assert boxes[84].tolist() == [91, 91, 106, 106]


def test_histograms_of_nested_blocks_add_up(released):
    """The proof that layout and block sizes are right: weighted by area, every scale sums to the whole face."""
    boxes = region_boxes(106, 106)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for found in find_databases(released):
        dataset = load_released(found.path)
        histograms = dataset.features.reshape(len(dataset), 85, 3, 59)
        np.testing.assert_allclose(histograms.sum(axis=-1), 1.0, atol=1e-12)
        first = 0
        for scale in SCALES:
            part = slice(first, first + scale**2)
            whole = np.einsum("r,nrpb->npb", areas[part] / 106**2, histograms[:, part])
            np.testing.assert_allclose(whole, histograms[:, 0], atol=1e-12)
            first += scale**2


def test_counts_of_the_released_databases(released):
    for found in find_databases(released):
        assert tuple(load_released(found.path).counts.values()) == EXPECTED_COUNTS[found.name]


def test_subjects_of_the_released_rows_are_inferred_and_said_to_be(released):
    for found in find_databases(released):
        dataset = load_released(found.path)
        assert dataset.parameters["subjects"] == "inferred from the labels"
        people = dataset.subjects.tolist()
        assert len(set(people)) == (22 if found.name == "CASME2" else 8)
        assert people == sorted(people)
        if found.name != "CASME2":  # within a subject: negative, positive, surprise
            assert sorted(zip(people, dataset.labels, strict=True)) == list(zip(people, dataset.labels, strict=True))
            assert people.count("s20") == 22


def test_other_files_of_the_same_format_have_no_known_subjects(tmp_path, features):
    assert load_released(write_older(tmp_path / "x.mat", features, LABELS)).subjects is None


def test_missing_file_and_missing_database_are_named(tmp_path, features):
    with pytest.raises(MissingDataError, match=r"nothing\.mat"):
        load_released(tmp_path / "nothing.mat")
    with pytest.raises(MissingDataError, match="no such folder"):
        find_databases(tmp_path / "nowhere")
    write_hdf5(tmp_path / "v.mat", features, LABELS)
    with pytest.raises(MissingDataError, match=r"SMIC_NIR is not there; the folder holds SMIC_VIS \(v.mat\)"):
        load_pair("V", "N", tmp_path)


def test_wrong_variable_names_are_listed(tmp_path, features):
    path = write_older(tmp_path / "x.mat", features, LABELS)
    with pytest.raises(MissingDataError, match=r"CASME2_micro_feature.*found SMIC_VIS_micro_feature"):
        load_released(path, "CASME2")
    scipy.io.savemat(path, {"something": features})
    with pytest.raises(MissingDataError, match="found something"):
        load_released(path)


@pytest.mark.parametrize("variable", ["something", "SMICVIS_micro_feature"])
def test_a_released_file_with_other_variables_is_named_with_them(tmp_path, features, variable):
    path = tmp_path / "CrossCorpus_LBPTOP_R3P8_SMIC_VIS_112by112.mat"
    scipy.io.savemat(path, {variable: features})
    scipy.io.savemat(tmp_path / "Acc_record.mat", {variable: features})
    write_older(tmp_path / "n.mat", features, LABELS, "SMIC_NIR")
    assert [entry.name for entry in find_databases(tmp_path)] == ["SMIC_NIR"]
    (reason,) = find_damaged(tmp_path).values()
    assert reason == f"{path}: expected the variables <DB>_micro_feature and …_micro_label, found {variable}"
    with pytest.raises(MissingDataError, match=rf"SMIC_VIS is not there; .*damaged: .*112by112\.mat.*found {variable}"):
        load_pair("V", "N", tmp_path)
    assert load_database("N", tmp_path).name == "SMIC_NIR"


def test_a_damaged_released_file_is_named_and_hurts_no_other(tmp_path, features):
    bad = write_older(tmp_path / "v.mat", features, LABELS)
    bad.write_bytes(bad.read_bytes()[:100])
    write_older(tmp_path / "n.mat", features, LABELS, "SMIC_NIR")
    assert list(find_damaged(tmp_path)) == [bad]
    assert load_database("N", tmp_path).name == "SMIC_NIR"
    with pytest.raises(MissingDataError, match=r"damaged: .*v\.mat: not a readable MATLAB file"):
        load_database("V", tmp_path)


def test_nothing_in_the_released_folder_is_damaged(released):
    assert find_damaged(released) == {}


def test_a_database_in_two_files_is_refused(tmp_path, features):
    write_hdf5(tmp_path / "a.mat", features, LABELS)
    write_hdf5(tmp_path / "b.mat", features, LABELS)
    with pytest.raises(ProtocolError, match=r"a\.mat.*b\.mat"):
        load_database("V", tmp_path)


def damaged_values(features, labels):
    bad = features.copy()
    bad[2, 100] = np.nan
    return {
        "nan": (bad, labels, "sample 2"),
        "features": (features[:, :-1], labels, "15045"),
        "samples": (features[:-1], labels, "15045"),
        "label": (features, labels + 1, "1, 2 or 3"),
        "empty": (features[:0], labels[:, :0], "no samples|shape"),
    }


@pytest.mark.parametrize("kind", ["nan", "features", "samples", "label", "empty"])
@pytest.mark.parametrize("write", [write_hdf5, write_older])
def test_damaged_values_are_refused_by_name(tmp_path, features, kind, write):
    bad_features, bad_labels, message = damaged_values(features, LABELS)[kind]
    path = write(tmp_path / "damaged.mat", bad_features, bad_labels)
    with pytest.raises(DataError, match=rf"damaged\.mat.*({message})"):
        load_released(path)


@pytest.mark.parametrize("write", [write_hdf5, write_older])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused_and_named(tmp_path, features, write, share):
    path = write(tmp_path / "cut.mat", features, LABELS)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TgsrError, match=r"cut\.mat"):
        load_released(path)


def test_text_in_place_of_numbers_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"SMIC_VIS_micro_feature": "text", "SMIC_VIS_micro_label": LABELS})
    with pytest.raises(DataError, match="numbers"):
        load_released(tmp_path / "x.mat")

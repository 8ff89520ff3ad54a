"""Pairs of any databases: classes, features of any groups, targets without labels, pooled sources, shared people."""

from dataclasses import replace

import numpy as np
import pytest

from tgsr.datasets import DatabasePair, FeatureDataset, load_features, load_pair, pool, save_features
from tgsr.errors import DataError, ProtocolError

GROUPS = np.array([0, 0, 0, 1, 2, 2])


def made(name="A", labels=(0, 1, 2, 0), classes=("negative", "positive", "surprise"), **changes):
    features = np.random.default_rng(len(name)).random((len(labels or "four"), 6))
    content = {
        "features": features,
        "labels": labels and np.array(labels),
        "class_names": classes,
        "groups": GROUPS,
        **changes,
    }
    return FeatureDataset(name, **content)


def test_features_of_any_groups_are_kept_and_stored(tmp_path):
    dataset = made(subjects=np.array(["a", "b", "b", "c"]))
    again = load_features(save_features(dataset, tmp_path / "A.tgsr.npz"))
    assert (again.n_groups, again.X.shape, again.digest) == (3, (4, 6), dataset.digest)
    np.testing.assert_array_equal(again.groups, GROUPS)
    other = made(groups=np.array([0, 0, 1, 1, 2, 2]))
    assert other.digest != made().digest
    np.testing.assert_array_equal(made(features=np.ones((4, 3, 2)), groups=None).groups, [0, 0, 1, 1, 2, 2])


def test_the_canonical_layout_is_known_however_it_is_given():
    flat = np.random.default_rng(0).random((2, 15045))
    canonical = FeatureDataset("A", flat, np.array([0, 1]))
    grouped = FeatureDataset("A", flat, np.array([0, 1]), groups=np.repeat(np.arange(85), 177))
    assert canonical.groups is grouped.groups is None
    assert canonical.features.shape == (2, 85, 177)
    assert canonical.digest == grouped.digest


def test_an_unlabelled_target_is_stored_and_takes_the_sources_classes(tmp_path):
    target = made("B", None)
    again = load_features(save_features(target, tmp_path / "B.tgsr.npz"))
    assert not again.is_labelled
    assert (again.labels, again.counts, len(again), again.digest) == (None, {}, 4, target.digest)
    pair = DatabasePair(made(labels=(0, 1, 1, 0), classes=("joy", "pain")), again)
    assert pair.target.class_names == pair.class_names == ("joy", "pain")
    assert pair.target.digest == target.digest
    with pytest.raises(DataError, match="not known"):
        _ = again.known_labels
    with pytest.raises(DataError, match="a source needs labels"):
        DatabasePair(again, made())


def test_samples_of_the_classes_that_both_have_are_paired_and_the_rest_is_told():
    source = made("A", (0, 1, 2, 3), ("fear", "joy", "pain", "shame"))
    target = made("BB", (0, 1, 2, 2), ("joy", "anger", "fear"))
    pair = DatabasePair(source, target)
    assert pair.class_names == ("fear", "joy")
    assert (pair.source.labels.tolist(), pair.target.labels.tolist()) == ([0, 1], [1, 0, 0])
    np.testing.assert_array_equal(pair.target.X, target.X[[0, 2, 3]])
    assert any("A: left out" in note and "1 pain, 1 shame" in note for note in pair.warnings)
    with pytest.raises(DataError, match="A has fear, joy, pain, shame; BB has a, b"):
        DatabasePair(source, made("BB", (0, 1), ("a", "b")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.ones((4, 5)), "groups": np.arange(5)}, "5"),
        ({"groups": np.array([0, 0, 1, 1, 2, 2])}, "other groups"),
        ({"features": np.ones((4, 6))}, "same features"),
        ({"labels": None, "features": np.zeros((4, 6))}, "same features"),
        ({"parameters": {"extractor": "flow"}}, "extractor"),
    ],
)
def test_databases_that_cannot_be_compared_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        DatabasePair(made("A", parameters={"extractor": "lbp-top"}), made("BB", **change))


def test_a_source_of_one_class_is_refused_and_an_absent_class_told():
    with pytest.raises(DataError, match="all samples are positive"):
        DatabasePair(made(labels=(1, 1, 1)), made("BB"))
    assert DatabasePair(made(labels=(0, 1, 1)), made("BB")).warnings == ("A: no sample of surprise",)


@pytest.mark.parametrize("setting", ["n_frames", "size", "radii", "neighbours", "mapping", "interpolation", "grid"])
def test_databases_extracted_with_other_settings_are_refused(setting):
    first, other = (made(name, parameters={"origin": "clips", setting: [n]}) for name, n in (("A", 1), ("BB", 2)))
    for meet in (DatabasePair, lambda *both: pool(both)):
        with pytest.raises(DataError, match=rf"A and BB were extracted with another {setting}"):
            meet(first, other)
    told = replace(first, parameters={"radii": (3, 3, 3)})
    assert DatabasePair(told, made("BB", parameters={"radii": [3, 3, 3], "crop": "face"})).warnings == ()


def test_several_sources_are_pooled_with_their_people_told_apart(tmp_path):
    people = np.array(["s1", "s1", "s2", "s3"])
    first, second = made("A", subjects=people), made("BB", (2, 1, 0, 0), subjects=people)
    both = pool([first, second])
    assert (both.name, len(both), both.n_groups) == ("A+BB", 8, 3)
    assert set(both.subjects) == {"A/s1", "A/s2", "A/s3", "BB/s1", "BB/s2", "BB/s3"}
    smic = pool([replace(first, name="SMIC_HS"), replace(second, name="SMIC_VIS")])
    assert set(smic.subjects) == {"SMIC/s1", "SMIC/s2", "SMIC/s3"}
    for data in (first, second, made("mine", None)):
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    pair = load_pair("a+bb", str(tmp_path / "mine.tgsr.npz"), tmp_path)
    assert pair.name == "A+BB-mine"
    assert pair.source.digest == both.digest
    with pytest.raises(ProtocolError, match="source and target"):
        load_pair("a+bb", "BB", tmp_path)
    with pytest.raises(ProtocolError, match="twice"):
        load_pair("a+a", "BB", tmp_path)


def test_people_in_source_and_target_are_warned_of():
    people = np.array(["s1", "s1", "s2", "s3"])
    vis, nir = (made(f"SMIC_{kind}", subjects=people) for kind in ("VIS", "NIR"))
    pair = DatabasePair(vis, replace(nir, features=nir.features + 1))
    assert pair.name == "V-N"
    assert pair.shared_subjects == ("SMIC/s1", "SMIC/s2", "SMIC/s3")
    assert "share 3 people" in pair.warnings[0]
    assert DatabasePair(vis, made("OTHER", subjects=people)).shared_subjects == ()
    assert "may share" in DatabasePair(vis, made("SMIC_NIR")).warnings[0]
    pooled = pool([made("A", subjects=people), vis])
    assert DatabasePair(pooled, nir).shared_subjects == ("SMIC/s1", "SMIC/s2", "SMIC/s3")

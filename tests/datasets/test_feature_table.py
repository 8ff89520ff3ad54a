"""Tables of features: what each column is, and what is refused because it could be something else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tgsr.datasets import FeatureDataset, import_features
from tgsr.errors import DataError

N = 30
CODES = np.repeat([0, 1, 2], N // 3)
LABELS = np.array(["negative", "positive", "surprise"])[CODES]
NOISE = np.random.default_rng(0).normal(size=(N, 4))
FEATURES = ["brow", "jaw", "f 3", "µ"]
TABLE = pd.DataFrame(NOISE, columns=FEATURES).assign(label=LABELS)[["label", *FEATURES]]


def read(path: Path, content: str | bytes | Callable[[Path], Any], **options: Any) -> FeatureDataset:
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return import_features(path, "mine", **options)


def is_whole(data: FeatureDataset) -> bool:
    return bool(
        data.feature_names.tolist() == FEATURES
        and np.array_equal(data.X, NOISE)
        and [data.class_names[code] for code in data.known_labels] == LABELS.tolist()
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *[(name, CODES) for name in ("class", "Target", "labels", "emotion", "Estimated Emotion", "ground_truth")],
        *[(name, np.arange(N)) for name in ("index", "id", "ID", "Unnamed: 0", "Unnamed: 0.1", "nr", "row_id", "No.")],
        *[(name, np.arange(N) % 5) for name in ("fold", "Fold ID", "split", "set")],
        *[(name, np.full(N, 29.97)) for name in ("fps", "video_fps", "FPS", "frame rate")],
        *[(name, np.arange(N) * 40) for name in ("timestamp", "frame", "onset")],
        ("split", np.array(["train", "test"])[np.arange(N) % 2]),
        ("date", pd.date_range("2020", periods=N).astype(str)),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_columns_of_bookkeeping_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, values: Any, suffix: str
) -> None:
    table = TABLE.assign(**{name: values})
    writers = {
        ".csv": lambda path: table.to_csv(path, index=False),
        ".tsv": lambda path: table.to_csv(path, index=False, sep="\t"),
        ".parquet": table.to_parquet,
    }
    with caplog.at_level(logging.WARNING, "tgsr"):
        assert is_whole(read(tmp_path / f"t{suffix}", writers[suffix]))
    assert f"left out, as bookkeeping and no feature: {name} " in caplog.text


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        *[(name, CODES, "tells the label") for name in ("y", "Klasse", "grp", "f5")],
        ("one_hot", (CODES == 1).astype(int), "tells the label"),
        ("f5", CODES * 2.0, "tells the label"),
        ("f5", np.arange(N), "numbers of the rows"),
        ("f5", np.arange(N)[::-1] + 1, "numbers of the rows"),
        ("f5", np.random.default_rng(0).permutation(N), "numbers of the rows"),
        ("f5", np.arange(N) * 7 + 3, "from row to row"),
        ("seconds", np.arange(N) / 25, "from row to row"),
        *[(name, np.arange(N) % 7, "bookkeeping") for name in ("label_num", "subjectNr", "fold2", "class_id", "age")],
        ("f5", [True] * N, "no finite number"),
        ("f5", ["x"] + ["1.5"] * (N - 1), "no finite number"),
        ("f5", [np.inf] + [1.5] * (N - 1), "no finite number"),
        ("gender", np.array(["f", "m"])[np.arange(N) % 2], "no finite number"),
        ("f5", [np.nan] * N, "an empty cell"),
        ("f5", pd.date_range("2020", periods=N), "no finite number"),
    ],
)
def test_columns_that_may_be_no_features_are_refused_with_what_to_say(
    tmp_path: Path, name: str, values: Any, reason: str
) -> None:
    table = TABLE.assign(**{name: values})
    for suffix, write in ((".csv", lambda path: table.to_csv(path, index=False)), (".parquet", table.to_parquet)):
        path = tmp_path / f"t{suffix}"
        with pytest.raises(DataError, match=rf"column {name}.*--drop '{name}'"):
            read(path, write)
        assert is_whole(import_features(path, "mine", drop=(name,)))
    with pytest.raises(DataError, match=reason):
        import_features(tmp_path / "t.csv", "mine")


def test_a_name_with_a_group_says_that_a_column_is_a_feature(tmp_path: Path) -> None:
    table = TABLE.assign(**{"counts/f5": CODES, "counts/fold": np.arange(N)})
    assert read(tmp_path / "t.csv", lambda path: table.to_csv(path, index=False)).X.shape == (N, 6)


@pytest.mark.parametrize("name", ["%", "%0", "%f", "#f", "Δ", "f#"])
def test_a_first_column_with_an_odd_name_is_a_feature(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({name: NOISE[:, 0], "label": LABELS, "f": NOISE[:, 1]})
    data = read(tmp_path / "t.csv", lambda path: table.to_csv(path, index=False))
    assert data.feature_names.tolist() == [name, "f"]
    np.testing.assert_array_equal(data.X, NOISE[:, :2])


def test_features_of_whole_numbers_stay(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (N, 4))
    table = TABLE.assign(**dict(zip(FEATURES, counts.T, strict=True)))
    np.testing.assert_array_equal(read(tmp_path / "t.csv", lambda path: table.to_csv(path, index=False)).X, counts)


@pytest.mark.parametrize(
    "write",
    [
        lambda table, path: table.to_csv(path),
        lambda table, path: table.to_csv(path, sep=";"),
        lambda table, path: table.to_csv(path, index_label="idx"),
        lambda table, path: table.set_index("label").to_csv(path),
        lambda table, path: table.to_csv(path, sep="|", index=False, quoting=1),
        lambda table, path: table.to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8-sig"),
        lambda table, path: table.to_csv(path, sep="\t", index=False, encoding="utf-16"),
        lambda table, path: path.write_text("sep=;\n" + table.to_csv(sep=";", index=False)),
        lambda table, path: path.write_text("# made by x, y\n#\n" + table.to_csv(index=False)),
        lambda table, path: path.write_text("# " + table.to_csv(index=False)),
        lambda table, path: path.write_text("#" + table.to_csv(index=False)),
        lambda table, path: path.write_text("% " + table.to_csv(index=False)),
        lambda table, path: path.write_text(table.to_csv(index=False).replace("\n", ",\n")),
        lambda table, path: path.write_text(table.to_csv(index=False).replace("\n", "\n,,,,\n\n")),
        lambda table, path: path.write_bytes(table.to_csv(index=False, lineterminator="\r").encode()),
    ],
)
def test_tables_are_read_whole_whatever_their_dialect_and_index(tmp_path: Path, write: Callable[..., Any]) -> None:
    assert is_whole(read(tmp_path / "t.csv", lambda path: write(TABLE, path)))


@pytest.mark.parametrize(
    "write",
    [
        lambda table: table,
        lambda table: table.set_index("label"),
        lambda table: table.set_index(["label", table.index]),
        lambda table: table.set_axis(np.random.default_rng(0).permutation(N)),
        lambda table: table.astype({"label": "category"}),
    ],
)
def test_an_index_of_parquet_is_a_column_like_others(
    tmp_path: Path, write: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    assert is_whole(read(tmp_path / "t.parquet", lambda path: write(TABLE).to_parquet(path)))


@pytest.mark.parametrize("name", [None, "index", "level_0", "Unnamed: 0"])
def test_an_index_that_holds_text_is_refused_since_it_may_be_the_labels(tmp_path: Path, name: str | None) -> None:
    table = TABLE[FEATURES].set_axis(pd.Index(LABELS, name=name))
    for suffix, write in ((".csv", table.to_csv), (".parquet", table.to_parquet)):
        with pytest.raises(DataError, match=r"its index .* holds text, as 'negative'; call it label"):
            read(tmp_path / f"t{suffix}", write)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5,1.5\n2.5,3.5\n", "line 1 has the number 0.5 where the names"),
        ("a,1\nb,2\nc,4\n", "line 1 has the number 1 where"),
        ("0,1\n1,3\n", "line 1 has the number 0 where"),
        ("negative;0,5\npositive;1,5\n", "line 1 has the number 0,5 where"),
        ("negative;0,5;1\npositive;1,5;2\n", "line 1 has the number 0,5 where"),
        ("nan,x\n1,2\n", "line 1 has the number nan where"),
        ("label,f,g\na,1,5,2,5\nb,2,5,3,5\n", "line 2 has 5 cells and the header 3.*decimal commas"),
        ("label,f\na,1,5\nb,2,5\n", "line 2 has 3 cells and the header 2"),
        ("label;f\n1;a;1,5\n2;b;2,5\n", "line 2 has 3 cells and the header 2.*index"),
        ('"label","f"\n"1","a",1.5\n', "line 2 has 3 cells"),
        ("label,f,g\na,1.5,2\nb,2.5\n", "line 3 has 2 cells"),
        ("label,f,g\na,1.5,2\n\nb,,3\n", "line 4, column f: an empty cell"),
        ("label,f,f\na,1.5,2\n", "columns f are there more than once"),
        ("label,Label,f\na,b,2\n", "label, Label could each be the label"),
        ("class,target,f\na,b,2.5\n", "class, target could each be the label.*--label"),
        ("label,,f\na,b,2.5\n", "column 2 has no name"),
        ("label;f\na;1,5\nb;2.5\n", "line 2: is 1,5 a decimal comma"),
        ("label;f\na;1,500\nb;2,250\n", "line 2: is 1,500 a decimal comma.*thousands"),
        ('label,f\na,"1,500,000"\n', "line 2, column f"),
        ("label;f\na;1.500,5\n", r"line 2, column f: '1\.500,5' is no finite number"),
        ("label,f\na,1_000\n", "line 2, column f"),
        ("label,f\na,1 000\n", "line 2, column f"),
        ("label,f\na,10%\n", "line 2, column f"),
        ("label,f\na,1D3\n", "line 2, column f"),
        ("label,f\na,٣\n", "line 2, column f"),
        ("label,f\na,1.5\n# half\nb,2.5\n", "line 3 begins with #"),
        ("label,f\na,1.5\nNaN,2.5\n", "sample 2 has no label"),
        ("label,f\n0.5,1.5\n1,2.5\n", "column label: labels are text, or whole numbers that come again, got 0.5"),
        ("target,f\n7,1.5\n4,2.5\n9,3.5\n1,0.5\n2,1.5\n6,2.25\n", "column target: labels .*come again"),
        ("label,subject,f\na,,1.5\n", "sample 1 has no subject"),
        ("kind,f\na,1.5\n", "column kind: 'a' .*--label 'kind'"),
        ("label,subject\na,b\n", "no column of features"),
        ("label,f\n", "no samples"),
        ("# only\n", "no lines but comments"),
        ("", "it is empty"),
        ('label,f\n"a,1.5\nb,2.5\n', "not a readable table"),
        ("label,f\nmüde,1.5\n".encode("latin-1"), "save it as CSV UTF-8"),
        ("f;g,h\n1;2,3\n2;3,4\n", "both divide its lines evenly; write a line sep=;"),
        ("label,f\n\x1b[2Jx,1.5\nb,2.5\n", r"the character '\\x1b'"),
        ("label,f\n=cmd|' /C calc'!A0,1.5\nb,2.5\n", "begins with ="),
        ("label,subject,f\na,@x,1.5\nb,y,2.5\n", "begins with @"),
    ],
)
def test_what_may_be_read_otherwise_is_refused_in_a_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: .*{message}") as caught:
        read(tmp_path / "t.csv", text)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_what_savetxt_writes_is_read_with_its_header(tmp_path: Path, suffix: str) -> None:
    delimiter = "," if suffix == ".csv" else " "
    header = delimiter.join(["label", "a", "b", "c", "d"])
    numbers = np.column_stack([CODES, NOISE])
    data = read(tmp_path / f"t{suffix}", lambda path: np.savetxt(path, numbers, delimiter=delimiter, header=header))
    assert (data.class_names, data.counts["1"], data.feature_names.tolist()) == (("0", "1", "2"), 10, list("abcd"))
    np.testing.assert_array_equal(data.X, NOISE)


@pytest.mark.parametrize("index", [True, False])
def test_columns_that_pandas_numbered_are_names(tmp_path: Path, index: bool) -> None:
    data = read(tmp_path / "t.csv", lambda path: pd.DataFrame(NOISE).to_csv(path, index=index))
    assert data.feature_names.tolist() == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(data.X, NOISE)
    labelled = pd.DataFrame(NOISE).assign(label=LABELS)
    assert len(read(tmp_path / "t.csv", lambda path: labelled.to_csv(path, index=index)).counts) == 3


def test_people_and_labels_stay_as_they_are_written(tmp_path: Path) -> None:
    people = ["1.1", "1.10", "007", "7", "1e2", "100", "NA", "null", "a b", "1.0"]
    table = TABLE.assign(participant=people * 3, label=np.repeat(["01", "1", "None of these"], 10))
    data = read(tmp_path / "t.csv", lambda path: table.to_csv(path, index=False))
    assert data.subjects.tolist() == people * 3
    assert data.class_names == ("01", "1", "None of these")
    numbers = TABLE.assign(subject=np.repeat([1.0, 2.0, 3.0], 10), label=np.repeat([1.0, 2.0, 3.0], 10))
    for suffix, write in ((".csv", lambda path: numbers.to_csv(path, index=False)), (".parquet", numbers.to_parquet)):
        assert read(tmp_path / f"t{suffix}", write).class_names == ("1", "2", "3")
    assert import_features(tmp_path / "t.parquet", "m").subjects.tolist() == ["1"] * 10 + ["2"] * 10 + ["3"] * 10


def test_the_label_may_be_named(tmp_path: Path) -> None:
    table = TABLE.assign(label=CODES, kind=LABELS)
    assert is_whole(read(tmp_path / "t.csv", lambda path: table.to_csv(path, index=False), label="kind"))
    with pytest.raises(DataError, match="no column 'sort'; it has label, brow"):
        import_features(tmp_path / "t.csv", "m", label="sort")
    with pytest.raises(DataError, match="are for the columns of a table"):
        read(tmp_path / "t.npz", lambda path: np.savez(path, features=NOISE), drop=("x",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": np.array(["a", "b", np.nan] * 10)}, "sample 3 has no label"),
        ({"labels": np.array([0, 1, np.nan] * 10), "class_names": ["a", "b"]}, "labels must be 0…1"),
        ({"labels": np.array(["a", "", "b"] * 10)}, "sample 2 has no label"),
        ({"labels": np.array(["a", "None", "b"] * 10)}, "sample 2 has no label"),
        ({"labels": LABELS, "subjects": np.array([1.0, 2.0, np.nan] * 10)}, "sample 3 has no subject"),
        ({"labels": LABELS.astype(object)}, "labels cannot be read, it holds Python objects.*astype"),
        ({"labels": np.eye(3)[CODES]}, r"shape \(30, 3\)"),
        ({"labels": CODES > 0}, "text or whole numbers, got bool"),
        ({"labels": CODES}, "give class_names"),
        ({"labels": LABELS, "y": LABELS}, "could each be its labels"),
        ({"features": np.column_stack([np.arange(N), NOISE])}, "column 0 holds each of 0…29"),
        ({"features": np.column_stack([NOISE, CODES]), "labels": LABELS}, "column 4 tells the label"),
        ({"groups": np.array(["a", "b"])}, "4 integers or names, got 2"),
        ({"feature_names": np.array(["a", "b"])}, "2"),
    ],
)
def test_archives_that_may_be_read_otherwise_are_refused(tmp_path: Path, content: dict, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.npz: .*{message}"):
        read(tmp_path / "t.npz", lambda path: np.savez(path, **{"features": NOISE, **content}))


@pytest.mark.parametrize(
    "content",
    [
        {"labels": LABELS[:, None]},
        {"labels": LABELS[None]},
        {"label": LABELS},
        {"y": LABELS},
        {"labels": LABELS.astype("S")},
        {"labels": CODES, "class_names": ["negative", "positive", "surprise"]},
        {"labels": CODES[:, None] * 1.0, "class_names": ["negative", "positive", "surprise"]},
    ],
)
def test_labels_of_archives_are_found_in_any_form(tmp_path: Path, content: dict) -> None:
    names = np.array(FEATURES)
    assert is_whole(read(tmp_path / "t.npz", lambda p: np.savez(p, features=NOISE, feature_names=names, **content)))


def test_what_an_archive_holds_besides_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path / "t.npz", lambda path: np.savez(path, X=NOISE, subject=np.arange(N) * 1.0, extra=CODES))
    assert "members that are not used: extra" in caplog.text
    assert import_features(tmp_path / "t.npz", "m").subjects[:3].tolist() == ["0", "1", "2"]

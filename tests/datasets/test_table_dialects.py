"""Tables in the common dialects are read as pandas reads them with explicit options, or refused, never otherwise."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from tgsr.datasets._feature_table import read_feature_table
from tgsr.errors import DataError
from tgsr.files import reading

EXAMPLES = int(os.environ.get("TGSR_FUZZ_EXAMPLES", "300"))
KNOWN = ("label", "subject", "clip")
TRICKY_TEXTS = ["1.10", "1.1", "007", "7", "1e2", "100", "1,5", "a;b", "a,b", 'say "x"', "müde", "NA", "-", "#1", " a"]
TRICKY_NAMES = ["0", "1", "2", "a/0", "f 1", "a,b", "a;b", "x\ty", "id2", "µ", '"', "fold", "sep=;"]

plain = st.text(st.characters(codec="ascii", categories=["Lu", "Ll"]), min_size=2, max_size=6).map("x{}".format)
anything = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)  # pandas writes \r unquoted
marks = st.text("#%,;|\t \"'\n=.e-+1ax\ufeff\u2028", max_size=4)
texts = st.one_of(plain, st.sampled_from(TRICKY_TEXTS), anything, marks)
names = st.one_of(plain, st.sampled_from(TRICKY_NAMES), anything, marks)
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-3, 3).map(float),
    st.decimals(-10, 10, places=3).map(float),
    st.sampled_from([1234.5, 1.234, 1e-300, 1e22, 0.1 + 0.2]),
)


@st.composite
def tables(draw: Any, texts: Any, names: Any, floats: Any, n_rows: Any) -> pd.DataFrame:
    n = draw(n_rows)
    columns = {
        name: draw(st.lists(texts, min_size=n, max_size=n))
        for name in draw(st.lists(st.sampled_from(KNOWN), unique=True, max_size=3))
    }
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        columns.setdefault(name, draw(st.lists(floats, min_size=n, max_size=n)))
    return pd.DataFrame({name: columns[name] for name in draw(st.permutations(list(columns)))})


dialects = st.fixed_dictionaries(
    {
        "sep": st.sampled_from(",;\t|"),
        "decimal": st.sampled_from(".,"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        "index": st.booleans(),
        "float_format": st.sampled_from([None, "%.17g", "%.18e"]),
    }
)


def write(path: Path, table: pd.DataFrame, dialect: dict[str, Any], **options: Any) -> None:
    # one column has no delimiter: its name and decimal commas may be the same bytes as another table
    assume(table.shape[1] > 1 or dialect["index"] or dialect["decimal"] == ".")
    options |= {name: value for name, value in dialect.items() if name != "encoding"}
    text = table.to_csv(**options)
    # so may be a name that begins with the mark of an encoding, or of a header as `numpy.savetxt` writes it
    assume(not text.startswith(("\ufeff", "# ", "% ")))
    # "clip id,f" above "take 1,5" is a table of commas, and of blanks with a comma in a name
    assume(dialect["sep"] != " " or dialect["decimal"] == "." or not any("," in name for name in table))
    path.write_bytes(text.encode(dialect["encoding"]))


def by_pandas(path: Path, dialect: dict[str, Any]) -> pd.DataFrame:
    """What pandas reads when it is told everything: text cells."""
    return pd.read_csv(
        io.StringIO(path.read_bytes().decode(dialect["encoding"]), newline=""),
        sep=dialect["sep"],
        index_col=0 if dialect["index"] else False,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=False,
    )


def check(read: dict[str, Any], table: pd.DataFrame, by_pandas: pd.DataFrame, comma: bool) -> None:
    """What is read is what pandas reads; what is not among the features, the notes name."""
    own, notes = list(read["names"]), " ".join(read["notes"])
    features = [name for name in table.columns if name not in KNOWN]
    assert own == [name.strip() for name in features if name.strip() in own]
    for name, column in zip(table.columns, by_pandas.columns, strict=True):
        cells = by_pandas[column].tolist()
        if name in KNOWN:
            for one, other in zip(read[name].tolist(), cells, strict=True):
                assert one == other.strip() or (name == "label" and float(one) == float(other))
        elif name.strip() in own:
            numbers = [float(cell.replace(",", ".") if comma else cell) for cell in cells]
            np.testing.assert_array_equal(read["features"][:, own.index(name.strip())], numbers)
        else:
            assert (name.strip() or "without a name") in notes


def found(sep: str, *names: str, quoting: int = csv.QUOTE_MINIMAL, largest: float = 1.25, **texts: list[str]) -> Any:
    """A table of numbers under these names, which was once read otherwise or with a warning; ``texts`` come first."""
    dialect = {"sep": sep, "decimal": ".", "quoting": quoting, "lineterminator": "\n", "encoding": "utf-8"}
    values = np.array([0.5, 2.0, largest, -largest])
    table = pd.DataFrame({**texts, **{name: values + place for place, name in enumerate(names)}})
    return example(table=table, dialect={**dialect, "index": False, "float_format": None})


@found(",", "a", "b", largest=1e308)
@found(",", "# a", "b", quoting=csv.QUOTE_ALL)
@found(",", " # a", "b")
@found(",", "#", "a")
@found("\t", "#", "a")
@found("\t", "a", "a\t", "")
@found("\t", "a b", "c", "")
@found(" ", "a b", "c")
@found(" ", "a", clip=[""] * 4)
@found(" ", "a", "", subject=["x"] * 4, label=[""] * 4, clip=["x"] * 4)
@found(";", "a,")
@found(";", "sep=;", "b")
@found(",", "sep=;", "b")
@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 1000)
@given(
    table=tables(texts, names, floats, st.integers(1, 8)),
    dialect=st.one_of(dialects, dialects.map(lambda dialect: {**dialect, "sep": " "})),
)
def test_any_table_is_read_as_pandas_reads_it_or_refused(tmp_path_factory, table: pd.DataFrame, dialect: dict) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write(path, table, dialect)
    try:
        with reading(path):
            read = read_feature_table(path)
    except DataError:
        event("refused")
        return
    check(read, table, by_pandas(path, dialect), dialect["decimal"] == ",")


@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 1000)
@given(table=tables(plain, plain, st.floats(1e-3, 0.99), st.integers(5, 9)), dialect=dialects)
def test_a_table_without_tricks_is_read(tmp_path_factory, table: pd.DataFrame, dialect: dict) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write(path, table, dialect)
    check(read_feature_table(path), table, by_pandas(path, dialect), dialect["decimal"] == ",")


@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 1000)
@given(table=tables(plain, plain, floats, st.integers(1, 4)), dialect=dialects)
def test_a_table_without_header_is_refused(tmp_path_factory, table: pd.DataFrame, dialect: dict) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write(path, table, dialect, header=False)
    with pytest.raises(DataError):
        read_feature_table(path)

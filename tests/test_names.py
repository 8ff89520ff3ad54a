"""Names from users: unsafe ones are told, and what a tracking store calls them is one to one."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

from tgsr.evaluation.metrics import score
from tgsr.names import name_problem, store_name

NAMES = [
    "positive & surprise",
    "joy (posed)",
    "a+b",
    "fear, mild",
    "müde",
    "高兴",
    "a/b",
    "a//../b/",
    "_x28_",
    "a_x28(",
    "a(x28_",
    "A_X28_",
    "..",
    "100 %",
    "e\u0301",
    "😀",
    "x" * 300,
    "x" * 299 + "y",
]


@pytest.mark.parametrize("name", ["negative", "micro-expression 2", "a.b_c", "sad_face", "müde"])
def test_a_name_that_a_store_takes_stays_as_it_is(name):
    assert store_name(name) == name


def test_no_two_names_become_one_and_mlflow_takes_all():
    stored = [store_name(name) for name in NAMES]
    assert len({name.casefold() for name in stored}) == len(NAMES)
    for name in stored:
        for check in (_validate_metric_name, _validate_param_name, _validate_tag_name):
            check(f"precision_{name}")


def _read_back(stored):
    return re.sub(r"_x([0-9a-f]{1,6})_", lambda match: chr(int(match[1], 16)), stored)


@given(st.text(min_size=1, max_size=30), st.text(alphabet="_x28()aX", max_size=12))
def test_what_is_stored_can_be_read_back(text, tricky):
    for name in (text, tricky):
        assume(not any("\ud800" <= character <= "\udfff" for character in name))
        assert _read_back(store_name(name)) == name
        _validate_metric_name(f"recall_{store_name(name)}")


@pytest.mark.parametrize(
    "name",
    ["a\x1b[2J", "a\nb", "a\x00", "a\u202eb", "a\u200bb", "\x9b2J", "=cmd|' /C calc'!A0", "+a", "-a", "@a", "＝1", "-"],
)
def test_names_that_steer_a_terminal_or_a_spreadsheet_are_told(name):
    assert name_problem(name)
    assert name_problem(name).isprintable()


@pytest.mark.parametrize("name", ["joy (posed)", "s-1", "a=b", "-1", "+1", "-0.5", "", "José", "高兴", "a b", "😀"])
def test_ordinary_names_are_no_problem(name):
    assert not name_problem(name)


def test_scores_of_any_class_names_are_metrics_of_different_names():
    names = tuple(NAMES[:6])
    metrics = score([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4], len(names)).as_metrics(names)
    assert len(metrics) == 3 + 2 * len(names)
    assert metrics["recall_joy _x28_posed_x29_"] == 1.0
    for name in metrics:
        _validate_metric_name(name)

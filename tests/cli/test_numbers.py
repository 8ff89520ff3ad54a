"""Numbers that make no sense are refused by the command line, with the option's name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tgsr.cli import cli
from tgsr.cli.options import parse_axes, parse_kappas, parse_limits, parse_xis
from tgsr.errors import TgsrError
from tgsr.protocols import parse_pair
from tgsr.tracking.config import masked


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (["study", "--experiment", "V-N"], ["--jobs", "--seed", "--trials"]),
        (["grid", "--experiment", "V-N"], ["--jobs", "--seed", "--trials"]),
        (["compare", "--experiment", "V-N"], ["--jobs", "--seed"]),
    ],
)
def test_negative_numbers_are_refused(command: list[str], options: list[str]) -> None:
    for option in options:
        result = CliRunner().invoke(cli, [*command, option, "-1"])
        assert result.exit_code == 2
        assert option in result.output
        assert "x>=" in result.output


NUMBERS = st.text(alphabet="0123456789-:,./+eE paperinfκ=", max_size=20)


@pytest.mark.parametrize(
    "parse", [parse_kappas, parse_xis, lambda text: parse_axes([text]), lambda text: parse_limits([text]), parse_pair]
)
@settings(max_examples=200, deadline=None)
@given(text=NUMBERS | st.text(max_size=20))
@example(text="paper/-1")
@example(text="1-999999999")
@example(text="xi=1e308")
@example(text="inf")
def test_any_text_of_a_parameter_is_values_or_a_typed_error(parse: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(TgsrError):
        values = parse(text)
        assert len(values) < 10**6


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80), user=st.text("abc@:/%?#", max_size=8))
def test_any_text_is_masked_without_an_error_and_passwords_never_show(text: str, user: str) -> None:
    masked(text)
    masked(f"postgresql://{user}:{text}@host/db")
    for url in (f"postgresql://{user}:S3CRET@host/db", f"mysql://host/db?user={user}&password=S3CRET"):
        assert "S3CRET" not in masked(url)

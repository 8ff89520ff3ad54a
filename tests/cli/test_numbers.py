"""Numbers that make no sense are refused by the command line, with the option's name."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tgsr.cli import cli


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (["study", "--experiment", "V-N"], ["--jobs", "--batch", "--seed", "--trials"]),
        (["grid", "--experiment", "V-N"], ["--jobs", "--seed", "--trials"]),
        (["paper"], ["--jobs", "--seed", "--trials"]),
    ],
)
def test_negative_numbers_are_refused(command: list[str], options: list[str]) -> None:
    for option in options:
        result = CliRunner().invoke(cli, [*command, option, "-1"])
        assert result.exit_code == 2
        assert option in result.output
        assert "x>=" in result.output

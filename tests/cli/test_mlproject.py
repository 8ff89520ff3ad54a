"""Every parameter of an MLproject entry point is an option of its command, with the same default."""

from __future__ import annotations

import importlib
import itertools
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tgsr.cli import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "MLproject").read_text())
ENTRY_POINTS: dict[str, Any] = PROJECT["entry_points"]


def _command(name: str) -> click.Command:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_parameters_are_the_commands_options_with_the_same_defaults(name: str) -> None:
    words = shlex.split(ENTRY_POINTS[name]["command"].replace("{", "'{").replace("}", "}'"))
    assert words[:2] == ["python", "-m"]
    # of the program, or a script of studies/
    command = _command(words[3]) if words[2] == "tgsr" else importlib.import_module(words[2]).main
    options = {option: param for param in command.params for option in param.opts}
    given: dict[str, click.Parameter] = {}
    for previous, word in itertools.pairwise(words[2:]):
        if match := re.fullmatch(r"\{(\w+)\}", word):
            given[match[1]] = options[previous] if previous.startswith("--") else options[match[1]]
        elif word.startswith("--"):
            assert word in options
    parameters = ENTRY_POINTS[name].get("parameters", {})
    assert set(given) == set(parameters)
    for key, parameter in parameters.items():
        option = given[key]
        assert option.name == key
        if isinstance(option, click.Argument):
            assert parameter["default"] == ""  # no argument at all
        elif "default" in parameter:
            assert str(option.get_default(click.Context(cli))) == parameter["default"]
        else:
            assert option.required or key in ("experiment", "root")  # or --source and --target, or --import


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_explains_itself(name: str) -> None:
    command = _command(name)
    assert command.help


def test_conda_and_pyproject_name_the_same_packages() -> None:
    conda = yaml.safe_load((ROOT / PROJECT["conda_env"]).read_text())
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert sorted(pip) == sorted(tomllib.load(file)["project"]["dependencies"])

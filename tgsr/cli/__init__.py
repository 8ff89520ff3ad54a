"""The command line: parses and delegates. Commands are imported only when they are called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from tgsr import __version__
from tgsr.errors import TgsrError

__all__ = ["COMMANDS", "cli"]

COMMANDS: dict[str, str] = {
    "main": "the whole way on generated clips: features, study, model, prediction",
    "compare": "run the ten methods beside the published numbers",
    "demo-data": "draw clips of generated faces in the layouts of SMIC and CASME II",
    "features": "compute the LBP-TOP features of a database's clips",
    "data": "list the databases of a folder",
    "grid": "score the paper's whole grid of (κ, ξ) for one experiment",
    "study": "search a method's settings for one experiment, every trial tracked",
    "worker": "help with a study that another process has started",
    "trials": "show or export the trials of a study",
    "paper": "all twelve experiments in one go: studies, models, comparison, report",
    "register": "make the best trial of a study the champion model",
    "predict": "predict clips or feature rows with a registered model",
    "report": "pages, figures and tables from stored results",
}
"""Command name → its line in the help; each lives in ``tgsr/cli/<name>.py`` (``-`` as ``_``) as ``command``."""


class _LazyGroup(click.Group):
    """Lists its commands without importing them: ``tgsr --help`` must not wait for MLflow."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tgsr.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TgsrError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tgsr")
def cli() -> None:
    """Cross-database micro-expression recognition: features, methods, studies, models."""

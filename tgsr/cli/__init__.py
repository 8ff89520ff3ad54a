"""The command line: parses and delegates. Commands are imported only when they are called."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import click

from tgsr import __version__
from tgsr.errors import TgsrError

__all__ = ["COMMANDS", "cli"]

COMMANDS: dict[str, str] = {
    "main": "the whole way on generated clips: features, study, model, prediction",
    "compare": "put methods side by side, beside the published numbers",
    "demo-data": "draw clips of generated faces in the layouts of SMIC and CASME II",
    "features": "compute the LBP-TOP features of a database's clips",
    "data": "list the databases of a folder",
    "grid": "score a method's whole grid for one pair of databases, without MLflow",
    "study": "search a method's settings for one pair of databases, every trial tracked",
    "protocol": "leave one subject out over several databases: UF1 and UAR",
    "selection": "the evidence for selection rules: what each would have attained",
    "trials": "show or export the trials of a study",
    "paper": "all pairs of databases in one go: studies, models, comparison, report",
    "register": "make the best trial of a study the champion model",
    "predict": "predict clips or feature rows with a registered model",
    "report": "pages, figures and tables from stored results",
}
"""Command name → its line in the help; each lives in ``tgsr/cli/<name>.py`` (``-`` as ``_``) as ``command``."""


class _Console(logging.Handler):
    """Messages for the user on standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        mark = "warning: " if record.levelno >= logging.WARNING else ""
        with tqdm.external_write_mode():
            click.echo(f"{mark}{record.getMessage()}", err=True)


def _show_messages() -> None:
    for name in ("tgsr", "studies"):
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _Console) for handler in logger.handlers):
            logger.addHandler(_Console())
            logger.setLevel(logging.INFO)
            logger.propagate = False


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
        _show_messages()
        try:
            return super().invoke(ctx)
        except TgsrError as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            from tgsr.tracking.config import storage_problem

            line = storage_problem(error)
            if line is None:
                raise
            raise click.ClickException(line) from error


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(cls=_LazyGroup, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="tgsr")
def cli() -> None:
    """Cross-database micro-expression recognition: features, methods, studies, models."""

"""The command line: parses and delegates. Commands are imported only when they are called."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from typing import Any

import click

from tgsr import __version__
from tgsr.errors import TgsrError

__all__ = ["COMMANDS", "cli", "run"]

COMMANDS: dict[str, str] = {
    "main": "the whole way on generated clips: features, study, model, prediction",
    "compare": "put methods side by side, beside the published numbers",
    "demo-data": "draw clips of generated faces in the layouts of SMIC and CASME II",
    "features": "compute the LBP-TOP features of a database's clips, or import features",
    "data": "list the databases of a folder",
    "study": "search a method's settings for one pair of databases, every trial tracked",
    "grid": "score a method's whole grid into one CSV file, without MLflow",
    "protocol": "leave one subject out over several databases: UF1 and UAR",
    "trials": "show or export the trials of a study",
    "register": "make a study's consensus, or one of its trials, the champion model",
    "predict": "predict clips or feature rows with a registered model",
    "report": "pages, figures and tables of the stored studies",
    "relocate": "tell a home folder that was copied or moved where it is now",
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
    logger = logging.getLogger("tgsr")
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
        from tgsr.stopping import Interrupted, handle_signals

        _show_messages()
        for variable, value in _ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        try:
            with handle_signals():
                return super().invoke(ctx)
        except TgsrError as error:
            raise click.ClickException(str(error)) from error
        except Interrupted as stop:
            click.echo("\nstopped; what was finished is kept, and the same command goes on from here", err=True)
            raise click.exceptions.Exit(128 + stop.signal_number) from stop
        except Exception as error:
            from tgsr.tracking.storage_errors import storage_problem

            line = storage_problem(error)
            if line is None:
                raise
            raise click.ClickException(line) from error


_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's switches, for this program's own process."""
_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
    # `mlflow run -P max_iter=50` hands `--max_iter 50` on
    "token_normalize_func": lambda token: token.replace("_", "-"),
}


@click.group(cls=_LazyGroup, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="tgsr")
def cli() -> None:
    """Cross-database micro-expression recognition: features, methods, studies, models."""


def run() -> None:
    """Run the command line in a process of its own.

    A terminal that cannot show a letter such as κ gets a question mark in its place. A command that was stopped ends
    without waiting for threads that do not listen.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        cli(prog_name="tgsr")
    except KeyboardInterrupt:  # before anything was begun
        sys.exit(130)
    except SystemExit as end:
        if "tgsr.stopping" in sys.modules and sys.modules["tgsr.stopping"].was_interrupted():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        raise

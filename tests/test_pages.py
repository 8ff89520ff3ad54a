"""The pages say what is true: commands parse, Python runs, links lead somewhere, sentences are short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import sklearn

from tgsr.cli import cli
from tgsr.datasets import save_features

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("tgsr/**/README.md"), *ROOT.glob("studies/**/README.md")])
FENCE = re.compile(r"^```(?P<kind>\w*)(?P<mark>[^\n]*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
LONGEST = 25
"""Words of a sentence."""


def blocks(page: Path, kind: str) -> list[str]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [match["text"] for match in found if match["kind"] == kind and "not-run" not in match["mark"]]


def commands(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_has_the_options_that_the_page_gives_it(page):
    for line in commands(page):
        for part in re.split(r" && | \| ", line):
            words = shlex.split(part)
            if words[0] != "tgsr":
                continue
            command = cli.get_command(click.Context(cli), words[1])
            assert command is not None, f"{line}: no such command"
            # parses and converts, and runs nothing
            context = cli.make_context("tgsr", ["--help"], resilient_parsing=True)
            with context:
                command.make_context(words[1], words[2:], parent=context)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_on_a_page_runs(page, pair_factory, tmp_path, monkeypatch):
    pair = pair_factory()
    for data in (pair.source, pair.target):
        save_features(data, tmp_path / "features" / f"{data.name}.tgsr.npz")
    monkeypatch.chdir(tmp_path)
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME", "TGSR_STORAGE"):
        monkeypatch.delenv(variable, raising=False)
    namespace: dict[str, object] = {}
    with sklearn.config_context(enable_metadata_routing=False):  # as it is for a reader
        for text in blocks(page, "python"):
            exec(compile(text, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere_and_nothing_private_is_named(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target
    assert not re.findall(r"(?:tgsr|studies)(?:\.\w+)*\.(?!__)_\w+", text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sentences_are_short(page):
    text = FENCE.sub("\n\n", page.read_text(encoding="utf-8"))
    text = re.sub(r"^(?:\||    |#|!\[).*$", "\n", text, flags=re.MULTILINE)  # tables, code, headings, pictures
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", " x ", text)
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=(?:-|\*|\d+[.]) )", text):
        for sentence in re.split(r"(?<=[.!?:;])\s+", " ".join(paragraph.split())):
            words = re.findall(r"\w[\w'’.-]*", sentence)
            assert len(words) <= LONGEST, f"{len(words)} words: {sentence}"

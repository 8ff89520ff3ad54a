"""The files of a table: HTML, Markdown, LaTeX with booktabs, CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from tgsr.files import write_text
from tgsr.reports._tables import MARKS, MISSING, PaperTable

__all__ = ["as_csv", "as_html", "as_latex", "as_markdown", "save_tables"]

_CSV_COLUMNS = (
    *("table", "choice", "metric", "method", "experiment", "ours", "paper", "difference"),
    *("best", "paper_best", "paper_impossible", "generated", "partial", "remark", "study"),
)
_RAISED = r"\textsuperscript{%s}"
_TEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "−": "$-$",
    "–": "--",
    "Δ": r"$\Delta$",
    "†": _RAISED % r"\dag",
    "‡": _RAISED % r"\ddag",
    "§": _RAISED % r"\S",
    "¶": _RAISED % r"\P",
    "“": "``",
    "”": "''",
}


def as_html(table: PaperTable) -> str:
    """The table as an HTML fragment: a ``figure`` with its caption and note."""
    shown = _texts(table, "<strong>{}</strong>", "<sup>{}</sup>", escape)
    body = shown.style.to_html(exclude_styles=True)
    return (
        f'<figure class="table"><figcaption><strong>{escape(table.title)}</strong></figcaption>'
        f'<div class="scroll" tabindex="0">{body}</div><p class="note">{escape(table.note)}</p></figure>'
    )


def as_markdown(table: PaperTable) -> str:
    """The table in GitHub's Markdown; each pair's column reads *ours / paper's (difference)*."""
    shown = _texts(table, "**{}**", "{}", lambda text: text.replace("|", "\\|"))
    rows = [["method", *table.experiments], ["---"] * (1 + len(table.experiments))]
    for method, row in shown.iterrows():
        cells = zip(*[iter(row)] * 3, strict=True)
        rows.append([str(method), *(f"{ours} / {paper} ({delta})" for ours, paper, delta in cells)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"**{table.title}** (ours / paper's (Δ))", "", *lines, "", table.note, ""])


def as_latex(table: PaperTable) -> str:
    """The table as a LaTeX float over both columns; needs the packages ``booktabs``, ``multirow`` and ``graphicx``."""
    text: str = _texts(table, r"\textbf{{{}}}", "{}", _tex).style.to_latex(
        hrules=True,
        environment="table*",
        position_float="centering",
        multicol_align="c",
        column_format=f"l{'rrr' * len(table.experiments)}",
        caption=_tex(f"{table.title}. {table.note}"),
        label=f"tab:{table.name}",
    )
    if len(table.experiments) < 4:  # it fits without being scaled
        return text
    begin, end = r"\begin{tabular}", r"\end{tabular}"
    return text.replace(begin, f"\\resizebox{{\\textwidth}}{{!}}{{%\n{begin}").replace(end, f"{end}}}")


def as_csv(tables: Sequence[PaperTable]) -> str:
    """All tables as one CSV, a line a result: macro-F1 as a fraction, accuracy in per cent."""
    parts = [
        table.cells.assign(table=table.number or "other", choice=table.choice, metric=table.metric) for table in tables
    ]
    whole = pd.concat(parts) if parts else pd.DataFrame(columns=list(_CSV_COLUMNS))
    marks = ["best", "paper_best", "paper_impossible", "generated"]
    rounded = whole.assign(difference=whole["difference"].astype(float).round(4)).astype(dict.fromkeys(marks, int))
    return str(rounded[list(_CSV_COLUMNS)].to_csv(index=False, lineterminator="\n"))


def save_tables(tables: Sequence[PaperTable], folder: Path) -> None:
    """Write ``tables.csv``, ``tables.md``, ``tables.html`` and ``tables.tex`` into a folder, each in one step."""
    page = "<!doctype html><meta charset='utf-8'><title>Tables I and II</title>{}"
    contents = {
        "tables.csv": as_csv(tables),
        "tables.md": "\n".join(map(as_markdown, tables)),
        "tables.html": page.format("".join(map(as_html, tables))),
        "tables.tex": "% \\usepackage{booktabs,multirow,graphicx}\n" + "\n".join(map(as_latex, tables)),
    }
    for name, content in contents.items():
        write_text(folder / name, content)


def _texts(table: PaperTable, bold: str, raised: str, safe: Callable[[str], str]) -> pd.DataFrame:
    """What is shown: a row a method; ours, the paper's and their difference for each pair, with their marks."""

    def marked(value: Any, best: Any, marks: str) -> str:
        text = safe(table.show(value))
        return (bold.format(text) if best else text) + (raised.format(safe(marks)) if marks else "")

    columns = pd.MultiIndex.from_product([table.experiments, ["ours", "paper", "Δ"]])
    shown = pd.DataFrame(MISSING, index=table.methods, columns=columns, dtype=object)
    for cell in table.cells.to_dict("records"):
        marks = "".join(sign for column, (sign, _) in MARKS.items() if cell[column])
        shown.loc[cell["method"], cell["experiment"]] = [
            marked(cell["ours"], cell["best"], marks),
            marked(cell["paper"], cell["paper_best"], "†" * cell["paper_impossible"]),
            safe(table.show(cell["difference"], signed=True)),
        ]
    return shown.replace(MISSING, safe(MISSING)).rename(index=safe, columns=safe)


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)

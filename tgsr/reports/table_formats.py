"""The files of a table: HTML, Markdown, LaTeX with booktabs, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tgsr.files import write_text
from tgsr.reports.tables import Cell, PaperTable

__all__ = ["as_csv", "as_html", "as_latex", "as_markdown", "save_tables"]


_CSV_COLUMNS = (
    *("table", "selection", "metric", "method", "experiment"),
    *("ours", "paper", "difference", "best", "paper_best", "paper_impossible", "generated", "partial"),
)


def as_html(table: PaperTable) -> str:
    """The table as an HTML fragment: a ``figure`` with its caption and note."""
    head = "".join(f'<th colspan="3" scope="colgroup">{escape(name)}</th>' for name in table.experiments)
    sub = "".join("<th>ours</th><th>paper</th><th>Δ</th>" for _ in table.experiments)
    body = []
    for method in table.methods:
        cells = []
        for name in table.experiments:
            cell = table.cell(method, name)
            ours, paper = _texts(table, cell, "<strong>{}</strong>", "<sup>{}</sup>")
            difference = table.show(cell.difference, signed=True)
            cells.append(
                f'<td class="ours">{ours}</td><td class="paper">{paper}</td><td class="delta">{difference}</td>'
            )
        body.append(f'<tr><th scope="row">{escape(method)}</th>{"".join(cells)}</tr>')
    badge = "oracle" if table.oracle else "label-free"
    return (
        f'<figure class="table {badge}"><figcaption><strong>{escape(table.title)}</strong></figcaption>'
        f'<div class="scroll"><table><thead><tr><th rowspan="2">method</th>{head}</tr><tr>{sub}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div><p class='note'>{escape(table.note)}</p></figure>"
    )


def as_markdown(table: PaperTable) -> str:
    """The table in GitHub's Markdown; each experiment's column reads *ours / paper's (difference)*."""
    lines = [
        f"**{table.title}** (ours / paper's (Δ))",
        "",
        "| method | " + " | ".join(table.experiments) + " |",
        "|---" * (1 + len(table.experiments)) + "|",
    ]
    for method in table.methods:
        texts = []
        for name in table.experiments:
            cell = table.cell(method, name)
            ours, paper = _texts(table, cell, "**{}**", "{}")
            texts.append(f"{ours} / {paper} ({table.show(cell.difference, signed=True)})")
        lines.append(f"| {method} | " + " | ".join(texts) + " |")
    return "\n".join([*lines, "", table.note, ""])


def as_latex(table: PaperTable) -> str:
    """The table as a LaTeX float over both columns; needs the packages ``booktabs`` and ``graphicx``."""
    groups = " & ".join(rf"\multicolumn{{3}}{{c}}{{{_tex(name)}}}" for name in table.experiments)
    rules = "".join(rf"\cmidrule(lr){{{3 * i + 2}-{3 * i + 4}}}" for i in range(len(table.experiments)))
    rows = []
    for method in table.methods:
        texts = [_tex(method)]
        for name in table.experiments:
            cell = table.cell(method, name)
            ours, paper = (_tex(text) for text in _texts(table, cell, r"\textbf{{{}}}", "{}"))
            texts += [ours, paper, _tex(table.show(cell.difference, signed=True))]
        rows.append(" & ".join(texts) + r" \\")
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{_tex(table.title)}. {_tex(table.note)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{l{'rrr' * len(table.experiments)}}}",
            r"\toprule",
            rf" & {groups} \\",
            rules,
            "method & " + " & ".join([r"ours & paper & $\Delta$"] * len(table.experiments)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table*}",
            "",
        ]
    )


def as_csv(tables: Sequence[PaperTable]) -> str:
    """All tables as one CSV, a line a cell: macro-F1 as a fraction, accuracy in per cent."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for table in tables:
        for method in table.methods:
            for name in table.experiments:
                cell = table.cell(method, name)
                numbers = [table.show(value).replace("−", "-") for value in (cell.ours, cell.paper, cell.difference)]
                marks = [int(cell.our_best), int(cell.paper_best), int(cell.impossible), int(cell.generated)]
                values = ["" if number == "–" else number for number in numbers]
                writer.writerow(
                    [table.number, table.selection, table.metric, method, name, *values, *marks, cell.partial]
                )
    return buffer.getvalue()


def save_tables(tables: Sequence[PaperTable], folder: Path) -> list[Path]:
    """Write ``tables.csv``, ``tables.md``, ``tables.html`` and ``tables.tex`` into a folder, each in one step."""
    page = "<!doctype html><meta charset='utf-8'><title>Tables I and II</title>{}"
    contents = {
        "tables.csv": as_csv(tables),
        "tables.md": "\n".join(map(as_markdown, tables)),
        "tables.html": page.format("".join(map(as_html, tables))),
        "tables.tex": "% \\usepackage{booktabs,graphicx}\n" + "\n".join(map(as_latex, tables)),
    }
    for name, content in contents.items():
        write_text(folder / name, content)
    return [folder / name for name in contents]


def _texts(table: PaperTable, cell: Cell, bold: str, raised: str) -> tuple[str, str]:
    """Ours and the paper's number with their marks."""

    def marked(value: float | None, best: bool, marks: str) -> str:
        text = table.show(value)
        return (bold.format(text) if best else text) + (raised.format(marks) if marks else "")

    return marked(cell.ours, cell.our_best, cell.marks), marked(cell.paper, cell.paper_best, "†" * cell.impossible)


_RAISED = r"\textsuperscript{%s}"
_TEX = {
    "−": "$-$",
    "–": "--",
    "Δ": r"$\Delta$",
    "†": _RAISED % r"\dag",
    "‡": _RAISED % r"\ddag",
    "§": _RAISED % r"\S",
    "“": "``",
    "”": "''",
    "%": r"\%",
}


def _tex(text: str) -> str:
    for plain, tex in _TEX.items():
        text = text.replace(plain, tex)
    return text.replace("_", r"\_")

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tgsr.errors import DataError
from tgsr.evaluation.paper import published_results
from tgsr.reports.table_formats import as_csv, as_html, as_latex, as_markdown, save_tables
from tgsr.reports.tables import METHODS, Cell, PaperTable, paper_tables


def _comparison() -> pd.DataFrame:
    rows = [
        ("V-N", "SVM", "oracle", 0.6186, 0.6338),
        ("V-N", "TGSR", "oracle", 0.71, 0.7183),
        ("V-N", "TCA", "oracle", 0.71, 0.6901),
        ("N-C", "DRLS", "oracle", 0.40, 0.4231),
        ("V-N", "SVM", "default", 0.6, 0.6),
    ]
    return pd.DataFrame(rows, columns=["experiment", "method", "selection", "macro_f1", "accuracy"])


def _table(metric: str, selection: str = "oracle", number: str = "I") -> PaperTable:
    (found,) = [
        table
        for table in paper_tables(_comparison())
        if (table.metric, table.selection, table.number) == (metric, selection, number)
    ]
    return found


def test_oracle_and_label_free_selection_never_share_a_table() -> None:
    tables = paper_tables(_comparison())
    assert [table.selection for table in tables] == ["oracle"] * 4 + ["default"] * 4
    assert all("ORACLE" in table.note for table in tables if table.oracle)
    assert all("no target label" in table.note for table in tables if not table.oracle)
    assert _table("macro_f1", "default").cell("TGSR", "V-N").ours is None


def test_every_published_number_is_in_the_tables() -> None:
    tables = {(table.number, table.metric): table for table in paper_tables(_comparison()) if table.oracle}
    assert sum(len(table.cells) for table in tables.values()) == 2 * len(published_results())
    assert tables["I", "macro_f1"].cell("TGSR", "H-V").paper == 0.9150
    assert tables["II", "accuracy"].cell("TGSR", "C-N").paper == 57.75


def test_best_is_marked_among_ours_and_among_the_papers_ties_included() -> None:
    table = _table("macro_f1")
    best = {method for method in METHODS if table.cell(method, "V-N").our_best}
    assert best == {"TCA", "TGSR"}
    assert [method for method in METHODS if table.cell(method, "V-N").paper_best] == ["GFK"]
    assert not any(table.cell(method, "H-V").our_best for method in METHODS)


def test_difference_is_ours_minus_the_papers_and_missing_cells_are_dashes() -> None:
    table = _table("accuracy")
    cell = table.cell("TGSR", "V-N")
    assert table.show(cell.difference, signed=True) == "+1.41"
    assert table.show(-0.004, signed=True) == "0.00"
    assert table.show(-1.5, signed=True) == "−1.50"
    assert table.show(table.cell("TGSR", "H-V").ours) == "–"
    assert Cell(ours=1.0).difference is None


def test_impossible_cells_of_the_paper_are_marked_in_accuracy_only() -> None:
    marked = {key for table in paper_tables(_comparison()) for key, cell in table.cells.items() if cell.impossible}
    assert marked == {("GFK", "V-C"), ("DRLS", "C-N"), ("DRLS", "N-C")}
    table = _table("accuracy", number="II")
    assert "†" in table.note
    assert "<sup>†</sup>" in as_html(table)
    assert r"\textsuperscript{\dag}" in as_latex(table)
    assert "†" not in as_html(_table("macro_f1", number="II"))


def test_unfinished_studies_and_generated_data_are_marked_in_every_format(tmp_path: Path) -> None:
    rows = _comparison().assign(generated=[False, False, True, False, False])
    rows["partial"] = ["", "1,870 of 23,035 cells", None, "", ""]
    tables = paper_tables(rows)
    table = next(found for found in tables if (found.metric, found.selection) == ("macro_f1", "oracle"))
    assert "TGSR V-N: 1,870 of 23,035 cells" in table.note
    assert "the paper's numbers do not apply" in table.note
    generated = table.cell("TCA", "V-N")
    assert generated.difference is None
    assert generated.our_best  # the best of its kind only
    assert table.cell("TGSR", "V-N").our_best
    assert "generated data" not in table.title  # not all of it
    assert "0.7100</strong><sup>‡</sup>" in as_html(table)
    assert "0.7100</strong><sup>§</sup>" in as_html(table)
    assert "**0.7100**‡" in as_markdown(table)
    assert r"\textbf{0.7100}\textsuperscript{\ddag}" in as_latex(table)
    assert r"\textsuperscript{\S}" in as_latex(table)
    assert not set("‡§") & set(as_latex(table))
    lines = {(line["method"], line["experiment"]): line for line in csv.DictReader(io.StringIO(as_csv([table])))}
    assert lines["TGSR", "V-N"]["partial"] == "1,870 of 23,035 cells"
    assert (lines["TCA", "V-N"]["generated"], lines["TCA", "V-N"]["difference"]) == ("1", "")
    assert all("generated data" in found.title for found in paper_tables(rows.head(3).assign(generated=True))[:2])


def test_latex_has_booktabs_rules_and_as_many_cells_in_every_row() -> None:
    text = as_latex(_table("macro_f1"))
    lines = text.splitlines()
    assert [rule for rule in ("\\toprule", "\\midrule", "\\bottomrule") if rule in lines] == [
        "\\toprule",
        "\\midrule",
        "\\bottomrule",
    ]
    rows = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert len(rows) == len(METHODS)
    assert {row.count("&") for row in rows} == {18}
    assert text.count("{") == text.count("}")
    assert not set("−–Δ†“”") & set(text)


def test_markdown_rows_have_the_same_number_of_columns() -> None:
    lines = [line for line in as_markdown(_table("accuracy")).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {8}
    assert len(lines) == 2 + len(METHODS)


def test_html_is_balanced() -> None:
    class Balance(HTMLParser):
        depth: list[str]

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.depth.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.depth.pop() == tag

    parser = Balance()
    parser.depth = []
    parser.feed(as_html(_table("macro_f1")))
    assert parser.depth == []


def test_csv_gives_the_numbers_back(tmp_path: Path) -> None:
    save_tables(paper_tables(_comparison()), tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tables.csv").read_text())))
    (row,) = [
        row
        for row in rows
        if (row["method"], row["experiment"], row["metric"], row["selection"]) == ("TGSR", "V-N", "macro_f1", "oracle")
    ]
    assert (row["ours"], row["paper"], row["difference"], row["best"]) == ("0.7100", "0.6984", "0.0116", "1")
    assert len(rows) == 2 * 2 * len(published_results())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables.csv", "tables.html", "tables.md", "tables.tex"]
    assert as_csv([]).count("\n") == 1


def test_no_results_at_all_still_give_the_papers_tables() -> None:
    tables = paper_tables(_comparison().head(0))
    assert [table.selection for table in tables] == ["oracle"] * 4
    assert all(cell.ours is None for table in tables for cell in table.cells.values())


def test_doubled_cells_and_missing_columns_are_errors() -> None:
    with pytest.raises(DataError, match="twice"):
        paper_tables(pd.concat([_comparison(), _comparison()]))
    with pytest.raises(DataError, match="accuracy"):
        paper_tables(_comparison().drop(columns="accuracy"))

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tgsr.reports._records import StudyRecord
from tgsr.reports._table_formats import as_csv, as_html, as_latex, as_markdown, save_tables
from tgsr.reports._tables import PaperTable, collect_results, paper_tables

Factory = Callable[..., StudyRecord]
Trials = Callable[..., pd.DataFrame]
RELEASED = {"groups": "released"}


def _results() -> pd.DataFrame:
    rows = [
        ("V-N", "TGSR", "oracle", 0.71, 0.7183),
        ("V-N", "TCA", "oracle", 0.71, 0.6901),
        ("N-C", "DRLS", "oracle", 0.40, 0.4231),
        ("V-N", "SVM", "fixed", 0.6, 0.6),
        ("SAMM-mine", "SVM", "source-cv", 0.5, 0.5),
    ]
    comparison = pd.DataFrame(rows, columns=["experiment", "method", "selection", "macro_f1", "accuracy"])
    return collect_results([], comparison)


def _table(metric: str, selection: str = "oracle", number: str = "I") -> PaperTable:
    (found,) = [
        table
        for table in paper_tables(_results())
        if (table.metric, table.selection, table.number) == (metric, selection, number)
    ]
    return found


def _cell(table: PaperTable, method: str, pair: str) -> dict[str, Any]:
    cells = table.cells
    (cell,) = cells[(cells["method"] == method) & (cells["experiment"] == pair)].to_dict("records")
    return {str(name): value for name, value in cell.items()}


def test_each_way_of_choosing_has_its_tables_and_only_what_has_results_is_in_them() -> None:
    tables = paper_tables(_results())
    assert [(table.selection, table.number) for table in tables[::2]] == [
        ("oracle", "I"),
        ("oracle", "II"),
        ("fixed", "I"),
        ("source-cv", ""),
    ]
    oracle, fixed, free = tables[0], tables[4], tables[6]
    assert (oracle.methods, oracle.experiments) == (["TCA", "TGSR"], ["V-N"])
    assert "pairs H-V, V-H" in oracle.note
    assert "methods SVM, IW-SVM, GFK" in oracle.note
    assert "ORACLE" in oracle.note
    assert "nothing chosen from data" in fixed.note
    assert "no target label" in free.note
    assert free.experiments == ["SAMM-mine"]
    assert "Without results" not in free.note
    assert paper_tables(_results().head(0)) == []


def test_the_best_of_several_is_marked_ties_included_and_of_one_nothing_is() -> None:
    table = _table("macro_f1")
    assert [_cell(table, method, "V-N")["best"] for method in ("TCA", "TGSR")] == [True, True]
    assert not _table("macro_f1", number="II").cells["best"].any()
    # the paper's best there is GFK, which is not here
    assert not table.cells["paper_best"].any()


def test_differences_are_ours_minus_the_papers_as_printed() -> None:
    table = _table("accuracy")
    assert table.show(_cell(table, "TGSR", "V-N")["difference"], signed=True) == "+1.41"
    assert table.show(-0.004, signed=True) == "0.00"
    assert table.show(-1.5, signed=True) == "−1.50"
    assert table.show(np.nan) == "–"


def test_impossible_cells_of_the_paper_are_marked_in_accuracy_only() -> None:
    table = _table("accuracy", number="II")
    assert "<sup>†</sup>" in as_html(table)
    assert r"\textsuperscript{\dag}" in as_latex(table)
    assert "†" not in as_html(_table("macro_f1", number="II"))


def test_parts_of_a_grid_and_generated_data_are_marked_in_every_format() -> None:
    rows = _results().assign(generated=[False, True, False, False, False])
    rows["partial"] = ["510 of 23,035 cells", "", "", "", ""]
    table = paper_tables(rows)[0]
    assert "TGSR V-N: 510 of 23,035 cells" in table.note
    assert np.isnan(_cell(table, "TCA", "V-N")["difference"])
    assert not table.cells["best"].any()  # each is alone among its like
    assert "generated data" not in table.title  # not all of it
    assert "0.7100<sup>‡</sup>" in as_html(table)
    assert "0.7100<sup>§</sup>" in as_html(table)
    assert "0.7100‡ / 0.6984" in as_markdown(table)
    assert r"0.7100\textsuperscript{\ddag}" in as_latex(table)
    assert r"\textsuperscript{\S}" in as_latex(table)
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(as_csv([table])))}
    assert lines["TGSR"]["partial"] == "510 of 23,035 cells"
    assert (lines["TCA"]["generated"], lines["TCA"]["difference"]) == ("1", "")
    assert "generated data" in paper_tables(rows[1:2])[0].title


def test_latex_has_booktabs_rules_and_as_many_cells_in_every_row() -> None:
    text = as_latex(_table("macro_f1"))
    rows = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    assert "\\toprule" in text
    assert [row.count("&") for row in rows] == [3, 3]
    assert r"\textbf{0.7100}" in text
    assert text.count("{") == text.count("}")
    assert not set("−–Δ†‡§“”") & set(text)
    assert "a\\_b" in as_latex(paper_tables(_results().assign(method="a_b").head(1))[0])


def test_markdown_rows_have_the_same_number_of_columns() -> None:
    lines = [line for line in as_markdown(_table("accuracy")).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {3}
    assert len(lines) == 4


def test_html_is_balanced_and_escaped() -> None:
    class Balance(HTMLParser):
        depth: list[str]

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.depth.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.depth.pop() == tag

    parser = Balance()
    parser.depth = []
    text = as_html(paper_tables(_results().assign(method="<b>").head(1))[0])
    parser.feed(text)
    assert parser.depth == []
    assert "<b>" not in text


def test_csv_gives_the_numbers_back(tmp_path: Path) -> None:
    save_tables(paper_tables(_results()), tmp_path)
    rows = pd.read_csv(tmp_path / "tables.csv").set_index(["method", "experiment", "metric", "selection"])
    row = rows.loc[("TGSR", "V-N", "macro_f1", "oracle")]
    assert (row["ours"], row["paper"], row["difference"], row["best"]) == (0.71, 0.6984, 0.0116, 1)
    assert len(rows) == 2 * len(_results())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables.csv", "tables.html", "tables.md", "tables.tex"]
    assert as_csv([]).count("\n") == 1


def test_the_oracle_takes_the_best_of_any_study_and_a_whole_grid_before_a_part(
    record_factory: Factory, trials: Trials
) -> None:
    whole = trials(kappa=[1, 30], xi=[0.1, 1.0])
    whole["selection_value"] = -whole["macro_f1"]  # a label-free rule that is always wrong
    lucky = whole.head(2).assign(macro_f1=0.99, selection_value=0.99)
    free = record_factory(whole, selection="source-cv", fixed=RELEASED, n_whole=4)
    part = record_factory(lucky, fixed=RELEASED, n_whole=4)
    rows = collect_results([part, free]).set_index("selection")
    assert rows.loc["oracle", "macro_f1"] == whole["macro_f1"].max()
    assert rows.loc["oracle", "partial"] == ""
    assert rows.loc["source-cv", "macro_f1"] == whole["macro_f1"].min()
    assert collect_results([part])["partial"].tolist() == ["2 of 4 cells"]


def test_every_method_pair_and_variant_has_its_own_place(record_factory: Factory, trials: Trials) -> None:
    one = trials()
    records = [
        record_factory(one, fixed=RELEASED),
        record_factory(one, fixed={"groups": "region", "scaling": "spread"}),
        record_factory(one, method="SVM", fixed={}, selection="fixed", n_whole=1),
        record_factory(one, pair="SAMM-mine", method="mine.Classifier", fixed={}),
        record_factory(one.drop(columns=["macro_f1", "accuracy"]), pair="A-B", fixed={}),  # no labels: no result
    ]
    results = collect_results(records)
    assert results.sort_values("experiment", kind="stable", ascending=False)[
        ["experiment", "method", "selection"]
    ].to_numpy().tolist() == [
        ["V-N", "TGSR", "oracle"],
        ["V-N", "TGSR (regions, spread)", "oracle"],
        ["V-N", "SVM", "fixed"],
        ["SAMM-mine", "mine.Classifier", "oracle"],
    ]
    comparison = results.assign(macro_f1=0.1)[["experiment", "method", "selection", "macro_f1", "accuracy"]]
    more = pd.concat([comparison, comparison.assign(method="TCA")])
    merged = collect_results(records, more)
    assert len(merged) == 4 + 3
    assert not re.search("nan", as_csv(paper_tables(merged)), re.IGNORECASE)

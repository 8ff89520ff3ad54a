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

from tgsr.evaluation.choice import METRIC, RULE
from tgsr.reports import collect_results
from tgsr.reports._table_formats import as_csv, as_html, as_latex, as_markdown, save_tables
from tgsr.reports._tables import PaperTable, paper_tables
from tgsr.tracking.records import StudyRecord

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
        ("V-N", "TGSR", "consensus", 0.6, 0.6),
        ("V-N", "TGSR", "circular", 0.6, 0.6),
    ]
    table = pd.DataFrame(rows, columns=["experiment", "method", "choice", "macro_f1", "accuracy"])
    return table.assign(generated=False, partial="", remark="", study="a run")


def _table(metric: str, choice: str = "oracle", number: str = "I") -> PaperTable:
    (found,) = [
        table
        for table in paper_tables(_results())
        if (table.metric, table.choice, table.number) == (metric, choice, number)
    ]
    return found


def _cell(table: PaperTable, method: str, pair: str) -> dict[str, Any]:
    cells = table.cells
    (cell,) = cells[(cells["method"] == method) & (cells["experiment"] == pair)].to_dict("records")
    return {str(name): value for name, value in cell.items()}


def test_each_way_of_choosing_has_its_tables_and_only_what_has_results_is_in_them() -> None:
    tables = paper_tables(_results())
    assert [(table.choice, table.number) for table in tables[::2]] == [
        ("oracle", "I"),
        ("oracle", "II"),
        ("circular", "I"),
        ("source-cv", ""),
        ("consensus", "I"),
        ("fixed", "I"),
    ]
    oracle, free, average, fixed = tables[0], tables[6], tables[8], tables[10]
    assert (oracle.methods, oracle.experiments) == (["TCA", "TGSR"], ["V-N"])
    assert "pairs H-V, V-H" in oracle.note
    assert "methods SVM, IW-SVM, GFK" in oracle.note
    assert "chosen by target labels" in oracle.note
    assert "nothing chosen from data" in fixed.note
    assert "averaged into one model, no target label" in average.note
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
    rows = _results().assign(generated=[False, True, *[False] * 5])
    rows["partial"] = ["510 of 23,035 cells", *[""] * 6]
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


def test_one_class_for_all_is_marked_and_never_the_best() -> None:
    rows = _results().assign(remark=["predicts negative for all 71", *[""] * 6])
    table = paper_tables(pd.concat([rows, rows[1:2].assign(method="SVM", macro_f1=0.3)]))[0]
    assert {cell["method"]: cell["best"] for cell in table.cells.to_dict("records")} == {
        "TGSR": False,
        "TCA": True,
        "SVM": False,
    }
    assert "¶: one class for every target sample (TGSR V-N: predicts negative for all 71)." in table.note
    assert "0.7100<sup>¶</sup>" in as_html(table)
    assert r"0.7100\textsuperscript{\P}" in as_latex(table)
    assert "0.7100¶ / 0.6984" in as_markdown(table)


def test_latex_has_booktabs_rules_and_as_many_cells_in_every_row() -> None:
    text = as_latex(_table("macro_f1"))
    rows = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    assert "\\toprule" in text
    assert [row.count("&") for row in rows] == [3, 3]
    assert r"\textbf{0.7100}" in text
    assert text.count("{") == text.count("}")
    assert not set("−–Δ†‡§¶“”") & set(text)
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
    rows = pd.read_csv(tmp_path / "tables.csv").set_index(["method", "experiment", "metric", "choice"])
    row = rows.loc[("TGSR", "V-N", "macro_f1", "oracle")]
    assert (row["ours"], row["paper"], row["difference"], row["best"]) == (0.71, 0.6984, 0.0116, 1)
    assert len(rows) == 2 * len(_results())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables.csv", "tables.html", "tables.md", "tables.tex"]
    assert as_csv([]).count("\n") == 1


def test_the_oracle_takes_the_best_of_any_study_and_a_whole_grid_before_a_part(
    record_factory: Factory, trials: Trials
) -> None:
    known: dict[str, Any] = {"method": "TCA", "fixed": {}, "choose": "circular"}
    n_whole = record_factory(trials(), **known).spec.n_whole()
    whole = trials(n_components=range(1, n_whole + 1))
    whole[RULE + "circular"] = -whole[METRIC + "macro_f1"]  # a rule that is always wrong
    lucky = record_factory(whole.assign(**{METRIC + "macro_f1": 0.8}), **known, sampler="tpe", objective="circular")
    rows = collect_results([lucky, record_factory(whole, **known)]).set_index("choice")
    assert rows.loc["oracle", "macro_f1"] == whole[METRIC + "macro_f1"].max()
    assert rows.loc["oracle", "partial"] == ""
    assert rows.loc["circular", "macro_f1"] == whole[METRIC + "macro_f1"].min()
    better = record_factory(whole.assign(**{METRIC + "macro_f1": 0.9}), **known, run_id="another")
    assert collect_results([record_factory(whole, **known), better]).set_index("choice")["study"].to_dict() == {
        "oracle": "another",
        "circular": "run of the study",
    }
    assert set(collect_results([lucky])["partial"]) == {f"{n_whole} sampled trials"}


def test_each_choice_has_a_row_and_another_rule_where_it_is_asked_for(
    record_factory: Factory, trials: Trials, consensus_facts: dict[str, Any]
) -> None:
    table = trials(kappa=[1, 30], xi=[0.1, 1.0])
    table[RULE + "vote"] = [0.0, 1.0, 0.0, 0.0]
    fixed = record_factory(table.head(1), sampler="fixed", choose="circular", fixed=RELEASED)
    searched = record_factory(table, choose="circular", fixed=RELEASED, consensus=consensus_facts)
    rows = collect_results([fixed, searched]).set_index("choice")
    assert set(rows.index) == {"oracle", "circular", "consensus", "fixed"}
    assert rows.loc["fixed", "macro_f1"] == table[METRIC + "macro_f1"][0]
    assert rows.loc["consensus", "macro_f1"] == 0.8222
    assert set(rows["partial"]) == {"4 of 23,035 cells", ""}
    rows = collect_results([searched], ["vote", "discrepancy"]).set_index("choice")
    assert set(rows.index) == {"oracle", "vote", "consensus"}
    assert rows.loc["vote", "macro_f1"] == table[METRIC + "macro_f1"][1]
    by_oracle = record_factory(table, choose="oracle", fixed=RELEASED)
    assert set(collect_results([by_oracle])["choice"]) == {"oracle", "circular"}


def test_every_method_pair_and_variant_has_its_own_place(record_factory: Factory, trials: Trials) -> None:
    one = trials()
    records = [
        record_factory(one, fixed=RELEASED),
        record_factory(one, fixed={"groups": "region", "scaling": "spread"}),
        record_factory(one, fixed=RELEASED, preprocess="standard"),
        record_factory(one, method="SVM", fixed={}, sampler="fixed"),
        record_factory(one, pair="SAMM-mine", method="mine:Classifier", fixed={}),
        record_factory(one.drop(columns=[METRIC + "macro_f1"]), pair="A-B", fixed={}),  # no labels: no result
    ]
    results = collect_results(records)
    found = results[results["choice"].isin(["oracle", "fixed"])]
    assert set(found[["experiment", "method", "choice"]].itertuples(index=False, name=None)) == {
        ("V-N", "TGSR", "oracle"),
        ("V-N", "TGSR (region, spread)", "oracle"),
        ("V-N", "TGSR (standard)", "oracle"),
        ("V-N", "SVM", "fixed"),
        ("SAMM-mine", "mine:Classifier", "oracle"),
    }
    assert not re.search("nan", as_csv(paper_tables(results)), re.IGNORECASE)

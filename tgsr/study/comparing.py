"""Methods side by side: a table over their studies, beside the published numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from tgsr.study.options import StudyOptions
from tgsr.trials.spec import make_spec
from tgsr.study.running import StudyRequest, run_studies
from tgsr.errors import MissingDataError, ParameterError
from tgsr.estimators.methods import METHODS, expand_grid, get_method
from tgsr.evaluation.choice import best_trial
from tgsr.evaluation.paper import published_result
from tgsr.evaluation.selection import get_rule
from tgsr.protocols import find_experiment
from tgsr.reports._records import row_name

if TYPE_CHECKING:
    from tgsr.tracking.study_store import StudyResult
    from tgsr.datasets import DatabasePair

__all__ = ["ComparePlan", "comparison_rows", "comparison_table", "requests_of"]

_ORACLE, _FIXED = "oracle", "fixed"


@dataclass(frozen=True)
class ComparePlan:
    """What is compared.

    Attributes
    ----------
    selections : sequence of str
        ``oracle``: the best score on the target, as published; ``fixed``: settings fixed beforehand; or a label-free
        rule, whose studies then serve as the oracle's, too.
    grouping : str
        For methods with groups; the published numbers belong to ``"released"``.
    fixed : mapping
        Parameters of every fit, for the methods that have them.
    axes : mapping
        Values in place of the published grid's, for the methods that have the parameters.
    limits : mapping of str to int
        Method → so many settings, spread over its grid.
    """

    methods: Sequence[str] = tuple(METHODS)
    selections: Sequence[str] = (_ORACLE, "class-balance", _FIXED)
    grouping: str = "released"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, list[Any]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        names = [get_method(name).name for name in self.methods]
        limits = {get_method(name).name: count for name, count in self.limits.items()}
        for selection in self.selections:
            get_rule(selection)
        if not names or not self.selections:
            raise ParameterError("nothing to compare; name a method and a selection at least")
        object.__setattr__(self, "methods", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "limits", limits)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that studies are run by: an oracle's choice can be read from any study of the same grid."""
        label_free = tuple(rule for rule in self.selections if rule not in (_ORACLE, _FIXED))
        searches = label_free or tuple(rule for rule in self.selections if rule == _ORACLE)
        return (*searches, *(rule for rule in self.selections if rule == _FIXED))


def requests_of(pairs: Sequence[DatabasePair], plan: ComparePlan, options: StudyOptions) -> list[StudyRequest]:
    """The studies that a comparison needs.

    Raises
    ------
    MissingDataError
        If a target has no labels: there is nothing to compare.
    """
    requests = []
    for pair in pairs:
        if not pair.target.is_labelled:
            raise MissingDataError(f"{pair.target.name} has no labels: methods cannot be compared on it")
        for method in plan.methods:
            known = get_method(method).make().get_params()
            fixed = {name: value for name, value in plan.fixed.items() if name in known}
            axes = {name: values for name, values in plan.axes.items() if name in known}
            for rule in plan.rules:
                spec = make_spec(
                    pair,
                    method,
                    selection=rule,
                    grouping=plan.grouping,
                    fixed=fixed,
                    axes={} if rule == _FIXED else axes,
                    only_defaults=rule == _FIXED,
                    seed=plan.seed,
                )
                n_trials = None if rule == _FIXED else plan.limits.get(method)
                requests.append(
                    StudyRequest(spec, pair, replace(options, n_trials=n_trials, matrices="none", page=False))
                )
    return requests


def comparison_rows(
    requests: Sequence[StudyRequest], results: Sequence[StudyResult], plan: ComparePlan
) -> list[dict[str, Any]]:
    """What studies say in a comparison: their rule's choice, and the oracle's of the same trials where asked for."""
    return [row for request, result in zip(requests, results, strict=True) for row in _rows(request, result, plan)]


def _rows(request: StudyRequest, result: StudyResult, plan: ComparePlan) -> list[dict[str, Any]]:
    spec, pair = request.spec, request.pair
    choices = {spec.selection: "selection_value"}
    if _ORACLE in plan.selections and spec.selection != _FIXED:
        choices[_ORACLE] = "macro_f1"
    experiment = find_experiment(pair.source.name, pair.target.name)
    name = row_name(spec.method, spec.fixed)  # the published numbers belong to the groups of the released records
    published = None if experiment is None else published_result(experiment, name)
    n_there = len(result.table)  # the fixed settings are no part of a grid
    n_whole = 0 if spec.selection == _FIXED else len(expand_grid(spec.definition.param_grid(spec.shape)))
    best = {selection: best_trial(result.table, by) for selection, by in choices.items()}
    return [
        {
            "experiment": pair.name,
            "method": name,
            "selection": selection,
            "macro_f1": choice.row["macro_f1"],
            "accuracy": choice.row["accuracy"],
            "params": json.dumps(choice.settings, sort_keys=True),
            "trials": n_there,
            "partial": f"{n_there:,} of {n_whole:,} cells" if n_there < n_whole else "",
            "paper_macro_f1": None if published is None else published.macro_f1,
            "paper_accuracy": None if published is None else published.accuracy,
            "generated": pair.is_generated,
        }
        for selection, choice in best.items()
    ]


def comparison_table(pairs: Sequence[DatabasePair], plan: ComparePlan, options: StudyOptions) -> pd.DataFrame:
    """Run what is lacking of the studies in MLflow, and put them side by side; those that are there are taken."""
    requests = requests_of(pairs, plan, options)
    rows = comparison_rows(requests, run_studies(requests), plan)
    asked = {key: place for place, key in enumerate(dict.fromkeys((row["experiment"], row["method"]) for row in rows))}
    rows.sort(key=lambda row: (asked[row["experiment"], row["method"]], plan.selections.index(row["selection"])))
    table = pd.DataFrame(rows)
    for mark in ("generated", "partial"):
        if not table[mark].astype(bool).any():
            table = table.drop(columns=mark)
    return table

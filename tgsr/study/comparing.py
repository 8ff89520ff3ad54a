"""Methods side by side: a table over their studies, beside the published numbers."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from tgsr.errors import MissingDataError, ParameterError
from tgsr.estimators.methods import METHODS, get_method
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.paper import published_results
from tgsr.evaluation.remarks import solver_remark
from tgsr.evaluation.rules import DEFAULT, check_choice_name, get_rule
from tgsr.reports import AVERAGE, FIXED, collect_results
from tgsr.study.options import RunOptions
from tgsr.study.running import Request, run_studies
from tgsr.tracking.client import open_client
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.runs import command_run
from tgsr.trials.spec import make_spec

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["ComparePlan", "compare_methods"]

_log = logging.getLogger(__name__)
_COLUMNS = ["experiment", "method", "choice", "macro_f1", "accuracy", "params", "trials"]


@dataclass(frozen=True)
class ComparePlan:
    """What is compared.

    Attributes
    ----------
    methods : sequence of str
    choices : sequence of str
        ``oracle``: the best score on the target, as published; a rule that needs no target label; ``consensus``: the
        average of the best twentieth by the default rule; ``fixed``: settings fixed beforehand. All but the last read
        the same study: each grid is fitted once.
    grouping : str
        For methods with groups; the published numbers belong to ``"released"``.
    preprocess : str
    fixed : mapping
        Parameters of every fit, for the methods that have them.
    axes : mapping
        Values in place of the published grid's, for the methods that have the parameters.
    limits : mapping of str to int
        Method → so many settings, spread over its grid.
    seed : int
    """

    methods: Sequence[str] = tuple(METHODS)
    choices: Sequence[str] = (ORACLE, DEFAULT, FIXED)
    grouping: str = "released"
    preprocess: str = "none"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, list[Any]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        names = [get_method(name).name for name in self.methods]
        limits = {get_method(name).name: count for name, count in self.limits.items()}
        if not names or not self.choices:
            raise ParameterError("nothing to compare; name a method and a choice at least")
        for name in self.rules:
            get_rule(name)
        object.__setattr__(self, "methods", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "limits", limits)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules among the choices."""
        return tuple(name for name in self.choices if name not in (ORACLE, FIXED, AVERAGE))

    @property
    def key(self) -> str:
        """A short name of all that it says."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def compare_methods(pairs: Sequence[DatabasePair], plan: ComparePlan, options: RunOptions) -> pd.DataFrame:
    """Run what is lacking of the studies in MLflow, and put them side by side; those that are there are taken.

    The studies and the table belong to the run that the options name as their parent, else to one of the comparison's
    own.

    Returns
    -------
    DataFrame
        A row a pair, method and choice: ``experiment, method, choice, macro_f1, accuracy, params, trials``, the
        published numbers ``paper_macro_f1, paper_accuracy`` (all fractions), and where there is something to say
        ``partial`` (of a grid), ``remark`` (one class for all, not converged), ``generated``.

    Raises
    ------
    MissingDataError
        If a target has no labels: there is nothing to compare.
    """
    for pair in pairs:
        if not pair.target.is_labelled:
            raise MissingDataError(f"{pair.target.name} has no labels: methods cannot be compared on it")
    with _run_of(pairs, plan, options) as run_id:
        inside = replace(options, parent_run_id=run_id, matrices="none", page=False, rules=())
        requests = [
            _request(pair, method, plan, inside, is_fixed)
            for pair in pairs
            for method in plan.methods
            for is_fixed in dict.fromkeys(choice == FIXED for choice in plan.choices)
        ]
        table = _table(run_studies(requests), plan)
        open_client(options.config.tracking_uri).log_text(run_id, table.to_csv(index=False), "compare.csv")
    return table


def _run_of(pairs: Sequence[DatabasePair], plan: ComparePlan, options: RunOptions) -> AbstractContextManager[str]:
    if options.parent_run_id is not None:
        return nullcontext(options.parent_run_id)
    names = " ".join(dict.fromkeys(pair.name for pair in pairs))
    key = hashlib.sha256(f"{plan.key} {[(pair.source.digest, pair.target.digest) for pair in pairs]}".encode())
    return command_run(
        open_client(options.config.tracking_uri),
        options.config,
        "compare",
        key.hexdigest()[:12],
        name=f"compare {names}"[:250],
        description=f"{', '.join(plan.methods)} on {names}; choices: {', '.join(plan.choices)}. A study each.",
        params={"pairs": names, "methods": ",".join(plan.methods), "choices": ",".join(plan.choices)},
    )


def _request(pair: DatabasePair, method: str, plan: ComparePlan, options: RunOptions, is_fixed: bool) -> Request:
    """A method's grid on a pair, or the one trial of fixed settings."""
    known = get_method(method).make().get_params()
    fixed, axes = ({key: given[key] for key in given if key in known} for given in (plan.fixed, plan.axes))
    common: dict[str, Any] = {"grouping": plan.grouping, "preprocess": plan.preprocess, "seed": plan.seed}
    if is_fixed:
        return make_spec(pair, method, sampler="fixed", fixed=fixed, **common), pair, options
    options = replace(options, rules=plan.rules, n_trials=plan.limits.get(method))
    return make_spec(pair, method, axes=axes, fixed=fixed, **common), pair, options


def _table(records: Sequence[StudyRecord], plan: ComparePlan) -> pd.DataFrame:
    """The rows of the choices, pairs and methods in their order; marks that no row has are left out."""
    choices = [name if name in (FIXED, AVERAGE) else check_choice_name(name) for name in plan.choices]
    published = published_results().set_index(["experiment", "method"])[["macro_f1", "accuracy"]].add_prefix("paper_")
    table = collect_results(records, choices).join(published, on=["experiment", "method"])
    for record in records:
        for name in choices if record.spec.sampler != FIXED else ():
            if name not in (ORACLE, FIXED, AVERAGE, *record.rules):
                _log.warning(
                    "%s on %s: no row of %s, which the method allows no value of", record.method, record.pair, name
                )
    places = {(one.pair, one.spec.variant): place for place, one in enumerate(records)}
    rows = table[table["choice"].isin(choices)].to_dict("records")
    rows.sort(key=lambda row: (places[row["experiment"], row["method"]], choices.index(row["choice"])))
    studies = {record.run_id: record for record in records}
    for row in rows:
        if row["generated"]:  # the published numbers are those of the recorded databases
            row |= dict.fromkeys(published, float("nan"))
        row["remark"] = _remarks(studies[row["study"]], row)
    unused = {mark for mark in ("partial", "remark", "generated") if not any(row[mark] for row in rows)}
    columns = [*_COLUMNS, "partial", "remark", *published, "generated"]
    return pd.DataFrame(rows, columns=[name for name in columns if name not in unused])


def _remarks(record: StudyRecord, row: Mapping[Any, Any]) -> str:
    """What must be said of a row: one class for all, what did not converge, what nothing regularises."""
    choice = row["choice"]
    remarks = (
        row["remark"],
        solver_remark(record.table, None if choice in (FIXED, AVERAGE) else record.choose(choice)),
        record.regression_remark(json.loads(row["params"])),
    )
    return "; ".join(remark for remark in remarks if remark)

"""Methods side by side: a table over their studies, beside the published numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from tgsr.errors import MissingDataError, ParameterError
from tgsr.estimators.methods import METHODS, get_method
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.paper import published_result
from tgsr.evaluation.remarks import one_class_remark, regression_remark, solver_remark
from tgsr.evaluation.rules import DEFAULT, get_rule
from tgsr.protocols import find_experiment
from tgsr.study.options import RunOptions
from tgsr.study.running import Request, run_studies
from tgsr.tracking.client import open_client
from tgsr.tracking.names import CONSENSUS
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.runs import command_run
from tgsr.trials.spec import make_spec

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["ComparePlan", "compare_methods", "comparison_rows", "comparison_table", "requests_of"]

_FIXED, _CONSENSUS = "fixed", "consensus"
DEFAULT_CHOICES = (ORACLE, DEFAULT, _FIXED)


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
    choices: Sequence[str] = DEFAULT_CHOICES
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
        return tuple(name for name in self.choices if name not in (ORACLE, _FIXED, _CONSENSUS))

    @property
    def key(self) -> str:
        """A short name of all that it says."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def requests_of(pairs: Iterable[DatabasePair], plan: ComparePlan, options: RunOptions) -> list[Request]:
    """The studies that a comparison needs: a grid for each pair and method, and the one trial of fixed settings.

    Raises
    ------
    MissingDataError
        If a target has no labels: there is nothing to compare.
    """
    requests: list[Request] = []
    for pair in pairs:
        if not pair.target.is_labelled:
            raise MissingDataError(f"{pair.target.name} has no labels: methods cannot be compared on it")
        for method in plan.methods:
            known = get_method(method).make().get_params()
            common: dict[str, Any] = {
                "grouping": plan.grouping,
                "preprocess": plan.preprocess,
                "fixed": {name: value for name, value in plan.fixed.items() if name in known},
                "seed": plan.seed,
            }
            one = replace(options, rules=plan.rules, matrices="none", page=False)
            if set(plan.choices) - {_FIXED}:
                axes = {name: values for name, values in plan.axes.items() if name in known}
                grid = make_spec(pair, method, axes=axes, **common)
                requests.append((grid, pair, replace(one, n_trials=plan.limits.get(method))))
            if _FIXED in plan.choices:
                requests.append((make_spec(pair, method, sampler="fixed", **common), pair, replace(one, rules=())))
    return requests


def comparison_rows(
    requests: Sequence[Request], records: Sequence[StudyRecord], plan: ComparePlan
) -> list[dict[str, Any]]:
    """What studies say in a comparison: a row a choice, pairs and methods in their order."""
    rows: list[dict[str, Any]] = []
    for (spec, pair, _), record in zip(requests, records, strict=True):
        is_fixed = spec.sampler == "fixed"
        for choice in plan.choices:
            if (choice == _FIXED) == is_fixed and (found := _chosen(record, choice)) is not None:
                rows.append(_row(pair, record, choice, found))
    places = {key: place for place, key in enumerate(dict.fromkeys((row["experiment"], row["method"]) for row in rows))}
    order = list(plan.choices)
    return sorted(rows, key=lambda row: (places[row["experiment"], row["method"]], order.index(row["choice"])))


def comparison_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of a comparison as a table; marks that no row has are left out."""
    table = pd.DataFrame(rows)
    unused = [mark for mark in ("generated", "partial", "remark") if not table[mark].astype(bool).any()]
    return table.drop(columns=unused)


def compare_methods(pairs: Sequence[DatabasePair], plan: ComparePlan, options: RunOptions) -> pd.DataFrame:
    """Run what is lacking of the studies in MLflow, and put them side by side; those that are there are taken.

    Returns
    -------
    DataFrame
        A row a pair, method and choice: ``experiment, method, choice, macro_f1, accuracy, params, trials``, the
        published numbers ``paper_macro_f1, paper_accuracy`` (all fractions), and where there is something to say
        ``partial`` (of a grid), ``remark`` (one class for all, not converged), ``generated``.
    """
    client = open_client(options.config.tracking_uri)
    names = " ".join(dict.fromkeys(pair.name for pair in pairs))
    key = hashlib.sha256(f"{plan.key} {[(pair.source.digest, pair.target.digest) for pair in pairs]}".encode())
    with command_run(
        client,
        options.config,
        "compare",
        key.hexdigest()[:12],
        name=f"compare {names}"[:250],
        description=f"{', '.join(plan.methods)} on {names}; choices: {', '.join(plan.choices)}. A study each.",
        params={"pairs": names, "methods": ",".join(plan.methods), "choices": ",".join(plan.choices)},
    ) as run_id:
        requests = requests_of(pairs, plan, replace(options, parent_run_id=run_id))
        table = comparison_table(comparison_rows(requests, run_studies(requests), plan))
        client.log_text(run_id, table.to_csv(index=False), "compare.csv")
    return table


def _chosen(record: StudyRecord, choice: str) -> dict[str, Any] | None:
    """Scores, settings and predictions of a choice; None where the method has no consensus."""
    if choice == _CONSENSUS:
        stored = record.artifact(CONSENSUS)
        known = {} if stored is None else json.loads(stored)
        scores = {key: known.get(f"{key}.{_CONSENSUS}") for key in ("macro_f1", "accuracy")}
        params = {"trials": len(known.get("trials", ())), "by": known.get("by")}
        return {**scores, "params": params, "predictions": known["predictions"]} if known else None
    by = record.default_choice if choice == _FIXED else get_rule(choice).name if choice != ORACLE else ORACLE
    found = record.choose(by)
    scores = {key: found.metrics[key] for key in ("macro_f1", "accuracy")}
    unsolved = solver_remark(record.table, found)
    return {**scores, "params": found.settings, "predictions": found.row["predictions"], "unsolved": unsolved}


def _row(pair: DatabasePair, record: StudyRecord, choice: str, found: Mapping[str, Any]) -> dict[str, Any]:
    experiment = find_experiment(pair.source.name, pair.target.name)
    spec, settings = record.spec, {**record.spec.fixed, **found["params"]}
    remarks = (
        one_class_remark(found["predictions"], pair.source.class_names),
        found.get("unsolved", ""),
        regression_remark(settings, len(pair.source), pair.source.X.shape[1], spec.shape.n_groups),
    )
    # the published numbers belong to the groups of the released records
    published = None if experiment is None else published_result(experiment, spec.variant)
    return {
        "experiment": pair.name,
        "method": spec.variant,
        "choice": choice,
        "macro_f1": found["macro_f1"],
        "accuracy": found["accuracy"],
        "params": json.dumps(found["params"], sort_keys=True),
        "trials": len(record.table),
        "partial": record.coverage,
        "remark": "; ".join(remark for remark in remarks if remark),
        "paper_macro_f1": None if published is None else published.macro_f1,
        "paper_accuracy": None if published is None else published.accuracy,
        "generated": pair.is_generated,
    }

"""How the UI opens an experiment: its description, and saved views that do not mix what cannot be compared.

*Studies* has a row a study; *Trials, by circular validation* sorts by the rule that ranks by default, *Trials, oracle*
by macro-F1 on the target. MLflow keeps named views as tags of the experiment and lists them under *Views*. The format
is the UI's own (MLflow 3.17): a version that does not know it shows its default table.
"""

from __future__ import annotations

import base64
import functools
import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from tgsr.errors import ProtocolError
from tgsr.evaluation.choice import RULE
from tgsr.evaluation.rules import ALWAYS, DEFAULT
from tgsr.protocols import get_experiment
from tgsr.tracking.client import retry
from tgsr.tracking.config import TrackingConfig
from tgsr.tracking.names import PAGE, Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["VIEWS", "View", "page_address", "prepare_experiment", "view_address"]

_KIND = "mlflow.experimentKind"


class View(NamedTuple):
    """A saved view of an experiment's runs: which it shows, by what metric sorted (none: the newest first)."""

    key: str
    name: str
    search: str
    order: str
    columns: tuple[str, ...]

    @property
    def tag(self) -> str:
        """The experiment's tag that holds the view."""
        return f"mlflow.sharedViewState.{self.key}"


_TRIAL = f"tags.`{Tag.KIND}` = 'trial'"
_TRIED = ("params.`kappa`", "params.`xi`")
_SCORES = ("metrics.`macro_f1`", "metrics.`accuracy`")
_CHOSEN = tuple(f"metrics.`macro_f1.{choice}`" for choice in ("oracle", "consensus", DEFAULT, "median"))
_STUDY = (f"tags.`{Tag.SAMPLER}`", "metrics.`trials`", f"tags.`{Tag.CHOOSE}`", f"tags.`{Tag.BEST_SETTINGS}`")
_RULES = tuple(f"metrics.`{RULE}{name}`" for name in ALWAYS)
VIEWS = (
    View("tgsr-studies", "Studies", f"tags.`{Tag.KIND}` = 'study'", "", (*_STUDY, *_CHOSEN, *_SCORES)),
    # scores on the target are shown there, but do not rank: who may not see its labels could not sort by them
    View(
        "tgsr-trials-circular", "Trials, by circular validation", _TRIAL, RULE + DEFAULT, (*_TRIED, *_RULES, *_SCORES)
    ),
    View("tgsr-trials-oracle", "Trials, oracle", _TRIAL, "macro_f1", (*_TRIED, *_SCORES, *_RULES)),
)

_NOTES = {
    "tgsr/paper": "All experiments of the paper in one go: each run has its studies below it.",
    "tgsr/compare": "Comparisons of methods (`tgsr compare`). `oracle`: the target's labels chose.",
    "tgsr/protocol": "One subject left out at a time, over several databases (`tgsr protocol`).",
    "tgsr/report": "Reports of all experiments (`tgsr report`): the pages and tables are the runs' artifacts.",
}


def prepare_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment its description and, if it holds studies, the views and the kind that the UI asks for.

    What is there stays; an experiment that tgsr has not named gets the views only.
    """
    stored = client.get_experiment(experiment_id)
    wanted: dict[str, str] = {}
    if stored.name in _NOTES:
        wanted[Tag.NOTE] = _NOTES[stored.name]
    else:
        wanted |= {view.tag: _packed(view) for view in VIEWS} | {_KIND: "custom_model_development"}
        if stored.name.startswith("tgsr/"):
            wanted[Tag.NOTE] = _description(stored.name.rpartition("/")[2])
    for key, value in wanted.items():
        if key not in stored.tags:
            retry(functools.partial(client.set_experiment_tag, experiment_id, key, value))


def view_address(config: TrackingConfig, experiment_id: str, view: str = "tgsr-trials-circular") -> str:
    """Where MLflow's UI shows an experiment's runs in one of the views."""
    return (
        f"{config.ui_address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view}"
    )


def page_address(config: TrackingConfig, experiment_id: str, run_id: str) -> str:
    """Where MLflow's UI shows a study's page."""
    page = f"{config.ui_address}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{PAGE}"
    return f"{page}?workflowType=machine_learning"


def _description(name: str) -> str:
    try:
        experiment = get_experiment(name)
    except ProtocolError:
        what = f"Databases `{name}`."
    else:
        what = (
            f"Experiment {experiment.number} of the paper, **{experiment.name}** ({experiment.type}): train on "
            f"{experiment.source}, test on {experiment.target}."
        )
    return (
        f"{what} Each study is a parent run, its trials are its children. Under *Views*: “Studies” has a row a study; "
        "“Trials, by circular validation” sorts by a rule that needs no target label, “Trials, oracle” by macro-F1 on "
        "the target. In the views of trials, select runs of one study for its charts over κ and ξ."
    )


def _packed(view: View) -> str:
    """A view as the tag holds it: what differs from the UI's defaults."""
    section = f"{view.key}-charts"
    common = {"metricSectionId": section, "deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    head = {"uuid": section, "name": view.name, "display": True, "isReordered": True, "deleted": False}
    state = {
        "searchFilter": view.search,
        "orderByKey": f"metrics.`{view.order}`" if view.order else "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": [*(f"tags.`{key}`" for key in (Tag.METHOD, Tag.GROUPING)), *view.columns],
        "runsHiddenMode": "SHOWALL",
        "compareRunSections": [head],
        "compareRunCharts": [
            {"uuid": f"{view.key}-{number}", **chart, **common} for number, chart in enumerate(_charts(view.order))
        ],
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    return json.dumps({"name": view.name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})


def _charts(order: str) -> list[dict[str, Any]]:
    """A study's curves, or trials' scores over κ and ξ."""
    if not order:
        scales = {"xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear"}
        curves = {axis: f"macro_f1_over_{axis}" for axis in ("kappa", "xi")}
        titles = {axis: f"macro-F1 over {axis}, through each study's best trial" for axis in curves}
        return [
            {"type": "LINE", "metricKey": key, "selectedMetricKeys": [key], "displayName": titles[axis], **scales}
            for axis, key in curves.items()
        ]
    kappa, xi = {"key": "kappa", "type": "PARAM"}, {"key": "log10_xi", "type": "PARAM"}
    score = {"key": order, "type": "METRIC"}
    lines = {"selectedParams": ["kappa", "log10_xi"], "selectedMetrics": [order], "showAllRuns": False}
    return [
        {"type": "PARALLEL", "displayName": "κ, log ξ and score", **lines},
        {"type": "CONTOUR", "displayName": "score over κ and log ξ", "xaxis": kappa, "yaxis": xi, "zaxis": score},
        {"type": "SCATTER", "displayName": "score over κ", "xaxis": kappa, "yaxis": score},
    ]

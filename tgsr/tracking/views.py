"""How the UI opens an experiment of studies: its description, and a saved view of its trials.

The view has the trials by macro-F1, with κ, ξ, and charts over them. MLflow keeps named views as tags of the
experiment and lists them under *Views*. The format is the UI's own (MLflow 3.17): a version that does not know it
shows its default table.
"""

from __future__ import annotations

import base64
import functools
import json
import zlib
from typing import TYPE_CHECKING, Any

from tgsr.errors import ProtocolError
from tgsr.protocols import get_experiment
from tgsr.tracking.names import COMPARISON_TITLE, PAPER_TITLE, REPORTS_TITLE, Tag
from tgsr.tracking.retrying import insist

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["VIEW_KEY", "VIEW_NAME", "describe_experiment", "prepare_experiment", "view_path"]

VIEW_KEY = "tgsr-trials"
VIEW_NAME = "Trials by macro-F1"
_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
_KIND = "mlflow.experimentKind"
_SECTION = "tgsr-charts"


_NOTES = {
    PAPER_TITLE: "All experiments in one go (`tgsr paper`): each run has the studies and the comparison below it.",
    COMPARISON_TITLE: "Comparisons of methods (`tgsr compare`): a run each, and below it one for every experiment, "
    "method and selection. `oracle`: the target's labels chose.",
    REPORTS_TITLE: "Reports of all experiments (`tgsr report`): the pages and tables are the runs' artifacts.",
}


def describe_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment that holds no studies its description, if that is missing."""
    stored = client.get_experiment(experiment_id)
    note = _NOTES.get(stored.name)
    if note is not None and Tag.NOTE not in stored.tags:
        insist(lambda: client.set_experiment_tag(experiment_id, Tag.NOTE, note))


def prepare_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment of studies its description, the kind that the UI asks for, and the view, if they are missing.

    Parameters
    ----------
    client : MlflowClient
    experiment_id : str
        Of one of the experiments that `tgsr.tracking.names.experiment_title` names.
    """
    stored = client.get_experiment(experiment_id)
    packed = base64.b64encode(zlib.compress(json.dumps(_state()).encode(), 9)).decode()
    view = {"name": VIEW_NAME, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    wanted = {
        _TAG: json.dumps(view),
        _KIND: "custom_model_development",
        Tag.NOTE: _description(stored.name.rpartition("/")[2]),
    }
    for key, value in wanted.items():
        if key not in stored.tags:
            insist(functools.partial(client.set_experiment_tag, experiment_id, key, value))


def view_path(experiment_id: str) -> str:
    """Where the UI shows the view: to be appended to its address."""
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW_KEY}"


def _description(name: str) -> str:
    try:
        experiment = get_experiment(name)
    except ProtocolError:
        what = f"`{name}`"
    else:
        what = (
            f"Experiment {experiment.number} of the paper, **{experiment.name}** ({experiment.type}): train on "
            f"{experiment.source}, test on {experiment.target}."
        )
    return (
        f"{what} Each study is a parent run, its trials are its children. Under *Views*, “{VIEW_NAME}” sorts all "
        "trials by macro-F1 and charts them over κ and ξ. `oracle` in a name: the target's labels chose."
    )


def _state() -> dict[str, Any]:
    columns = ["metrics.`macro_f1`", "metrics.`accuracy`", "metrics.`selection_value`", "params.`kappa`", "params.`xi`"]
    return {
        "searchFilter": f"tags.`{Tag.KIND}` = 'trial'",
        "orderByKey": "metrics.`macro_f1`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOWALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": [
            {"uuid": _SECTION, "name": "κ and ξ", "display": True, "isReordered": True, "deleted": False}
        ],
        "compareRunCharts": _charts(),
    }


def _charts() -> list[dict[str, Any]]:
    kappa, xi = {"key": "kappa", "type": "PARAM"}, {"key": "xi", "type": "PARAM"}
    macro_f1 = {"key": "macro_f1", "type": "METRIC"}
    common = {"metricSectionId": _SECTION, "deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    charts: list[dict[str, Any]] = [
        {
            "type": "PARALLEL",
            "displayName": "κ, ξ and scores",
            "selectedParams": ["kappa", "xi"],
            "selectedMetrics": ["accuracy", "macro_f1"],
            "showAllRuns": False,
        },
        {"type": "CONTOUR", "displayName": "macro-F1 over κ and ξ", "xaxis": kappa, "yaxis": xi, "zaxis": macro_f1},
        {"type": "SCATTER", "displayName": "macro-F1 over κ", "xaxis": kappa, "yaxis": macro_f1},
    ]
    return [{"uuid": f"tgsr-{number}", **chart, **common} for number, chart in enumerate(charts)]

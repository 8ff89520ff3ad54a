"""The registry of methods as studies see them: estimator, default settings, published grid, and what is searched.

The grids are those that reproduce the published rows where these are known (see this folder's README.md); on features
of another layout they also search C, which is 1 in the published ones. Methods from elsewhere are found by an entry
point of the group ``tgsr.methods`` (a class, or a `Method`), or by ``package.module:Class``.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.base import BaseEstimator

from tgsr.errors import ParameterError
from tgsr.estimators._drls import DRLSClassifier
from tgsr.estimators._iwsvm import IWSVMClassifier
from tgsr.estimators._stm import STMClassifier
from tgsr.estimators._subspace import GFKClassifier, SAClassifier
from tgsr.estimators._svm import SVMClassifier
from tgsr.estimators._tca import TCAClassifier
from tgsr.estimators._tgsr import TGSRClassifier
from tgsr.estimators._tkl import TKLClassifier
from tgsr.estimators._tsrg import TSRGClassifier
from tgsr.plugins import resolve
from tgsr.protocols import N_REGIONS, XIS

__all__ = ["METHODS", "Method", "TaskShape", "expand_grid", "get_method"]

Grid = list[dict[str, list[Any]]]
Distributions = dict[str, BaseDistribution]


@dataclass(frozen=True)
class TaskShape:
    """What a grid may depend on: sizes, and whether the features have the layout of the published ones."""

    n_source: int
    n_target: int
    n_groups: int
    published: bool = True


@dataclass(frozen=True)
class Method:
    """A method that studies can search.

    Attributes
    ----------
    name : str
        As in the paper's tables, or ``package.module:Class``.
    estimator : type
        Its class.
    defaults : mapping
        Label-free default settings: fixed beforehand, no target label is used.
    param_grid : callable
        ``param_grid(shape)``: the published grid in scikit-learn's convention; see `expand_grid` for its order.
    param_distributions : callable
        ``param_distributions(shape)``: Optuna's distributions by parameter; empty where there is nothing to search.
    shares : str or None
        Settings that are equal in this parameter share work: they should be fitted together.
    batch : int
        How many settings are fitted together at most: what is lost when a study is interrupted, and the grain in which
        workers share it.
    """

    name: str
    estimator: type[BaseEstimator]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    param_grid: Callable[[TaskShape], Grid] = lambda _: [{}]
    param_distributions: Callable[[TaskShape], Distributions] = lambda _: {}
    shares: str | None = None
    batch: int = 32

    def make(self, **params: Any) -> BaseEstimator:
        """An unfitted estimator with the given parameters."""
        return self.estimator().set_params(**params)

    def defaults_for(self, shape: TaskShape) -> dict[str, Any]:
        """The default settings, with counts cut to what a task has: features with fewer groups keep them all."""
        ranges = self.param_distributions(shape)
        found = {}
        for name, value in self.defaults.items():
            limit = ranges.get(name)
            found[name] = min(value, limit.high) if isinstance(limit, IntDistribution) else value
        return found


def expand_grid(grid: Grid) -> list[dict[str, Any]]:
    """The settings of a grid, block by block; the first key varies slowest, and keys keep their order."""
    return [dict(zip(block, values, strict=True)) for block in grid for values in itertools.product(*block.values())]


_COSTS = [0.01, 0.1, 1.0, 10.0, 100.0]
_C = FloatDistribution(0.01, 100.0, log=True)
_WIDTHS = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
_POWERS = [float(f"1e{exponent}") for exponent in range(-3, 4)]
# λ ∈ 10^{−3…3}, and the 37 values of μ: .001–.009, .01–.09, .1–1, 2–10
_MUS = [float(f"{step}e{exponent}") for exponent in (-3, -2, -1, 0) for step in range(1, 10)] + [10.0]
_WIDTH = FloatDistribution(0.1, 10.0, log=True)
_LAM = FloatDistribution(1e-3, 1e3, log=True)


def _counts(largest: int, most: int) -> list[int]:
    """1 … largest, or so many of them, ever farther apart."""
    largest = max(largest, 1)
    if largest <= most:
        return list(range(1, largest + 1))
    return [int(count) for count in np.unique(np.geomspace(1, largest, most).round())]


def _svm(
    name: str,
    estimator: type[BaseEstimator],
    defaults: Mapping[str, Any],
    param_grid: Callable[[TaskShape], Grid] = lambda _: [{}],
    param_distributions: Callable[[TaskShape], Distributions] = lambda _: {},
    **others: Any,
) -> Method:
    """A method that ends in an SVM: on features of another layout than the published, C is searched, too."""
    return Method(
        name,
        estimator,
        defaults,
        lambda shape: [{**part, **({} if shape.published else {"C": _COSTS})} for part in param_grid(shape)],
        lambda shape: {**param_distributions(shape), **({} if shape.published else {"C": _C})},
        **others,
    )


def _subspaces(name: str, estimator: type[BaseEstimator], largest: Callable[[TaskShape], int], **fixed: Any) -> Method:
    """A method that searches the number of its components."""
    return _svm(
        name,
        estimator,
        {"n_components": 20, **fixed},
        lambda shape: [{"n_components": _counts(largest(shape), sys.maxsize if shape.published else 24)}],
        lambda shape: {"n_components": IntDistribution(1, max(largest(shape), 1))},
    )


def _smaller_rank(shape: TaskShape) -> int:
    return min(shape.n_source, shape.n_target) - 1


_SPARSE: dict[str, Any] = {
    "defaults": {"lam": 1.0, "mu": 0.1},
    "param_grid": lambda _: [{"lam": _POWERS, "mu": _MUS}],
    "param_distributions": lambda _: {"lam": _LAM, "mu": FloatDistribution(1e-3, 10.0, log=True)},
    "shares": "lam",
}


def _tsrg_grid(shape: TaskShape) -> Grid:
    return [{"lam": _POWERS, "mu": _MUS if shape.published else _POWERS[:5]}]


_ZETAS = [0.1, 0.5, 1.0, 1.1, 1.5, 2.0, 3.0, 5.0]
_TKL_KERNELS: Grid = [
    {"kernel": ["linear"], "zeta": _ZETAS},
    {"kernel": ["rbf"], "width": [0.5, 1.0, 2.0], "zeta": _ZETAS},
]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _svm("SVM", SVMClassifier, {"C": 1.0}),
        _svm(
            "IW-SVM",
            IWSVMClassifier,
            {"weighting": "kliep", "width": None},
            lambda _: [
                {"weighting": ["kliep", "ulsif"], "width": [None, *_WIDTHS]},
                {"weighting": ["kmm"], "width": _WIDTHS, "bound": [1.0, 2.0, 5.0, 10.0, 1000.0]},
            ],
            lambda _: {
                "weighting": CategoricalDistribution(["kliep", "ulsif", "kmm"]),
                "width": _WIDTH,
                "bound": FloatDistribution(1.0, 1000.0, log=True),
            },
        ),
        _subspaces("TCA", TCAClassifier, lambda shape: shape.n_source + shape.n_target - 1, mu=1.0),
        _subspaces("GFK", GFKClassifier, _smaller_rank),
        _subspaces("SA", SAClassifier, _smaller_rank),
        _svm(
            "STM",
            STMClassifier,
            {"lam": 1.0, "width": 1.0, "kernel": "linear"},
            lambda _: [{"kernel": ["linear", "rbf"], "width": _WIDTHS[1:5], "lam": _POWERS}],
            lambda _: {"kernel": CategoricalDistribution(["linear", "rbf"]), "width": _WIDTH, "lam": _LAM},
        ),
        _svm(
            "TKL",
            TKLClassifier,
            {"zeta": 2.0},
            lambda shape: (
                [{"zeta": [round(0.1 * step, 1) for step in range(1, 51)]}] if shape.published else _TKL_KERNELS
            ),
            lambda shape: {
                "zeta": FloatDistribution(0.1, 5.0),
                **({} if shape.published else {"kernel": CategoricalDistribution(["linear", "rbf"]), "width": _WIDTH}),
            },
        ),
        # of another layout the fewer values of μ: C is searched, and a fit takes seconds
        _svm("TSRG", TSRGClassifier, **{**_SPARSE, "param_grid": _tsrg_grid}, batch=len(_COSTS)),
        Method("DRLS", DRLSClassifier, **_SPARSE, batch=37),
        Method(
            "TGSR",
            TGSRClassifier,
            {"kappa": 85, "xi": 0.01},
            lambda shape: [{"kappa": _counts(shape.n_groups, N_REGIONS), "xi": [float(xi) for xi in XIS]}],
            lambda shape: {"kappa": IntDistribution(1, shape.n_groups), "xi": FloatDistribution(1e-3, 1e3, log=True)},
            "xi",
            batch=128,
        ),
    )
}
"""The ten methods in the order of the paper's tables."""


def get_method(name: str) -> Method:
    """Find a method: one of the ten in any case, or an entry point, or ``package.module:Class``; see `tgsr.plugins`.

    A class of one's own may declare what is searched in class attributes: ``param_grid`` (a dict or a list of dicts),
    ``param_distributions`` (a dict) or callables that make them of a `TaskShape`, and ``defaults`` (a dict). None is
    required.

    Raises
    ------
    ParameterError
        If there is no such method, or it cannot be imported.
    """
    found, thing = resolve("method", name, METHODS)
    return thing if isinstance(thing, Method) else _own_method(found, thing)


def _constructed(estimator: Any) -> dict[str, Any]:
    """What a class that declares no defaults is constructed with, of the parameters that its grid has."""
    grid = getattr(estimator, "param_grid", {})
    if callable(grid) or not hasattr(estimator, "get_params"):
        return {}
    names = {name for block in ([grid] if isinstance(grid, Mapping) else grid) for name in block}
    return {name: value for name, value in estimator().get_params().items() if name in names}


def _own_method(name: str, estimator: Any) -> Method:
    if not (isinstance(estimator, type) and hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise ParameterError(f"method {name!r} is no class with fit and predict")
    if not (hasattr(estimator, "get_params") and hasattr(estimator, "set_params")):
        raise ParameterError(f"method {name!r} has no get_params; derive it from sklearn.base.BaseEstimator")

    def declared(attribute: str, shape: TaskShape, default: Any) -> Any:
        value = getattr(estimator, attribute, default)
        return value(shape) if callable(value) else value

    def param_grid(shape: TaskShape) -> Grid:
        grid = declared("param_grid", shape, {})
        return [dict(grid)] if isinstance(grid, Mapping) else list(grid)

    return Method(
        name,
        estimator,
        dict(getattr(estimator, "defaults", None) or _constructed(estimator)),
        param_grid,
        lambda shape: dict(declared("param_distributions", shape, {})),
        batch=8,
    )

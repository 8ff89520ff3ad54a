"""The ten methods as the studies see them: estimator, default settings, published grid, and search space.

The grids are those that reproduce the published rows where these are known (see this folder's README.md). Spaces name
no optimiser: ``studies.method_spec`` makes Optuna distributions of a method's grid and space. TGSR's studies have a
space of their own (``studies.space``): its settings are solved in batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tgsr.errors import ParameterError
from tgsr.estimators.base import TransferClassifier
from tgsr.estimators.drls import DRLSClassifier
from tgsr.estimators.iwsvm import IWSVMClassifier
from tgsr.estimators.stm import STMClassifier
from tgsr.estimators.subspace import GFKClassifier, SAClassifier
from tgsr.estimators.svm import SVMClassifier
from tgsr.estimators.tca import TCAClassifier
from tgsr.estimators.tgsr import TGSRClassifier
from tgsr.estimators.tkl import TKLClassifier
from tgsr.estimators.tsrg import TSRGClassifier
from tgsr.protocols import KAPPAS, XIS

__all__ = ["METHODS", "Choice", "Dimension", "FloatRange", "IntRange", "Method", "get_method"]


@dataclass(frozen=True)
class FloatRange:
    """A real parameter in [low, high]."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class IntRange:
    """An integer parameter in [low, high]."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """A parameter with named values."""

    values: tuple[Any, ...]


Dimension = FloatRange | IntRange | Choice
Settings = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """One of the ten methods.

    Attributes
    ----------
    name : str
        As in the paper's tables.
    estimator : type
        Its class.
    protocol : mapping
        Parameters of every fit of the published protocol, such as the order of classes.
    defaults : mapping
        Label-free default settings: fixed beforehand, no target label is used.
    grid : callable
        ``grid(n_source, n_target)``: the parameter sets of the published oracle, in their order.
    space : callable
        ``space(n_source, n_target)``: parameter name → dimension, for sampled studies; empty where there is nothing
        to search.
    """

    name: str
    estimator: type[TransferClassifier]
    protocol: Mapping[str, Any]
    defaults: Mapping[str, Any]
    grid: Callable[[int, int], list[Settings]]
    space: Callable[[int, int], dict[str, Dimension]]

    def make(self, **params: Any) -> TransferClassifier:
        """An unfitted estimator under the published protocol with the given parameters."""
        estimator = self.estimator()
        estimator.set_params(**{**self.protocol, **params})
        return estimator


def _grid(**axes: Any) -> list[Settings]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _dimensions(largest: int) -> list[Settings]:
    return _grid(n_components=list(range(1, max(largest, 1) + 1)))


def _iwsvm_grid() -> list[Settings]:
    widths = (None, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    return [
        *_grid(weighting=("kliep", "ulsif"), width=widths),
        *_grid(weighting=("kmm",), width=widths[1:], bound=(1.0, 2.0, 5.0, 10.0, 1000.0)),
    ]


def _regression_grid() -> list[Settings]:
    """λ ∈ 10^{−3…3}, and the 37 values of μ: .001–.009, .01–.09, .1–1, 2–10."""
    mus = [float(f"{step}e{exponent}") for exponent in (-3, -2, -1, 0) for step in range(1, 10)] + [10.0]
    return _grid(lam=[float(f"1e{exponent}") for exponent in range(-3, 4)], mu=mus)


_ORDER = {"class_order": "first_appearance"}
_SPARSE: dict[str, Dimension] = {"lam": FloatRange(1e-3, 1e3, log=True), "mu": FloatRange(1e-3, 10.0, log=True)}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("SVM", SVMClassifier, _ORDER, {"C": 1.0}, lambda *_: [{}], lambda *_: {}),
        Method(
            "IW-SVM",
            IWSVMClassifier,
            _ORDER,
            {"weighting": "kliep", "width": None},
            lambda *_: _iwsvm_grid(),
            lambda *_: {
                "weighting": Choice(("kliep", "ulsif", "kmm")),
                "width": FloatRange(0.1, 10.0, log=True),
                "bound": FloatRange(1.0, 1000.0, log=True),
            },
        ),
        Method(
            "TCA",
            TCAClassifier,
            _ORDER,
            {"n_components": 20, "mu": 1.0},
            lambda n_source, n_target: _dimensions(n_source + n_target - 1),
            lambda n_source, n_target: {"n_components": IntRange(1, max(n_source + n_target - 1, 1))},
        ),
        Method(
            "GFK",
            GFKClassifier,
            _ORDER,
            {"n_components": 20},
            lambda n_source, n_target: _dimensions(min(n_source, n_target) - 1),
            lambda n_source, n_target: {"n_components": IntRange(1, max(min(n_source, n_target) - 1, 1))},
        ),
        Method(
            "SA",
            SAClassifier,
            _ORDER,
            {"n_components": 20},
            lambda n_source, n_target: _dimensions(min(n_source, n_target) - 1),
            lambda n_source, n_target: {"n_components": IntRange(1, max(min(n_source, n_target) - 1, 1))},
        ),
        Method(
            "STM",
            STMClassifier,
            {},
            {"lam": 1.0, "width": 1.0, "kernel": "linear"},
            lambda *_: _grid(
                kernel=("linear", "rbf"), width=(0.25, 0.5, 1.0, 2.0), lam=[10.0**k for k in range(-3, 4)]
            ),
            lambda *_: {
                "kernel": Choice(("linear", "rbf")),
                "width": FloatRange(0.1, 10.0, log=True),
                "lam": FloatRange(1e-3, 1e3, log=True),
            },
        ),
        Method(
            "TKL",
            TKLClassifier,
            _ORDER,
            {"zeta": 2.0},
            lambda *_: _grid(zeta=[round(0.1 * step, 1) for step in range(1, 51)]),
            lambda *_: {"zeta": FloatRange(0.1, 5.0)},
        ),
        Method(
            "TSRG", TSRGClassifier, _ORDER, {"lam": 1.0, "mu": 0.1}, lambda *_: _regression_grid(), lambda *_: _SPARSE
        ),
        Method("DRLS", DRLSClassifier, {}, {"lam": 1.0, "mu": 0.1}, lambda *_: _regression_grid(), lambda *_: _SPARSE),
        Method(
            "TGSR",
            TGSRClassifier,
            {"groups": "released"},
            {"kappa": 20, "xi": 1.0},
            lambda *_: _grid(kappa=list(KAPPAS), xi=[float(xi) for xi in XIS]),
            lambda *_: {"kappa": IntRange(1, len(KAPPAS)), "xi": FloatRange(1e-3, 1e3, log=True)},
        ),
    )
}
"""The ten methods in the order of the paper's tables."""


def get_method(name: str) -> Method:
    """Find a method by its name in any case, with or without the hyphen.

    Raises
    ------
    ParameterError
        If there is no such method.
    """
    wanted = name.strip().upper().replace("-", "").replace("_", "")
    for method in METHODS.values():
        if method.name.replace("-", "") == wanted:
            return method
    raise ParameterError(f"unknown method {name!r}; use one of {', '.join(METHODS)}")

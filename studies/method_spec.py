"""What defines the study of another method than TGSR: its grid or space from `tgsr.estimators.spaces`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from studies.space import spread
from studies.spec import SAMPLERS, ExperimentSpec, StudySpec
from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.estimators.spaces import Choice, Dimension, IntRange, get_method
from tgsr.estimators.sweep import SweepClassifier
from tgsr.evaluation.selection import DEFAULT_RULE, get_rule
from tgsr.tracking.names import Tag

__all__ = ["AnySpec", "MethodSpace", "MethodSpec", "read_spec"]


@dataclass(frozen=True)
class MethodSpace:
    """What is searched: the sets of parameters of a method's grid, or the ranges of its space.

    Attributes
    ----------
    method : str
    n_source, n_target : int
        Samples of the databases, on which some grids depend.
    sampled : bool
    """

    method: str
    n_source: int
    n_target: int
    sampled: bool = False

    def cells(self, n_cells: int | None = None) -> list[tuple[tuple[str, Any], ...]]:
        """The grid in its order, each set as (name, value) pairs sorted by name; ``n_cells`` spread over it."""
        grid = get_method(self.method).grid(self.n_source, self.n_target)
        return spread([tuple(sorted(settings.items())) for settings in grid], n_cells)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions: of a grid the values that it has, else the ranges."""
        if self.sampled:
            space = get_method(self.method).space(self.n_source, self.n_target)
            return {name: _distribution(dimension) for name, dimension in space.items()}
        values: dict[str, dict[Any, None]] = {}
        for cell in self.cells():
            for name, value in cell:
                values.setdefault(name, {})[value] = None
        return {name: CategoricalDistribution(list(known)) for name, known in values.items()}


@dataclass(frozen=True)
class MethodSpec(ExperimentSpec):
    """A study over the hyper-parameters of one of the nine methods that TGSR is compared with.

    Attributes
    ----------
    method : str
        As in the paper's tables, such as ``"TCA"``.
    n_source, n_target : int
        Samples of the databases.
    sampler : {"grid", "tpe", "random"}
    selection : str
        Name of the selection rule that gives a trial its value.
    seed : int
        Of the sampler and of the folds.
    """

    method: str
    n_source: int
    n_target: int
    sampler: str = "grid"
    selection: str = DEFAULT_RULE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ParameterError(f"unknown sampler {self.sampler!r}; use one of {', '.join(SAMPLERS)}")
        if get_rule(self.selection).build_for_method is None:
            raise ParameterError(f"the selection rule {self.selection!r} is for TGSR only; use source-cv or oracle")
        method = get_method(self.method)
        if not issubclass(method.estimator, SweepClassifier):
            raise ParameterError(f"{method.name} is studied over (κ, ξ): use StudySpec")
        if self.sampler != "grid" and not self.space.distributions:
            raise ParameterError(f"{method.name} has no hyper-parameter to sample; use --sampler grid")

    @classmethod
    def of(cls, experiment: str, pair: DatabasePair, method: str, **settings: Any) -> MethodSpec:
        """The specification for these databases; ``settings`` are sampler, selection and seed."""
        digests = pair.source.digest, pair.target.digest
        return cls(experiment, *digests, get_method(method).name, len(pair.source), len(pair.target), **settings)

    @property
    def title(self) -> str:
        """Name of the parent run."""
        return f"{self.experiment} {self.method} {self.sampler} {self.selection}"

    @property
    def grouping(self) -> str:
        """Empty: groups of features are TGSR's."""
        return ""

    @property
    def space(self) -> MethodSpace:
        """What is searched."""
        return MethodSpace(self.method, self.n_source, self.n_target, self.sampler != "grid")

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the study's run and of its trials' runs."""
        return {Tag.EXPERIMENT: self.experiment, Tag.SELECTION: self.selection, Tag.METHOD: self.method}

    @property
    def space_params(self) -> Mapping[str, str]:
        """What is searched, as text."""
        if self.sampler == "grid":
            return {"settings": f"grid of {len(self.space.cells())}"}
        return {name: str(distribution) for name, distribution in self.space.distributions.items()}

    @property
    def common_params(self) -> Mapping[str, str]:
        """Parameters that all trials share, as text."""
        return {"method": self.method, "selection": self.selection}


AnySpec = StudySpec | MethodSpec


def read_spec(text: str) -> AnySpec:
    """Read what ``to_json`` of either specification wrote.

    Raises
    ------
    TrackingError
        If it was written by a version that stores something else.
    """
    try:
        stored: dict[str, Any] = json.loads(text)
        return MethodSpec(**stored) if "method" in stored else StudySpec.from_json(text)
    except (ValueError, TypeError) as error:
        raise TrackingError(f"the study's specification cannot be read ({error}); update tgsr") from error


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(list(dimension.values))
    if isinstance(dimension, IntRange):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)

"""What defines a study: data, method, fixed parameters, grid or ranges, seed. It says nothing about choosing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tgsr.errors import DataError, ParameterError
from tgsr.estimators.methods import Method, TaskShape, expand_grid, get_method
from tgsr.estimators.preprocess import PREPROCESSES
from tgsr.evaluation.choice import METRIC, ORACLE, RULE, column_of
from tgsr.evaluation.rules import DEFAULT, check_choice_name, get_rule
from tgsr.protocols import N_REGIONS, check_choice
from tgsr.regions import N_BINS, N_PLANES

if TYPE_CHECKING:
    import pandas as pd
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from tgsr.datasets import DatabasePair

__all__ = ["DEFAULT_TRIALS", "OWN_GROUPS", "SAMPLERS", "StudySpec", "frozen_trials", "make_spec", "spread"]

SAMPLERS = ("grid", "fixed", "tpe", "random", "subjects")
"""Every cell of the grid; the one trial whose settings were fixed beforehand; Optuna's samplers between the ends; one
subject after the other left out, see `tgsr.trials.folds`."""
_SAMPLED = ("tpe", "random")
DEFAULT_TRIALS = 200
"""Trials of a sampled study."""
OWN_GROUPS = "own"
"""Name of the groups that a feature file brings along."""
_FORMAT = 3

Settings = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class StudySpec:
    """A study of one method on one pair of databases; other data (by their digests) make another study.

    Attributes
    ----------
    pair : str
        Such as ``"V-N"``.
    source_digest, target_digest : str
    method : str
    shape : TaskShape
        Samples and groups of the databases, on which grids and ranges depend.
    fixed : dict
        Parameters of every fit, such as ``groups`` and the solver's.
    grid : list of dict
        Values by parameter, as in scikit-learn's ``ParameterGrid``; a sampled study searches between the ends.
    sampler : {"grid", "fixed", "tpe", "random", "subjects"}
    objective : str
        What a sampler maximises: a rule's name or place, or ``"oracle"``; empty for a grid, which is the same whatever
        chooses.
    preprocess : str
        What is done to the features before every fit.
    seed : int
        Of the sampler, and of what rules draw.
    """

    pair: str
    source_digest: str
    target_digest: str
    method: str
    shape: TaskShape
    fixed: Settings = field(default_factory=dict)
    grid: list[dict[str, list[Any]]] = field(default_factory=list)
    sampler: str = "grid"
    objective: str = ""
    preprocess: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("sampler", self.sampler, SAMPLERS)
        check_choice("preprocess", self.preprocess, PREPROCESSES)
        if not self.grid or not all(all(len(values) for values in part.values()) for part in self.grid):
            raise ParameterError("the grid is empty; give each parameter at least one value")
        for name, value in [*self.fixed.items(), *((n, v) for part in self.grid for n, vs in part.items() for v in vs)]:
            _check_value(name, value)
        if self.is_sampled != bool(self.objective):
            raise ParameterError("a sampled study needs an objective, and a grid has none")
        if self.is_sampled and not self.distributions():
            raise ParameterError(f"{self.method} has no parameter to sample; use --sampler grid")

    @property
    def is_sampled(self) -> bool:
        """Whether a sampler asks for the settings."""
        return self.sampler in _SAMPLED

    @property
    def grouping(self) -> str:
        """Name of the groups of features; empty for a method that has none."""
        return str(self.fixed.get("groups", ""))

    @property
    def variant(self) -> str:
        """The method with what sets it apart: ``"TGSR (region, spread)"``; as published without brackets."""
        parts = (self.grouping, str(self.fixed.get("scaling", "none")), self.preprocess)
        apart = [part for part in parts if part not in ("", "none", "released")]
        return f"{self.method} ({', '.join(apart)})" if apart else self.method

    @property
    def title(self) -> str:
        """Readable name: pair, method, sampler, objective, groups, scaling, preprocessing."""
        parts = [self.pair, self.method, self.sampler, self.objective, self.grouping]
        parts += [str(self.fixed.get("scaling", "none")), self.preprocess]
        return " ".join(part for part in parts if part not in ("", "none"))

    @property
    def name(self) -> str:
        """The title with a short hash of everything that defines the study."""
        return f"{self.title} {hashlib.sha256(self.to_json().encode()).hexdigest()[:8]}"

    @property
    def definition(self) -> Method:
        """The registry's entry of the method."""
        return get_method(self.method)

    def to_json(self) -> str:
        """Write it as JSON text: equal specifications give equal texts."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> StudySpec:
        """Read what `to_json` wrote.

        Raises
        ------
        DataError
            If it is no specification, or one of another version.
        """
        try:
            stored = json.loads(text)
            known = {one.name: stored[one.name] for one in fields(cls)}
            return cls(**{**known, "shape": TaskShape(**known["shape"])})
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a study's specification cannot be read ({error!r}): run the study again") from error

    def cells(self, n_trials: int | None = None) -> list[tuple[int, Settings]]:
        """Number and settings of the grid's cells in its order; ``n_trials`` of them spread over it."""
        columns = len(list(self.grid[0].values())[-1]) if len(self.grid) == 1 and self.grid[0] else 1
        return spread(list(enumerate(expand_grid(self.grid))), n_trials, columns)

    def n_whole(self) -> int:
        """Cells of the method's own whole grid on these databases, of which this study's may be a part."""
        return len(expand_grid(self.definition.param_grid(self.shape)))

    def values(self) -> dict[str, list[Any]]:
        """The values of each parameter in any part of the grid."""
        names = dict.fromkeys(name for part in self.grid for name in part)
        return {
            name: list(dict.fromkeys(value for part in self.grid for value in part.get(name, ()))) for name in names
        }

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by parameter: of a grid's values; or the method's ranges cut to the grid's ends.

        Of a sampled study a parameter with one value keeps it, and what the method has no range for is searched among
        the values given.
        """
        values = self.values()
        if not self.is_sampled:
            return {name: _distribution(known) for name, known in values.items()}
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        ranges = self.definition.param_distributions(self.shape)
        for name, found in values.items():
            given, numbers = ranges.get(name), [value for value in found if isinstance(value, (int, float))]
            if given is None or len(found) == 1:
                ranges[name] = _distribution(found)
            elif isinstance(given, CategoricalDistribution) or not numbers:
                ranges[name] = CategoricalDistribution(found)
            elif isinstance(given, IntDistribution):
                ranges[name] = IntDistribution(int(min(numbers)), int(max(numbers)), log=given.log)
            elif isinstance(given, FloatDistribution):
                ranges[name] = FloatDistribution(min(numbers), max(numbers), log=given.log and min(numbers) > 0)
        return ranges


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    """What Optuna's tools take some values of a grid for: numbers have an order, over decades a logarithmic one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return IntDistribution(min(values), max(values))
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        low, high = float(min(values)), float(max(values))
        return FloatDistribution(low, high, log=low > 0 and high >= 10 * low)
    return CategoricalDistribution(values)


def _plain(value: Any) -> Any:
    """A value of NumPy's as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _check_value(name: str, value: Any) -> None:
    """Settings are stored as JSON: whatever does not come back as it was is refused before anything is fitted."""
    plain = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and np.isfinite(value))
    if not plain:
        raise ParameterError(
            f"{name} = {value!r}: a study's values are numbers, texts, true, false or none; a {type(value).__name__} "
            "cannot be stored (give a name for it, and look the value up in your method)"
        )


def spread(cells: Sequence[T], n_cells: int | None, n_columns: int = 1) -> list[T]:
    """So many of a table's cells (row by row), evenly spread over rows and columns, in their order; None for all.

    More of them contain the fewer: they are taken as Halton's points come, of which the first are evenly spread over
    the square and over each side, however many they are.
    """
    if n_cells is None:
        return list(cells)
    from scipy.stats.qmc import Halton

    points = Halton(2, scramble=False).random(4 * len(cells) + 1)[1:]
    hit = (points * (len(cells) // n_columns, n_columns)).astype(np.int64) @ (n_columns, 1)
    order = list(dict.fromkeys([*hit.tolist(), *range(len(cells))]))
    return [cells[index] for index in sorted(order[:n_cells])]


def _check_objective(objective: str, pair: DatabasePair) -> str:
    """What a sampler maximises, a rule of one's own by its place: it must have a value when a trial is finished."""
    name = check_choice_name(objective)
    if name == ORACLE and not pair.target.is_labelled:
        raise ParameterError(f"an oracle needs the labels of {pair.target.name}, which has none; sample by a rule")
    if name != ORACLE and get_rule(objective).compares_all:
        raise ParameterError(f"the rule {name!r} compares all trials when they are there; sample by another one")
    return objective if ":" in objective else name


def _not_sampled(axes: Mapping[str, list[Any]], ranges: Mapping[str, BaseDistribution]) -> str:
    """A parameter whose values are no numbers as its range has them, of which some would be left out; or nothing."""
    from optuna.distributions import FloatDistribution, IntDistribution

    kinds: dict[type, tuple[type, ...]] = {IntDistribution: (int,), FloatDistribution: (int, float)}
    for name, values in axes.items():
        kind = kinds.get(type(ranges.get(name)))
        if kind and len(values) > 1 and not all(type(value) in kind for value in values):
            return name
    return ""


def make_spec(
    pair: DatabasePair,
    method: str = "TGSR",
    *,
    grouping: str = "region",
    fixed: Mapping[str, Any] | None = None,
    axes: Mapping[str, list[Any]] | None = None,
    sampler: str = "grid",
    objective: str | None = None,
    preprocess: str = "none",
    seed: int = 0,
) -> StudySpec:
    """The specification of a study.

    Parameters
    ----------
    pair : DatabasePair
    method : str
        One of the ten, an entry point, or ``package.module:Class``.
    grouping : str
        For methods with groups; features that bring their own groups have ``"own"``.
    fixed : mapping, optional
        Further parameters of every fit.
    axes : mapping, optional
        Values to search in place of the published grid's, by parameter; parameters with one value take it out of the
        search.
    sampler : {"grid", "fixed", "tpe", "random"}
        ``"fixed"`` searches nothing: the one trial whose settings were fixed beforehand.
    objective : str, optional
        What ``"tpe"`` and ``"random"`` are ranked by: a rule, by default ``"circular"``, or ``"oracle"``.
    preprocess : str
    seed : int

    Raises
    ------
    ParameterError
        If the method, a parameter of it, or the objective is unknown.
    """
    definition = get_method(method)
    known = definition.make().get_params()
    given = {name: _plain(value) for name, value in (fixed or {}).items() if value is not None}
    unknown = [name for name in (*given, *(axes or {})) if name not in known]
    if unknown:
        raise ParameterError(f"{definition.name} has no parameter {unknown[0]!r}; it has {', '.join(sorted(known))}")
    if "groups" in known:
        given["groups"] = OWN_GROUPS if pair.source.groups is not None else grouping
    # the published grids were made for features of this layout
    published = pair.source.groups is None and pair.source.X.shape[1] == N_REGIONS * N_PLANES * N_BINS
    shape = TaskShape(len(pair.source), len(pair.target), pair.n_groups, published=published)
    chosen = {name: [_plain(value) for value in values] for name, values in (axes or {}).items()}
    if objective and sampler not in _SAMPLED:
        raise ParameterError(f"objective {objective!r} is for the samplers {' and '.join(_SAMPLED)}, not for {sampler}")
    if sampler == "fixed":
        if several := next((name for name, values in chosen.items() if len(values) > 1), None):
            raise ParameterError(f"sampler fixed is one trial: give {several} one value, or search by another sampler")
        grid = [{name: [value] for name, value in definition.defaults_for(shape).items()} | chosen]
    elif sampler in _SAMPLED and (odd := _not_sampled(chosen, definition.param_distributions(shape))):
        raise ParameterError(f"{odd} is sampled between numbers (whole ones, if it counts); give such, or one value")
    else:  # a value that is given decides in every part of the grid, also in one that did not have the parameter
        grid = [{**part, **chosen} for part in definition.param_grid(shape)]
    return StudySpec(
        pair=pair.name,
        source_digest=pair.source.digest,
        target_digest=pair.target.digest,
        method=definition.name,
        shape=shape,
        fixed=dict(sorted(given.items())),
        grid=grid,
        sampler=sampler,
        objective=_check_objective(objective or DEFAULT, pair) if sampler in _SAMPLED else "",
        preprocess=preprocess,
        seed=seed,
    )


def frozen_trials(spec: StudySpec, table: pd.DataFrame, by: str) -> list[FrozenTrial]:
    """A study's finished trials as Optuna's, in their order; those without a value are left out."""
    from optuna.trial import create_trial

    distributions, column = spec.distributions(), column_of(by)
    if not len(table) or column not in table:
        return []
    shown = [str(name) for name in table if str(name).startswith(("number", "run_id", "cell", METRIC, RULE))]
    trials = []
    for row in table.to_dict("records"):
        value = row[column]
        if not np.isfinite(value):
            continue
        settings = json.loads(row["settings"])
        params = {name: settings[name] for name in distributions if name in settings}
        trials.append(
            create_trial(
                params=params,
                distributions={name: distributions[name] for name in params},
                value=float(value),
                user_attrs={name: row[name] for name in shown if row[name] == row[name]},
            )
        )
    return trials

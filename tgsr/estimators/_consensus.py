"""Consensus instead of choice: the models of a whole grid combined into one, with no label of the target.

`ConsensusTGSR` combines regression matrices: the result is one linear model, of the same cost in use as a single one.
`VoteClassifier` lets all settings of any method vote.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from tgsr.errors import ParameterError
from tgsr.estimators._base import Array, Codes, TransferClassifier
from tgsr.estimators._groups import feature_groups
from tgsr.estimators._tgsr import GroupRegression, TGSRClassifier
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Outcome, Settings, Sweep, SweepTask, prepare_sweep
from tgsr.protocols import check_choice
from tgsr.solvers.importance import kliep

__all__ = [
    "COMBINATIONS",
    "ConsensusTGSR",
    "VoteClassifier",
    "aggregation_weights",
    "best_tenth",
    "vote",
    "vote_shares",
]

COMBINATIONS: tuple[str, ...] = ("average", "tenth", "iwa")
"""How `ConsensusTGSR` combines a grid."""

XIS: tuple[float, ...] = tuple(float(f"{xi:.3g}") for xi in np.geomspace(1e-3, 1e3, 13))
"""ξ of its default grid: two a decade over the paper's range."""

_N_FOLDS = 5
_RIDGE = 1e-2


def vote_shares(codes: Codes, n_classes: int) -> Array:
    """Share of the votes (n_models, n_samples) that each class gets: shape (n_samples, n_classes)."""
    return np.stack([(codes == code).mean(axis=0, dtype=np.float64) for code in range(n_classes)], axis=1)


def vote(codes: Codes, n_classes: int) -> Codes:
    """Most frequent class (n_samples,) of the votes (n_models, n_samples); of equal ones the first."""
    winners: Codes = vote_shares(codes, n_classes).argmax(axis=1)
    return winners


def aggregation_weights(target: Array, held_out: Array, codes: npt.NDArray[np.integer], importance: Array) -> Array:
    """Weights of models by importance-weighted least squares (IWA; Dinu et al., ICLR 2023).

    Minimises the estimated squared error Σ_kl c_k c_l ⟨f_k, f_l⟩_target − 2 Σ_k c_k ⟨f_k, y⟩_weighted source. There are
    more models than the samples can tell apart, so a ridge pulls the weights towards equal ones. They may be negative,
    and need not sum to 1. Scores are (n_models, n_samples, n_classes): of the target, and of each source sample by
    models fitted without it; ``importance`` (n_source,) are density ratios of mean 1.
    """
    n_models, n_target, n_classes = target.shape
    flat = target.reshape(n_models, -1)
    gram = flat @ flat.T / n_target
    wanted = np.eye(n_classes)[codes] * importance[:, None] / len(codes)
    cross = held_out.reshape(n_models, -1) @ wanted.ravel()
    equal = np.full(n_models, 1 / n_models)
    ridge = _RIDGE * float(np.linalg.norm(gram, 2))
    weights: Array = equal + np.linalg.solve(gram + ridge * np.eye(n_models), cross - gram @ equal)
    return weights


class ConsensusTGSR(GroupRegression):
    """TGSR's regression matrices over a grid of (κ, ξ), combined into one matrix.

    Parameters
    ----------
    combine : {"average", "tenth", "iwa"}
        The mean of all matrices; the mean of those of the tenth of the grid with the best macro-F1 in cross-validation
        on the source (folds by class); or importance-weighted least-squares aggregation, see `aggregation_weights`.
    kappas, xis : sequences, optional
        The grid; by default every other κ and 13 values of ξ, two a decade.
    groups, scaling
        As of `TGSRClassifier`.
    random_state : int
        Of the folds.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coef_ : array of shape (n_classes, n_features)
        The combined C^T.
    groups_ : array of int, shape (n_groups,)
        The groups' numbers, ascending.
    inclusion_frequency_ : array of shape (n_groups,)
        Share of the combined models that keep each of ``groups_``: how salient it is, whatever κ.
    region_norms_ : array of shape (n_groups,)
        ‖C_i‖_F of the combined matrix.
    selected_regions_ : array of int
        Numbers of the groups kept by more than half of the models.
    n_models_ : int

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> model = ConsensusTGSR(groups=[0, 1]).fit(X, ["a", "a", "b", "b"], X_target=X + 0.05)
    >>> model.predict(X).tolist(), model.inclusion_frequency_.shape
    (['a', 'a', 'b', 'b'], (2,))
    """

    inclusion_frequency_: Array
    n_models_: int

    def __init__(
        self,
        combine: str = "average",
        kappas: Sequence[int] | None = None,
        xis: Sequence[float] | None = None,
        groups: str | npt.ArrayLike = "region",
        scaling: str | npt.ArrayLike = "none",
        random_state: int = 0,
    ) -> None:
        self.combine = combine
        self.kappas = kappas
        self.xis = xis
        self.groups = groups
        self.scaling = scaling
        self.random_state = random_state

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        check_choice("combine", self.combine, COMBINATIONS)
        target = X if X_target is None else X_target
        self.groups_, numbers = np.unique(feature_groups(self.groups, X.shape[1]), return_inverse=True)
        grid = self._grid(len(self.groups_))
        outcomes = self._prepare(X, codes, target)(grid)
        weights = self._weights(X, codes, target, outcomes)
        used = [(weight, outcome) for weight, outcome in zip(weights, outcomes, strict=True) if weight != 0]
        coef = np.zeros((X.shape[1], len(self.classes_)))
        for weight, outcome in used:
            assert outcome.coef is not None
            coef += weight * outcome.coef()
        self.coef_ = np.ascontiguousarray(coef.T)
        self.inclusion_frequency_ = np.mean([np.asarray(outcome.group_norms) > 0 for _, outcome in used], axis=0)
        self.region_norms_ = np.sqrt(np.bincount(numbers, weights=(coef**2).sum(axis=1)))
        self.selected_regions_ = self.groups_[self.inclusion_frequency_ > 0.5]
        self.n_models_ = len(used)

    def _grid(self, n_groups: int) -> list[Settings]:
        kappas = sorted({*range(1, n_groups + 1, 2), n_groups}) if self.kappas is None else self.kappas
        return [{"kappa": kappa, "xi": xi} for kappa in kappas for xi in (XIS if self.xis is None else self.xis)]

    def _prepare(self, X: Array, codes: Codes, target: Array, X_new: Array | None = None) -> Sweep:
        estimator = TGSRClassifier(groups=self.groups, scaling=self.scaling)
        return prepare_sweep(estimator, X, codes, target, X_new, n_classes=len(self.classes_))

    def _weights(self, X: Array, codes: Codes, target: Array, outcomes: Sequence[Outcome]) -> Array:
        if self.combine == "average":
            return np.full(len(outcomes), 1 / len(outcomes))
        held_out = self._held_out(X, codes, target, [outcome.settings for outcome in outcomes])
        if self.combine == "tenth":
            return best_tenth(_macro_f1(held_out.argmax(axis=2), codes, len(self.classes_)))
        span = Span.of(X, target)
        decisions = np.array([outcome.decisions for outcome in outcomes])
        return aggregation_weights(decisions, held_out, codes, kliep(span.source, span.target))

    def _held_out(self, X: Array, codes: Codes, target: Array, grid: Sequence[Settings]) -> Array:
        """Scores (n_models, n_source, n_classes) of each source sample by models fitted without it."""
        n_folds = min(_N_FOLDS, int(np.bincount(codes).min()))
        if n_folds < 2:
            raise ParameterError(f"combine = {self.combine!r} needs two source samples of each class; use 'average'")
        scores = np.empty((len(grid), len(X), len(self.classes_)))
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=self.random_state)
        for kept, fold in splitter.split(X, codes):
            for index, outcome in enumerate(self._prepare(X[kept], codes[kept], target, X[fold])(grid)):
                scores[index, fold] = outcome.new_decisions
        return scores


def _macro_f1(predicted: Codes, codes: Codes, n_classes: int) -> Array:
    """Macro-F1 of each row of predictions (n_models, n_samples)."""
    f1 = []
    for code in range(n_classes):
        hits = ((predicted == code) & (codes == code)).sum(axis=1)
        f1.append(2 * hits / np.maximum((predicted == code).sum(axis=1) + (codes == code).sum(), 1))
    macro: Array = np.mean(f1, axis=0)
    return macro


def best_tenth(values: Array) -> Array:
    """Equal weights on the tenth with the largest values (of equal ones the first), 0 elsewhere."""
    chosen = np.argsort(-values, kind="stable")[: max(1, round(len(values) / 10))]
    weights = np.zeros(len(values))
    weights[chosen] = 1 / len(chosen)
    return weights


class VoteClassifier(TransferClassifier):
    """The vote of all settings in a method's grid.

    It keeps the training data and fits the grid when samples are to be predicted: exact, but only as fast as the grid.

    Parameters
    ----------
    method : str
        As of `tgsr.estimators.get_method`.
    max_settings : int
        Of a larger grid, so many settings at equal steps vote.
    groups, scaling
        Passed to methods that have them.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    """

    def __init__(
        self,
        method: str = "SVM",
        max_settings: int = 500,
        groups: str | npt.ArrayLike = "region",
        scaling: str | npt.ArrayLike = "none",
    ) -> None:
        self.method = method
        self.max_settings = max_settings
        self.groups = groups
        self.scaling = scaling

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        self.X_, self.codes_, self.X_target_ = X, codes, X_target

    def _sweep(self, task: SweepTask) -> Sweep:
        def outcome(params: Settings) -> Outcome:
            return Outcome.of_scores(params, *clone(self).set_params(**params)._shares(task))

        return lambda settings: [outcome(params) for params in settings]

    def _shares(self, task: SweepTask) -> tuple[Array, Array | None]:
        """Shares of the votes for the target's samples, and for the new ones."""
        # the registry knows this class, so it cannot be imported before
        from tgsr.estimators.methods import TaskShape, expand_grid, get_method

        method = get_method(self.method)
        estimator = method.make()
        own = estimator.get_params()
        estimator.set_params(**{name: getattr(self, name) for name in ("groups", "scaling") if name in own})
        n_groups = len(np.unique(feature_groups(self.groups, task.X.shape[1]))) if "groups" in own else 1
        target = task.X if task.X_target is None else task.X_target
        grid = expand_grid(method.param_grid(TaskShape(len(task.X), len(target), n_groups)))
        steps = np.unique(np.linspace(0, len(grid) - 1, self.max_settings).round().astype(int))
        sweep = prepare_sweep(estimator, task.X, task.codes, target, task.X_new, n_classes=task.n_classes)
        outcomes = sweep([grid[step] for step in steps])
        shares = vote_shares(np.array([outcome.codes for outcome in outcomes]), task.n_classes)
        if task.X_new is None:
            return shares, None
        return shares, vote_shares(np.array([outcome.new_codes for outcome in outcomes]), task.n_classes)

    def _decide(self, X: Array) -> Array:
        shares = self._shares(SweepTask(self.X_, self.codes_, self.X_target_, X, len(self.classes_)))[1]
        assert shares is not None
        return shares

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Share of the votes for each class: shape (n, n_classes)."""
        return self._scores(X)

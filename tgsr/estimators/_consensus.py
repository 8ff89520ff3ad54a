"""A consensus as an estimator: the mean of several fitted models, with a frequency for each group."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators._base import Array, Codes
from tgsr.estimators._groups import feature_groups
from tgsr.estimators._tgsr import GroupRegression

__all__ = ["AveragedTGSR"]


class AveragedTGSR(GroupRegression):
    """The mean of several TGSR models: one linear model, of the same cost in use as each of them.

    It has no ``fit``: it is made of a study's trials, see `tgsr.models.consensus_of`.

    Attributes
    ----------
    classes_ : array of int, shape (n_classes,)
        Indices of the classes.
    coef_ : array of shape (n_classes, n_features)
        The mean C^T.
    groups_ : array of int, shape (n_groups,)
        The groups' numbers, ascending.
    inclusion_frequency_ : array of shape (n_groups,)
        Share of the models that keep each of ``groups_``: how salient it is, whatever κ.
    region_norms_ : array of shape (n_groups,)
        ‖C_i‖_F of the mean matrix.
    selected_regions_ : array of int
        Numbers of the groups kept by more than half of the models.
    n_models_ : int
    """

    inclusion_frequency_: Array
    n_models_: int

    @classmethod
    def of(cls, coef: Array, frequency: Array, groups: str | npt.ArrayLike, n_models: int) -> Self:
        """Make it of a mean matrix.

        Parameters
        ----------
        coef : array of shape (n_features, n_classes)
        frequency : array of shape (n_groups,)
        groups : {"region", "released"} or array of int, shape (n_features,)
            As of `TGSRClassifier`.
        n_models : int
            How many were averaged.
        """
        model = cls()
        model.n_features_in_, n_classes = coef.shape
        model.classes_, model.coef_ = np.arange(n_classes), coef.T
        model.groups_, positions = np.unique(feature_groups(groups, len(coef)), return_inverse=True)
        model.inclusion_frequency_, model.n_models_ = frequency, n_models
        model.region_norms_ = np.sqrt(np.bincount(positions, weights=(coef**2).sum(axis=1)))
        model.selected_regions_ = model.groups_[frequency > 0.5]
        return model

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:  # noqa: ARG002
        raise ParameterError("a consensus is made of a study's trials, not fitted: see tgsr.models.consensus_of")

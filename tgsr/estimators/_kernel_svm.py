"""The classifier in which all methods but DRLS end: LIBSVM on a precomputed kernel."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.svm import SVC

from tgsr.autologging import without_autologging
from tgsr.estimators._base import Array, Codes, SweepClassifier
from tgsr.protocols import check_number

__all__ = ["LinearRule", "SVMSweepClassifier"]

_TOL = 1e-6
"""LIBSVM's own 1e-3 leaves labels of the published grids open (10 of 1,140 cells); at this none is."""

_MAX_ITER = 10_000_000
"""LIBSVM's own limit, which scikit-learn lifts: unscaled features would keep it busy for hours."""


@dataclass(frozen=True)
class LinearRule:
    """A linear SVM on mapped samples: kernel ⟨A^T z, f_i⟩ with the source's features f_i."""

    svc: Any  # an SVC fitted on the precomputed kernel of the features
    order: Codes  # class code of each of the SVM's class numbers
    features: Array  # (n_source, q)
    projection: Array | None = None  # A (r, q), from span coordinates to features; None for the identity

    def __call__(self, z: Array) -> Array:
        """Score of each class for samples in span coordinates (n, r); LIBSVM's own prediction has the largest."""
        mapped = z if self.projection is None else z @ self.projection
        margins = self.svc.decision_function(mapped @ self.features.T)
        scores = np.column_stack([-margins / 2, margins / 2]) if margins.ndim == 1 else _votes(margins, len(self.order))
        decisions = np.empty_like(scores)
        decisions[:, self.order] = scores
        return decisions


def _votes(margins: Array, n_classes: int) -> Array:
    """Votes between pairs of classes, and less than a third for the margins.

    As scikit-learn's ``decision_function_shape="ovr"``, but that the winner has two thirds of a vote more: of classes
    with equally many votes LIBSVM takes the one numbered first.
    """
    votes, confidence = np.zeros((len(margins), n_classes)), np.zeros((len(margins), n_classes))
    for margin, (i, j) in zip(margins.T, itertools.combinations(range(n_classes), 2), strict=True):
        votes[:, i] += margin > 0
        votes[:, j] += ~(margin > 0)
        confidence[:, i] += margin
        confidence[:, j] -= margin
    winners = votes.argmax(axis=1)
    votes[np.arange(len(votes)), winners] += 2 / 3
    scores: Array = votes + confidence / (3 * (np.abs(confidence) + 1))
    return scores


class SVMSweepClassifier(SweepClassifier):
    """A method that ends in LIBSVM's C-SVC (pairwise votes) on a linear kernel, with the parameter C.

    Of classes with equally many votes LIBSVM takes the one numbered first. They are numbered in the order in which
    they first appear in y, as by LIBSVM's own tools (and in the published rows).

    Attributes
    ----------
    n_iter_ : int
        LIBSVM's iterations, over all pairs of classes.
    converged_ : bool
        Whether LIBSVM ended before its limit of ten million; otherwise ``fit`` warns.
    """

    C: float

    def _fit_svm(
        self, features: Array, codes: Codes, *, weights: Array | None = None, projection: Array | None = None
    ) -> LinearRule:
        """Fit on ``features`` (n_source, q).

        ``weights`` (n_source,) multiply C sample by sample; weights of zero drop a sample, so that they are kept above
        a millionth of their mean: no class may vanish.
        """
        C = check_number("C", self.C, strict=True)
        order, first = np.unique(codes, return_index=True)
        order = order[np.argsort(first)]
        if weights is not None:
            weights = np.maximum(weights, 1e-6 * weights.mean())
        svc = SVC(kernel="precomputed", C=C, tol=_TOL, max_iter=_MAX_ITER, decision_function_shape="ovo")
        # scikit-learn's own warning names neither the method nor, in a study, how many fits it was
        svc._warn_from_fit_status = lambda: None
        with without_autologging():
            svc.fit(features @ features.T, np.argsort(order)[codes], sample_weight=weights)
        del svc._warn_from_fit_status
        self.n_iter_, self.converged_ = int(svc.n_iter_.sum()), svc.fit_status_ == 0
        return LinearRule(svc, order, features, projection)

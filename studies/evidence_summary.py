"""The evidence for rules as a table, with intervals for two kinds of chance.

*People*: had other subjects of the same databases been recorded. *Databases*: other databases; pairs that share one (or
its people) are then drawn together. Only the last tells what to expect elsewhere, and it needs more databases than a
handful.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.trials.trial import decode_predictions

__all__ = [
    "bootstrap_macro_f1",
    "database_weights",
    "holm",
    "subject_draws",
    "summarise",
    "two_sided_p",
]

Array = npt.NDArray[np.float64]

_FEWEST_DATABASES = 4
"""Of fewer most draws have no pair, or one."""
_REFERENCES = ("median", "fixed")
_KINDS = ("people", "databases")


def subject_draws(subjects: Sequence[str] | npt.NDArray[np.str_], n_draws: int, seed: int = 0) -> Array:
    """How often each sample is in each bootstrap draw of the subjects: shape (n_draws, n_samples).

    Databases with the same subjects get the same draws, so that differences between them stay paired.
    """
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_draws)
    return drawn[:, index].astype(np.float64)


def bootstrap_macro_f1(truth: npt.NDArray[np.integer], codes: npt.NDArray[np.integer], draws: Array) -> Array:
    """Macro-F1 of predictions (n_samples,) in each draw (n_draws, n_samples), over the classes present there."""
    f1, present = [], []
    for code in np.unique(truth):
        true, predicted = truth == code, codes == code
        both = draws @ true + draws @ predicted
        f1.append(2 * (draws @ (true & predicted)) / np.maximum(both, 1))
        present.append(draws @ true > 0)
    mean: Array = np.sum(np.array(f1) * present, axis=0) / np.maximum(np.sum(present, axis=0), 1)
    return mean


def two_sided_p(differences: Array) -> float:
    """Share of bootstrap differences on the rarer side of 0, twice; never 0, because draws are finite."""
    n = len(differences)
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (n + 1))


def holm(p_values: Sequence[float]) -> Array:
    """Holm's step-down correction: adjusted p-values in the given order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def summarise(choices: pd.DataFrame, pairs: Mapping[str, DatabasePair], n_draws: int = 2000) -> pd.DataFrame:
    """Means over the pairs, and the paired difference to the fixed choice with its 95 % intervals.

    ``choices`` are as of `studies.evidence.run_case`, of any number of cases, with the columns ``study`` and ``pair``.

    Returns
    -------
    DataFrame
        A row a study and choice: macro_f1, accuracy, rho; pairs above_median, above_fixed and below_fixed; one_class
        (pairs of which all is predicted as one class); difference; low and high for people and databases; p and holm
        of people (Holm's correction over the choices of a study that see no label). NaN where there are too few
        databases.
    """
    drawn = {}
    for name, pair in pairs.items():
        samples = np.arange(len(pair.target)).astype(str)
        drawn[name] = subject_draws(samples if pair.target.subjects is None else pair.target.subjects, n_draws)
    parts = [_summarise_one(part, pairs, drawn, n_draws) for _, part in choices.groupby("study", sort=False)]
    return pd.concat(parts, ignore_index=True)


def _summarise_one(
    part: pd.DataFrame, pairs: Mapping[str, DatabasePair], drawn: Mapping[str, Array], n_draws: int
) -> pd.DataFrame:
    f1 = part.pivot(index="choice", columns="pair", values="macro_f1")
    weights = database_weights([pairs[name] for name in f1.columns], n_draws)
    fixed = _bootstrap(part, "fixed", pairs, drawn)
    rows = []
    for choice, own in part.groupby("choice", sort=False):
        gains = (f1.loc[choice] - f1.loc["fixed"]).to_numpy()
        row: dict[str, Any] = {
            "study": own["study"].iloc[0],
            "choice": choice,
            "pairs": f1.shape[1],
            **own[["macro_f1", "accuracy", "rho"]].mean(),
            "above_median": (f1.loc[choice] > f1.loc["median"]).sum(),
            "above_fixed": (gains > 0).sum(),
            "below_fixed": (gains < 0).sum(),
            "one_class": sum(len(set(str(text))) == 1 for text in own["predictions"]),
        }
        if choice not in _REFERENCES:
            means = {"people": (_bootstrap(part, str(choice), pairs, drawn) - fixed).mean(axis=0)}
            row |= {"difference": gains.mean(), "p": two_sided_p(means["people"])}
            if len(weights):
                means["databases"] = (weights @ gains) / weights.sum(axis=1)
            for kind, values in means.items():
                row[f"{kind}_low"], row[f"{kind}_high"] = np.quantile(values, [0.025, 0.975])
        rows.append(row)
    columns = [f"{kind}_{end}" for kind in _KINDS for end in ("low", "high")]
    table = pd.DataFrame(rows).reindex(columns=[*rows[0], "difference", *columns, "p", "holm"])
    tested = ~table["choice"].isin(["oracle", *_REFERENCES])
    table.loc[tested, "holm"] = holm(table.loc[tested, "p"].tolist())
    return table


def _bootstrap(part: pd.DataFrame, choice: str, pairs: Mapping[str, DatabasePair], drawn: Mapping[str, Array]) -> Array:
    """Macro-F1 of a choice in each draw of the target's subjects: (n_pairs, n_draws)."""
    own = part[part["choice"] == choice].set_index("pair")["predictions"].sort_index()
    return np.array(
        [
            bootstrap_macro_f1(pairs[str(name)].target.known_labels, decode_predictions(text), drawn[str(name)])
            for name, text in own.items()
        ]
    )


def database_weights(pairs: Sequence[DatabasePair], n_draws: int) -> Array:
    """How often each pair is in each draw of the databases that has any: (at most n_draws, n_pairs).

    A pair is in a draw as often as its source times its target. Databases with the same subjects are one: another
    camera, or other features of the same people. Without rows if there are too few databases.
    """
    sides = [sorted({_people(pair.source), _people(pair.target)}) for pair in pairs]
    units = sorted({unit for side in sides for unit in side})
    if len(units) < _FEWEST_DATABASES:
        return np.empty((0, len(pairs)))
    drawn = np.random.default_rng(0).multinomial(len(units), np.full(len(units), 1 / len(units)), n_draws)
    weights = np.stack([drawn[:, [units.index(unit) for unit in side]].prod(axis=1) for side in sides], axis=1)
    return weights[weights.any(axis=1)].astype(np.float64)


def _people(data: FeatureDataset) -> str:
    """What tells databases apart: their subjects, or the name where none are known."""
    return data.name if data.subjects is None else " ".join(sorted(set(data.subjects.tolist())))

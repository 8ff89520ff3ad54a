"""Score surfaces over (κ, ξ), from a stored grid."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from tgsr.files import atomic_path

__all__ = ["save_surface"]


def save_surface(table: pd.DataFrame, path: str | os.PathLike[str], title: str) -> None:
    """Draw macro-F1 and accuracy over κ and log ξ, the oracle's choice marked, into a PNG file.

    Parameters
    ----------
    table : DataFrame
        With the columns ``kappa, xi, macro_f1, accuracy``.
    path : path
        Written in one step.
    title : str
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, column, label in zip(axes, ("macro_f1", "accuracy"), ("macro-F1", "accuracy"), strict=True):
        surface = table.pivot_table(index="kappa", columns="xi", values=column)
        mesh = axis.pcolormesh(
            surface.columns.to_numpy(), surface.index.to_numpy(), surface.to_numpy(), cmap="cividis", shading="nearest"
        )
        best = table.iloc[int(table[column].to_numpy().argmax())]
        axis.plot(best["xi"], best["kappa"], "o", mfc="none", mec="white", ms=9, mew=2)
        axis.plot(best["xi"], best["kappa"], "o", mfc="none", mec="black", ms=11, mew=1)
        if (np.asarray(surface.columns) > 0).all():
            axis.set_xscale("log")
        axis.set_xlabel("ξ")
        axis.set_title(f"{label}: best {best[column]:.4f} at κ = {int(best['kappa'])}, ξ = {best['xi']:g}", fontsize=10)
        figure.colorbar(mesh, ax=axis)
    axes[0].set_ylabel("κ, groups kept")
    figure.suptitle(f"{title}: scores on target labels (circle: the oracle's choice)", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Software": None})

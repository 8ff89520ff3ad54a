"""``tgsr predict``: labels, scores and what is kept, from a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.tracking.model import RegisteredModel

__all__ = ["command"]


@click.command()
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", required=True, help="Such as models:/tgsr-V-N@champion.")
@click.option(
    "--features", default="none", show_default=True, help="Feature file (ours, or a released .mat) instead of clips."
)
@click.option("--database", help="Which database of a .mat file.")
@click.option(
    "--crop", type=click.Choice(["auto", "face", "none"]), default="auto", show_default=True,
    help="Find and crop the face in clips: always, never; auto: as with the clips that the model was trained on.",
)  # fmt: skip
@click.option("--overlay", type=click.Path(path_type=Path), help="Save the kept regions over the first clip's face.")
@click.option("--out", default="none", show_default=True, help="Write the table as CSV, such as predictions.csv.")
@click.option("--trust", multiple=True, help="Class of your own that the model may hold: package.module:Class.")
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(
    clips: tuple[Path, ...],
    model: str,
    features: str,
    database: str | None,
    crop: str,
    overlay: Path | None,
    out: str,
    trust: tuple[str, ...],
    home: str | None,
) -> None:
    """Predict clips or the rows of a feature file; where labels are known, with accuracy and macro-F1.

    CLIPS are folders of frames or video files, folders of such clips, or CSVs with a column clip (and label).

    Clips that cannot be used are listed after the predictions of the others; the command then ends with status 1.
    """
    from tgsr.errors import DataError, ParameterError
    from tgsr.files import check_output
    from tgsr.tracking._prediction import first_frame, predict_clips, predict_features
    from tgsr.tracking.model_bundle import load_model

    clips = tuple(clip for clip in clips if str(clip) != "none")  # as the entry point says that there is none
    file = None if features == "none" else Path(features)
    if bool(clips) == bool(file):
        raise ParameterError("give clips to predict, or --features FILE")
    table_file = None if out == "none" else check_output(out, ".csv")
    _open_store(model, home)
    loaded = load_model(model, trusted=trust)
    if overlay is not None and not loaded.header.regions_known:
        raise ParameterError(f"--overlay: {model} keeps no regions of the face that could be drawn; leave it out")
    predicted = predict_clips(loaded, clips, crop) if file is None else predict_features(loaded, file, database)
    _show(predicted.table, table_file)
    if predicted.scores:
        scores = predicted.scores
        told = f"accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f}"
        click.echo(f"{told} on {scores['n']:.0f} labelled samples")
    if overlay is not None:
        # the first clip that could be used: its row is the first
        frame = first_frame(loaded, Path(predicted.table["clip"].iloc[0]), crop) if file is None else None
        _save_overlay(loaded, frame, overlay)
        click.echo(f"kept {loaded.header.kept[0]}: {overlay}")
    if failed := predicted.failed:
        raise DataError(
            "\n".join((f"{len(failed)} of {len(failed) + len(predicted.table)} clips cannot be used:", *failed))
        )


def _open_store(model: str, home: str | None) -> None:
    """A registered model is looked up in the store; a folder is not."""
    if not Path(model).is_dir():
        from tgsr.tracking.config import open_client, resolve_config

        open_client(resolve_config(home).tracking_uri, create=False)


def _show(table: pd.DataFrame, out: Path | None) -> None:
    from tgsr.files import atomic_path

    kept = next((name for name in ("regions", "groups") if name in table), None)
    if out is None:
        shown = table if kept is None else table.assign(**{kept: [_text(groups, 5) for groups in table[kept]]})
        click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        return
    made = "" if out.parent.is_dir() else f" (folder {out.parent} made)"
    written = table if kept is None else table.assign(**{kept: [_text(groups, None) for groups in table[kept]]})
    with atomic_path(out) as temporary:
        written.to_csv(temporary, index=False)
    click.echo(f"{len(table)} predictions written to {out}{made}")


def _text(groups: list[int], most: int | None) -> str:
    return " ".join(map(str, groups[:most])) + (" …" if most and len(groups) > most else "")


def _save_overlay(model: RegisteredModel, frame: Any, path: Path) -> None:
    import numpy as np

    from tgsr.files import atomic_path
    from tgsr.reports._masks import draw_mask

    # of the released groups, which are no regions, histograms by plane are drawn
    figure = draw_mask(np.array(model.header.group_norms), model.header.grouping, frame)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)

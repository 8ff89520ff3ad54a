"""``tgsr predict``: labels, scores and what is kept, from a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tgsr.cli import options as shared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]


@click.command()
@click.argument("clips", nargs=-1)
@click.option("--model", required=True, help="Such as models:/tgsr-V-N@champion.")
@click.option(
    "--features", type=shared.PATH,
    help="Instead of clips: a feature file, a released .mat, or what features --import takes.",
)  # fmt: skip
@click.option("--database", help="Which database of a .mat file.")
@click.option(
    "--crop", type=click.Choice(["auto", "face", "none"]), default="auto",
    help="Find and crop the face in clips: always, never; auto: as the list says, else as in the model's training.",
)  # fmt: skip
@click.option("--overlay", type=shared.PATH, help="Save the kept regions over the first clip's face.")
@click.option("--out", help="Write the table as CSV, such as predictions.csv.")
@shared.trust
@shared.home
def command(
    clips: tuple[str, ...], model: str, features: Path | None, crop: str, overlay: Path | None, **given: Any
) -> None:
    """Predict clips or rows of features; where labels are known, with accuracy and macro-F1.

    CLIPS are folders of frames or films, folders of such clips, or lists of clips as features takes them: CSVs with a
    column clip (and label, onset, offset, cropped).

    Clips that cannot be used are listed after the predictions of the others; the command then ends with status 1.
    """
    from tgsr.errors import DataError, ParameterError
    from tgsr.files import check_output
    from tgsr.models import first_frame, load_model, predict_clips, predict_features
    from tgsr.reports import draw_frequency, draw_mask, save_figure
    from tgsr.tracking.client import open_client
    from tgsr.tracking.config import resolve_config

    some = [Path(clip) for clip in clips if clip]  # an entry point hands an empty one on
    if bool(some) == bool(features):
        raise ParameterError("give clips to predict, or --features FILE")
    out = given["out"] and check_output(given["out"], ".csv")
    uri = resolve_config(given["home"]).tracking_uri
    if not Path(model).is_dir():  # a registered model is looked up in the store
        open_client(uri, create=False)  # says what is wrong with it
    loaded = load_model(model, trusted=given["trust"], tracking_uri=uri)
    if overlay is not None and not loaded.has_regions:
        raise ParameterError(f"--overlay: {model} keeps no regions of the face that could be drawn; leave it out")
    predicted = (
        predict_clips(loaded, some, crop) if features is None else predict_features(loaded, features, given["database"])
    )
    _show(predicted.table, out)
    for note in predicted.notes:
        click.echo(f"note: {note}")
    if predicted.scores:
        scores = "accuracy {accuracy:.4f}, macro-F1 {macro_f1:.4f} on {n:.0f} labelled samples"
        click.echo(scores.format(**predicted.scores))
    if overlay is not None:
        # the first clip that could be used: its row is the first
        frame = first_frame(loaded, predicted.clips[0], crop) if features is None else None
        # of the released groups, which are no regions, histograms by plane are drawn
        draw = draw_mask if loaded.frequency is None else draw_frequency
        save_figure(draw(loaded.strengths, loaded.header.grouping, frame), overlay)
        click.echo(f"kept {loaded.kept[0]}: {overlay}")
    if failed := predicted.failed:
        raise DataError(
            "\n".join((f"{len(failed)} of {len(failed) + len(predicted.table)} clips cannot be used:", *failed))
        )


def _show(table: pd.DataFrame, out: Path | None) -> None:
    from tgsr.files import write_text

    most = None if out else 5  # of the kept regions
    for kept in {"regions", "groups", "frequency"} & set(table):
        table = table.assign(**{kept: [_text(groups, most) for groups in table[kept]]})
    if out is None:
        click.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        return
    write_text(out, table.to_csv(index=False))
    click.echo(f"{len(table)} predictions written to {out}")


def _text(values: list[int] | list[float], most: int | None) -> str:
    shown = (f"{value:.2f}" if isinstance(value, float) else str(value) for value in values[:most])
    return " ".join(shown) + (" …" if most and len(values) > most else "")

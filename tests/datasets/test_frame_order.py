"""Frames are in the order that their names mean, or it is said that this is not clear."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest
from trees import frames

from tgsr.datasets import load_clips
from tgsr.datasets._frame_order import number_frames
from tgsr.errors import DataError

SECONDS = {
    "as printed, from 0.1 on": [f"{0.1 + 0.04 * k:g}.png" for k in range(20)],
    "as printed, across a second": [f"{0.9 + 0.04 * k:g}.png" for k in range(10)],
    "as printed, from 10.1 on": [f"{10.1 + 0.04 * k:g}.jpg" for k in range(20)],
    "as Python writes it": [f"t={k / 25}.png" for k in range(30)],
    "of three decimals": [f"{k / 30:.3f}s.jpg" for k in range(40)],
    "cut off zeros": ["0.9s.jpg", "1.033s.jpg", "1.067s.jpg", "1.1s.jpg"],
    "halves and wholes": ["0.5.png", "1.png", "1.5.png", "10.25.png"],
    "with a comma": ["0,5.png", "0,54.png", "0,6.png"],
    "before and after the onset": [f"{-0.2 + 0.04 * k:.2f}.png" for k in range(12)],
    "of an epoch, to the nanosecond": ["f1403636579.763555584.png", "f1403636579.763555585.png", "f1403636580.013.png"],
}
COUNTS = {
    "without zeros": [f"img{k}.jpg" for k in range(8, 13)],
    "with and without zeros": ["img08.jpg", "img9.jpg", "img010.jpg"],
    "after a hyphen": [f"reg_EP01_1-{k}.jpg" for k in range(8, 13)],
    "after a point": [f"frame.{k:04d}.png" for k in range(8, 13)],
    "of a take": [f"take1.{k}.jpg" for k in range(1, 13)],
    "of a take from the eighth on": [f"take1.{k}.jpg" for k in range(8, 13)],
    "of a take, padded, one missing": ["take1.0008.jpg", "take1.0009.jpg", "take1.0011.jpg"],
    "after a date": [f"2020.01.02.{k}.png" for k in range(8, 13)],
    "below zero": ["-2.png", "-1.png", "0.png", "1.png"],
    "below zero after a word": ["apex_-10.png", "apex_-9.png", "apex_0.png", "apex_9.png"],
}
UNCLEAR = {
    "two readings, a gap": ["take1.8.jpg", "take1.9.jpg", "take1.10.jpg", "take1.12.jpg"],
    "minus or hyphen": ["-2.png", "-1.png"],
    "no number": ["a1.png", "b.png"],
    "the same number": ["img9.png", "img09.png"],
    "the same second": ["1.50.png", "1.5.png", "2.png"],
    "a copy": ["img12.png", "img13.png", "img13 (1).png"],
    "a minute rolls over": ["0-59.5.png", "1-00.5.png"],
}


@pytest.mark.parametrize("names", [*SECONDS.values(), *COUNTS.values()], ids=[*SECONDS, *COUNTS])
def test_frames_are_in_the_order_that_their_names_mean(names: list[str]) -> None:
    shuffled = random.Random(0).sample([Path(name) for name in names], len(names))
    numbers = number_frames(shuffled)
    assert [path.name for path in numbers] == names
    assert sorted(numbers.values()) == list(numbers.values())


@pytest.mark.parametrize("names", UNCLEAR.values(), ids=UNCLEAR)
def test_an_order_that_is_not_clear_is_refused_in_one_line(names: list[str]) -> None:
    with pytest.raises(DataError, match=r"\.(png|jpg): ") as caught:
        number_frames([Path(name) for name in names])
    assert "\n" not in str(caught.value)


def test_counts_of_a_take_are_what_onset_and_offset_mean(tmp_path: Path) -> None:
    assert list(number_frames([Path("take1.9.jpg"), Path("take1.10.jpg")]).values()) == [Decimal(9), Decimal(10)]
    frames(tmp_path / "a", *range(1, 13), name="take1.{}.jpg")
    (tmp_path / "clips.csv").write_text("clip,label,onset,offset\na,negative,9,11\n")
    (clip,) = load_clips("mine", tmp_path).clips
    assert [path.name for path in clip.frames] == ["take1.9.jpg", "take1.10.jpg", "take1.11.jpg"]


def test_the_order_by_decimals_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in SECONDS["as printed, from 0.1 on"]:
        (tmp_path / "a" / name).write_bytes(b"")
    collection = load_clips("mine", tmp_path)
    assert [path.name for path in collection.clips[0].frames] == SECONDS["as printed, from 0.1 on"]
    assert f"{tmp_path / 'a'}: frames are in the order of the decimals in their names, 0.1 to 0.86" in collection.notes
    assert not any("of the" in note and "frames from" in note for note in collection.notes)

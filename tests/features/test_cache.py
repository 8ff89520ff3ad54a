"""The cache of features: found by content, whole or absent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tgsr.datasets.clips import Clip
from tgsr.errors import DataError, MissingDataError
from tgsr.features.cache import FeatureCache, content_key, default_cache_folder
from tgsr.version import code_digest

FEATURES = np.random.default_rng(0).random((85, 177))
KEY = "ab" * 32


def test_what_was_put_is_got(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    assert cache.get(KEY) is None
    cache.put(KEY, FEATURES)
    np.testing.assert_array_equal((FeatureCache(tmp_path / "cache").get(KEY) or ())[0], FEATURES)
    assert cache.get("cd" * 32) is None


@pytest.mark.parametrize("damage", ["cut", "emptied", "a flipped bit", "text", "another array"])
def test_a_damaged_entry_counts_as_absent_and_is_written_anew(tmp_path: Path, damage: str) -> None:
    cache = FeatureCache(tmp_path)
    cache.put(KEY, FEATURES)
    (path,) = tmp_path.rglob("*.npz")
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "a flipped bit":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "text":
        path.write_text("not an archive")
    else:
        np.savez(path, features=np.array(["text"]))
    assert cache.get(KEY) is None
    cache.put(KEY, FEATURES)
    np.testing.assert_array_equal((cache.get(KEY) or ())[0], FEATURES)


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(stream, **members) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(DataError, match="No space left"):
        FeatureCache(tmp_path).put(KEY, FEATURES)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_key_follows_content_and_parameters_only(tmp_path: Path, write_frames) -> None:
    frames = tuple(write_frames(tmp_path / "one"))
    copies = tuple(write_frames(tmp_path / "two"))
    clip = Clip("one", "MINE", "s1", "positive", frames)
    key = content_key(clip, {"size": 112})
    assert content_key(Clip("other", "YOURS", None, "negative", copies), {"size": 112}) == key
    changes = [
        content_key(clip, {"size": 96}),
        content_key(replace(clip, cropped=False), {"size": 112}),
        content_key(replace(clip, frames=frames[::-1]), {"size": 112}),
        content_key(replace(clip, frames=frames[:-1]), {"size": 112}),
        content_key(replace(clip, frames=(), video=frames[0]), {"size": 112}),
        content_key(replace(clip, frames=(), video=frames[0], onset=2), {"size": 112}),
    ]
    copies[2].write_bytes(copies[2].read_bytes() + b"\0")
    changes.append(content_key(replace(clip, frames=copies), {"size": 112}))
    assert len({key, *changes}) == 1 + len(changes)


def test_the_key_follows_the_code(tmp_path: Path, write_frames, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip("one", "MINE", None, "positive", tuple(write_frames(tmp_path / "one")))
    key = content_key(clip, {})
    monkeypatch.setattr("tgsr.features.cache.code_digest", lambda *packages: " ".join(packages))
    edited = content_key(clip, {})
    assert edited != key
    assert edited == content_key(clip, {})


def test_the_code_digest_follows_the_modules_of_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lbp.py").write_text("R = 3")
    (tmp_path / "README.md").write_text("a page")
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    digests = [code_digest.__wrapped__("tgsr.features")]
    for name, text in (("README.md", "another"), ("lbp.py", "R = 4")):
        (tmp_path / name).write_text(text)
        digests.append(code_digest.__wrapped__("tgsr.features"))
    assert digests[0] == digests[1] != digests[2]


def test_the_key_of_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"gone\.png"):
        content_key(Clip("c", "MINE", None, "positive", (tmp_path / "gone.png",)), {})


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TGSR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "tgsr" / "features"
    monkeypatch.setenv("TGSR_CACHE", str(tmp_path / "mine"))
    assert default_cache_folder() == tmp_path / "mine"

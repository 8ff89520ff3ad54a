"""What decoders say of damage. libjpeg and FFmpeg say it on the process's standard error only, and go on decoding."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

__all__ = ["MOST_FRAMES", "MOST_PIXELS", "MOST_VALUES", "damage", "decoder_messages", "uneven_times"]

MOST_FRAMES = 5000  # a video of minutes is no clip of a micro-expression, and would fill the memory
MOST_PIXELS = 2**24  # of a frame: twice that of 4K video
MOST_VALUES = 2**29  # of a clip's frames together

_lock = threading.RLock()

_DECODERS = re.compile(r"Corrupt JPEG|Premature end|\[[\w,]+ @ 0x|\[ ?(WARN|ERROR|INFO)|OpenCV|libpng|TIFF|Decode: ")
_JPEG = re.compile(r"Corrupt JPEG data: (?!bad ICC|[1-4] extraneous)|Premature end of JPEG")  # webcams add some bytes
_FFMPEG = re.compile(r"\[[\w,]+ @ 0x\w+\] (?!.*(APP fields|EOI missing|mmco|deprecated|timescale|[dp]ts\b|timestamp))")


@contextmanager
def decoder_messages() -> Iterator[Callable[[], str]]:
    """Catch what compiled decoders write to standard error; gives a function that reads it.

    Lines of others, from another thread for example, are written on afterwards.
    """
    with _lock, tempfile.TemporaryFile(buffering=0) as caught:

        def read() -> str:
            caught.seek(0)
            return caught.read().decode("utf-8", "replace")

        try:
            own = os.dup(2)
        except OSError:  # a process without standard error
            yield lambda: ""
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield read
        finally:
            os.dup2(own, 2)
            os.close(own)
            others = [line for line in read().splitlines(keepends=True) if not _DECODERS.search(line)]
            os.write(2, "".join(others).encode())


def damage(messages: str) -> str:
    """The first of the messages that tells of damaged data, without addresses; empty if none does."""
    for line in messages.splitlines():
        if _JPEG.search(line) or _FFMPEG.match(line):
            return re.sub(r" @ 0x\w+", "", line.strip())
    return ""


def uneven_times(times: Sequence[float]) -> str:
    """A remark if the times of frames (milliseconds) are not evenly spaced, else an empty text."""
    gaps = np.diff(np.asarray(times, dtype=np.float64))
    if len(gaps) < 2:
        return ""
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() <= max(0.5 * usual, 2):  # some containers round to milliseconds
        return ""
    return f"the frame rate varies, {gaps.min():.0f} to {gaps.max():.0f} ms a frame; they are taken as evenly spaced"

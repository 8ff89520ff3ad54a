"""``tgsr selection``: what every selection rule would have attained where the labels are known."""

from __future__ import annotations

from studies.selection import main as command

__all__ = ["command"]

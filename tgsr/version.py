"""Which code made a result."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import subprocess
from pathlib import Path

from tgsr import __version__

__all__ = ["code_digest", "code_version"]


@functools.cache
def code_version() -> str:
    """The package's version, with the commit where the package is a checkout: ``0.1.0+abcdef12`` (``.dirty``)."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return __version__
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=.dirty"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{done.stdout.strip()}"


@functools.cache
def code_digest(*packages: str) -> str:
    """SHA-256 of the version and the source of packages with all below them: which code made a kept result."""
    sha = hashlib.sha256(__version__.encode())
    for package in packages:
        folder = Path(str(importlib.resources.files(package)))
        for path in sorted(folder.rglob("*.py")):
            name = f"{package}/{path.relative_to(folder).as_posix()}"
            sha.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return sha.hexdigest()

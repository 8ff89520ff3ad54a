"""The two small domains that the methods are compared on."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def domains():
    """Source, its labels and a target that is moved a little: three classes, far fewer samples than features."""
    rng = np.random.default_rng(0)
    centres = np.zeros((3, 200))
    centres[:, :3] = np.eye(3)
    y = np.arange(24) % 3
    X = centres[y] + 0.4 * rng.standard_normal((24, 200))
    X_target = centres[np.arange(18) % 3] + 0.4 * rng.standard_normal((18, 200)) + 0.05
    for array in (X, y, X_target):
        array.setflags(write=False)
    return X, y, X_target

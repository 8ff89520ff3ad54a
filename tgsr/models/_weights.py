"""A fitted estimator as a skops file, and back: data, of which only trusted types are made."""

from __future__ import annotations

import importlib
import io
import zipfile
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from tgsr.errors import TrackingError, one_line

__all__ = ["check_weights", "dump_estimator", "load_estimator", "untrusted_types"]

_OURS = "tgsr.estimators."
_PLAIN_MODULES = (
    "sklearn.calibration.",
    "sklearn.gaussian_process._gpc.",
    "sklearn.gaussian_process.kernels.",
    "sklearn.neural_network._stochastic_optimizers.",
)
"""Whose classes skops does not list, though they are Python alone. Trees and their kin are compiled code that reads
arrays without looking at their bounds: an altered file with them can crash the program."""
_MOST_BYTES = 2**30
"""Unpacked: a small file can be made to fill the memory."""


def dump_estimator(estimator: Any) -> bytes:
    """A fitted estimator as the bytes of a skops file.

    Raises
    ------
    TrackingError
        If it holds what is no data, such as a function of its own.
    """
    import skops.io

    try:
        return bytes(skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED))
    except Exception as error:  # skops raises what the object's own state methods do
        raise TrackingError(f"{type(estimator).__name__} cannot be stored as data: {one_line(error)}") from error


def load_estimator(data: bytes, trusted: Iterable[str] = ()) -> Any:
    """The estimator in a skops file.

    Types are looked at by name, before any is imported; see `untrusted_types` for those that are made. ``trusted`` are
    further ones: ``"package.module:Class"``.

    Raises
    ------
    TrackingError
        If the file is none of skops', is damaged, or holds another type, which is named.
    """
    import skops.io

    refused = set(untrusted_types(data)) - {name.replace(":", ".") for name in trusted}
    if refused:
        raise TrackingError(f"it holds types that are not trusted: {one_line(', '.join(sorted(refused)))}")
    try:
        return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    except Exception as error:
        raise TrackingError(f"its estimator cannot be made ({one_line(error)})") from error


def untrusted_types(data: bytes) -> list[str]:
    """The types in a skops file that are made only where somebody trusts them.

    Without that are made: what skops trusts of NumPy, SciPy and scikit-learn, some classes of scikit-learn that are
    Python alone, classes of `tgsr.estimators`, and of methods that are installed (entry points ``tgsr.methods``).

    Raises
    ------
    TrackingError
        If the file is none of skops', or is damaged.
    """
    import skops.io

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise ValueError("unpacked it is larger than a model can be")
        names = map(str, skops.io.get_untrusted_types(data=data))
    except Exception as error:  # a damaged archive or schema raises anything
        raise TrackingError(f"no skops file, or a damaged one ({one_line(error)})") from error
    return [name for name in names if not (_is_defined(name) or _is_installed(name))]


def _is_defined(name: str) -> bool:
    """Whether it is a class that one of the modules we know defines (not something that it imports)."""
    module, _, attribute = name.rpartition(".")
    if not name.startswith((_OURS, *_PLAIN_MODULES)) or not attribute.isidentifier():
        return False
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    return isinstance(found, type) and found.__module__ == module


def _is_installed(name: str) -> bool:
    """Whether it is a class that an installed package offers as a method."""
    last = name.rpartition(".")[2]
    entries = (entry for entry in entry_points(group="tgsr.methods") if entry.attr.rpartition(".")[2] == last)
    return any(f"{found.__module__}.{found.__qualname__}" == name for found in (entry.load() for entry in entries))


def check_weights(estimator: Any) -> None:
    """Refuse an estimator whose arrays hold what no fit of ours gives: NaN, infinite or complex numbers, objects.

    Of other estimators than those of `tgsr.estimators` only complex numbers are refused: selectors of scikit-learn keep
    NaN on purpose.

    Raises
    ------
    TrackingError
        Naming the attribute.
    """
    seen: set[int] = set()

    def visit(value: Any, name: str, strict: bool) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        data = getattr(value, "data", None) if hasattr(value, "tocsr") else value
        if isinstance(data, np.ndarray):
            if data.dtype.kind == "c":
                raise TrackingError(f"{name} holds complex numbers")
            if strict and (data.dtype.kind == "O" or (data.dtype.kind == "f" and not np.isfinite(data).all())):
                raise TrackingError(f"{name} holds NaN, infinite values or objects")
        elif isinstance(value, complex) or (strict and isinstance(value, float) and np.isnan(value)):
            raise TrackingError(f"{name} is {value!r}")
        elif isinstance(value, dict):
            for key, entry in value.items():
                visit(entry, f"{name}[{key!r}]", strict)
        elif isinstance(value, (list, tuple)):
            for index, entry in enumerate(value):
                visit(entry, f"{name}[{index}]", strict)
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            if type(value).__name__ in ("SVC", "NuSVC"):
                _check_svc(value, name)
            ours = type(value).__module__.startswith(_OURS)
            for key, entry in vars(value).items():
                visit(entry, f"{name}.{key}", ours or (strict and type(value).__name__ == "SVC"))

    visit(estimator, type(estimator).__name__, strict=False)


def _check_svc(svc: Any, name: str) -> None:
    """LIBSVM reads its arrays without looking at their lengths."""
    classes, vectors = len(svc.classes_), len(svc.support_)
    pairs = classes * (classes - 1) // 2
    fits = (
        svc._n_support.shape == (classes,)
        and (svc._n_support >= 0).all()
        and int(svc._n_support.sum()) == vectors
        and svc._dual_coef_.shape == svc.dual_coef_.shape == (classes - 1, vectors)
        and svc._intercept_.shape == svc.intercept_.shape == (pairs,)
        and all(len(values) in (0, pairs) for values in (svc._probA, svc._probB))
        and ((svc.support_ >= 0) & (svc.support_ < svc.shape_fit_[0])).all()
        and (svc.kernel == "precomputed" or svc.support_vectors_.shape == (vectors, svc.shape_fit_[1]))
        and not svc._sparse
    )
    if not fits:
        raise TrackingError(f"{name} holds arrays that do not fit each other")

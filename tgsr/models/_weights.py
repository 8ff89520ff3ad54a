"""A fitted estimator as a skops file, and back: data, of which only trusted types are made.

Importing skops imports the whole of scikit-learn, for its list of trusted types: over a second. Files of plain parts,
as those of our estimators are, are therefore read here; all others are left to skops.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tgsr.errors import TrackingError

__all__ = ["check_weights", "dump_estimator", "load_estimator"]

_OURS = "tgsr.estimators."
_SVC = "sklearn.svm._classes.SVC"
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
        raise TrackingError(f"{type(estimator).__name__} cannot be stored as data: {error}") from error


def load_estimator(data: bytes, trusted: Sequence[str] = ()) -> Any:
    """The estimator in a skops file.

    Made are types of NumPy, SciPy and scikit-learn that skops trusts, classes of `tgsr.estimators`, of methods that
    are installed (entry points of the group ``tgsr.methods``), and those of ``trusted``. Types are looked at by name,
    before any is imported.

    Raises
    ------
    TrackingError
        If the file is none of skops', is damaged, or holds another type, which is named.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise TrackingError("unpacked it is larger than a model can be")
            return _plain(json.loads(archive.read("schema.json")), archive, {})
    except TrackingError:
        raise
    except _NotPlainError:
        return _load_by_skops(data, trusted)
    except Exception as error:  # a damaged archive or schema raises anything
        raise TrackingError(f"no skops file, or a damaged one ({_line(error)})") from error


class _NotPlainError(Exception):
    """The file holds what only skops can read, or refuse; nothing of it was imported or made."""


def _plain(node: dict[str, Any], archive: zipfile.ZipFile, made: dict[Any, Any]) -> Any:
    """What a node of skops' schema stands for, if it has plain parts only; ``made`` by number what was made before."""
    known = node.get("__id__")
    if known in made:  # one object in several places
        return made[known]
    value: Any
    match node["__loader__"], _class_of(node):
        case "JsonNode", _:
            value = json.loads(node["content"])
        case "ListNode", _:
            value = [_plain(entry, archive, made) for entry in node["content"]]
        case "TupleNode", "builtins.tuple":
            value = tuple(_plain(entry, archive, made) for entry in node["content"])
        case "DictNode", "builtins.dict" if {_class_of(kind) for kind in node["key_types"]["content"]} <= {
            "builtins.str"
        }:
            value = {key: _plain(entry, archive, made) for key, entry in node["content"].items()}
        case "NdArrayNode", "numpy.ndarray" if node["type"] == "numpy":
            value = np.load(io.BytesIO(archive.read(node["file"])), allow_pickle=False)
        case "ObjectNode", name if name == _SVC or _is_ours(name):
            kind = getattr(importlib.import_module(node["__module__"]), node["__class__"])
            value, state = kind.__new__(kind), _plain(node["content"], archive, made)
            if hasattr(value, "__setstate__"):
                value.__setstate__(state)
            else:
                vars(value).update(state)
        case _:
            raise _NotPlainError
    if known is not None:
        made[known] = value
    return value


def _class_of(node: dict[str, Any]) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _load_by_skops(data: bytes, trusted: Sequence[str]) -> Any:
    import skops.io

    try:
        unknown = skops.io.get_untrusted_types(data=data)
    except Exception as error:
        raise TrackingError(f"no skops file, or a damaged one ({_line(error)})") from error
    named = {name.replace(":", ".") for name in trusted}
    refused = [name for name in unknown if not (_is_ours(name) or _is_installed(name) or name in named)]
    if refused:
        raise TrackingError(f"it holds types that are not trusted: {_line(', '.join(map(str, refused)))}")
    try:
        return skops.io.loads(data, trusted=unknown)
    except Exception as error:
        raise TrackingError(f"its estimator cannot be made ({_line(error)})") from error


def _line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _is_ours(name: str) -> bool:
    """Whether it is a class that one of our modules of estimators defines (not something that it imports)."""
    module, _, attribute = name.rpartition(".")
    if not name.startswith(_OURS) or not attribute.isidentifier():
        return False
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    return isinstance(found, type) and found.__module__ == module


def _is_installed(name: str) -> bool:
    """Whether it is a class that an installed package offers as a method."""
    for entry in importlib.metadata.entry_points(group="tgsr.methods"):
        if entry.attr.rpartition(".")[2] == name.rpartition(".")[2]:
            found = entry.load()
            if f"{found.__module__}.{found.__qualname__}" == name:
                return True
    return False


def check_weights(estimator: Any) -> None:
    """Refuse an estimator whose arrays hold what no fit of ours gives: NaN, infinite or complex numbers, objects.

    Of other estimators than those of `tgsr.estimators` only complex numbers are refused: trees and selectors of
    scikit-learn keep NaN on purpose.

    Raises
    ------
    TrackingError
        Naming the attribute.
    """
    if not hasattr(estimator, "predict"):
        raise TrackingError(f"{type(estimator).__name__} is no estimator: it has no predict")
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
            ours = type(value).__module__.startswith(_OURS)
            if strict and type(value).__name__ == "SVC":
                _check_svc(value, name)
                ours = True
            for key, entry in vars(value).items():
                visit(entry, f"{name}.{key}", ours)

    visit(estimator, type(estimator).__name__, strict=False)


def _check_svc(svc: Any, name: str) -> None:
    """LIBSVM reads its arrays without looking at their lengths."""
    classes, vectors = len(svc.classes_), len(svc.support_)
    fits = (
        svc._n_support.shape == (classes,)
        and (svc._n_support >= 0).all()
        and int(svc._n_support.sum()) == vectors
        and svc._dual_coef_.shape == svc.dual_coef_.shape == (classes - 1, vectors)
        and svc._intercept_.shape == svc.intercept_.shape == (classes * (classes - 1) // 2,)
        and svc.kernel == "precomputed"
        and ((svc.support_ >= 0) & (svc.support_ < svc.shape_fit_[0])).all()
    )
    if not fits:
        raise TrackingError(f"{name} holds arrays that do not fit each other")

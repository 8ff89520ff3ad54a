"""Reading the plain part of skops' format: our estimators, without the seconds that skops takes to be imported.

Importing skops imports the whole of scikit-learn, for its list of trusted types. A fitted estimator of ours is made of
objects of a few known classes, dictionaries, lists, numbers, texts and arrays; files that hold anything else are left
to skops.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["NotPlainError", "read_plain"]

_SVC = "sklearn.svm._classes.SVC"


class NotPlainError(Exception):
    """The file holds what only skops can read, or refuse."""


def read_plain(data: bytes, is_ours: Callable[[str], bool]) -> Any:
    """The object in a skops file of plain parts.

    Parameters
    ----------
    data : bytes
    is_ours : callable
        Whether a class may be made, by its full name.

    Raises
    ------
    NotPlainError
        If there is any other part; nothing of it is imported or made.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        return _Reader(archive, is_ours).make(schema)


class _Reader:
    def __init__(self, archive: zipfile.ZipFile, is_ours: Callable[[str], bool]) -> None:
        self.archive = archive
        self.is_ours = is_ours
        self.made: dict[int, Any] = {}
        self.readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "JsonNode": lambda node: json.loads(node["content"]),
            "ListNode": lambda node: [self.make(entry) for entry in node["content"]],
            "TupleNode": self._tuple,
            "DictNode": self._dict,
            "NdArrayNode": self._array,
            "ObjectNode": self._object,
        }

    def make(self, node: dict[str, Any]) -> Any:
        known = node.get("__id__")
        if known in self.made:  # one object in several places
            return self.made[known]
        reader = self.readers.get(node["__loader__"])
        if reader is None:
            raise NotPlainError
        made = reader(node)
        if known is not None:
            self.made[known] = made
        return made

    def _tuple(self, node: dict[str, Any]) -> tuple[Any, ...]:
        if _name(node) != "builtins.tuple":
            raise NotPlainError
        return tuple(self.make(entry) for entry in node["content"])

    def _dict(self, node: dict[str, Any]) -> dict[str, Any]:
        texts = all(_name(kind) == "builtins.str" for kind in node["key_types"]["content"])
        if _name(node) != "builtins.dict" or not texts:
            raise NotPlainError
        return {key: self.make(value) for key, value in node["content"].items()}

    def _array(self, node: dict[str, Any]) -> Any:
        if _name(node) != "numpy.ndarray" or node["type"] != "numpy":
            raise NotPlainError
        return np.load(io.BytesIO(self.archive.read(node["file"])), allow_pickle=False)

    def _object(self, node: dict[str, Any]) -> Any:
        name = _name(node)
        if name != _SVC and not self.is_ours(name):
            raise NotPlainError
        kind = getattr(importlib.import_module(node["__module__"]), node["__class__"])
        made = kind.__new__(kind)
        state = self.make(node["content"])
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            made.__dict__.update(state)
        return made


def _name(node: dict[str, Any]) -> str:
    return f"{node['__module__']}.{node['__class__']}"

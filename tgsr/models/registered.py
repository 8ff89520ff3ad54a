"""The registered model of any estimator: labels, class scores and what is kept, from feature rows or clips.

A model is two files. ``estimator.skops`` is the fitted estimator as data: a skops file names types, and only known
ones are made. ``header.json`` says what goes in and out, and what the model comes from. No code travels with them:
`tgsr` has to be installed where a model is loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError, TgsrError, TrackingError
from tgsr.files import write_text
from tgsr.models._input import CLIP_SHAPE, feature_rows
from tgsr.models._weights import check_weights, dump_estimator, load_estimator
from tgsr.protocols import N_REGIONS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ESTIMATOR", "HEADER", "Header", "RegisteredModel", "load_files", "save_files"]

ESTIMATOR, HEADER = "estimator.skops", "header.json"
_LARGEST_FILE = 2**30
_LARGEST_HEADER = 2**22
_LARGEST_SETTING = 4096  # of the extraction's: more pixels, frames or blocks are no clip of a face


@dataclass(frozen=True)
class Header:
    """What a model says of itself.

    Attributes
    ----------
    grouping : str
        Groups of features that the estimator keeps or leaves out: ``"region"``, ``"released"``, ``"own"``, or none.
    group_norms : tuple of float
        Strength of each group, 0 where it is left out; empty without groups.
    extraction : mapping
        How features are made from clips (`tgsr.features.extraction.ExtractionSettings`); empty for features that were
        not made by tgsr.
    facts : mapping
        Pair of databases, method, settings, selection rule, scores, digests: text.
    """

    class_names: tuple[str, ...]
    n_features: int
    grouping: str = ""
    group_norms: tuple[float, ...] = ()
    extraction: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "group_norms", tuple(self.group_norms))
        names, norms = self.class_names, self.group_norms
        if not 2 <= len(set(names)) == len(names) <= 1000 or not all(isinstance(name, str) and name for name in names):
            raise ValueError("class_names must be two or more different names")
        if type(self.n_features) is not int or not 1 <= self.n_features <= 10**7:
            raise ValueError(f"n_features = {self.n_features!r} is out of range")
        if not all(type(norm) in (int, float) and 0 <= norm < math.inf for norm in norms):
            raise ValueError("group_norms must be finite numbers, none negative")
        if len(norms) > self.n_features or (self.regions_known and len(norms) != N_REGIONS):
            raise ValueError(f"{len(norms)} group_norms do not fit the grouping {self.grouping!r}")
        if not all(isinstance(value, str) for value in (self.grouping, self.weights_sha256, *self.facts.values())):
            raise ValueError("grouping, facts and weights_sha256 must be text")
        for value in self.extraction.values():
            numbers = [n for n in (value if isinstance(value, (list, tuple)) else [value]) if not isinstance(n, str)]
            if len(numbers) > 16 or not all(0 <= number <= _LARGEST_SETTING for number in numbers):
                raise ValueError("extraction holds a value that is out of range")

    @property
    def regions_known(self) -> bool:
        """Whether the groups are those of the face, so that they can be drawn on it."""
        return bool(self.group_norms) and self.grouping in ("region", "released")

    @property
    def kept(self) -> tuple[str, list[int]]:
        """What the kept groups are called (``"regions"`` or ``"groups"``), and their numbers, the strongest first."""
        norms = np.array(self.group_norms)
        order = [int(group) for group in np.argsort(-norms, kind="stable") if norms[group] > 0]
        return "regions" if self.grouping == "region" else "groups", order


class RegisteredModel:
    """A fitted estimator with its header, as `tgsr.load_model` gives it.

    The estimator's labels are class indices; ``paths``: whether clips may be given as paths, never over HTTP.

    Raises
    ------
    TrackingError
        If estimator and header do not fit.
    """

    def __init__(self, estimator: Any, header: Header, *, paths: bool = True) -> None:
        self.estimator = estimator
        self.header = header
        self._paths = paths
        classes = np.asarray(getattr(estimator, "classes_", np.arange(len(header.class_names))))
        known = classes.ndim == 1 and classes.dtype.kind in "iu" and np.isin(classes, range(len(header.class_names)))
        if not np.all(known) or len(set(classes.tolist())) != len(classes):
            raise TrackingError(f"the estimator's classes {classes!r} are no indices into {header.class_names}")
        if getattr(estimator, "n_features_in_", header.n_features) != header.n_features:
            raise TrackingError(
                f"the estimator takes {estimator.n_features_in_} features, its header says {header.n_features}"
            )
        self._classes: list[int] = classes.tolist()

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Predict.

        Parameters
        ----------
        model_input : array, DataFrame, list, or path
            Feature rows (n, n_features) or clips, see `tgsr.models._input.feature_rows`.
        params : mapping, optional
            ``clip_shape`` = [frames, height, width] announces rows of grey values as clips.

        Returns
        -------
        DataFrame
            A row for each sample: ``label``; ``score_<class>``, a probability where the estimator has
            ``predict_proba``, otherwise the value of its decision function, absent where it has neither; and the
            kept groups' numbers, the strongest first, as ``regions`` where they are regions of the face, otherwise
            as ``groups``; for a consensus of several models also the share of them that keeps each, ``frequency``.

        Raises
        ------
        DataError
            If the input cannot be used.
        """
        shape, header = (params or {}).get(CLIP_SHAPE), self.header
        try:
            clip_shape = [int(n) for n in ([] if shape is None else shape)]
        except (TypeError, ValueError) as error:
            raise DataError(f"{CLIP_SHAPE} = {shape!r}: give frames, height and width") from error
        rows = feature_rows(model_input, header.n_features, header.extraction, clip_shape, paths=self._paths)
        return self.answer(rows)

    def answer(self, rows: npt.NDArray[np.float64]) -> pd.DataFrame:
        """Predict checked feature rows; see `predict`."""
        import pandas as pd

        names = self.header.class_names
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of overflow, which is looked for below
            try:
                codes = np.asarray(self.estimator.predict(rows))
                scores = self._scores(rows)
            except Exception as error:
                raise DataError(f"the estimator cannot predict these rows: {error}") from error
        if codes.shape != (len(rows),) or codes.dtype.kind not in "iu" or not np.isin(codes, range(len(names))).all():
            raise DataError("the estimator does not answer with a class for each row")
        columns: dict[str, Any] = {"label": [names[code] for code in codes]}
        if scores is not None:
            columns |= {f"score_{names[code]}": column for code, column in zip(self._classes, scores.T, strict=True)}
        if self.header.group_norms:
            name, kept = self.header.kept
            columns[name] = [kept] * len(rows)
            frequency = getattr(self.estimator, "inclusion_frequency_", None)
            if frequency is not None:
                columns["frequency"] = [[float(frequency[group]) for group in kept]] * len(rows)
        return pd.DataFrame(columns)

    def _scores(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
        """Scores (n, n_classes) of the classes that the estimator knows; None where it gives none."""
        decide = getattr(self.estimator, "predict_proba", None) or getattr(self.estimator, "decision_function", None)
        if decide is None:
            return None
        scores = np.asarray(decide(rows))
        if scores.ndim == 1 and len(self._classes) == 2:
            scores = np.column_stack([-scores, scores])
        if scores.shape != (len(rows), len(self._classes)):
            if getattr(self.estimator, "predict_proba", None) is None:
                return None  # one against one, or another form that has no column for each class
            raise ValueError(f"scores have shape {scores.shape}")
        if scores.dtype.kind != "f" or not np.isfinite(scores).all():
            raise ValueError("scores overflow; are the values of the size of those it was trained on?")
        return scores


def save_files(estimator: Any, header: Header, folder: Path) -> Header:
    """Write a model's two files into a folder; gives the header with the weights' digest."""
    data = dump_estimator(estimator)
    (folder / ESTIMATOR).write_bytes(data)
    signed = replace(header, weights_sha256=hashlib.sha256(data).hexdigest())
    write_text(folder / HEADER, json.dumps(asdict(signed), allow_nan=False))
    return signed


def load_files(folder: Path, *, sha256: str | None = None, trusted: Sequence[str] = ()) -> RegisteredModel:
    """Read what `save_files` wrote, believing nothing of it.

    The header's digest has to be ``sha256``, if that is given; ``trusted`` are classes beyond those of tgsr and of
    installed methods that the estimator may hold: ``"package.module.Class"``.

    Raises
    ------
    TrackingError
        If a file is missing, altered or damaged, holds types that are not trusted or numbers that cannot be; one line,
        which names the file.
    """
    text = _read(folder / HEADER, _LARGEST_HEADER)
    if sha256 is not None and hashlib.sha256(text).hexdigest() != sha256:
        raise TrackingError(f"{folder / HEADER} is not as it was registered: its digest has changed")
    try:
        header = Header(**json.loads(text))
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise TrackingError(f"{folder / HEADER} is no model's header: {error}") from error
    data = _read(folder / ESTIMATOR, _LARGEST_FILE)
    if hashlib.sha256(data).hexdigest() != header.weights_sha256:
        raise TrackingError(f"{folder / ESTIMATOR} is not what its header says: its digest has changed")
    try:
        estimator = load_estimator(data, trusted)
        check_weights(estimator)
        model = RegisteredModel(estimator, header)
        model.answer(np.full((1, header.n_features), 1 / 59))  # a uniform histogram: do the shapes fit?
    except Exception as error:  # whatever altered weights lead to
        raise TrackingError(f"{folder / ESTIMATOR} cannot be used: {' '.join(str(error).split())[:300]}") from error
    return model


def _read(path: Path, largest: int) -> bytes:
    if not path.is_file():
        raise TrackingError(f"{path} is missing or no file")
    if path.stat().st_size > largest:
        raise TrackingError(f"{path} has {path.stat().st_size:,} bytes, more than a model's file can have")
    return path.read_bytes()


class _ServedModel(RegisteredModel):
    """What MLflow loads and serves: answers what cannot be used with status 400."""

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        from mlflow.exceptions import MlflowException

        try:
            return super().predict(model_input, params)
        except TgsrError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _load_pyfunc(path: str, model_config: Any = None) -> RegisteredModel:  # noqa: ARG001
    """MLflow's entry: the model in a folder, for `mlflow.pyfunc.load_model` and ``mlflow models serve``."""
    model = load_files(Path(path))
    return _ServedModel(model.estimator, model.header, paths=False)

"""The registered model of any estimator: labels, class scores and what is kept, from feature rows or clips.

A model is two files. ``estimator.skops`` is the fitted estimator as data: a skops file names types, and only known
ones are made. ``header.json`` says what goes in and out, and what the model comes from. No code travels with them:
`tgsr` has to be installed where a model is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError, TgsrError, TrackingError, one_line
from tgsr.estimators.preprocess import PREPROCESSES, Scaling
from tgsr.files import write_text
from tgsr.models._input import CLIP_SHAPE, feature_rows, named_rows
from tgsr.models._weights import check_weights, dump_estimator, load_estimator
from tgsr.names import name_problem
from tgsr.protocols import N_REGIONS, check_choice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ESTIMATOR", "HEADER", "TRUST", "Header", "RegisteredModel", "load_files", "save_files"]

ESTIMATOR, HEADER = "estimator.skops", "header.json"
TRUST = "TGSR_TRUST"
"""Environment variable with the types, separated by blanks, that MLflow's own commands may make beyond the known."""
_LARGEST_FILE = 2**30
_LARGEST_HEADER = 2**24
_LARGEST_SETTING = 4096  # of the extraction's: more pixels, frames or blocks are no clip of a face


@dataclass(frozen=True)
class Header:
    """What a model says of itself.

    Attributes
    ----------
    class_names : tuple of str
    n_features : int
    grouping : str
        Groups of features that the estimator keeps or leaves out: ``"region"``, ``"released"``, ``"own"``, or none.
    extraction : mapping
        How features are made from clips (`tgsr.features.extraction.ExtractionSettings`); empty for features that were
        not made by tgsr.
    feature_names : tuple of str
        What the features are called, in the estimator's order; empty where they have no names.
    preprocess : str
        What rows go through before the estimator sees them, one of `tgsr.estimators.preprocess.PREPROCESSES`.
    scaling : mapping
        Its numbers, as fitted to the target: ``offset`` and ``scale``, (n_features,) each, where it has them.
    facts : mapping
        Pair of databases, method, settings, what chose it, scores, digests: text.
    weights_sha256 : str
        Digest of the estimator's file.
    """

    class_names: tuple[str, ...]
    n_features: int
    grouping: str = ""
    extraction: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    feature_names: tuple[str, ...] = ()
    preprocess: str = "none"
    scaling: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "feature_names", tuple(self.feature_names))
        names = self.class_names
        if not 2 <= len(set(names)) == len(names) <= 1000 or not all(isinstance(name, str) and name for name in names):
            raise ValueError("class_names must be two or more different names")
        for name in (*names, *self.feature_names):
            if not isinstance(name, str) or name_problem(name):
                raise ValueError(f"a class or feature cannot be called {name!a:.60}")
        if self.feature_names and len(set(self.feature_names)) != self.n_features:
            raise ValueError(f"feature_names must be {self.n_features} different names")
        if type(self.n_features) is not int or not 1 <= self.n_features <= 10**7:
            raise ValueError(f"n_features = {self.n_features!r} is out of range")
        if not all(isinstance(value, str) for value in (self.grouping, self.weights_sha256, *self.facts.values())):
            raise ValueError("grouping, facts and weights_sha256 must be text")
        check_choice("preprocess", self.preprocess, PREPROCESSES)
        for part, numbers in self.scaling.items():
            array = np.asarray(numbers, dtype=np.float64)
            bad = array.shape != (self.n_features,) or not np.isfinite(array).all() or (part == "scale" and 0 in array)
            if bad or part not in ("offset", "scale"):
                raise ValueError(f"scaling: {part!a:.60} does not hold a number for each feature")
        for value in self.extraction.values():
            numbers = [n for n in (value if isinstance(value, (list, tuple)) else [value]) if not isinstance(n, str)]
            if len(numbers) > 16 or not all(0 <= number <= _LARGEST_SETTING for number in numbers):
                raise ValueError("extraction holds a value that is out of range")


class RegisteredModel:
    """A fitted estimator with its header, as `tgsr.load_model` gives it.

    The estimator's labels are class indices.

    Attributes
    ----------
    estimator : estimator
    header : Header
    frequency : array of shape (n_groups,), or None
        Of a consensus: the share of its models that keeps each group.
    strengths : array of shape (n_groups,)
        How strong each group is: its frequency, else ‖C_i‖_F, 0 where it is left out. Empty without groups.

    Raises
    ------
    TrackingError
        If estimator and header do not fit.
    """

    _takes_paths = True

    def __init__(self, estimator: Any, header: Header) -> None:
        self.estimator = estimator
        self.header = header
        possible = range(len(header.class_names))
        classes = np.asarray(getattr(estimator, "classes_", possible))
        known = classes.ndim == 1 and classes.dtype.kind in "iu" and np.isin(classes, possible).all()
        if not known or len(set(classes.tolist())) != len(classes):
            raise TrackingError(f"the estimator's classes {classes!r} are no indices into {header.class_names}")
        self._classes: list[int] = classes.tolist()
        parts = {part: np.asarray(numbers) for part, numbers in header.scaling.items()}
        self._scaling = Scaling(**parts, unit="unit" in header.preprocess)
        norms = np.asarray(getattr(estimator, "region_norms_", ()), dtype=np.float64)
        self.frequency: npt.NDArray[np.float64] | None = getattr(estimator, "inclusion_frequency_", None)
        self.strengths = norms if self.frequency is None else np.asarray(self.frequency)
        # NaN compares as False
        if self.strengths.shape != norms.shape or not ((self.strengths >= 0) & (norms >= 0) & (norms < np.inf)).all():
            raise TrackingError("the strengths of its groups must be finite numbers, none negative")
        if norms.ndim != 1 or len(norms) > header.n_features:
            raise TrackingError(f"{norms.shape} groups do not fit {header.n_features} features")
        order = np.lexsort([-norms, -self.strengths])  # the strongest first; of equal ones the larger norm
        self._kept = [int(group) for group in order if self.strengths[group] > 0]

    @property
    def has_regions(self) -> bool:
        """Whether its groups are those of the face, so that they can be drawn on it."""
        return self.header.grouping in ("region", "released") and len(self.strengths) == N_REGIONS

    @property
    def kept(self) -> tuple[str, list[int]]:
        """What the kept groups are called (``"regions"`` or ``"groups"``), and their numbers, the strongest first."""
        return "regions" if self.has_regions and self.header.grouping == "region" else "groups", self._kept

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Predict.

        Parameters
        ----------
        model_input : array, DataFrame, list, or path
            Feature rows (n, n_features) or clips, see `tgsr.models._input.feature_rows`. The columns of a data frame
            that are called as the model's features are put into their order, and refused if they are others.
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

        Notes
        -----
        All forms of input are for `tgsr.load_model`. `mlflow.pyfunc.load_model` and ``mlflow models serve`` compare
        what they are given with the model's signature first: one tensor of numbers, a row a sample, of any width
        because the rows of clips are as wide as the clips are large. Such a signature takes float64 arrays, and over
        HTTP ``inputs`` or ``instances``. MLflow refuses by itself: lists and other numbers than float64 in Python, and
        data frames of any form (JSON, CSV, parquet), which it matches with tensors of a fixed width alone.
        """
        shape, header = (params or {}).get(CLIP_SHAPE), self.header
        try:
            clip_shape = [int(n) for n in ([] if shape is None else shape)]
        except (TypeError, ValueError) as error:
            raise DataError(f"{CLIP_SHAPE} = {shape!r}: give frames, height and width") from error
        if not any(clip_shape):
            model_input = named_rows(model_input, header.feature_names)
        rows = feature_rows(model_input, header.n_features, header.extraction, clip_shape, paths=self._takes_paths)
        return self.answer(rows)

    def answer(self, rows: npt.NDArray[np.float64]) -> pd.DataFrame:
        """Predict checked feature rows as they were extracted; see `predict`."""
        import pandas as pd

        names = self.header.class_names
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of overflow, which is looked for below
            try:
                rows = self._scaling.transform(rows)
                codes = np.asarray(self.estimator.predict(rows))
                scores = self._scores(rows)
            except Exception as error:
                raise DataError(f"the estimator cannot predict these rows: {error}") from error
        if codes.shape != (len(rows),) or codes.dtype.kind not in "iu" or not np.isin(codes, range(len(names))).all():
            raise DataError("the estimator does not answer with a class for each row")
        columns: dict[str, Any] = {"label": [names[code] for code in codes]}
        if scores is not None:
            columns |= {f"score_{names[code]}": column for code, column in zip(self._classes, scores.T, strict=True)}
        if len(self.strengths):
            name, kept = self.kept
            columns[name] = [kept] * len(rows)
            if self.frequency is not None:
                columns["frequency"] = [self.strengths[kept].tolist()] * len(rows)
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


def load_files(folder: Path, *, sha256: str | None = None, trusted: Iterable[str] = ()) -> RegisteredModel:
    """Read what `save_files` wrote, believing nothing of it.

    The header's digest has to be ``sha256``, if that is given; ``trusted`` are types that the estimator may hold beyond
    the known ones: ``"package.module:Class"``.

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
    except (TgsrError, TypeError, ValueError, AttributeError, RecursionError) as error:
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
        raise TrackingError(f"{folder / ESTIMATOR} cannot be used: {one_line(error)}") from error
    return model


def _read(path: Path, largest: int) -> bytes:
    if not path.is_file():
        raise TrackingError(f"{path} is missing or no file")
    if path.stat().st_size > largest:
        raise TrackingError(f"{path} has {path.stat().st_size:,} bytes, more than a model's file can have")
    return path.read_bytes()


class _ServedModel(RegisteredModel):
    """What MLflow loads and serves: reads no paths, and answers what cannot be used with status 400."""

    _takes_paths = False

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        from mlflow.exceptions import MlflowException

        try:
            return super().predict(model_input, params)
        except TgsrError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _load_pyfunc(path: str, model_config: Any = None) -> RegisteredModel:  # noqa: ARG001
    """MLflow's entry: the model in a folder, for `mlflow.pyfunc.load_model` and ``mlflow models serve``."""
    model = load_files(Path(path), trusted=os.environ.get(TRUST, "").split())
    return _ServedModel(model.estimator, model.header)

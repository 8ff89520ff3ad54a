"""What defines a study: stored with it, so that a later run or a worker elsewhere continues the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from studies.space import Space
from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.evaluation.selection import DEFAULT_RULE, get_rule
from tgsr.solvers import SolverSettings
from tgsr.tracking.names import Tag

__all__ = ["SAMPLERS", "SPEC", "ExperimentSpec", "StudySpec", "check_matrices"]

SAMPLERS = ("grid", "tpe", "random")
SPEC = "spec"
"""Key of the study attribute that holds the specification."""


@dataclass(frozen=True)
class ExperimentSpec:
    """An experiment and its data.

    Attributes
    ----------
    experiment : str
        Such as ``"V-N"``.
    source_digest, target_digest : str
        Digests of the databases: other data make another study.
    """

    experiment: str
    source_digest: str
    target_digest: str

    @property
    def title(self) -> str:
        """Name of the parent run."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Readable name with a short hash of everything that defines the study."""
        return f"{self.title} {hashlib.sha256(self.to_json().encode()).hexdigest()[:8]}"

    def to_json(self) -> str:
        """Write it as JSON text: equal specifications give equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    def check_data(self, pair: DatabasePair) -> None:
        """Compare the databases with those that the study was started with.

        Raises
        ------
        TrackingError
            If they differ.
        """
        for role, data, digest in (
            ("source", pair.source, self.source_digest),
            ("target", pair.target, self.target_digest),
        ):
            if data.digest != digest:
                raise TrackingError(
                    f"{data.name}: its content (digest {data.digest[:12]}) is not the {role} that the study was "
                    f"started with ({digest[:12]}); use the same feature files"
                )


@dataclass(frozen=True)
class StudySpec(ExperimentSpec):
    """A study over (κ, ξ) for one experiment.

    Attributes
    ----------
    space : Space
    sampler : {"grid", "tpe", "random"}
    selection : str
        Name of the selection rule that gives a trial its value.
    grouping : {"region", "released"}
    seed : int
    settings : SolverSettings
    """

    space: Space
    sampler: str = "grid"
    selection: str = DEFAULT_RULE
    grouping: str = "region"
    seed: int = 0
    settings: SolverSettings = field(default_factory=SolverSettings)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ParameterError(f"unknown sampler {self.sampler!r}; use one of {', '.join(SAMPLERS)}")
        get_rule(self.selection)

    @property
    def title(self) -> str:
        """Name of the parent run."""
        return f"{self.experiment} {self.sampler} {self.selection} {self.grouping}"

    @classmethod
    def from_json(cls, text: str) -> StudySpec:
        """Read `to_json`'s result.

        Raises
        ------
        TrackingError
            If it was written by a version that stores something else.
        """
        try:
            stored: dict[str, Any] = json.loads(text)
            space = Space(tuple(stored["space"]["kappas"]), tuple(stored["space"]["xis"]))
            return cls(**{**stored, "space": space, "settings": SolverSettings(**stored["settings"])})
        except (ValueError, TypeError, KeyError) as error:
            raise TrackingError(f"the study's specification cannot be read ({error}); update tgsr") from error

    def with_data(self, pair: DatabasePair) -> StudySpec:
        """The same specification for these databases."""
        return replace(self, source_digest=pair.source.digest, target_digest=pair.target.digest)

    @property
    def method(self) -> str:
        """The method that is studied."""
        return "TGSR"

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the study's run and of its trials' runs."""
        return {Tag.EXPERIMENT: self.experiment, Tag.SELECTION: self.selection, Tag.GROUPING: self.grouping}

    @property
    def space_params(self) -> Mapping[str, str]:
        """What is searched, as text."""
        return {"kappas": _range_text(self.space.kappas), "xis": _range_text(self.space.xis)}

    @property
    def common_params(self) -> Mapping[str, str]:
        """Parameters that all trials share, as text."""
        settings = {key: str(value) for key, value in asdict(self.settings).items()}
        return {"grouping": self.grouping, "selection": self.selection, **settings}


def check_matrices(matrices: str) -> int | None:
    """Read which regression matrices are kept: None for ``all``, 0 for ``none``, n for ``best:n`` (of each ξ).

    Raises
    ------
    ParameterError
        If it is none of these.
    """
    if matrices == "all":
        return None
    if matrices == "none":
        return 0
    count = matrices.removeprefix("best:")
    if matrices.startswith("best:") and count.isdigit() and int(count) > 0:
        return int(count)
    raise ParameterError(f"--matrices {matrices!r}: use all, none, or best:3 (the three best trials of each ξ)")


def _range_text(values: tuple[float, ...]) -> str:
    return f"{len(values)} values, {values[0]:g} to {values[-1]:g}"

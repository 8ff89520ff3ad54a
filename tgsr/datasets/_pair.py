"""Source and target of a cross-database experiment, and several databases pooled to one source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tgsr.datasets._alignment import align_dataset
from tgsr.datasets.dataset import FeatureDataset, read_only
from tgsr.errors import DataError, ProtocolError
from tgsr.protocols import pair_name

__all__ = ["DatabasePair", "pool"]

_QUALIFIED = "pooled"  # the parameter that lists what was pooled; its subjects carry their database's name


@dataclass(frozen=True)
class DatabasePair:
    """Source and target of one cross-database experiment, on the classes that both have.

    The target's features are put into the order of the source's, by their names where both have them.

    Samples of other classes are left out; the target's labels are numbered as the source's. A target without labels
    takes the source's classes.

    Attributes
    ----------
    source, target : FeatureDataset
    shared_subjects : tuple of str
        People known to be in both, such as ``"SMIC/s11"``: SMIC's cameras saw the same ones.
    warnings : tuple of str
        What a user should know before believing a result: samples left out, classes without any, shared people.

    Raises
    ------
    DataError
        If the source has no labels, only one class or one and the same row throughout, if the features differ in
        number, names, groups or extraction settings, or if fewer than two classes are in both; the message says what is
        missing where.
    """

    source: FeatureDataset
    target: FeatureDataset
    shared_subjects: tuple[str, ...] = field(init=False)
    warnings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.source.is_labelled:
            raise DataError(f"{self.source.name}: a source needs labels; only a target may be without")
        target = align_dataset(self.source, self.target)
        names, notes = _common_classes([self.source, target]), list[str]()
        source, target = (_on_classes(data, names, notes) for data in (self.source, target))
        _check_content(source, target, notes)
        shared = tuple(sorted(set(_people(source)) & set(_people(target))))
        families = sorted(_families(source) & _families(target))
        pair = pair_name(source.name, target.name)
        if shared:
            people = f"{len(shared)} people ({', '.join(shared)})"
            notes.append(f"{pair}: source and target share {people}: scores say little about new ones")
        elif families and (source.subjects is None or target.subjects is None):
            notes.append(f"{pair}: both are of {', '.join(families)}, so source and target may share people")
        checked = {"source": source, "target": target, "shared_subjects": shared, "warnings": tuple(notes)}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """``"V-N"`` for two of the four known databases, else both names, such as ``"CASME2+SAMM-SMIC_VIS"``."""
        return pair_name(self.source.name, self.target.name)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of both."""
        return self.source.class_names

    @property
    def n_groups(self) -> int:
        """Number of groups of features."""
        return self.source.n_groups

    @property
    def is_generated(self) -> bool:
        """Whether either database is generated."""
        return self.source.is_generated or self.target.is_generated


def pool(datasets: Sequence[FeatureDataset]) -> FeatureDataset:
    """Several labelled databases as one source, on the classes that all have.

    A method then sees the union: its loss adds up over all samples, and the discrepancy between the domains is taken
    between the mean of the union and the target's. A mean for each database would be another method, with a weight for
    each to choose; and it would ask of each database alone to look like the target, which the classifier, trained on
    all together, has no use for.

    Parameters
    ----------
    datasets : sequence of FeatureDataset
        With the same features, in any order if they have names. Subjects and sample ids get their database's name in
        front; cameras of SMIC share theirs, since they saw the same people.

    Returns
    -------
    FeatureDataset
        Called ``"A+B"``; its parameters are those that all have in common.

    Raises
    ------
    DataError
        If one has no labels, the features differ (see `DatabasePair`), or no two classes are common to all.
    ProtocolError
        If a database is named twice.
    """
    first, *others = datasets
    if not others:
        return first
    name = "+".join(data.name for data in datasets)
    if len({data.name for data in datasets}) < len(datasets):
        raise ProtocolError(f"{name}: a database is named twice")
    named = next((data for data in datasets if data.feature_names is not None), first)
    aligned = [align_dataset(named, data) for data in datasets]
    class_names = _common_classes(aligned)
    notes: list[str] = []
    parts = [_on_classes(data, class_names, notes) for data in aligned]
    people = [_people(data) for data in parts if data.subjects is not None]
    samples = [
        f"{data.name}/{sample}"
        for data in parts
        for sample in (range(len(data)) if data.sample_ids is None else data.sample_ids.tolist())
    ]
    first, *others = parts
    parameters = {
        key: value
        for key, value in first.parameters.items()
        if all(part.parameters.get(key) == value for part in others)
    }
    parameters["origin"] = "generated" if any(part.is_generated for part in parts) else "pooled"
    return FeatureDataset(
        name=name,
        features=read_only(np.concatenate([data.features for data in parts])),
        labels=np.concatenate([data.known_labels for data in parts]),
        class_names=class_names,
        subjects=np.concatenate(people) if len(people) == len(parts) else None,
        sample_ids=np.array(samples, dtype=np.str_),
        parameters={**parameters, _QUALIFIED: [part.name for part in parts], "notes": notes},
        groups=named.groups,
        feature_names=named.feature_names,
    )


def _common_classes(datasets: Sequence[FeatureDataset]) -> tuple[str, ...]:
    """The classes that all have, in the order of the first."""
    labelled = [data for data in datasets if data.is_labelled]
    names = [name for name in labelled[0].class_names if all(name in data.class_names for data in labelled)]
    if len(names) < 2:
        lists = "; ".join(f"{data.name} has {', '.join(data.class_names)}" for data in labelled)
        raise DataError(f"at least two classes must be in all databases: {lists}; map labels with --label-map")
    return tuple(names)


def _on_classes(data: FeatureDataset, names: tuple[str, ...], notes: list[str]) -> FeatureDataset:
    """The samples of these classes, numbered in this order."""
    if data.class_names == names:
        return data
    if data.labels is None:
        return replace(data, class_names=names)
    codes = np.array([names.index(name) if name in names else -1 for name in data.class_names])[data.labels]
    left = {name: count for name, count in data.counts.items() if count and name not in names}
    if left:
        counted = ", ".join(f"{count} {name}" for name, count in left.items())
        notes.append(f"{data.name}: left out, since the other database has no such class: {counted}")
    if not (codes >= 0).any():
        raise DataError(f"{data.name}: no sample of the classes {', '.join(names)}")
    kept = data.select(codes >= 0) if left else data
    return replace(kept, labels=codes[codes >= 0], class_names=names)


def _check_content(source: FeatureDataset, target: FeatureDataset, notes: list[str]) -> None:
    """Refuse what nothing can be learnt from; note what makes a score mean little."""
    present = [name for name, count in source.counts.items() if count]
    if len(present) < 2:
        raise DataError(f"{source.name}: all samples are {present[0]}; a source needs at least two classes")
    for data in (source, target):
        if len(data) > 1 and not (data.X - data.X[0]).any():
            raise DataError(f"{data.name}: all samples have the same features; extract them again")
        missing = [name for name, count in data.counts.items() if not count]
        if missing:
            notes.append(f"{data.name}: no sample of {', '.join(missing)}")
    unnamed = [data.name for data in (source, target) if data.feature_names is None]
    if len(unnamed) == 1:
        notes.append(f"{unnamed[0]}: its features have no names; they are taken in the order of the other database's")
    notes += [note for note in source.parameters.get("notes", ()) if note not in notes]


def _family(name: str) -> str:
    return "SMIC" if name.startswith("SMIC_") else name


def _families(data: FeatureDataset) -> set[str]:
    return {_family(name) for name in data.parameters.get(_QUALIFIED, [data.name])}


def _people(data: FeatureDataset) -> list[str]:
    """Who is seen in each sample, with the database in front; empty where that is not known."""
    subjects = [] if data.subjects is None else data.subjects.tolist()
    prefix = "" if _QUALIFIED in data.parameters else f"{_family(data.name)}/"
    return [f"{prefix}{subject}" for subject in subjects]

"""The axes of a grid and its points: products, axes that vary together, points left out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.cards import ConfigNode
from turbo_lab.errors import InputError, unknown_name

MAX_POINTS = 20_000
"""Most points of a grid. A plan keeps every point in memory, and composing takes a while."""


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid."""

    values: Mapping[str, object]
    """Whole config as plain values, with interpolations resolved."""
    axes: tuple[tuple[str, object], ...]
    """Swept keys and their values as written, in the order of the command line."""
    given: frozenset[str] = frozenset()
    """Keys that the command line or a preset names; the others have their defaults."""

    def group(self, name: str) -> Mapping[str, object]:
        """Return the values of a config group."""
        return ConfigNode(self.values).node(name).values


@dataclass(frozen=True)
class Axis:
    """A swept key."""

    key: str
    """Dotted key."""
    values: tuple[object, ...]
    """Values in order, as plain text or numbers."""
    overrides: tuple[str, ...] = ()
    """One override per value where the config has to be composed with each; else empty, and
    values are put into copies of a composed config."""


@dataclass(frozen=True)
class GridRules:
    """Changes to the product of the axes: ``zip=`` and ``exclude=``."""

    zipped: tuple[tuple[str, ...], ...] = ()
    """Keys that vary together, one tuple per ``A+B`` of ``zip=``."""
    excluded: tuple[Mapping[str, object], ...] = ()
    """Points to leave out, each as values or lists of values by swept key."""

    @classmethod
    def from_config(cls, zipped: object, excluded: object) -> GridRules:
        """Validate the values of ``zip`` and ``exclude``. Raises :class:`InputError`."""
        texts = [zipped] if isinstance(zipped, str) else zipped or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"zip={zipped}: must name axes, as in zip=model+lora")
        entries = [excluded] if isinstance(excluded, Mapping) else excluded or []
        if not isinstance(entries, list) or not all(
            isinstance(entry, Mapping) and entry for entry in entries
        ):
            raise InputError(
                f"exclude={excluded}: must list points, as in "
                "exclude=[{num_inference_steps: 1, guidance_scale: 2}]"
            )
        return cls(zipped=tuple(tuple(text.split("+")) for text in texts), excluded=tuple(entries))


def expand(
    axes: Sequence[Axis],
    rules: GridRules,
    compose: Callable[[Sequence[str]], dict[str, object]],
) -> list[GridPoint]:
    """Return the points of a grid, keys that are composed outermost.

    ``compose`` returns the plain config for the overrides of one choice per composed axis; it
    is called once per combination that has a point. Raises :class:`InputError` for rules that
    do not fit the axes, for a grid of over :data:`MAX_POINTS` points and for one without any.
    """
    _check_excluded(axes, rules.excluded)
    points: list[GridPoint] = []
    chosen: tuple[str, ...] | None = None
    base: dict[str, object] = {}
    for choice in _choices(axes, rules.zipped):
        named = tuple((axis.key, axis.values[k]) for axis, k in choice)
        if any(_is_excluded(dict(named), entry) for entry in rules.excluded):
            continue
        overrides = tuple(axis.overrides[k] for axis, k in choice if axis.overrides)
        if overrides != chosen:
            base, chosen = compose(overrides), overrides
        values = dict(base)
        for axis, k in choice:
            if not axis.overrides:
                _put(values, axis.key, axis.values[k])
        points.append(GridPoint(values, named))
    if not points:
        raise InputError("exclude: leaves no point of the grid")
    return points


def too_many_points(text: str) -> InputError:
    """Return the error for a grid that is too large; ``text``: what makes it so."""
    return InputError(
        f"{text}: the grid has more than {MAX_POINTS} points; split it into several sweeps"
    )


def _choices(
    axes: Sequence[Axis], zipped: Sequence[Sequence[str]]
) -> Iterator[list[tuple[Axis, int]]]:
    """Yield one value per axis, as its position: the product, but for axes that are zipped."""
    groups = _groups(axes, zipped)
    # Composing takes much longer than copying, so what is composed changes least often.
    groups.sort(key=lambda group: not any(axis.overrides for axis in group))
    lengths = [len(group[0].values) for group in groups]
    if math.prod(lengths) > MAX_POINTS:
        raise too_many_points(" ".join(axis.key for axis in axes))
    in_order = sorted(axes, key=lambda axis: not axis.overrides)
    for positions in itertools.product(*map(range, lengths)):
        at = {axis.key: k for group, k in zip(groups, positions, strict=True) for axis in group}
        yield [(axis, at[axis.key]) for axis in in_order]


def _groups(axes: Sequence[Axis], zipped: Sequence[Sequence[str]]) -> list[list[Axis]]:
    """Return the axes in groups that vary together. Raises :class:`InputError`."""
    by_key = {axis.key: axis for axis in axes}
    groups: dict[str, list[Axis]] = {}
    for keys in zipped:
        text = f"zip={'+'.join(keys)}"
        for key in keys:
            if key not in by_key:
                raise InputError(f"{text}: {_not_swept(key, by_key)}")
            if key in groups or keys.count(key) > 1:
                raise InputError(f"{text}: {key} is named twice")
        if len(keys) < 2:
            raise InputError(f"{text}: name two axes or more, as in zip=model+lora")
        found = [by_key[key] for key in keys]
        lengths = {axis.key: len(axis.values) for axis in found}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{key} has {number}" for key, number in lengths.items())
            raise InputError(f"{text}: needs equally many values of each; {counts}")
        groups |= dict.fromkeys(keys, found)
    unique = {id(group): group for axis in axes for group in [groups.get(axis.key) or [axis]]}
    return list(unique.values())


def _check_excluded(axes: Sequence[Axis], excluded: Sequence[Mapping[str, object]]) -> None:
    """Refuse a point to leave out that names no axis, or a value that its axis lacks."""
    by_key = {axis.key: axis for axis in axes}
    for entry in excluded:
        for key, value in entry.items():
            if key not in by_key:
                raise InputError(f"exclude: {_not_swept(key, by_key)}")
            for one in value if isinstance(value, list) else [value]:
                if not any(_is_same(one, found) for found in by_key[key].values):
                    listed = ", ".join(map(str, by_key[key].values))
                    raise InputError(f"exclude: {key}={one}: not a value of this axis ({listed})")


def _not_swept(key: str, axes: Mapping[str, Axis]) -> str:
    """Return why a key is not an axis of this grid."""
    swept = f"swept are {', '.join(axes)}" if axes else "list several values of it"
    return f"{key} is not swept here; {swept}"


def _is_excluded(point: Mapping[str, object], entry: Mapping[str, object]) -> bool:
    """Return whether a point has all values of an entry."""
    return all(
        any(_is_same(one, point[key]) for one in (value if isinstance(value, list) else [value]))
        for key, value in entry.items()
    )


def _is_same(one: object, other: object) -> bool:
    """Return whether two values were written alike, or are the same number."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other and isinstance(one, bool) == isinstance(other, bool)
    return str(one) == str(other)


def _put(values: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key; the nested dictionaries on its way are copied."""
    *parents, last = key.split(".")
    for parent in parents:
        below = values.get(parent)
        if not isinstance(below, Mapping):
            raise InputError(f"{key}: {parent} is one value; write {parent}=VALUE")
        copied = dict(below)
        values[parent] = copied
        values = copied
    if last not in values:
        raise unknown_name("key", key, values)
    values[last] = value

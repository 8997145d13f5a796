"""The entrants of a comparison, from ``KEY=VALUE`` words.

Owns ``baselines=`` and ``published=``, which are not keys of the config, and the rule of which
words describe the candidate alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turbo_lab import config
from turbo_lab.api.selection import compose_points
from turbo_lab.api.sides import SideWords, split_sides
from turbo_lab.compare.entrant import Entrant, Entrants, FailedEntrant, entrant_label
from turbo_lab.compare.published import refuse_published
from turbo_lab.compare.sides import SideName, require_one_cell
from turbo_lab.config import GridPoint
from turbo_lab.errors import InputError, MissingFilesError, NotOnThisMachineError, UnfitError
from turbo_lab.planning.resolved_sweep import resolve_points

# Keys that every label names.
_IN_LABEL = ("model", "num_inference_steps")
# Keys of the candidate alone if the baselines are other models: each of those has its own.
_OWN_KEYS = ("model", "num_inference_steps", "guidance_scale", "lora", "scheduler")


@dataclass(frozen=True)
class CompareWords:
    """The words of a comparison."""

    sides: SideWords
    """Words of the config, by the side that they belong to."""
    models: tuple[str, ...]
    """Models of ``baselines=``; empty if both sides have the same model."""
    is_published: bool
    """``True`` for ``published=on``: show tables of published values."""

    @classmethod
    def split(cls, words: Sequence[str]) -> CompareWords:
        """Split the words. Raises :class:`InputError` if they name nothing that differs."""
        keys = list(words)
        published = _take_key(keys, "published")
        if published not in (None, "on", "off"):
            raise InputError(f"published={published}: must be on or off")
        named = _take_key(keys, "baselines")
        sides = split_sides(keys)
        if sides.has_selection:
            if named or sides.has_sides:
                raise InputError(
                    "compare: cells= names the candidate and its baselines; leave out baselines=, "
                    "candidate. and baseline."
                )
            return cls(sides, (), published == "on")
        if not named and not sides.has_sides:
            raise InputError(
                "compare: name the baselines, as in compare baselines=nano-sdxl,nano-lcm, or what "
                "differs, as in compare candidate.dtype=bfloat16"
            )
        models = tuple(named.split(",")) if named else ()
        refuse_published("compare", *keys, *models)
        return cls(sides, models, published == "on")

    def entrants(self) -> tuple[Entrants, Entrants]:
        """Compose the candidates, of which there may be several, and every baseline.

        With more than two entrants, one that this machine cannot run is a
        :class:`FailedEntrant`.
        """
        sides = self.sides
        if sides.has_selection:
            return _chosen_entrants(sides.common)
        candidate_words = sides.of("candidate")
        points = config.compose("compare", candidate_words)
        own = self._of_the_candidate()
        if not self.models:
            baselines = [_entrant("baseline", sides.of("baseline"), sides.baseline)]
        else:
            shared = [word for word in sides.common if not _is_own(word)]
            tolerant = len(self.models) > 1
            baselines = [
                _entrant(
                    "baseline",
                    [*shared, f"model={model}", *sides.baseline],
                    sides.baseline,
                    tolerant,
                )
                for model in self.models
            ]
        tolerant = len(points) > 1
        return [_of_point(point, own, tolerant) for point in points], baselines

    @property
    def is_candidate_reference(self) -> bool:
        """``True`` if others are compared with the candidate, ``False`` if with the baseline."""
        return bool(self.models) or self.sides.has_selection

    def _of_the_candidate(self) -> list[str]:
        """Return the words that belong to the candidate alone."""
        taken = [word for word in self.sides.common if _is_own(word)] if self.models else []
        return [*taken, *self.sides.candidate]


def _chosen_entrants(words: Sequence[str]) -> tuple[Entrants, Entrants]:
    """Return the chosen cells of ``cells=FILE``: the first is the candidate."""
    points = compose_points("compare", words)
    if len(points) < 2:
        raise InputError("compare: cells= has one favourite; choose two cells or more")
    candidate, *baselines = (
        Entrant(
            resolve_points([point]),
            tuple(f"{key}={value}" for key, value in point.axes if key not in _IN_LABEL),
            is_chosen=True,
        )
        for point in points
    )
    return [candidate], baselines


def _take_key(words: list[str], key: str) -> str | None:
    """Remove ``key=VALUE`` from the words and return the value as it was written."""
    for index, word in enumerate(words):
        if word.startswith(f"{key}="):
            del words[index]
            return word.partition("=")[2]
    return None


def _is_own(word: str) -> bool:
    return word.partition("=")[0] in _OWN_KEYS


def _entrant(
    side: SideName, words: Sequence[str], own: Sequence[str], is_tolerant: bool = False
) -> Entrant | FailedEntrant:
    """Compose one baseline; ``own``: the words that belong to it alone."""
    points = config.compose("compare", words)
    if len(points) != 1:
        require_one_cell("compare", side, resolve_points(points))
    return _of_point(points[0], own, is_tolerant)


def _of_point(point: GridPoint, own: Sequence[str], is_tolerant: bool) -> Entrant | FailedEntrant:
    """Resolve one point of a side; ``own``: the words that belong to this side alone.

    ``is_tolerant``: an entrant that this machine cannot run does not end the comparison.
    """
    swept = dict(point.axes)
    fixed = (word for word in own if word.partition("=")[0] not in (*_IN_LABEL, *swept))
    varied = (f"{key}={value}" for key, value in swept.items() if key not in _IN_LABEL)
    words = (*fixed, *varied)
    try:
        return Entrant(resolve_points([point]), words)
    except (UnfitError, NotOnThisMachineError, MissingFilesError) as error:
        if not is_tolerant:
            raise
        return FailedEntrant(entrant_label(*_named(point), words), error)


def _named(point: GridPoint) -> tuple[str, int]:
    """Return the model's name and the number of steps of a point."""
    steps = point.values["num_inference_steps"]
    assert isinstance(steps, int)  # Request.from_config has refused anything else
    return str(point.group("model")["name"]), steps

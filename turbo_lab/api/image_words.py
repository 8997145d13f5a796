"""The words of ``generate``: a prompt, keys, and an image that gives the keys left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turbo_lab import config
from turbo_lab.api.words import key_words
from turbo_lab.config import GridPoint
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.store.layout import DEFAULT_STORE
from turbo_lab.workflows.image_keys import ImageKeys, differences, read_image_keys


@dataclass(frozen=True)
class GenerateWords:
    """The points that words name, and the image that they were completed from."""

    points: tuple[GridPoint, ...]
    """Points of the grid; empty if a flag of Hydra printed something instead."""
    image: ImageKeys | None
    """Text of the image that is drawn again. ``None``: there is no image."""
    given: frozenset[str]
    """Config keys that the user named."""

    @classmethod
    def compose(cls, prompt: str | None, words: Sequence[str], image: Path | None) -> GenerateWords:
        """Compose words; keys and the prompt that they leave out are those of ``image``.

        Raises :class:`InputError` for a wrong key, and for an image that cannot be drawn again.
        """
        given = frozenset(word.partition("=")[0] for word in words if not word.startswith("-"))
        found, read = None, list[str]()
        if image is not None:
            stores = [word.partition("=")[2] for word in words if word.startswith("store=")]
            found = read_image_keys(image, given, Path([DEFAULT_STORE, *stores][-1]))
            read = key_words(found.values)
            if prompt is None and not given & {"prompt", "prompts"}:
                prompt = found.prompt
        points = config.compose("generate", [*read, *words])
        if prompt is not None:
            # Not through Hydra's grammar, which gives backslashes, braces and equals signs a
            # meaning.
            points = [replace(point, values={**point.values, "prompt": prompt}) for point in points]
        return cls(tuple(points), found, given)

    def notes(self, sweep: ResolvedSweep) -> tuple[str, ...]:
        """Return what is not equivalent to the image in a resolved sweep, one line each."""
        if self.image is None:
            return ()
        return (*self.image.notes, *differences(self.image, sweep, self.given))

"""The entrants of ``turbo-lab compare``, from the words of a command line."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.cli.sides import SideWords, compose_side
from turbo_lab.compare.contenders import Entrant
from turbo_lab.compare.sides import SideName

# Keys of the candidate alone if the baselines are other models: each of those has its own.
_OWN_KEYS = ("model", "num_inference_steps", "guidance_scale", "lora", "scheduler")


def entrants(words: SideWords, models: Sequence[str]) -> tuple[Entrant, list[Entrant]]:
    """Compose the candidate and every baseline."""
    candidate = _entrant("candidate", words.of("candidate"), _own(words, models))
    if not models:
        baseline = _entrant("baseline", words.of("baseline"), words.baseline)
        return candidate, [baseline]
    shared = [word for word in words.common if not _is_own(word)]
    return candidate, [
        _entrant("baseline", [*shared, f"model={model}", *words.baseline], words.baseline)
        for model in models
    ]


def _own(words: SideWords, models: Sequence[str]) -> list[str]:
    """Return the words that belong to the candidate alone."""
    taken = [word for word in words.common if _is_own(word)] if models else []
    return [*taken, *words.candidate]


def _is_own(word: str) -> bool:
    return word.partition("=")[0] in _OWN_KEYS


def _entrant(side: SideName, words: Sequence[str], own: Sequence[str]) -> Entrant:
    """Compose one entrant; ``own``: the words that belong to it alone."""
    named = ("model", "num_inference_steps")
    label = tuple(word for word in own if word.partition("=")[0] not in named)
    return Entrant(compose_side("compare", side, words), label)

"""The stages of a pipeline call: text, encode, unet, vae, post and other.

Owns the split of a stock pipeline's call into its parts, without changing the
call: methods are wrapped on the instances and restored on exit. On a CUDA
device events are recorded and read after the run, so nothing waits inside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any

from turbo_lab.runtime.wrapping import call_name, wrapped

STAGES = ("text", "unet", "vae", "post", "other")
"""Stages of every call. With source images, ``encode`` comes after ``text``."""

Methods = Mapping[str, tuple[Any, str]]
"""Owner and name of the method of each stage but ``other``."""


def stock_methods(pipeline: Any, has_source: bool = False) -> Methods:
    """Return the methods of the stock call's stages; ``has_source``: it encodes source images."""
    return {
        "text": (pipeline, "encode_prompt"),
        **({"encode": (pipeline.vae, "encode")} if has_source else {}),
        # __call__ of a module looks forward up on the instance first
        "unet": (pipeline.unet, call_name(pipeline.unet)),
        "vae": (pipeline.vae, "decode"),
        "post": (pipeline.image_processor, "postprocess"),
    }


class StageClock:
    """``with StageClock(pipeline, device) as stages: measure_call(..., stages=stages)``.

    ``methods``: owner and name of each stage's method; ``None``: those of the stock call.
    """

    def __init__(self, pipeline: Any, device: str = "cpu", methods: Methods | None = None) -> None:
        self._targets = stock_methods(pipeline) if methods is None else methods
        self._cuda = device.startswith("cuda")
        self._marks: list[tuple[str, Any, Any]] = []
        self._wrapped = ExitStack()

    def __enter__(self) -> StageClock:
        for stage, (owner, name) in self._targets.items():
            self._wrapped.enter_context(wrapped(owner, name, partial(self._timed, stage)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wrapped.close()

    def reset(self) -> None:
        """Forget the calls so far: those of the warm-up."""
        self._marks.clear()

    def means(self, calls: int, mean_s: float) -> Mapping[str, float]:
        """Return each stage's mean seconds over ``calls``; with ``other`` they sum to ``mean_s``.

        ``other`` is what is left: scheduler steps, noise, the loop itself. Read
        after the device was waited for.
        """
        totals = dict.fromkeys(self._targets, 0.0)
        for stage, start, end in self._marks:
            totals[stage] += self._seconds(start, end)
        parts = {stage: total / calls for stage, total in totals.items()}
        return {**parts, "other": mean_s - sum(parts.values())}

    def unet_steps(self, calls: int) -> tuple[float, ...] | None:
        """Return the mean seconds of the first, second, ... UNet call; they sum to ``unet``.

        ``None`` where the calls had not as many each. Read after the device was
        waited for.
        """
        taken = [self._seconds(start, end) for stage, start, end in self._marks if stage == "unet"]
        steps, rest = divmod(len(taken), calls)
        if rest:
            return None
        return tuple(sum(taken[step::steps]) / calls for step in range(steps))

    def _seconds(self, start: Any, end: Any) -> float:
        if self._cuda:
            return float(start.elapsed_time(end)) / 1e3
        return float(end - start) / 1e9

    def _timed(self, stage: str, method: Callable[..., Any]) -> Callable[..., Any]:
        marks, mark = self._marks, self._event if self._cuda else time.perf_counter_ns

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = mark()
            try:
                return method(*args, **kwargs)
            finally:
                marks.append((stage, start, mark()))

        return timed

    @staticmethod
    def _event() -> Any:
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

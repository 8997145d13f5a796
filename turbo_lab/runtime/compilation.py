"""Compiled parts of a resident pipeline: ``torch.compile``, with a limit on its time.

Owns what is compiled, how long it took, and what happens if it fails: the part is
called uncompiled from then on, and the reason is kept for records and messages.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.errors import InputError
from turbo_lab.identity import user_cache
from turbo_lab.progress import StderrProgress, duration, waiting
from turbo_lab.request.pipeline import OWN_GRAPHS
from turbo_lab.runtime.memory import is_out_of_memory

# Of batches, sizes and adapter stacks that one resident UNet is compiled for.
_MAX_SHAPES = 256
DEFAULT_LIMIT_S = 600.0
"""Longest compilation of one call, in seconds."""

_AGAIN_S = 0.2


class _OutOfTimeError(BaseException):
    """Raised inside a compilation that takes too long; no handler of torch's takes it."""


@dataclass
class Compilation:
    """The compiled parts of one pipeline, and what came of them."""

    mode: str = "default"
    """Mode of ``torch.compile``."""
    limit_s: float = DEFAULT_LIMIT_S
    """Longest compilation of one call, in seconds; torch looks up between two kernels."""
    seconds: float = 0.0
    """Time spent on compiling so far."""
    failed: dict[str, str] = field(default_factory=dict)
    """Parts that are called uncompiled, with the reason."""

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of a result must know: the parts that are not compiled."""
        return tuple(
            f"compile={self.mode}: the {part} is not compiled ({reason}); it is called eagerly"
            for part, reason in self.failed.items()
        )

    def require(self) -> None:
        """Refuse to draw images that are not what their recipe names.

        Raises :class:`InputError` if a part is not compiled.
        """
        if self.failed:
            part, reason = next(iter(self.failed.items()))
            raise InputError(
                f"compile={self.mode}: the {part} is not compiled ({reason}); raise "
                "compile_limit_s, or use compile=none"
            )

    def apply(self, pipeline: StableDiffusionXLPipeline, scope: str, **options: Any) -> None:
        """Compile the parts of a scope in place, each shape for itself, at their first call.

        ``options`` are those of ``torch.compile``. Shapes that torch makes dynamic after
        the second one would give an image other bits according to what was drawn before it.
        """
        # Compiled code is kept between processes.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache() / "inductor"))
        torch.compiler.reset()  # what an earlier model left counts against the limit
        options = {"dynamic": False, "mode": self.mode, **options}
        if "backend" in options:
            del options["mode"]  # a mode is inductor's
        if scope.startswith("repeated-blocks"):
            pipeline.unet.compile_repeated_blocks(**options)
            blocks = [m for m in pipeline.unet.modules() if m._compiled_call_impl is not None]
            self._guard("UNet", pipeline.unet, pipeline.unet._call_impl, blocks)
        else:
            pipeline.unet.compile(**options)
            self._guard("UNet", pipeline.unet, pipeline.unet._compiled_call_impl, [])
        if scope.endswith("+vae"):
            decoder = pipeline.vae.decoder
            decoder.compile(**options)
            self._guard("VAE's decoder", decoder, decoder._compiled_call_impl, [])

    def _guard(
        self, part: str, module: Any, compiled: Callable[..., Any], blocks: list[Any]
    ) -> None:
        """Put a call in the place of a module's compiled one that falls back if it must.

        ``blocks``: compiled modules inside of an uncompiled one.
        """

        def call(*arguments: Any, **named: Any) -> Any:
            if part in self.failed:
                return module._call_impl(*arguments, **named)
            try:
                with self._settings(), self._watched(part) as watch:
                    return self._own(compiled, arguments, named)
            except (Exception, _OutOfTimeError) as error:
                if not watch.is_failure(error):
                    raise
                self.failed[part] = _reason(error, self.limit_s)
            for block in blocks:
                block._compiled_call_impl = None
            StderrProgress().note(f"warning: {self.notes()[-1]}")
            return module._call_impl(*arguments, **named)

        module._compiled_call_impl = call

    def _own(
        self, compiled: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        """Call compiled code; what torch's own CUDA graphs return would be overwritten."""
        if self.mode not in OWN_GRAPHS:
            return compiled(*arguments, **named)
        torch.compiler.cudagraph_mark_step_begin()
        outputs = compiled(*arguments, **named)
        if isinstance(outputs, torch.Tensor):
            return outputs.clone()
        return tuple(output.clone() for output in outputs)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Set torch's limits for a call: past them it would go on uncompiled, and say nothing."""
        import torch._dynamo.config as dynamo  # seconds, and only here
        import torch._inductor.config as inductor
        from torch._dynamo.exc import FailOnRecompileLimitHit

        with ExitStack() as stack:
            stack.enter_context(
                dynamo.patch(recompile_limit=_MAX_SHAPES, fail_on_recompile_limit_hit=True)
            )
            if self.mode == "max-autotune":  # choose no kernel by its time
                stack.enter_context(inductor.patch(deterministic=True))
            try:
                yield
            except FailOnRecompileLimitHit as error:
                raise InputError(
                    f"compile: the UNet was compiled for {_MAX_SHAPES} batches, sizes and adapters "
                    "in one process; sweep fewer of them at once"
                ) from error

    @contextmanager
    def _watched(self, part: str) -> Iterator[_Watch]:
        """Measure, limit and announce what is compiled inside."""
        from torch._dynamo.callback import callback_handler

        watch = _Watch(part, self.limit_s)
        callback_handler.register_start_callback(watch.start)
        callback_handler.register_end_callback(watch.end)
        try:
            yield watch
        finally:
            callback_handler.remove_start_callback(watch.start)
            callback_handler.remove_end_callback(watch.end)
            watch.close()
            self.seconds += watch.seconds


class _Watch:
    """One call of a compiled part: the time that it spends on compiling."""

    def __init__(self, part: str, limit_s: float) -> None:
        self.seconds = 0.0
        self._part, self._limit_s = part, limit_s
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._began = 0.0
        self._error: BaseException | None = None
        self._shown = ExitStack()

    def start(self, _: object) -> None:
        """Begin a compilation; torch calls this."""
        if not self.seconds:
            limit = duration(self._limit_s)
            StderrProgress().say(f"compiling the {self._part}, for at most {limit}")
        self._shown.enter_context(waiting(f"compiling the {self._part}"))
        self._began = time.perf_counter()
        with self._lock:
            self._stop_after(max(0.0, self._limit_s - self.seconds))

    def end(self, _: object) -> None:
        """End a compilation, whether or not it failed; torch calls this."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self._shown.close()
        self.seconds += time.perf_counter() - self._began
        self._error = sys.exception()

    def close(self) -> None:
        """Announce the time, and take back an interruption that came too late."""
        _interrupt(self._thread, None)
        if self.seconds and self._error is None:
            StderrProgress().say(f"compiled the {self._part} in {duration(self.seconds)}")

    def is_failure(self, error: BaseException) -> bool:
        """Return whether an error is about compiling: only then an uncompiled call may help."""
        if isinstance(error, _OutOfTimeError):
            return True
        is_own = isinstance(error, InputError) or is_out_of_memory(error)
        return self._error is not None and not is_own

    def _stop_after(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._stop)
        self._timer.daemon = True
        self._timer.start()

    def _stop(self) -> None:
        """Interrupt the compilation until it ends: a finaliser may take the exception."""
        with self._lock:
            if self._timer is not None:
                _interrupt(self._thread, _OutOfTimeError)
                self._stop_after(_AGAIN_S)


def _interrupt(thread: int, kind: type[BaseException] | None) -> None:
    """Raise an exception in a thread at its next line of Python; ``None`` takes it back."""
    raised = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


def _reason(error: BaseException, limit_s: float) -> str:
    if isinstance(error, _OutOfTimeError):
        return f"it took longer than {duration(limit_s)}"
    inner = getattr(error, "inner_exception", error)  # torch wraps what a backend raises
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"{type(inner).__name__}: {lines[0][:200]}" if lines else type(inner).__name__

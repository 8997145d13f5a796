"""``sweep``, ``compare`` and ``gate`` as functions, with the keys of the command line."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from turbo_lab.api.results import Comparison, Gate, Sweep
from turbo_lab.api.words import all_words
from turbo_lab.cards import check_own_groups, with_own_groups
from turbo_lab.errors import InputError, TurboLabWarning
from turbo_lab.progress import StderrProgress, hidden

OwnGroups = str | os.PathLike[str] | None


class _Turns:
    """Turns of calls from several threads: torch's settings and signals are the process's."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.has_drawn = False
        self.is_fork_of_drawn = False

    def in_fork(self) -> None:
        """Begin in a forked process, which has none of its parent's threads."""
        self._lock = threading.RLock()  # a thread of the parent may have had it
        self.is_fork_of_drawn = self.has_drawn

    @contextmanager
    def wait(self, command: str) -> Iterator[None]:
        """Wait until no other thread's call is at work.

        Raises :class:`InputError` in a process in which torch would wait for ever.
        """
        if self.is_fork_of_drawn:
            raise InputError(
                f"{command}: this process is a fork of one that has drawn with torch, and has none "
                "of its threads; use spawn, as in ProcessPoolExecutor(mp_context="
                "multiprocessing.get_context('spawn'))"
            )
        with self._lock:
            try:
                yield
            finally:
                self.has_drawn |= "torch" in sys.modules


_TURNS = _Turns()
os.register_at_fork(after_in_child=_TURNS.in_fork)


def sweep(
    *words: str, progress: bool = False, config_dir: OwnGroups = None, **keys: object
) -> Sweep:
    """Run a grid, measure it and return its results; without keys, the default sweep.

    ``keys``: keys of the command line. A list, tuple or range is an axis, a dictionary sets the
    keys below its own, ``None`` is ``null``; text is passed as it is. ``words``: ``KEY=VALUE`` as
    on the command line, with its shorthands. ``progress``: show it on standard error.
    ``config_dir``: folder with groups of your own, such as ``model/`` and ``prompts/``.

    A cell that fails does not raise: its ``error`` says why. Raises a
    :class:`turbo_lab.errors.TurboLabError` where the command prints an error.
    """
    from turbo_lab import config
    from turbo_lab.api.selection import compose_points
    from turbo_lab.planning.resolved_sweep import resolve_points
    from turbo_lab.workflows.sweep import run_tracked

    named = config.with_default_sweep(all_words("sweep", words, keys))
    with _turn("sweep", progress, config_dir):
        reporter = StderrProgress()
        try:
            finished = run_tracked(resolve_points(compose_points("sweep", named)), reporter)
        finally:
            reporter.end()
    return Sweep(finished.result, finished.sheet, finished.is_tracked)


def compare(
    *words: str,
    baselines: str | Sequence[str] = (),
    published: bool = False,
    progress: bool = False,
    config_dir: OwnGroups = None,
    **keys: object,
) -> Comparison:
    """Compare a model with baselines, or variants of one, on the same prompts and seeds.

    ``baselines``: names of models. ``candidate`` and ``baseline``: dictionaries of keys that
    belong to one side. ``published``: add tables of published values to the document. Everything
    else is as in :func:`sweep`.
    """
    from turbo_lab.api.entrants import CompareWords
    from turbo_lab.compare.contenders import compare_entrants, compare_report
    from turbo_lab.compare.entrant import size_warnings
    from turbo_lab.compare.published import published_tables
    from turbo_lab.compare.tracked import track_comparison

    models = [baselines] if isinstance(baselines, str) else list(baselines)
    own = [f"baselines={','.join(models)}"] if models else []
    own += ["published=on"] if published else []
    named = CompareWords.split([*all_words("compare", words, keys), *own])
    with _turn("compare", progress, config_dir):
        candidates, others = named.entrants()
        for text in size_warnings(candidates, others):
            StderrProgress().note(f"warning: {text}")
        found = compare_entrants(
            candidates, others, is_candidate_reference=named.is_candidate_reference
        )
        for label, reason in found.failed.items():
            StderrProgress().note(f"warning: {label} failed: {reason}")
        report = compare_report(found, published_tables() if named.is_published else None)
        track_comparison(found, report, [*candidates, *others], StderrProgress().note)
    return Comparison(report)


def gate(
    *words: str,
    fresh: bool = False,
    progress: bool = False,
    config_dir: OwnGroups = None,
    **keys: object,
) -> Gate:
    """Decide by a policy whether a candidate may be released.

    ``gate``: name of the policy, such as ``release``. ``candidate`` and ``baseline``:
    dictionaries of keys that belong to one side; without ``baseline``, the stored one of the
    policy serves. ``fresh``: draw the candidate again, even if it is in the store. Everything
    else is as in :func:`sweep`.

    A regression does not raise: it is the verdict.
    """
    from turbo_lab.api.gates import compose_gate
    from turbo_lab.gate.inputs import gate_inputs
    from turbo_lab.gate.run import fresh_store, gate_report, run_gate
    from turbo_lab.gate.verdict_files import track_gate

    arguments = all_words("gate", words, keys)
    with _turn("gate", progress, config_dir):
        named = compose_gate(arguments)
        assert named is not None  # there are no flags of Hydra among the words
        own_store = fresh_store(named.candidate) if fresh else nullcontext(named.candidate)
        with own_store as candidate:
            inputs = gate_inputs(named.policy, candidate, named.baseline)
            for text in inputs.warnings:
                StderrProgress().note(f"warning: {text}")
            result = run_gate(inputs)
            sides = named.words
            report = gate_report(result, sides.of("candidate"), sides.of("baseline"))
            # The page shows images, and a fresh store is gone after this block.
            track_gate(result, report, named.candidate.options, StderrProgress().note)
    return Gate(report)


@contextmanager
def _turn(command: str, progress: bool, config_dir: OwnGroups) -> Iterator[None]:
    """Wait for the calls of other threads, and show progress or issue notes as warnings.

    Inside, the groups of ``config_dir`` are read as well.

    Unless progress is shown, what a user must know becomes a warning at the end: notes come from
    several threads, and a warning may be an exception. If the work fails, they are attached to
    its error.
    """
    # diffusers imports the bars for notebooks, which are not used, and which ask for ipywidgets.
    warnings.filterwarnings("ignore", message="IProgress not found")
    notes: list[str] = []
    shown = nullcontext() if progress else hidden(notes.append)
    own = None if config_dir is None else check_own_groups(os.fspath(config_dir), "config_dir")
    with _TURNS.wait(command), shown, with_own_groups(own):
        try:
            yield
        except BaseException as error:
            for text in notes:
                error.add_note(text)
            raise
    for text in dict.fromkeys(notes):
        warnings.warn(text.removeprefix("warning: "), TurboLabWarning, stacklevel=4)

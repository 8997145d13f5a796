"""Run the fuzzer: ``python -m experiments.fuzz [--lines N] [--files N] [--seed N]``.

It stops at the first fault, prints the smallest input that shows it, and ends with exit
code 1. Add that input to ``corpus.json``, so that it is tried again in every run.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from experiments.fuzz import trial
from experiments.fuzz.command_lines import command_lines
from experiments.fuzz.damage import damaged
from experiments.fuzz.playground import Playground
from experiments.fuzz.readers import readers

CORPUS = Path(__file__).parent / "corpus.json"
# Hypothesis gets slower with each example that it remembers.
_CHUNK = 5_000
_MEMORY_BYTES = 4 << 30


def main() -> int:
    """Run the corpus, random command lines and damaged files; returns the exit code."""
    options = _options()
    # A file must not make a command allocate without bound.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, trial.barrier():
        playground = Playground(Path(folder).resolve())
        try:
            _run_corpus(playground, counts)
            lines = partial(_line_test, playground, counts)
            files = partial(_file_test, playground, counts)
            search("lines", options.lines, options.seed, lines, shrinks=True)
            search("files", options.files, options.seed, files, shrinks=False)
        except AssertionError as found:
            print(found, file=sys.stderr)
            return 1
    print(json.dumps(dict(sorted(counts.items()))))
    return 0


def _options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.fuzz", description=__doc__)
    parser.add_argument("--lines", type=int, default=2_000, help="random command lines")
    parser.add_argument("--files", type=int, default=500, help="damaged files")
    parser.add_argument("--seed", type=int, default=0, help="another seed tries other inputs")
    return parser.parse_args()


def _run_corpus(playground: Playground, counts: Counter[str]) -> None:
    """Run every command line that once showed a fault."""
    for words in json.loads(CORPUS.read_text(encoding="utf-8")):
        _try(words, playground, counts)


def search(
    what: str,
    number: int,
    seed: int,
    make_test: Callable[[], Callable[[], None]],
    *,
    shrinks: bool,
    chunk: int = _CHUNK,
) -> None:
    """Run a property test ``number`` times, in chunks, each with another seed.

    ``make_test`` makes the test of a chunk: settings can be given to a test only once.
    ``shrinks``: whether to look for a smaller input with the same fault.
    """
    begun = time.monotonic()
    for k, start in enumerate(range(0, number, chunk)):
        size = min(chunk, number - start)
        limits = hypothesis.settings(
            max_examples=size,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            verbosity=hypothesis.Verbosity.quiet,
            phases=[hypothesis.Phase.generate, *([hypothesis.Phase.shrink] * shrinks)],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(seed * 1_000_003 + k)(limits(make_test()))()
        rate = (start + size) / (time.monotonic() - begun)
        print(f"{start + size} {what}, {rate:.0f} per second", file=sys.stderr)


def _line_test(playground: Playground, counts: Counter[str]) -> Callable[[], None]:
    """Return the property that every command line ends well."""

    @hypothesis.given(command_lines(), st.sampled_from(("utf-8", "utf-8", "ascii", "latin-1")))
    def test(words: list[str], encoding: str) -> None:
        _try(words, playground, counts, encoding=encoding)

    return test


def _file_test(playground: Playground, counts: Counter[str]) -> Callable[[], None]:
    """Return the property that every command ends well that reads a damaged file."""
    names = [name for name in playground.files() if readers(name)]
    cases = st.sampled_from(names).flatmap(
        lambda name: st.tuples(
            st.just(name),
            damaged(name, playground.original(name)),
            st.sampled_from(readers(name)),
        )
    )

    @hypothesis.given(cases)
    def test(case: tuple[str, bytes, tuple[str, ...]]) -> None:
        name, content, words = case
        playground.write(name, content)
        _try(words, playground, counts, f"{name} = {content[:2000]!r}")

    return test


def _try(
    words: Sequence[str],
    playground: Playground,
    counts: Counter[str],
    about: str = "",
    encoding: str = "utf-8",
) -> None:
    """Run one command line; raises :class:`AssertionError` with what is wrong."""
    shown = f"turbo-lab {json.dumps(list(words))} ({encoding})\n{about}"
    try:
        outcome = trial.run(words, playground.folder, encoding)
        wrong = trial.fault(words, outcome) or ", ".join(playground.half_written())
    except trial.TooLong as error:
        raise AssertionError(f"{shown}\n{error}") from error
    finally:
        playground.restore()
    counts["accepted" if outcome.code is None else f"exit {outcome.code}"] += 1
    if wrong:
        raise AssertionError(f"{shown}\n{wrong}\n{outcome.errors[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())

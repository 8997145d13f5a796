"""A clock that tests move by hand."""

from __future__ import annotations

from collections.abc import Iterator


class FakeTime:
    """A clock that only moves when the work says so."""

    def __init__(self, durations_ms: Iterator[float]) -> None:
        self.now_ns, self.calls, self._durations = 0, 0, durations_ms

    def work(self) -> None:
        self.calls += 1
        self.now_ns += round(next(self._durations) * 1e6)

    def clock(self) -> int:
        return self.now_ns


def steady(*first: float, then: float = 10.0) -> Iterator[float]:
    """Yield durations in milliseconds: these, then always the same."""
    yield from first
    while True:
        yield then

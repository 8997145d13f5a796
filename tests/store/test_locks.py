"""Locks between real processes: one holds a lock, its death releases it, and nobody polls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from turbo_lab.store.locks import Locks

ROOT = str(Path(__file__).parents[2])
# Runs the command on each input line, and answers with a line.
OTHER = """
import sys
from pathlib import Path
from turbo_lab.store.locks import Locks
locks = Locks(Path(sys.argv[1]))
for line in sys.stdin:
    verb, *names = line.split()
    if verb == "alone":
        with locks.alone() as answer:
            print(answer, flush=True)
    else:
        print(getattr(locks, verb)(*names), flush=True)
"""


class Other:
    """Another process with locks on the same file."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ROOT},
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claims"


def test_what_one_has_the_other_has_not_until_it_is_given_back(path: Path) -> None:
    ours, other = Locks(path), Other(path)
    assert ours.acquire("a")
    assert other.ask("acquire a") == "False"
    assert other.ask("acquire b") == "True"
    assert not ours.acquire("b")
    ours.release("a")
    assert other.ask("acquire a") == "True"
    other.kill()


def test_a_killed_process_gives_back_what_it_had(path: Path) -> None:
    ours, other = Locks(path), Other(path)
    assert other.ask("acquire a") == "True"
    assert not ours.acquire("a")
    other.kill()
    assert ours.acquire("a")
    ours.release("a")


def test_a_waiting_process_takes_over_from_a_killed_one(path: Path) -> None:
    first, second = Other(path), Other(path)
    assert first.ask("acquire a") == "True"
    second.tell("acquire a wait")
    first.kill()
    assert second.answer() == "True"
    second.kill()


def test_alone_only_while_nobody_else_has_joined(path: Path) -> None:
    ours, other = Locks(path), Other(path)
    ours.join()
    assert other.ask("alone") == "False"
    other.ask("join")
    with ours.alone() as is_alone:
        assert not is_alone
    other.kill()
    with ours.alone() as is_alone:
        assert is_alone


def test_a_second_opening_of_the_file_keeps_what_the_first_has(path: Path) -> None:
    """POSIX drops a process's locks with any of its handles of the file."""
    ours, other = Locks(path), Other(path)
    assert ours.acquire("a")
    again = Locks(path)
    del again
    assert other.ask("acquire a") == "False"
    ours.release("a")
    other.kill()

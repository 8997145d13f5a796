"""Ctrl-C is raised at chosen points, the second one at once, and the handler is put back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from turbo_lab.execute.interrupt import Interrupts


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_is_raised_at_once_where_it_is_allowed() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts, interrupts.allowed():
        ctrl_c()
        reached = True
    assert not reached


def test_elsewhere_it_waits_for_the_next_allowed_point() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        ctrl_c()
        done.append("queued")
        with interrupts.allowed():
            done.append("next batch")
    assert done == ["queued"]


def test_one_that_no_point_took_is_raised_at_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interrupts():
        ctrl_c()
        done.append("all")
    assert done == ["all"]


def test_a_second_one_is_raised_wherever_it_comes() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interrupts():
        ctrl_c()
        done.append("once")
        ctrl_c()
        done.append("twice")
    assert done == ["once"]


def test_an_error_on_the_way_out_is_not_hidden_by_it() -> None:
    with pytest.raises(ValueError, match="the disk"), Interrupts():
        ctrl_c()
        raise ValueError("the disk")


def test_a_process_that_ignores_the_signal_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts, interrupts.allowed():
        ctrl_c()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_changes_nothing() -> None:
    seen = []

    def enter() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]

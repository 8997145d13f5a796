"""Methods that are wrapped for a while."""

from __future__ import annotations

import pytest
import torch

from turbo_lab.runtime.wrapping import call_name, wrapped


class Owner:
    def double(self, x: int) -> int:
        return 2 * x


def test_a_method_of_the_class_shows_again_afterwards() -> None:
    owner, other = Owner(), Owner()
    with wrapped(owner, "double", lambda method: lambda x: method(x) + 1):
        assert (owner.double(3), other.double(3)) == (7, 6)
    assert owner.double(3) == 6 and "double" not in vars(owner)


def test_an_attribute_of_its_own_is_put_back() -> None:
    owner = Owner()
    own = owner.double = lambda x: 10 * x  # type: ignore[method-assign]
    with wrapped(owner, "double", lambda method: lambda x: method(x) + 1):
        assert owner.double(3) == 31
    assert vars(owner)["double"] is own


def test_wraps_nest_and_end_after_an_error() -> None:
    owner = Owner()
    with (
        pytest.raises(RuntimeError, match="inside"),
        wrapped(owner, "double", lambda method: lambda x: method(x) + 1),
        wrapped(owner, "double", lambda method: lambda x: 100 * method(x)),
    ):
        assert owner.double(1) == 300
        raise RuntimeError("inside")
    assert owner.double(1) == 2 and vars(owner) == {}


def test_a_compiled_module_is_watched_from_outside() -> None:
    module = torch.nn.Linear(1, 1)
    assert call_name(module) == "forward"
    module.compile(backend="eager")
    assert call_name(module) == "_compiled_call_impl"
    calls: list[int] = []

    def counted(method):
        return lambda *args: (calls.append(1), method(*args))[1]

    with wrapped(module, call_name(module), counted):
        module(torch.ones(1))
    assert calls == [1]

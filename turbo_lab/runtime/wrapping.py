"""Wrap a method of one object for a while.

Owns the rule that the object is as before afterwards: an attribute that the
object had itself (hooks of offloading put a ``forward`` there) is put back, any
other is removed, so that the class's method shows again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def wrapped(
    owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Put ``wrap(method)`` in the place of a method of ``owner``; restore it on exit."""
    is_own = name in vars(owner)
    method = getattr(owner, name)
    setattr(owner, name, wrap(method))
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, method)
        else:
            delattr(owner, name)


def call_name(module: Any) -> str:
    """Return the attribute to wrap to watch a module's calls from outside its compiled part."""
    is_compiled = getattr(module, "_compiled_call_impl", None) is not None
    return "_compiled_call_impl" if is_compiled else "forward"

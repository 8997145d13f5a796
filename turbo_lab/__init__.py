"""turbo-lab: experiments and regression gates for few-step SDXL-family models.

The functions are those of :mod:`turbo_lab.api`, which is imported when one of them is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turbo_lab.api import (
        Comparison,
        Gate,
        ResultStore,
        Sweep,
        compare,
        gate,
        open_store,
        sweep,
    )

__version__ = "0.1.0"
__all__ = ["sweep", "compare", "gate", "open_store", "Sweep", "Comparison", "Gate", "ResultStore"]
# Packages that have the name of a function.
_PACKAGES = ("compare", "gate")


class CallablePackage(ModuleType):
    """A package that is also the function of its name in :mod:`turbo_lab.api`.

    Python binds an imported package to its name in ``turbo_lab``, where the function belongs.
    """

    def __call__(self, *words: str, **keys: object) -> object:
        """Call the function; see its docstring in :mod:`turbo_lab.api`."""
        function = getattr(import_module("turbo_lab.api"), self.__name__.rpartition(".")[2])
        return function(*words, **keys)

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        """Let a pool of processes take the function: its copy is imported there."""
        return import_module, (self.__name__,)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module("turbo_lab.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

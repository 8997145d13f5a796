"""What the package runtime keeps out of the log when libraries are imported."""

from __future__ import annotations

import logging

import pytest

import turbo_lab.runtime


@pytest.mark.parametrize(
    ("name", "message", "is_shown"),
    [
        ("torch.utils._pytree", "X is an Enum subclass and is now natively supported", False),
        ("torch.utils._pytree", "X is not registered", True),
        (
            "diffusers.quantizers.torchao.torchao_quantizer",
            "Unable to import `torchao` Tensor objects. This may affect loading",
            False,
        ),
        ("diffusers.quantizers.torchao.torchao_quantizer", "torchao is too old", True),
        ("torch.utils.data", "X is an Enum subclass and is now natively supported", True),
    ],
)
def test_two_known_messages_of_two_loggers_are_dropped(
    name: str, message: str, is_shown: bool
) -> None:
    assert turbo_lab.runtime.__doc__
    logger = logging.getLogger(name)
    entry = logger.makeRecord(name, logging.WARNING, "file.py", 1, message, (), None)
    assert bool(logger.filter(entry)) is is_shown

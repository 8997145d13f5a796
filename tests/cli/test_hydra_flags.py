"""Hydra's own flags, as Hydra reads them."""

from __future__ import annotations

import pytest

from turbo_lab.cli.hydra_flags import with_hydra
from turbo_lab.errors import InputError


def test_flags_follow_the_words() -> None:
    given = {"multirun": True, "cfg": "job", "resolve": True, "hydra_help": False, "info": None}
    assert with_hydra(("seed=1",), given) == ["seed=1", "--resolve", "--cfg=job"]
    assert with_hydra((), {"hydra_help": True}) == ["--hydra-help"]


@pytest.mark.parametrize(("option", "value"), [("package", "model"), ("resolve", True)])
def test_an_option_of_cfg_needs_cfg(option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"--{option}: changes what --cfg prints; add --cfg job"):
        with_hydra((), {option: value})


@pytest.mark.parametrize("cfg", [None, "job"])
def test_an_empty_package_is_refused(cfg: str | None) -> None:
    with pytest.raises(InputError, match="--package: is empty; name a key"):
        with_hydra((), {"package": "", "cfg": cfg})

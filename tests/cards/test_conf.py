"""A value of the config is read with a rule, and its error names the whole key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from turbo_lab.cards import ConfigNode, choices_of, conf_dir
from turbo_lab.errors import InputError

CONFIG = ConfigNode(
    {
        "batch_size": 8,
        "switch": True,
        "dtype": "float16",
        "nothing": None,
        "empty": "",
        "model": {"name": "nano-turbo", "path": None, "recommended": {"guidance_scale": 0.0}},
    }
)


def test_choices_of_a_group_are_its_files() -> None:
    assert choices_of("pipeline") == ["exact", "fast", "stock"]


def test_values_are_typed() -> None:
    assert CONFIG.integer("batch_size", 1, 64) == 8
    assert CONFIG.text("batch_size") == "8"
    assert CONFIG.number("batch_size") == 8.0
    assert CONFIG.choice("dtype", ["float32", "float16"]) == "float16"
    assert CONFIG.node("model").text("name") == "nano-turbo"
    assert CONFIG.get("switch") is True


def test_an_absent_value_reads_as_none() -> None:
    for key in ("nothing", "absent"):
        assert CONFIG.get(key) is None
        assert CONFIG.optional_text(key) is None
        assert CONFIG.optional_integer(key, 1) is None
        assert CONFIG.optional_choice(key, ["a"]) is None
        assert CONFIG.choice(key, ["a", "b"], default="b") == "b"


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda c: c.integer("batch_size", 9), "batch_size=8: must be an integer, at least 9"),
        (lambda c: c.integer("batch_size", 1, 4), "batch_size=8: must be an integer from 1 to 4"),
        (lambda c: c.integer("switch", 0), "switch=True: must be an integer, at least 0"),
        (lambda c: c.integer("nothing", 0), "nothing=None: must be an integer, at least 0"),
        (lambda c: c.optional_integer("dtype", 0), "dtype=float16: must be an integer, at least 0"),
        (lambda c: c.text("empty"), "empty=: must be a non-empty text"),
        (lambda c: c.text("absent"), "absent=None: must be a non-empty text"),
        (lambda c: c.optional_text("model"), "model={'name': 'nano-turbo', 'path': None,"),
        (lambda c: c.choice("dtype", ["float32"]), "dtype=float16: unknown. Did you mean float32?"),
        (lambda c: c.choice("nothing", ["a"]), "nothing=None: unknown. Valid: a"),
        (lambda c: c.number("switch"), "switch=True: must be a finite number"),
        (lambda c: c.node("dtype"), "dtype=float16: must be a mapping of keys and values"),
        (lambda c: c.node("model").text("path"), "model.path=None: must be a non-empty text"),
        (
            lambda c: c.node("model").node("recommended").integer("guidance_scale", 1),
            "model.recommended.guidance_scale=0.0: must be an integer, at least 1",
        ),
    ],
)
def test_a_wrong_value_names_its_key_and_rule(
    read: Callable[[ConfigNode], object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(CONFIG)
    assert str(caught.value).startswith(message)


def test_the_config_folder_has_the_main_file() -> None:
    assert (conf_dir() / "config.yaml").is_file()

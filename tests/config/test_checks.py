"""What Hydra would accept silently or explain badly is refused in one line."""

from __future__ import annotations

import re
import shlex

import pytest

from turbo_lab import config
from turbo_lab.errors import InputError


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("+x=1", "keys cannot be added or removed"),
        ("~seed", "keys cannot be added or removed"),
        ("seed=interval(0,1)", "list the values"),
        ("prompts.fil=x", "prompts key=fil: unknown"),
        ("gate.frechet=1", "gate.frechet: the chosen gate has no such key; gate=release has it"),
        ("model=nano-turbo,nano-turb", "Did you mean nano-turbo?"),
        ("model=nano-turbo,glob(*)", "glob(...) cannot be one value of a list"),
        ("model=glob(absent*)", "lists no value; glob(...) takes its values from the names"),
        ("seed=glob(*)", "lists no value; glob(...) takes its values from the names"),
    ],
)
def test_what_hydra_would_take_or_explain_badly_is_refused(argument: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        config.compose("plan", [argument])
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "grid",
    [
        ["seed=range(0,1000000000)"],
        ["seed=shuffle(range(0,1000000000))"],
        ["seed=range(0,1000)", "num_inference_steps=range(1,100)"],
        ["seed=" + ",".join(map(str, range(config.MAX_POINTS + 1)))],
    ],
)
def test_a_grid_without_bound_is_refused_before_it_is_listed(grid: list[str]) -> None:
    with pytest.raises(InputError, match="the grid has more than 20000 points; split it"):
        config.compose("plan", grid)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(InputError, match="the number has too many digits"):
        config.compose("plan", ["seed=" + "9" * 5000])


def test_a_word_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InputError, match="is not valid UTF-8"):
        config.compose("plan", ["prompt=caf\udce9"])


def test_a_comma_in_a_prompt_is_no_grid_in_silence() -> None:
    with pytest.raises(InputError, match="is one text with a comma, or a list") as refused:
        config.compose("plan", ["negative_prompt=blurry, low quality"])
    assert """negative_prompt='"blurry, low quality"' for the text""" in str(refused.value)
    assert "negative_prompt='choice(blurry, low quality)' for the list" in str(refused.value)
    (point,) = config.compose("plan", ['negative_prompt="blurry, low quality"'])
    assert point.values["negative_prompt"] == "blurry, low quality"
    assert len(config.compose("plan", ["prompt=choice(a key,a cat)"])) == 2
    with pytest.raises(InputError) as refused:
        config.compose("plan", ['prompt=a key, "red"'])
    shown = re.findall(r"(prompt='.*?') for the text", str(refused.value))
    (point,) = config.compose("plan", shlex.split(shown[0]))
    assert point.values["prompt"] == 'a key, "red"'
    assert len(config.compose("plan", ["prompt='a key','a cat'"])) == 2


@pytest.mark.parametrize(
    "word",
    [
        "hydra/sweeper=basic",
        "hydra/launcher=basic",
        "hydra.searchpath=[file:///tmp/conf]",
        "hydra.sweeper._target_=os.system",
        "hydra.callbacks={a:{_target_:os.system}}",
        "hydra.job.env_copy=[HOME]",
    ],
)
def test_hydras_own_settings_are_not_changed(word: str) -> None:
    with pytest.raises(InputError, match="is turbo-lab's own; leave it out"):
        config.compose("plan", [word])


@pytest.mark.parametrize("word", ["seed=range(5,1)", "seed=range(1,1)"])
def test_a_range_without_a_value_is_refused(word: str) -> None:
    with pytest.raises(InputError, match=r"lists no value; range\(1,5\) is 1, 2, 3, 4"):
        config.compose("plan", [word])

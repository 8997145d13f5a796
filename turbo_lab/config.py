"""Composition of a command line into grid points; the only module that imports Hydra.

Owns composition and the expansion of a grid. Hydra's own launchers compose a config twice per
job (60 ms each). This module composes once per combination of group choices (``model=a,b``)
and puts swept values into plain copies. Refuses unknown keys, with the nearest known one.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig  # noqa: F401  (registers Hydra's own schema)
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    OverrideType,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from turbo_lab.cards import ConfigNode, conf_dir
from turbo_lab.errors import InputError, unknown_name

# Keys that make a grid. If a command line names none of them, the default sweep runs.
AXES = (
    "model",
    "num_inference_steps",
    "guidance_scale",
    "resolution",
    "batch_size",
    "lora",
    "seed",
    "negative_prompt",
    "scheduler",
    "dtype",
    "vae",
    "pipeline",
    "loop",
    "graphs",
    "compile",
    "compile_scope",
    "memory_format",
    "attention",
    "tf32",
    "fuse_qkv",
    "quantization",
    "offload",
    "vae_slicing",
    "vae_tiling",
)
# More keys that may be swept. Every other key has one value for the whole sweep.
MORE_AXES = ("prompts", "prompt", "num_images", "seed_mode")
_HYDRA_FLAGS = ("--cfg", "-c", "--info", "-i", "--hydra-help")
_OTHER_FLAGS = ("--resolve", "--package", "-p")
# Names of our keys in other tools, which are too different for a spelling hint.
_OTHER_NAMES = {
    "cfg": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "loras": "lora",
    "sampler": "scheduler",
    "size": "resolution",
    "width": "resolution",
    "height": "resolution",
    "count": "num_images",
}


MAX_POINTS = 20_000
"""Most points of a grid. A plan keeps every point in memory, and composing takes a while."""


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid."""

    values: Mapping[str, object]
    """Whole config as plain values, with interpolations resolved."""
    axes: tuple[tuple[str, object], ...]
    """Swept keys and their values as written, in the order of the command line."""
    given: frozenset[str] = frozenset()
    """Keys that the command line or a preset names; the others have their defaults."""

    def group(self, name: str) -> Mapping[str, object]:
        """Return the values of a config group."""
        return ConfigNode(self.values).node(name).values


@dataclass  # a frozen one would be read-only to presets as well
class SweeperConf:
    """Hydra's config of the sweeper."""

    _target_: str = "hydra_plugins.turbo_lab_sweeper.TurboLabSweeper"
    params: dict[str, str] = field(default_factory=dict)
    """Axes of a preset: lists in Hydra's grammar, by key."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="turbo_lab", node=SweeperConf, provider="turbo-lab"
)


class PlanSweeper(Sweeper):  # type: ignore[misc]
    """Sweeper that expands the command line and passes all points on at once."""

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = dict(params or {})
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep the arguments for :meth:`sweep`; Hydra calls this method first."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> object:
        """Compose once per combination of group choices, and put swept values into copies."""
        assert self.config is not None and self.hydra_context is not None
        assert self.task_function is not None
        loader, master = self.hydra_context.config_loader, self.config
        given = {a.split("=", 1)[0] for a in arguments}
        presets = [f"{key}={value}" for key, value in self.params.items() if key not in given]
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides([*presets, *arguments])
        groups = set(loader.list_groups(""))
        composed_with, swept = _split(overrides, groups, self._referenced_keys())
        hydra_overrides = list(master.hydra.overrides.hydra)

        def compose(choices: Sequence[str]) -> dict[str, object]:
            config = loader.load_configuration(
                config_name=master.hydra.job.config_name,
                overrides=[*hydra_overrides, *choices],
                run_mode=RunMode.RUN,
            )
            return _plain(config)

        points = _expand(composed_with, swept, compose)
        named = frozenset(override.get_key_element() for override in overrides)
        return self.task_function([replace(point, given=named) for point in points])

    def _referenced_keys(self) -> set[str]:
        """Return the keys that interpolations read; Hydra has to compose their swept values."""
        text = OmegaConf.to_yaml(OmegaConf.masked_copy(self.config, _own_keys(self.config)))
        return set(re.findall(r"\$\{([A-Za-z_]\w*)", text))


def compose(command: str, arguments: Sequence[str]) -> list[GridPoint]:
    """Return the points of the grid that ``arguments`` spell, in order.

    The list is empty if one of Hydra's own flags (``--cfg job``, ``--info``, ``--hydra-help``)
    printed something instead. Raises :class:`InputError` for everything that Hydra refuses.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises exceptions unchanged
    overrides = [a for a in arguments if not a.startswith("-")]
    flags = [a for a in arguments if a.startswith("-") and a not in ("-m", "--multirun")]
    for flag in flags:
        if flag.split("=")[0] not in (*_HYDRA_FLAGS, *_OTHER_FLAGS):
            raise InputError(
                f"{flag}: unknown flag of turbo-lab {command}; it takes key=value, --json, --help "
                "and Hydra's --cfg, --info and --hydra-help"
            )
    asks_hydra = any(flag.split("=")[0] in _HYDRA_FLAGS for flag in flags)
    if not asks_hydra:
        _check_overrides(overrides)
    points: list[GridPoint] = []
    main = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    saved = sys.argv
    sys.argv = [
        f"turbo-lab {command}".strip(),
        *(a for a in arguments if a not in ("-m", "--multirun")),  # turbo-lab always sweeps
        *([] if asks_hydra else ["hydra.mode=MULTIRUN"]),
    ]
    try:
        main(points.extend)()
    except SystemExit as end:  # --hydra-help has printed its text
        if end.code:
            raise
    except (HydraException, OmegaConfBaseException) as error:
        raise _in_our_words(error) from error
    finally:
        sys.argv = saved
    return points


def _in_our_words(error: Exception) -> InputError:
    """Return Hydra's error in terms of the ``key=value`` that the user wrote."""
    text = " ".join(str(error).split())
    if found := re.match(r"Could not override '(\w+)\.([^']+)'", text):
        root, key = found.groups()
        files = sorted((conf_dir() / root).glob("*.yaml"))
        if files:
            keys = {file.stem: set(map(str, OmegaConf.load(file))) for file in files}
            if having := [choice for choice, names in keys.items() if key in names]:
                return InputError(
                    f"{root}.{key}: the chosen {root} has no such key; {root}={min(having)} has it"
                )
            return unknown_name(f"{root} key", key, set().union(*keys.values()) - {"defaults"})
        if root != "hydra":
            return InputError(f"{root}.{key}: {root} is one value; write {root}=VALUE")
    if "--multirun" in text:
        return InputError("--cfg: shows one configuration; give one value per key")
    if isinstance(error, MissingMandatoryValue):
        return InputError(f"{error.full_key}: has no value; write {error.full_key}=VALUE")
    return InputError(text)


def _check_overrides(overrides: Sequence[str]) -> None:
    """Refuse overrides that Hydra would accept silently or explain badly."""
    parser = OverridesParser.create()
    num_points = 1
    for text in overrides:
        if not text.isprintable() and not _is_unicode(text):
            raise InputError(f"{text}: is not valid UTF-8; write it in UTF-8")
        try:
            override = parser.parse_override(text)
        except ValueError as error:  # Hydra leaves a number of over 4,300 digits to int()
            raise InputError(f"{text}: the number has too many digits") from error
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{text}: {reason}; write key=value, and quote values with , = ( or spaces"
            ) from error
        if override.type is not OverrideType.CHANGE:
            raise InputError(f"{text}: keys cannot be added or removed; write key=value")
        if text.startswith("hydra/"):
            raise InputError(f"{text}: {text.split('=')[0]} is turbo-lab's own; leave it out")
        _check_comma(override)
        if not (num_values := _num_values(override)):
            rule = (
                "glob(...) takes its values from the names of a model, prompt set or other group"
                if isinstance(override.value(), Glob)
                else "range(1,5) is 1, 2, 3, 4"
            )
            raise InputError(f"{text}: lists no value; {rule}")
        num_points *= num_values
        if num_points > MAX_POINTS:
            raise InputError(
                f"{text}: the grid has more than {MAX_POINTS} points; split it into several sweeps"
            )
        key = override.key_or_group
        root = key.split(".")[0].split("/")[0].split("@")[0]
        if root not in _known_keys() and root != "hydra":
            raise unknown_name("key", key, _known_keys(), _OTHER_NAMES.get(root.lower()))
        if (conf_dir() / key).is_dir():
            _check_choices(key, override)


def _is_unicode(text: str) -> bool:
    """Return whether a word of the command line was valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_comma(override: Override) -> None:
    """Refuse a prompt with a comma that Hydra would take for a list of prompts."""
    value, key = override.value(), override.key_or_group
    if key not in ("prompt", "negative_prompt") or not isinstance(value, ChoiceSweep):
        return
    if value.simple_form and any(isinstance(one, str) for one in value.list):
        listed = override.input_line.partition("=")[2]
        raise InputError(
            f"{override.input_line}: is one text with a comma, or a list? Write "
            f"{key}='\"{listed}\"' for the text, or {key}='choice({listed})' for the list"
        )


def _num_values(override: Override) -> int:
    """Return how many values an override lists, without listing them."""
    value = override.value()
    if isinstance(value, Glob):
        return len(value.filter(_choices_of(override.key_or_group)))
    if isinstance(value, RangeSweep):
        assert value.start is not None and value.stop is not None
        steps = (value.stop - value.start) / value.step if value.step else 0
        return max(0, math.ceil(steps))
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


def _check_choices(group: str, override: Override) -> None:
    """Refuse a choice that is not a file of its config group."""
    if isinstance(override.value(), Glob):
        return  # it matches files of the group only
    swept = override.is_sweep_override() and override.is_discrete_sweep()
    choices = list(override.sweep_iterator()) if swept else [override.value()]
    valid = _choices_of(group)
    for choice in choices:
        if isinstance(choice, Glob):
            raise InputError(f"{override.input_line}: glob(...) cannot be one value of a list")
        if str(_value(choice)) not in valid:
            raise unknown_name(group, str(_value(choice)), valid)


def _choices_of(group: str) -> list[str]:
    """Return the names of a config group's files, sorted."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _known_keys() -> set[str]:
    """Return the top-level keys: those of ``config.yaml``, and the config groups."""
    folder = conf_dir()
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    plain = set(re.findall(r"^([a-z_]\w*):", text, flags=re.MULTILINE)) - {"defaults"}
    groups = {path.name for path in folder.iterdir() if path.is_dir()}
    return plain | groups - {"adapters", "vaes"}  # lora= names the cards of adapters


def _own_keys(config: DictConfig) -> list[str]:
    return [str(key) for key in config if key != "hydra"]


def _plain(config: DictConfig) -> dict[str, object]:
    """Return everything but Hydra's node, with interpolations resolved."""
    return {
        key: OmegaConf.to_container(config[key], resolve=True, throw_on_missing=True)
        if OmegaConf.is_config(config[key])
        else config[key]
        for key in _own_keys(config)
    }


@dataclass(frozen=True)
class _Composed:
    """A key whose values Hydra has to compose."""

    key: str
    """Dotted key."""
    overrides: tuple[str, ...]
    """One override per value, in Hydra's grammar."""
    is_swept: bool
    """``True`` if the key is an axis of the grid."""


@dataclass(frozen=True)
class _Swept:
    """An axis whose values can be put into copies of a composed config."""

    key: str
    """Dotted key."""
    values: tuple[object, ...]
    """Values, in order."""


def _split(
    overrides: Sequence[Override], groups: set[str], referenced: set[str]
) -> tuple[list[_Composed], list[_Swept]]:
    """Separate overrides that need composing from swept values that are put into copies."""
    composed: dict[str, _Composed] = {}
    swept: dict[str, _Swept] = {}
    for override in overrides:
        key = override.get_key_element()
        composed.pop(key, None)
        swept.pop(key, None)
        if key == "metrics.names" and override.is_sweep_override():
            names = ",".join(str(_value(v)) for v in override.sweep_iterator())
            composed[key] = _Composed(key, (f"{key}='{names}'",), is_swept=False)
        elif not override.is_sweep_override():
            composed[key] = _Composed(key, (override.input_line,), is_swept=False)
        elif not override.is_discrete_sweep():
            raise InputError(f"{override.input_line}: list the values, or use range(a,b,step)")
        elif key in groups or key.split(".")[0] in referenced | groups:
            choices = tuple(f"{key}={value}" for value in override.sweep_string_iterator())
            composed[key] = _Composed(key, choices, is_swept=True)
        else:
            swept[key] = _Swept(key, tuple(_value(v) for v in override.sweep_iterator()))
    return list(composed.values()), list(swept.values())


def _value(element: object) -> object:
    return element.text if isinstance(element, QuotedString) else element


def _expand(
    composed: Sequence[_Composed],
    swept: Sequence[_Swept],
    compose: Callable[[Sequence[str]], dict[str, object]],
) -> list[GridPoint]:
    """Return the points of the Cartesian product, group choices outermost."""
    points = []
    keys = [axis.key for axis in swept]
    products = list(itertools.product(*(axis.values for axis in swept)))
    for choices in itertools.product(*(one.overrides for one in composed)):
        base = compose(choices)
        chosen = [
            (one.key, text.split("=", 1)[1])
            for one, text in zip(composed, choices, strict=True)
            if one.is_swept
        ]
        for product in products:
            values, axes = dict(base), list(zip(keys, product, strict=True))
            for key, value in axes:
                _put(values, key, value)
            points.append(GridPoint(values, (*chosen, *axes)))
    return points


def _put(values: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key; the nested dictionaries on its way are copied."""
    *parents, last = key.split(".")
    for parent in parents:
        below = values.get(parent)
        if not isinstance(below, Mapping):
            raise InputError(f"{key}: {parent} is one value; write {parent}=VALUE")
        copied = dict(below)
        values[parent] = copied
        values = copied
    if last not in values:
        raise unknown_name("key", key, values)
    values[last] = value


def is_key(word: str) -> bool:
    """Return whether a word is ``key=...`` with a key of the config."""
    root = re.match(r"([A-Za-z_]\w*)[\w.]*=", word)
    return root is not None and (root.group(1) in _known_keys() or root.group(1) == "hydra")


def is_grid_named(arguments: Sequence[str]) -> bool:
    """Return whether any argument names an axis or a preset."""
    return any(a.split("=", 1)[0] in (*AXES, "sweep") for a in arguments if "=" in a)

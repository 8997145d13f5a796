"""The way from a command line to plain dicts; the only module that knows Hydra.

Owns composition and the expansion of a grid. Hydra's own launchers compose a
config twice a job (60 ms each). Here a config is composed once for each
combination of group choices (``model=a,b``), and swept values are put into
plain copies of it. Refuses unknown keys and names the nearest.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig  # noqa: F401  (registers Hydra's own schema)
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, QuotedString
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from turbo_lab.cards import ConfigNode, conf_dir
from turbo_lab.errors import InputError, unknown_name

# Keys that make a grid: where none is named, the default sweep applies.
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
    "fuse_qkv",
    "quantization",
    "offload",
    "vae_slicing",
    "vae_tiling",
)
# What else may be swept: it changes which work there is. All other keys hold for a whole sweep.
MORE_AXES = ("prompts", "prompt", "num_images", "seed_mode")
_HYDRA_FLAGS = ("--cfg", "-c", "--info", "-i", "--hydra-help")
_OTHER_FLAGS = ("--resolve", "--package", "-p")
# What other tools call our keys: diffusers' argument names are too far for a spelling hint.
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


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid."""

    values: Mapping[str, object]
    """Whole config as plain values, with interpolations resolved."""
    axes: tuple[tuple[str, object], ...]
    """Swept keys and their values as written, in the order of the command line."""

    def group(self, name: str) -> Mapping[str, object]:
        """Return the values of a config group."""
        return ConfigNode(self.values).node(name).values


@dataclass  # a frozen one would be read-only to presets as well
class SweeperConf:
    """Hydra's node of our sweeper."""

    _target_: str = "hydra_plugins.turbo_lab_sweeper.TurboLabSweeper"
    params: dict[str, str] = field(default_factory=dict)
    """Axes of a preset: key to a list in Hydra's grammar."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="turbo_lab", node=SweeperConf, provider="turbo-lab"
)


class PlanSweeper(Sweeper):  # type: ignore[misc]
    """Expands the command line and hands all points over at once."""

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = dict(params or {})
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what :meth:`sweep` needs; Hydra calls this first."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """Compose once per group choice; put swept values into plain copies."""
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

        def compose(choices: Sequence[str]) -> dict[str, Any]:
            config = loader.load_configuration(
                config_name=master.hydra.job.config_name,
                overrides=[*hydra_overrides, *choices],
                run_mode=RunMode.RUN,
            )
            return _plain(config)

        return self.task_function(_expand(composed_with, swept, compose))

    def _referenced_keys(self) -> set[str]:
        """Keys that some interpolation reads: a swept value must go through Hydra."""
        text = OmegaConf.to_yaml(OmegaConf.masked_copy(self.config, _own_keys(self.config)))
        return set(re.findall(r"\$\{([A-Za-z_]\w*)", text))


def compose(command: str, arguments: Sequence[str]) -> list[GridPoint]:
    """Return the points of the grid that ``arguments`` spell, in order.

    The list is empty if one of Hydra's own flags (``--cfg job``, ``--info``,
    ``--hydra-help``) printed something instead. Raises :class:`InputError` for
    anything that Hydra refuses.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us as they are
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
        *(a for a in arguments if a not in ("-m", "--multirun")),  # it is always one
        *([] if asks_hydra else ["hydra.mode=MULTIRUN"]),
    ]
    try:
        main(points.extend)()
    except (HydraException, OmegaConfBaseException) as error:
        raise _in_our_words(error) from error
    finally:
        sys.argv = saved
    return points


def _in_our_words(error: Exception) -> InputError:
    """Hydra speaks of appending and of full keys; a user wrote ``key=value``."""
    text = " ".join(str(error).split())
    if found := re.match(r"Could not override '(\w+)\.([^']+)'", text):
        root, key = found.groups()
        files = sorted((conf_dir() / root).glob("*.yaml"))
        if files:
            names = {str(name) for file in files for name in OmegaConf.load(file)}
            return unknown_name(f"{root} key", key, names - {"defaults"})
        if root != "hydra":
            return InputError(f"{root}.{key}: {root} is one value; write {root}=VALUE")
    if "--multirun" in text:
        return InputError("--cfg: shows one configuration; give one value a key")
    if isinstance(error, MissingMandatoryValue):
        return InputError(f"{error.full_key}: has no value; write {error.full_key}=VALUE")
    return InputError(text)


def _check_overrides(overrides: Sequence[str]) -> None:
    """Refuse what Hydra would accept silently or explain badly."""
    parser = OverridesParser.create()
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{text}: {reason}; write key=value, and quote values with , = ( or spaces"
            ) from error
        if override.type is not OverrideType.CHANGE:
            raise InputError(f"{text}: keys cannot be added or removed; write key=value")
        key = override.key_or_group
        root = key.split(".")[0].split("/")[0].split("@")[0]
        if root not in _known_keys() and root != "hydra":
            raise unknown_name("key", key, _known_keys(), _OTHER_NAMES.get(root.lower()))
        if (conf_dir() / key).is_dir():
            _check_choices(key, override)


def _check_choices(group: str, override: Override) -> None:
    """Refuse a choice that is not a file of its config group."""
    swept = override.is_sweep_override() and override.is_discrete_sweep()
    choices = list(override.sweep_iterator()) if swept else [override.value()]
    valid = [path.stem for path in (conf_dir() / group).glob("*.yaml")]
    for choice in choices:
        if str(_value(choice)) not in valid:
            raise unknown_name(group, str(_value(choice)), valid)


def _known_keys() -> set[str]:
    """Top-level keys: those of ``config.yaml`` and the config groups."""
    folder = conf_dir()
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    plain = set(re.findall(r"^([a-z_]\w*):", text, flags=re.MULTILINE)) - {"defaults"}
    groups = {path.name for path in folder.iterdir() if path.is_dir()}
    return plain | groups - {"adapters"}  # cards of adapters are named by lora=


def _own_keys(config: DictConfig) -> list[str]:
    return [str(key) for key in config if key != "hydra"]


def _plain(config: DictConfig) -> dict[str, Any]:
    """Return everything but Hydra's node, with interpolations resolved."""
    return {
        key: OmegaConf.to_container(config[key], resolve=True, throw_on_missing=True)
        if OmegaConf.is_config(config[key])
        else config[key]
        for key in _own_keys(config)
    }


def _split(
    overrides: Sequence[Override], groups: set[str], referenced: set[str]
) -> tuple[list[tuple[str, list[Any], bool]], list[tuple[str, list[Any]]]]:
    """Separate what needs composing (key, choices, whether swept) from what is only put in."""
    composed: dict[str, tuple[str, list[Any], bool]] = {}
    swept: dict[str, tuple[str, list[Any]]] = {}
    for override in overrides:
        key = override.get_key_element()
        composed.pop(key, None)
        swept.pop(key, None)
        if key == "metrics.names" and override.is_sweep_override():
            names = ",".join(str(_value(v)) for v in override.sweep_iterator())
            composed[key] = (key, [f"{key}='{names}'"], False)
            continue
        if not override.is_sweep_override():
            composed[key] = (key, [override.input_line], False)
        elif not override.is_discrete_sweep():
            raise InputError(f"{override.input_line}: list the values, or use range(a,b,step)")
        elif key in groups or key.split(".")[0] in referenced | groups:
            choices = [f"{key}={value}" for value in override.sweep_string_iterator()]
            composed[key] = (key, choices, True)
        else:
            swept[key] = (key, [_value(v) for v in override.sweep_iterator()])
    return list(composed.values()), list(swept.values())


def _value(element: Any) -> Any:
    return element.text if isinstance(element, QuotedString) else element


def _expand(
    composed: Sequence[tuple[str, list[Any], bool]],
    swept: Sequence[tuple[str, list[Any]]],
    compose: Callable[[Sequence[str]], dict[str, Any]],
) -> list[GridPoint]:
    """Return the points of the Cartesian product, group choices outermost."""
    points = []
    values_product = list(itertools.product(*(values for _, values in swept)))
    for choices in itertools.product(*(texts for _, texts, _ in composed)):
        base = compose(choices)
        chosen = [
            (key, text.split("=", 1)[1])
            for (key, _, is_swept), text in zip(composed, choices, strict=True)
            if is_swept
        ]
        for combination in values_product:
            values = dict(base)
            for (key, _), value in zip(swept, combination, strict=True):
                _put(values, key, value)
            axes = [*chosen, *((key, v) for (key, _), v in zip(swept, combination, strict=True))]
            points.append(GridPoint(values, tuple(axes)))
    return points


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; the nested dicts on its way are copied, not shared."""
    *parents, last = key.split(".")
    for parent in parents:
        values[parent] = copy.copy(values[parent])
        values = values[parent]
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

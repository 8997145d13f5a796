"""Composition of a command line into grid points, by Hydra.

Hydra's own launchers compose a config twice per job (60 ms each). This module composes once
per combination of group choices (``model=a,b``); other swept values are put into plain copies.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import hydra
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig  # noqa: F401  (registers Hydra's own schema)
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from packaging.version import Version

from turbo_lab.cards import conf_dir, config_files, own_groups, read_yaml
from turbo_lab.config.checks import check_overrides, value_of
from turbo_lab.config.grid import Axis, GridPoint, GridRules, expand
from turbo_lab.config.words import quoted, spelled_out
from turbo_lab.errors import InputError, unknown_name

_HYDRA_FLAGS = ("--cfg", "-c", "--info", "-i", "--hydra-help")
_OTHER_FLAGS = ("--resolve", "--package", "-p")
_VERSION_BASE = "1.3"
_CONFIG_NAME = "config"
# Hydra keeps some of its state per process.
_COMPOSING = threading.RLock()


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
        fixed, axes = _split(overrides, groups, self._referenced_keys())
        if "prompt_search" not in given:
            fixed += [
                f"prompt_search={quoted(str(axis.values[0]))}"
                for axis in axes
                if axis.key == "prompt_sr"
            ]
        rules = GridRules.from_config(*(_plain_value(master, key) for key in ("zip", "exclude")))
        hydra_overrides = list(master.hydra.overrides.hydra)

        def compose(choices: Sequence[str]) -> dict[str, object]:
            config = loader.load_configuration(
                config_name=master.hydra.job.config_name,
                overrides=[*hydra_overrides, *fixed, *choices],
                run_mode=RunMode.RUN,
            )
            return _plain(config)

        points = expand(axes, rules, compose)
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
    arguments = [spelled_out(word) for word in arguments]
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
        check_overrides(overrides)
    try:
        if asks_hydra:
            words = [a for a in arguments if a not in ("-m", "--multirun")]
            _print_with_hydra(command, words)
            return []
        with _COMPOSING, _own_version_base():
            return _grid_points(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        # Hydra's traceback would hide this line in a notebook.
        raise _in_our_words(error) from None


def _grid_points(overrides: Sequence[str]) -> list[GridPoint]:
    """Compose as Hydra's multirun does, with a loader of our own.

    ``hydra.main`` would replace the state of a program that runs under Hydra itself, read the
    process's command line and configure its logging.
    """
    loader = ConfigLoaderImpl(_search_path())
    master = loader.load_configuration(_CONFIG_NAME, list(overrides), RunMode.MULTIRUN)
    points: list[GridPoint] = []
    sweeper = Plugins.instance().instantiate_sweeper(
        hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
        task_function=points.extend,
        config=master,
    )
    sweeper.sweep(OmegaConf.to_container(master.hydra.overrides.task, resolve=False))
    return points


def _search_path() -> ConfigSearchPath:
    """Return where Hydra looks for config files: the packaged ones, then the user's own."""
    path = create_config_search_path(str(conf_dir()))
    own = own_groups()
    if own is not None:
        before = SearchPathQuery(provider="schema")
        path.prepend(provider="own groups", path=f"file://{own}", anchor=before)
    return path


@contextmanager
def _own_version_base() -> Iterator[None]:
    """Read configs by the rules of the Hydra that we are written for; put back the caller's."""
    base = VersionBase.instance()
    before, base.version_base = base.version_base, Version(_VERSION_BASE)
    try:
        yield
    finally:
        base.version_base = before


def _print_with_hydra(command: str, words: Sequence[str]) -> None:
    """Let Hydra's own command line print what one of its flags asks for."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises exceptions unchanged
    main = hydra.main(
        version_base=_VERSION_BASE, config_path=str(conf_dir()), config_name=_CONFIG_NAME
    )
    own = own_groups()
    folder = [] if own is None else ["--config-dir", str(own)]
    saved, sys.argv = sys.argv, [f"turbo-lab {command}".strip(), *folder, *words]
    try:
        main(lambda config: None)()
    except SystemExit as end:  # --hydra-help has printed its text
        if end.code:
            raise
    finally:
        sys.argv = saved


def _in_our_words(error: Exception) -> InputError:
    """Return Hydra's error in terms of the ``key=value`` that the user wrote."""
    text = " ".join(str(error).split())
    if found := re.match(r"Could not override '(\w+)\.([^']+)'", text):
        root, key = found.groups()
        files = config_files(root)
        if files:
            keys = {name: set(read_yaml(file)) for name, file in files.items()}
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


def _own_keys(config: DictConfig) -> list[str]:
    return [str(key) for key in config if key != "hydra"]


def _plain(config: DictConfig) -> dict[str, object]:
    """Return everything but Hydra's node, with interpolations resolved."""
    return {key: _plain_value(config, key) for key in _own_keys(config)}


def _plain_value(config: DictConfig, key: str) -> object:
    """Return the value of a key without OmegaConf's types, with interpolations resolved."""
    value = config[key]
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    return value


def _split(
    overrides: Sequence[Override], groups: set[str], referenced: set[str]
) -> tuple[list[str], list[Axis]]:
    """Return the overrides of every point, and the axes; a key's last override counts."""
    fixed: dict[str, str] = {}
    axes: dict[str, Axis] = {}
    for override in overrides:
        key = override.get_key_element()
        fixed.pop(key, None)
        axes.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = override.input_line
            continue
        if not override.is_discrete_sweep():
            raise InputError(f"{override.input_line}: list the values, or use range(a,b,step)")
        values = tuple(value_of(value) for value in override.sweep_iterator())
        if key == "metrics.names":
            fixed[key] = f"{key}='{','.join(map(str, values))}'"
        elif key in groups or key.split(".")[0] in referenced | groups:
            texts = tuple(f"{key}={value}" for value in override.sweep_string_iterator())
            axes[key] = Axis(key, values, texts)
        else:
            axes[key] = Axis(key, values)
    return list(fixed.values()), list(axes.values())

"""Model and adapter cards, and the files behind them. No torch, no downloads.

Owns what is known about a model before it is loaded: licence and where it was
read, revision, recommended settings, digests, scheduler and architecture. Turns a
name into files with a digest; a message names what is absent and how to get it.
"""

from __future__ import annotations

from turbo_lab.cards.adapter import AdapterFiles, check_adapter_fits, locate_adapter
from turbo_lab.cards.card import (
    AdapterCard,
    ModelCard,
    Recommended,
    adapter_card,
    adapter_names,
    model_card,
    model_card_from_config,
    model_names,
)
from turbo_lab.cards.conf import (
    ConfigNode,
    choices_of,
    conf_dir,
    config_files,
    own_groups,
    with_own_groups,
)
from turbo_lab.cards.hub import pin_revision, pinned_revisions, single_file_config
from turbo_lab.cards.locate import ModelFiles, ModelSource, check_is_whole, is_model, locate
from turbo_lab.cards.lora_fit import LacksLayersError
from turbo_lab.cards.own_groups import check_own_groups, read_yaml
from turbo_lab.cards.packaged import WEIGHTS, assemble, read_packaged_card
from turbo_lab.cards.vae import VaeFiles, locate_vae

__all__ = [
    "WEIGHTS",
    "AdapterCard",
    "AdapterFiles",
    "LacksLayersError",
    "ConfigNode",
    "ModelCard",
    "ModelFiles",
    "ModelSource",
    "Recommended",
    "VaeFiles",
    "adapter_card",
    "adapter_names",
    "assemble",
    "check_adapter_fits",
    "check_is_whole",
    "check_own_groups",
    "choices_of",
    "conf_dir",
    "config_files",
    "is_model",
    "locate",
    "locate_adapter",
    "locate_vae",
    "model_card",
    "model_card_from_config",
    "model_names",
    "own_groups",
    "pin_revision",
    "pinned_revisions",
    "read_packaged_card",
    "read_yaml",
    "single_file_config",
    "with_own_groups",
]

"""Stand-ins for weights of the hub that are not on this machine: enough for a plan.

Owns what a plan takes for granted where no file says it. Nothing is drawn with a stand-in, and
its digest is of the card, so that no image in a store has it.
"""

from __future__ import annotations

from pathlib import Path

from turbo_lab.cards.adapter import AdapterFiles
from turbo_lab.cards.card import AdapterCard, Card, ModelCard, VaeCard
from turbo_lab.cards.hub import how_to_get
from turbo_lab.cards.locate import SINGLE_FILE_SCHEDULER, ModelFiles, ModelSource
from turbo_lab.cards.vae import VaeFiles
from turbo_lab.identity import digest

_NOWHERE = Path("not-on-this-machine")


def absent_model(card: ModelCard) -> ModelFiles:
    """Return a model without files: SDXL's scheduler from the last timestep, no LCM guidance."""
    return ModelFiles(
        name=card.name,
        source=ModelSource(_NOWHERE),
        files={},
        digest=_digest(card),
        components={},
        scheduler={**SINGLE_FILE_SCHEDULER, "timestep_spacing": "trailing"},
        has_time_cond=False,
        force_zeros=True,
        resolution=None,
        revision=card.revision,
        license=card.license,
        license_source=card.license_source,
        size_bytes=0,
    )


def absent_adapter(card: AdapterCard) -> AdapterFiles:
    """Return a LoRA without layers."""
    return AdapterFiles(
        name=card.name,
        path=_NOWHERE,
        digest=_digest(card),
        layers=(),
        base=card.base,
        revision=card.revision,
        license=card.license,
        license_source=card.license_source,
    )


def absent_vae(card: VaeCard) -> VaeFiles:
    """Return a VAE without files."""
    return VaeFiles(
        name=card.name,
        path=_NOWHERE,
        digest=_digest(card),
        license=card.license,
        license_source=card.license_source,
        revision=card.revision,
    )


def absence(card: Card) -> str:
    """Return what a plan with a stand-in does not know, and how to get the files."""
    return (
        f"{card.name}: its files are not on this machine, so the plan is made from its card; it "
        "cannot tell what the store has and which LoRAs fit; to run it, fetch the files: "
        f"{how_to_get(card)}"
    )


def _digest(card: Card) -> str:
    return digest({"absent": card.name, "repository": card.repository, "revision": card.revision})

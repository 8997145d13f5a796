"""``reproduce``: draw what a record says again, here, and say whether it is the same.

Owns the way from a claim (a record of the store, or the recipe inside a PNG) to
weights on this machine by their digests, and the comparison. Weights of another
digest are refused: that would be another picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab import environment, images
from turbo_lab.analysis.similarity import window_density
from turbo_lab.cards import locate, locate_adapter, locate_vae, model_card
from turbo_lab.documents.inspection import PixelDivergence, RecordedKey, Reproduction
from turbo_lab.environment import Keys
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.execute.worker import Worker
from turbo_lab.golden.distances import WINDOW_TOLERANCE
from turbo_lab.golden.run_case import stage_value
from turbo_lab.golden.stages import StageValue, mark
from turbo_lab.golden.thresholds import read_thresholds
from turbo_lab.golden.tiers import choose_tier
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.store.record import CellStatus, Exactness, Record
from turbo_lab.store.store import Store
from turbo_lab.verdict import Verdict


@dataclass(frozen=True)
class ClaimedImage:
    """One image that was drawn before."""

    row: int
    """In its batch."""
    pixel_sha256: str
    """What it was."""
    path: Path
    """Its PNG file."""


@dataclass(frozen=True)
class ClaimedBatch:
    """One call of the pipeline."""

    layout: Layout
    """Its rows."""
    images: tuple[ClaimedImage, ...]
    """Those of its images that the claim is about."""
    stages: Mapping[str, str] | None
    """Stage to sha256; ``None`` where none were recorded."""


@dataclass(frozen=True)
class Claim:
    """What was drawn before."""

    name: str
    """For people."""
    recipe: Recipe
    """What was run."""
    negative_prompt: str | None
    """The text behind the recipe's digest."""
    names: Mapping[str, str]
    """Digest to the name of its model or adapter."""
    batches: tuple[ClaimedBatch, ...]
    """In order."""
    keys: Keys | None
    """Fingerprint keys it was drawn under; ``None`` where the claim does not say (an old PNG)."""
    exactness: Exactness
    """How it was drawn: other than ``EXACT``, only the same company gives the bits again."""


def claim_of_png(path: Path) -> Claim:
    """The recipe inside a PNG that turbo-lab wrote. Raises ``InputError``."""
    pixels, text = images.read_png(path)
    if "turbo-lab" not in text:
        raise InputError(f"{path}: holds no turbo-lab recipe")
    try:
        return _read_claim(path, json.loads(text["turbo-lab"]), images.pixel_sha256(pixels))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its turbo-lab recipe is damaged ({error})") from error


def _read_claim(path: Path, about: Mapping[str, Any], pixel_sha256: str) -> Claim:
    if about["pixel_sha256"] != pixel_sha256:
        raise InputError(
            f"{path}: its pixels are not those that its recipe names; it was changed after it was "
            "drawn"
        )
    recipe = Recipe.from_plain(about["recipe"])
    if recipe.negative_prompt is not None and about.get("negative_prompt") is None:
        raise InputError(
            f"{path}: was drawn with a negative prompt, which a PNG does not hold; give its record"
        )
    layout = Layout(tuple(about["rows"]["prompts"]), tuple(about["rows"]["seeds"]))
    image = ClaimedImage(about["row"], pixel_sha256, path)
    batch = ClaimedBatch(layout, (image,), about.get("stages"))
    return Claim(
        name=str(path),
        recipe=recipe,
        negative_prompt=about.get("negative_prompt"),
        names=_read_names(about.get("models", {})),
        batches=(batch,),
        keys=about.get("keys"),
        exactness=Exactness(about.get("exactness", Exactness.EXACT)),
    )


def _read_names(values: Any) -> dict[str, str]:
    """Return the names of a PNG's model and adapters by digest; a name may be a path here."""
    if not isinstance(values, dict) or not all(isinstance(n, str) for n in values.values()):
        raise ValueError("models must be an object of digests and names")
    return values


def claim_of_record(record: Record, store: Store) -> Claim:
    """A record of the store. Raises ``InputError`` for a failed one."""
    if record.status != CellStatus.DONE:
        raise InputError(f"record {record.record_id[:12]}: failed ({record.error}); nothing drawn")
    batches = []
    for key in record.batches:
        stored = store.read_batch(key)
        folder = store.batch_folder(key)
        layout = Layout(
            tuple(i.prompt for i in stored.images), tuple(i.seed for i in stored.images)
        )
        claimed = tuple(
            ClaimedImage(row, image.pixel_sha256, folder / image.file)
            for row, image in enumerate(stored.images)
        )
        batches.append(ClaimedBatch(layout, claimed, stored.stages))
    names = {
        about["digest"]: name
        for kind in ("models", "adapters")
        for name, about in record.provenance[kind].items()
    }
    return Claim(
        name=record.record_id,
        recipe=record.recipe,
        negative_prompt=record.parameters.get("negative_prompt"),
        names=names,
        batches=tuple(batches),
        keys=record.fingerprint.keys,
        exactness=record.exactness,
    )


def reproduce(claim: Claim, device: str, num_threads: int | None) -> Reproduction:
    """Draw a claim again. ``num_threads=None``: as many as it was drawn with, else 2."""
    threads = num_threads or int((claim.keys or {}).get("num_threads", 2))
    here = environment.fingerprint(
        device=environment.resolve_device(device), num_threads=threads
    ).keys
    resident = ResidentPipeline(_weights(claim), environment.resolve_device(device))
    worker = Worker(resident, threads)
    compared = [_draw(worker, claim, batch) for batch in claim.batches]
    apart = [divergence for found in compared for divergence in found if divergence is not None]
    total = sum(len(batch.images) for batch in claim.batches)
    differs = () if claim.keys is None else choose_tier(claim.keys, here).differs
    verdict, message = _verdict(claim, apart, here)
    return Reproduction(
        verdict=verdict,
        identical=not apart,
        num_images=total,
        num_identical=total - sum(found.max_abs > 0 for found in apart),
        message=message,
        first_divergence=max(apart, key=lambda found: found.max_abs, default=None),
        fingerprint_difference=tuple(RecordedKey(*one) for one in differs),
    )


def _verdict(claim: Claim, apart: Sequence[PixelDivergence], here: Keys) -> tuple[Verdict, str]:
    if not apart:
        return Verdict.PASS, "identical to the bit"
    choice = None if claim.keys is None else choose_tier(claim.keys, here)
    if choice is not None and choice.tier is None:
        return Verdict.UNCOVERED, choice.reason or ""
    if choice is not None and choice.tier == "T2":
        return (
            Verdict.UNCOVERED,
            "drawn on another device class: only a golden at T2 can judge that",
        )
    if choice is not None and choice.tier == "T0" and claim.exactness == Exactness.EXACT:
        if all(found.max_abs == 0 for found in apart):
            return (
                Verdict.REGRESSION,
                "the pixels are identical and a stage is not, on one fingerprint",
            )
        return Verdict.REGRESSION, "not identical, on the same fingerprint"
    margin = read_thresholds().get("T1", {}).get("window_density")
    worst = max(found.window_density for found in apart)
    if margin is None:
        return Verdict.UNCOVERED, "no calibrated threshold: run turbo-lab golden calibrate --write"
    text = f"densest window of differing pixels {worst:.3g}, threshold {margin.threshold:.3g}"
    if claim.exactness != Exactness.EXACT:
        text += f"; it was drawn {claim.exactness}, in company that is not drawn again"
    if worst <= margin.threshold:
        return Verdict.PASS, f"within rounding: {text}"
    if choice is None:
        return (
            Verdict.UNCOVERED,
            f"beyond rounding: {text}; the image does not say where it was drawn",
        )
    return Verdict.REGRESSION, f"beyond rounding: {text}"


def _weights(claim: Claim) -> Weights:
    """Files of the recipe's digests, by the names that go with them."""
    name = claim.names.get(claim.recipe.model)
    if name is None or name == "local":
        raise MissingFilesError(
            f"{claim.name}: its model {claim.recipe.model[:12]} has no card; "
            "only models with a card can be found again"
        )
    files = locate(model_card(name))
    if files.has_random_weights:
        raise _noise(claim, name)
    if files.digest != claim.recipe.model:
        raise MissingFilesError(
            f"{claim.name}: was drawn with {name} {claim.recipe.model[:12]}, here {name} is "
            f"{files.digest[:12]}; install the turbo-lab (or the revision) that has it"
        )
    adapters = {}
    for digest, _ in claim.recipe.lora:
        adapter = locate_adapter(claim.names.get(digest, digest))
        if adapter.digest != digest:
            raise MissingFilesError(
                f"{claim.name}: its adapter {adapter.name} was {digest[:12]}, here it is "
                f"{adapter.digest[:12]}"
            )
        adapters[digest] = (adapter.name, adapter.path)
    return Weights({claim.recipe.model: files.source}, adapters, _vaes(claim))


def _noise(claim: Claim, name: str) -> InputError:
    return InputError(
        f"{claim.name}: {name} has random weights, which differ per device; its pixels are noise "
        "and are not reproduced: time it with turbo-lab bench"
    )


def _vaes(claim: Claim) -> dict[str, Path]:
    """The VAE that took the place of the model's own, by the name that goes with it."""
    wanted = dict(claim.recipe.variant).get("vae")
    if wanted is None:
        return {}
    vae = locate_vae(claim.names.get(wanted, wanted))
    if vae.has_random_weights:
        raise _noise(claim, vae.name)
    if vae.digest != wanted:
        raise MissingFilesError(
            f"{claim.name}: its VAE {vae.name} was {wanted[:12]}, here it is {vae.digest[:12]}"
        )
    return {wanted: vae.path}


def _draw(worker: Worker, claim: Claim, batch: ClaimedBatch) -> list[PixelDivergence | None]:
    """For each claimed image: ``None``, or how it differs."""
    stages: list[StageValue] = []

    def observe(stage: str, tensor: Any) -> Any:
        stages.append(stage_value(stage, tensor))
        return tensor

    worker = worker.cold()
    worker.prepare(claim.recipe)
    drawn = worker.run(Batch(claim.recipe, batch.layout), claim.negative_prompt, observe)
    first = _first_stage(batch.stages, stages)
    return [_compare(image, drawn.pixels[image.row], first) for image in batch.images]


def _first_stage(recorded: Mapping[str, str] | None, stages: Sequence[StageValue]) -> str | None:
    """The first stage whose recorded hash is another; ``None``: no such stage."""
    for value in stages:
        known = (recorded or {}).get(value.stage)
        if known is not None and known != mark(value).sha256:
            return value.stage
    return None


def _compare(
    claimed: ClaimedImage, pixels: np.ndarray, stage: str | None
) -> PixelDivergence | None:
    """``stage``: the first of the batch that differs. Equal pixels may hide that one does."""
    if stage is None and images.pixel_sha256(pixels) == claimed.pixel_sha256:
        return None
    before = images.read_png(claimed.path)[0]
    apart = np.abs(before.astype(np.int16) - pixels.astype(np.int16))
    return PixelDivergence(
        stage=stage or "pixels",
        image=str(claimed.path),
        max_abs=int(apart.max()),
        window_density=window_density(before, pixels, tolerance=WINDOW_TOLERANCE["T1"]),
    )

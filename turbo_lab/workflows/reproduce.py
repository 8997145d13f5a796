"""``reproduce``: draw a recorded cell or image again, and compare.

Owns the way from a record of the store, or the recipe inside a PNG, to the comparison. Refuses a
PNG that was changed after it was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab import environment, images
from turbo_lab.analysis.similarity import window_density
from turbo_lab.documents.inspection import PixelDivergence, RecordedKey, Reproduction
from turbo_lab.environment import Keys
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.execute.resident import ResidentPipeline
from turbo_lab.execute.worker import Worker
from turbo_lab.golden.distances import WINDOW_TOLERANCE
from turbo_lab.golden.run_case import stage_value
from turbo_lab.golden.stages import StageValue, mark
from turbo_lab.golden.thresholds import read_thresholds
from turbo_lab.golden.tiers import choose_tier
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.source import PICTURES, holds_source, read_sources, source_files
from turbo_lab.store.record import CellStatus, Exactness, Record
from turbo_lab.store.store import Store
from turbo_lab.untrusted.paths import file_name
from turbo_lab.verdict import Verdict
from turbo_lab.workflows.drawable import check_drawable, threads_of
from turbo_lab.workflows.image_text import OWN_TEXT, near, own_origins, read_image_text
from turbo_lab.workflows.recorded_weights import GivenFiles, RecordedNames, recorded_weights


@dataclass(frozen=True)
class RecordedImage:
    """One image that was drawn before."""

    row: int
    """Row of the image in its batch."""
    pixel_sha256: str
    """sha256 of the pixels that were drawn."""
    path: Path
    """PNG file of the image."""


@dataclass(frozen=True)
class RecordedBatch:
    """One pipeline call that was made before."""

    layout: Layout
    """Prompts and seeds of the call, row by row."""
    images: tuple[RecordedImage, ...]
    """Images to compare; not always all rows of the call."""
    stages: Mapping[str, str] | None
    """sha256 by stage; ``None``: none were recorded."""


@dataclass(frozen=True)
class Drawing:
    """A drawing to reproduce: the cell of a record, or one image."""

    recipe: Recipe
    """Recipe that it was drawn by."""
    negative_prompt: str | None
    """Text of the negative prompt; ``None``: it has no effect."""
    weights: RecordedNames
    """Names and origins of its weights."""
    sources: Mapping[str, tuple[Path, ...]]
    """Places where each source image may be, by digest; empty for text to image."""
    batches: tuple[RecordedBatch, ...]
    """Batches, in the order of their images."""
    keys: Keys | None
    """Fingerprint keys it was drawn under; ``None``: an old PNG does not say."""
    exactness: Exactness
    """Exactness of its batches. Unless it is ``EXACT``, an image has the same bits only next to the
    same other rows, and those are not drawn again."""


def drawing_of_png(path: Path, store: Store | None = None) -> Drawing:
    """Return the drawing that a PNG file of turbo-lab describes.

    ``store``: where the paths of the user's own weights are recorded; an image holds none.
    Raises ``InputError`` or ``StoreError`` for any other file, and for an image that was edited.
    """
    pixels, text = images.read_png(path)
    if OWN_TEXT not in text:
        raise InputError(f"{path}: has no turbo-lab recipe; name a PNG that turbo-lab wrote")
    about, recipe = read_image_text(path, text[OWN_TEXT])
    if about.pixel_sha256 != images.pixel_sha256(pixels):
        raise InputError(
            f"{path}: its pixels are not those that its recipe names; it was changed after it was "
            "drawn"
        )
    layout = Layout(about.rows.prompts, about.rows.seeds, about.rows.sources or ())
    sources = {
        digest: near(path, file_name(name, f"{path}: its turbo-lab recipe: sources"))
        for digest, name in (about.sources or {}).items()
    }
    image = RecordedImage(about.row, about.pixel_sha256, path)
    return Drawing(
        recipe=recipe,
        negative_prompt=about.negative_prompt,
        weights=RecordedNames(str(path), about.models, own_origins(store, recipe, about.models)),
        sources=sources,
        batches=(RecordedBatch(layout, (image,), about.stages),),
        keys=about.keys,
        exactness=about.exactness,
    )


def drawing_of_record(record: Record, store: Store) -> Drawing:
    """Return the cell of a record. Raises ``InputError`` for a failed one."""
    if record.status != CellStatus.DONE:
        raise InputError(f"record {record.record_id[:12]}: failed ({record.error}); nothing drawn")
    weights = record.provenance.weights
    names = {origin.digest: name for name, origin in weights.items()}
    origins = {origin.digest: origin for origin in weights.values()}
    return Drawing(
        recipe=record.recipe,
        negative_prompt=record.parameters.negative_prompt,
        weights=RecordedNames(record.record_id, names, origins),
        sources={key: (one.path,) for key, one in (record.provenance.sources or {}).items()},
        batches=tuple(_recorded_batch(store, key) for key in record.batches),
        keys=record.fingerprint.keys,
        exactness=record.exactness,
    )


def _recorded_batch(store: Store, key: str) -> RecordedBatch:
    stored, folder = store.read_batch(key), store.batch_folder(key)
    prompts = tuple(image.prompt for image in stored.images)
    seeds = tuple(image.seed for image in stored.images)
    sources = tuple(image.source for image in stored.images if image.source is not None)
    recorded = tuple(
        RecordedImage(row, image.pixel_sha256, folder / image.file)
        for row, image in enumerate(stored.images)
    )
    return RecordedBatch(Layout(prompts, seeds, sources), recorded, stored.stages)


def reproduce(
    drawing: Drawing, device: str, num_threads: int | None, given: GivenFiles | None = None
) -> Reproduction:
    """Draw a cell or an image again, and compare.

    ``num_threads``: CPU threads; ``None``: as many as it was drawn with, or 2 if that is unknown.
    ``given``: files that are not where they were; ``None``: all are.
    """
    subject = drawing.weights.subject
    threads = num_threads or threads_of(drawing.keys, subject)
    check_drawable(drawing.recipe, (batch.layout for batch in drawing.batches), subject)
    here = environment.fingerprint(
        device=environment.resolve_device(device), num_threads=threads
    ).keys
    given = given or GivenFiles()
    weights = recorded_weights(drawing.recipe, drawing.weights, given)
    weights = replace(weights, sources=_sources(drawing, given.image))
    resident = ResidentPipeline(weights, environment.resolve_device(device))
    worker = Worker(resident, threads)
    compared = [_draw(worker, drawing, batch) for batch in drawing.batches]
    apart = [divergence for found in compared for divergence in found if divergence is not None]
    total = sum(len(batch.images) for batch in drawing.batches)
    differs = () if drawing.keys is None else choose_tier(drawing.keys, here).differs
    verdict, message = _verdict(drawing, apart, here)
    return Reproduction(
        verdict=verdict,
        identical=not apart,
        num_images=total,
        num_identical=total - sum(found.max_abs > 0 for found in apart),
        message=message,
        first_divergence=max(apart, key=lambda found: found.max_abs, default=None),
        fingerprint_difference=tuple(RecordedKey(*one) for one in differs),
    )


def _verdict(drawing: Drawing, apart: Sequence[PixelDivergence], here: Keys) -> tuple[Verdict, str]:
    if not apart:
        return Verdict.PASS, "identical to the bit"
    choice = None if drawing.keys is None else choose_tier(drawing.keys, here)
    if choice is not None and choice.tier is None:
        return Verdict.UNCOVERED, choice.reason or ""
    if choice is not None and choice.tier == "T2":
        reason = "drawn on another device class; only a golden can judge that, at tier T2"
        return Verdict.UNCOVERED, reason
    if choice is not None and choice.tier == "T0" and drawing.exactness == Exactness.EXACT:
        has_same_pixels = all(found.max_abs == 0 for found in apart)
        what = "the pixels are identical and a stage is not" if has_same_pixels else "not identical"
        return Verdict.REGRESSION, f"{what}, on the same fingerprint"
    return _rounding_verdict(drawing, apart)


def _rounding_verdict(drawing: Drawing, apart: Sequence[PixelDivergence]) -> tuple[Verdict, str]:
    """Judge images that may differ by rounding, by the threshold that calibration derived."""
    margin = read_thresholds().get("T1", {}).get("window_density")
    worst = max(found.window_density for found in apart)
    if margin is None:
        return Verdict.UNCOVERED, "no calibrated threshold: run turbo-lab golden calibrate --write"
    text = f"densest window of differing pixels {worst:.3g}, threshold {margin.threshold:.3g}"
    if drawing.exactness != Exactness.EXACT:
        text += f"; it was drawn {drawing.exactness}, so rounding depends on the rest of its batch"
    if worst <= margin.threshold:
        return Verdict.PASS, f"within rounding: {text}"
    if drawing.keys is None:
        text += "; the image does not say where it was drawn"
        return Verdict.UNCOVERED, f"beyond rounding: {text}"
    return Verdict.REGRESSION, f"beyond rounding: {text}"


def _sources(drawing: Drawing, image: str | None) -> dict[str, Path]:
    """Return the files of the source images, found by the digest of their pixels."""
    size = (drawing.recipe.width, drawing.recipe.height)
    wanted = dict.fromkeys(key for batch in drawing.batches for key in batch.layout.sources)
    given = read_sources(source_files(image), size) if image is not None and wanted else ()
    by_digest = {one.digest: one.path for one in given}
    found = {}
    for digest in wanted:
        places = drawing.sources.get(digest, ())
        path = by_digest.get(digest) or next(
            (path for path in places if holds_source(path, digest, size)), None
        )
        if path is None:
            named = (str(place) for place in places if PICTURES not in place.parents)
            where = f"image={image}" if image is not None else " or ".join(named)
            raise MissingFilesError(
                f"{drawing.weights.subject}: its source image {digest[:12]} is not at "
                f"{where or 'any place'}; name its file, or the folder that it is in, with "
                "image=PATH"
            )
        found[digest] = path
    return found


def _draw(worker: Worker, drawing: Drawing, batch: RecordedBatch) -> list[PixelDivergence | None]:
    """Draw a batch again; return per recorded image how it differs, or ``None``."""
    stages: list[StageValue] = []

    def observe(stage: str, tensor: Any) -> Any:
        stages.append(stage_value(stage, tensor))
        return tensor

    worker = worker.cold()
    worker.prepare(drawing.recipe)
    drawn = worker.run(Batch(drawing.recipe, batch.layout), drawing.negative_prompt, observe)
    first = _first_stage(batch.stages, stages)
    return [_compare(image, drawn.pixels[image.row], first) for image in batch.images]


def _first_stage(recorded: Mapping[str, str] | None, stages: Sequence[StageValue]) -> str | None:
    """Return the first stage whose hash differs from the recorded one; ``None``: none does."""
    for value in stages:
        known = (recorded or {}).get(value.stage)
        if known is not None and known != mark(value).sha256:
            return value.stage
    return None


def _compare(
    recorded: RecordedImage, pixels: np.ndarray, stage: str | None
) -> PixelDivergence | None:
    """Return how an image differs from the recorded one; ``None``: it does not.

    ``stage``: first stage of its batch that differs. It may differ although the pixels are equal.
    """
    if stage is None and images.pixel_sha256(pixels) == recorded.pixel_sha256:
        return None
    before = images.read_png(recorded.path)[0]
    if before.shape != pixels.shape:
        raise InputError(
            f"{recorded.path}: is {before.shape[1]}x{before.shape[0]}, and its recipe draws "
            f"{pixels.shape[1]}x{pixels.shape[0]}; it is not the image that was drawn"
        )
    apart = np.abs(before.astype(np.int16) - pixels.astype(np.int16))
    return PixelDivergence(
        stage=stage or "pixels",
        image=str(recorded.path),
        max_abs=int(apart.max()),
        window_density=window_density(before, pixels, tolerance=WINDOW_TOLERANCE["T1"]),
    )

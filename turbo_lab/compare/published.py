"""Values that papers and model cards report: shown next to ours, never compared with them.

Owns the packaged table and the description of each protocol. Values are text, as they were
printed: nothing here computes with them. Two protocols differ in prompts, number of images,
resizing, extractor or scale, so their rows cannot be compared with each other or with a value
that is measured here. A request for a verdict on one is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping

from turbo_lab.documents.compare import Published, PublishedProtocol, PublishedTables
from turbo_lab.errors import InputError
from turbo_lab.request.prompts import DATA

TABLE = DATA.parent / "published_reference.csv"
NOTE = (
    "Published values, by protocol. Compare only rows of one protocol with each other, and none "
    "with a value measured here. transcription: read in a third party's copy of the paper"
)
PROTOCOLS: Mapping[str, str] = {
    "dmd2-coco2014-10k": (
        "COCO 2014, 10,000 prompts, seed 10; FID by clean-fid at 512 (Lanczos); CLIP cosine by "
        "ViT-g-14 laion2b_s12b_b42k; SDXL-Turbo's size is unstated (the script's default is 1024)"
    ),
    "lightning-coco-10k": "COCO val, the first 10,000 prompts; CLIP x 100 by an unstated model",
    "apt-coco-5k": "COCO, 5,000 prompts; CLIP x 100 by an unstated model",
    "apt-coco-10k": "COCO, 10,000 prompts; CLIP x 100 by an unstated model",
    "add-coco2017-5k": "COCO 2017, 5,000 prompts; CLIP cosine by ViT-g-14 laion2b; latency on A100",
    "mlperf-coco2014-5k": (
        "COCO 2014, 5,000 fixed captions, negative prompt and latents fixed; FID by pytorch-fid "
        "without antialiasing, to all of val2014; CLIP x 100 by ViT-B-32 openai; the accepted range"
    ),
    "cmmd-coco2014-30k": "COCO 2014 val, 30,000 prompts; CMMD (biased form) by CLIP ViT-L/14-336",
    "tgate-coco-10k": "COCO, 10,000 prompts; latency on 1080 Ti",
    "lcm-laion-6plus-30k": "LAION-Aesthetics 6+, 30,000 images; CLIP x 100, ViT-g-14",
    "lcm-laion-6.5plus-30k": "LAION-Aesthetics 6.5+, 30,000 images; CLIP x 100, ViT-g-14",
    "sdxl-turbo-latency": (
        "seconds per call of SDXL-Turbo at 512x512, on different hardware and software; no value "
        "has an interval, and none is of one step on an H100 or H200"
    ),
    "tensorrt-cards": "seconds per image in TensorRT, from the model cards",
    "senseflow-coco-5k": (
        "COCO, 5,000 prompts; FID to the teacher's images, not to photographs; preference scores"
    ),
    "flashdmd-coco-10k": "COCO 2014, 10,000 prompts; preference scores",
}


def published() -> tuple[Published, ...]:
    """Return all rows, in the order of the file."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(Published(**row) for row in csv.DictReader(file))


def published_tables() -> PublishedTables:
    """Return all rows as ``compare`` shows them: one table per protocol."""
    rows = published()
    protocols = (
        PublishedProtocol(name, measured, tuple(row for row in rows if row.protocol == name))
        for name, measured in PROTOCOLS.items()
    )
    return PublishedTables(NOTE, tuple(protocols))


def refuse_published(command: str, *words: str) -> None:
    """Raise :class:`InputError` if one of ``words`` names a published value."""
    ids = {row.id for row in published()}
    for word in words:
        name = word.rpartition("=")[2].removeprefix("published/")
        is_table = name.endswith(TABLE.name) or name == "published" or ".published" in word
        if name in ids or is_table or word.startswith("published="):
            raise InputError(
                f"{command}: {word}: published values are not a baseline: they were measured by "
                "other protocols, on other images; draw the baseline here (baseline.KEY=VALUE, or "
                "turbo-lab baseline set NAME SWEEP); turbo-lab compare published=on shows them"
            )

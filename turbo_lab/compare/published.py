"""Values that papers and model cards report: shown next to ours, never compared with them.

Owns the packaged table and what each protocol measured. Figures are text, as
they were printed: nothing here computes with them. Two protocols differ in
prompts, number of images, resize, extractor or scale, so their rows do not
compare, neither with each other nor with a figure measured here; asking for a
verdict on one is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turbo_lab.errors import InputError
from turbo_lab.request.prompts import DATA
from turbo_lab.request.recipe import as_plain

TABLE = DATA.parent / "published_reference.csv"
NOTE = (
    "Published figures, by protocol. Only rows of one protocol compare with each other; none "
    "compares with a figure measured here. transcription: read in a third party's copy of the paper"
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
    "tensorrt-cards": "seconds an image in TensorRT, from the model cards",
    "senseflow-coco-5k": (
        "COCO, 5,000 prompts; FID to the teacher's images, not to photographs; preference scores"
    ),
    "flashdmd-coco-10k": "COCO 2014, 10,000 prompts; preference scores",
}


@dataclass(frozen=True)
class Published:
    """One row. Empty text: not reported."""

    id: str
    """Such as ``dmd2-turbo-1``."""
    protocol: str
    """Of :data:`PROTOCOLS`."""
    model: str
    """As the publication calls it."""
    num_inference_steps: str
    """With the number of network evaluations where that was given."""
    guidance_scale: str
    """As printed."""
    resolution: str
    """As printed, in pixels."""
    n: str
    """Images."""
    fid: str
    """A range where one is accepted."""
    patch_fid: str
    """Of crops at full size."""
    clip: str
    """On its protocol's scale."""
    other: str
    """Further scores, named."""
    latency_s: str
    """Seconds an image, with the device where there are several."""
    hardware: str
    """Of the latency."""
    publication: str
    """Paper or page, and the table in it."""
    read_in: str
    """Where the figure was read."""
    verification: str
    """``repo-confirmed``, ``transcription``, ``excerpt``: how sure it is."""


def published() -> tuple[Published, ...]:
    """All rows, in the file's order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(Published(**row) for row in csv.DictReader(file))


def published_document() -> dict[str, Any]:
    """As ``compare`` shows them: a table a protocol."""
    rows = published()
    return {
        "note": NOTE,
        "protocols": [
            {
                "id": name,
                "measured": measured,
                "rows": [as_plain(row) for row in rows if row.protocol == name],
            }
            for name, measured in PROTOCOLS.items()
        ],
    }


def refuse_published(command: str, *words: str) -> None:
    """Raise :class:`InputError` where one of ``words`` stands for a published figure."""
    ids = {row.id for row in published()}
    for word in words:
        name = word.rpartition("=")[2].removeprefix("published/")
        is_table = name.endswith(TABLE.name) or name == "published" or ".published" in word
        if name in ids or is_table or word.startswith("published="):
            raise InputError(
                f"{command}: {word}: published figures are not a baseline: they were measured by "
                "other protocols, on other images; draw the baseline here (baseline.KEY=VALUE, or "
                "turbo-lab baseline set NAME SWEEP), and see them with turbo-lab compare "
                "published=on"
            )

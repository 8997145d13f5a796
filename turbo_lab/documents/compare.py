"""The ``compare`` document: a candidate against its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turbo_lab.documents.gate import CheckResult, PromptChange
from turbo_lab.untrusted.typed_json import OMITTED
from turbo_lab.verdict import Direction, Verdict

Interval = tuple[float, float]


@dataclass(frozen=True)
class ContenderMetric:
    """One metric of one contender."""

    value: float | None
    """The value. ``None``: not scored."""
    ci95: Interval | None
    """95% confidence interval. ``None``: it cannot be given."""
    n: int
    """Number of independent samples."""
    direction: Direction = Direction.NONE
    """Direction in which the metric is better."""


@dataclass(frozen=True)
class ContenderLatency:
    """Wall time per call of one contender, in seconds."""

    p50: float
    """Median."""
    ci95: Interval | None
    """95% confidence interval of the median. ``None``: too few calls."""
    n: int
    """Number of timed calls."""
    images_per_call: int | None = None
    """Images per call. ``None``: written by a version that did not record it."""


@dataclass(frozen=True)
class ContenderEnergy:
    """Energy per image of one contender, in joules."""

    joules_per_image: float
    """Joules of all timed blocks over their images."""
    ci95: Interval | None
    """95% confidence interval. ``None``: fewer than 8 blocks."""
    n: int
    """Number of blocks."""
    method: str
    """``counter``: the device's energy counter; ``power``: mean power times time."""


@dataclass(frozen=True)
class ContenderResult:
    """One model at one setting."""

    label: str
    """Model, number of steps, and other settings that only this side has."""
    metrics: Mapping[str, ContenderMetric]
    """Metrics, by name."""
    latency_s: ContenderLatency
    """Wall time per call, in seconds."""
    energy: ContenderEnergy | None = None
    """Energy per image. ``None``: the device has no meter, as a CPU."""


@dataclass(frozen=True)
class SourceImages:
    """Source images that all contenders begin from."""

    image: str
    """File or folder that the user named."""
    strength: float
    """Share of the steps that are run."""
    names: Mapping[str, str]
    """Name of each source's file, by the sha256 of its pixels at the size of the images."""


@dataclass(frozen=True)
class EntrantResult:
    """One entrant next to the reference, which every entrant is compared with."""

    label: str
    """Label of the entrant."""
    error: str | None = None
    """Reason why it could not be run or scored, in one line. ``None``: it was."""
    lpips: float | None = None
    """Mean LPIPS to the reference's images. ``None``: no images to pair, or no LPIPS weights."""
    psnr_db: float | None = None
    """Mean PSNR to the reference's images, in dB; infinite if all are equal. ``None``: no images to
    pair."""
    worst_tile_ssim: float | None = None
    """SSIM of the least similar tile of all images. ``None``: no images to pair."""
    clip_score_difference: float | None = None
    """CLIP score minus the reference's, paired. ``None``: this is the reference, or it failed."""
    clip_score_ci95: Interval | None = None
    """95% interval of the CLIP score's difference. ``None``: it cannot be given."""
    frechet_difference: float | None = None
    """Fréchet distance minus the reference's. ``None``: this is the reference, it failed, or there
    are fewer images than features."""
    frechet_ci95: Interval | None = None
    """95% interval of the Fréchet distance's difference. ``None``: it cannot be given."""
    latency_p50_s: float | None = None
    """Median time per call, in seconds. ``None``: it failed."""
    latency_ratio: float | None = None
    """Median time per call over the reference's; below 1 is faster. ``None``: it failed."""
    peak_memory_bytes: int | None = None
    """Peak memory of the device, or of the process on a CPU, in bytes. ``None``: it failed."""
    joules_per_image: float | None = None
    """Energy per image, in joules. ``None``: the device has no meter, or it failed."""
    weights_bytes: int | None = None
    """Size of the weights in memory, in bytes. ``None``: it failed, or an earlier version timed
    it."""


@dataclass(frozen=True)
class PromptExtremes:
    """Prompts on which the candidate differs most from one baseline."""

    gains: tuple[PromptChange, ...]
    """Prompts with the largest gains, as pairs of prompt and difference."""
    losses: tuple[PromptChange, ...]
    """Prompts with the largest losses, as pairs of prompt and difference."""


@dataclass(frozen=True)
class FidelityMetric:
    """One distance or similarity between images of the same prompts and seeds."""

    name: str
    """Name, such as ``psnr``."""
    unit: str
    """Unit, such as ``dB``."""
    direction: Direction
    """Direction in which two images are more alike."""
    mean: float | None
    """Mean over the pairs. ``None``: not scored."""
    worst: float | None
    """Value of the worst pair. ``None``: not scored."""
    n: int
    """Number of pairs."""
    ci95: Interval | None
    """95% interval of the mean, over prompts. ``None``: fewer than 8 prompts, or infinite."""
    note: str | None
    """Reason for a missing value. ``None``: there is a value."""


@dataclass(frozen=True)
class Published:
    """One row of published values, as printed; empty if nothing was reported."""

    id: str
    """Id of the row."""
    protocol: str
    """Id of its protocol; rows of different protocols cannot be compared."""
    model: str
    """Name in the publication."""
    num_inference_steps: str
    """Number of steps, with the number of network evaluations if it was given."""
    guidance_scale: str
    """Guidance scale."""
    resolution: str
    """Size, in pixels."""
    n: str
    """Number of images."""
    fid: str
    """FID, or the range that is accepted."""
    patch_fid: str
    """FID of crops at full size."""
    clip: str
    """CLIP score, on the scale of its protocol."""
    other: str
    """Further scores, with their names."""
    latency_s: str
    """Seconds per image, with the device if there are several."""
    hardware: str
    """Hardware of the latency."""
    publication: str
    """Paper or page, and the table in it."""
    read_in: str
    """Source in which the value was read."""
    verification: str
    """Certainty: ``repo-confirmed``, ``transcription`` or ``excerpt``."""


@dataclass(frozen=True)
class PublishedProtocol:
    """Rows that were measured in the same way."""

    id: str
    """Id of the protocol."""
    measured: str
    """Description of the measurement."""
    rows: tuple[Published, ...]
    """The rows."""


@dataclass(frozen=True)
class PublishedTables:
    """Values that papers report: for reading, never a baseline."""

    note: str
    """Reason why they cannot be compared with values that are measured here."""
    protocols: tuple[PublishedProtocol, ...]
    """One table per protocol."""


@dataclass(frozen=True)
class CompareReport:
    """The ``compare`` document."""

    verdict: Verdict
    """Worst verdict of all rows."""
    candidate: str
    """Label of the candidate; of the first one if there are several."""
    rows: tuple[CheckResult, ...]
    """One row per metric and baseline, with a margin of zero: ``pass`` is at least as good."""
    contenders: tuple[ContenderResult, ...]
    """The candidate, then the baselines; with several candidates, the baseline comes first."""
    pareto: tuple[str, ...]
    """Labels that no other dominates in CLIP score and latency, as far as intervals can tell."""
    prompts: Mapping[str, PromptExtremes]
    """Prompts on which the candidate gains and loses most, by label of the baseline; with several
    candidates, by label of the candidate."""
    fidelity: Mapping[str, tuple[FidelityMetric, ...]]
    """Distances of its images from those of each variant of the same model, by label; with several
    candidates, of each from the baseline, by label of the candidate."""
    sources: SourceImages | None = field(default=None, metadata=OMITTED)
    """Source images of all contenders. Absent for text to image."""
    published: PublishedTables | None = field(default=None, metadata=OMITTED)
    """Published values. Absent unless ``published=on``."""
    reference: str = ""
    """Label of the entrant that the others are compared with in ``entrants``: the baseline, or the
    candidate if ``baselines`` names other models."""
    entrants: tuple[EntrantResult, ...] = ()
    """The reference and every other entrant, also those that failed; one table for all."""
    environment: Mapping[str, str | int] = field(default_factory=dict)
    """Fingerprint keys of the reference: device, versions, threads."""

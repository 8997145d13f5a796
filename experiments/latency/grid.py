"""What is measured: sizes, batches, steps and pipelines, in order of value.

Owns the order: what comes first is what a reader asks for first, so that a run that is cut off
has measured the most for its time.
"""

from __future__ import annotations

from dataclasses import dataclass

from turbo_lab.cards import model_card

REGIONAL = "fast, regional"
"""``pipeline=fast`` with only the UNet's repeated blocks compiled, which compiles faster."""
PIPELINES = ("stock", "exact", "fast", REGIONAL)
"""What is measured; the first one is what the others are compared with."""
FIRST_POINTS = 2
"""Number of points that every step measures before any step measures more."""
# A VAE that decodes in float16, for the pipeline that need not keep bits. For a real checkpoint
# it is the user's to name: ``--fast-vae FOLDER``.
FAST_VAES = dict.fromkeys(
    ("sdxl-turbo-shape", "sdxl-base-shape", "lcm-sdxl-shape"), "sdxl-vae-fp16-shape"
)


@dataclass(frozen=True)
class Point:
    """One shape of a pipeline call."""

    resolution: str
    """``WIDTHxHEIGHT``."""
    batch_size: int
    """Images per call."""
    num_inference_steps: int
    """Denoising steps."""

    def __str__(self) -> str:
        steps = "step" if self.num_inference_steps == 1 else "steps"
        return f"{self.resolution}, batch {self.batch_size}, {self.num_inference_steps} {steps}"


@dataclass(frozen=True)
class Setup:
    """One model on one device, and how to call it."""

    model: str
    """Name of its card."""
    device: str
    """``cpu`` or ``cuda``."""
    dtype: str
    """Precision of the pipeline."""
    fast_vae: str | None
    """VAE of ``pipeline=fast``; ``None``: the model's own."""
    is_quick: bool
    """Whether the short list of points is measured, in shorter blocks."""
    num_points: int | None = None
    """Number of points, from the first; ``None``: all of them."""

    @property
    def points(self) -> tuple[Point, ...]:
        """Points to measure, the most valuable first."""
        native = int(model_card(self.model).recommended.resolution)
        small, large = f"{native}x{native}", f"{2 * native}x{2 * native}"
        if self.device == "cpu":
            wanted = [(small, 1, 1), (small, 4, 1), (small, 1, 4), (large, 1, 1)]
        else:
            wanted = [(small, 1, 1), (small, 16, 1), (small, 4, 1), (small, 1, 4), (large, 1, 1)]
            wanted += [(small, 64, 1)]
        if not self.is_quick:
            batches = (1, 4) if self.device == "cpu" else (1, 4, 16, 64)
            every = [(small, batch, steps) for steps in (1, 4) for batch in batches]
            every += [(large, batch, steps) for steps in (1, 4) for batch in (1, 4)]
            wanted = list(dict.fromkeys([*wanted, *every]))
        return tuple(Point(*values) for values in wanted)[: self.num_points]

    @property
    def rounds(self) -> int:
        """Rounds of interleaved blocks; fewer than eight have no interval."""
        return 8 if self.is_quick else 12

    @property
    def block_s(self) -> float:
        """Length of a block in seconds; a GPU's energy counter needs a few tenths."""
        if self.device == "cpu":
            return 0.0
        return 0.35 if self.is_quick else 0.5

    def words(self, pipeline: str, point: Point) -> list[str]:
        """Return the command line of one call, for ``turbo-lab bench``."""
        preset = pipeline.partition(",")[0]
        vae = [f"vae={self.fast_vae}"] if preset == "fast" and self.fast_vae else []
        scope = ["compile_scope=repeated-blocks+vae"] if pipeline == REGIONAL else []
        return [
            f"model={self.model}",
            f"pipeline={preset}",
            *vae,
            *scope,
            f"device={self.device}",
            f"dtype={self.dtype}",
            "num_threads=1",
            "guidance_scale=0",
            "prompts=scenes-heldout",
            f"resolution={point.resolution}",
            f"batch_size={point.batch_size}",
            f"num_images={point.batch_size}",
            f"num_inference_steps={point.num_inference_steps}",
        ]

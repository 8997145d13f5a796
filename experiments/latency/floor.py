"""The floor by arithmetic: how long a call takes if every product runs at the card's peak.

Owns the counts of multiply-adds (2 operations each) per image and the peaks of the cards. The
floor ignores memory traffic and launches: no real pipeline reaches it.
"""

from __future__ import annotations

from experiments.latency.grid import Point

# Per image: both text encoders; one UNet evaluation and the VAE's decoder, by size. A test counts
# them on the shape with torch.utils.flop_counter.
TEXT_TFLOP = 0.111
UNET_TFLOP = {512: 1.589, 1024: 6.761}
VAE_TFLOP = {512: 2.515, 1024: 10.470}
# Dense, without sparsity, from NVIDIA's data sheets of the SXM cards.
PEAKS_TFLOP_S = {"H200": 989.0, "H100": 989.0, "A100": 312.0}


def floor_s(point: Point, gpu: str) -> float | None:
    """Return the floor of a call in float16, in seconds; ``None`` for what was not counted."""
    peak = next((value for name, value in PEAKS_TFLOP_S.items() if name in gpu), None)
    width, _, height = point.resolution.partition("x")
    size = int(width)
    if peak is None or width != height or size not in UNET_TFLOP:
        return None
    image = TEXT_TFLOP + point.num_inference_steps * UNET_TFLOP[size] + VAE_TFLOP[size]
    return point.batch_size * image / peak

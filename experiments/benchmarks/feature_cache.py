"""Compare a second evaluation of the same images, by the feature cache, with the first.

    python -m experiments.benchmarks.feature_cache [--images 256] [--rounds 3] [--num-threads 1]

Features of images and of their prompts, which every metric starts from, with
an empty cache and again with a new process's view of the full one (nothing is
remembered in memory). Two judges: ``nano-clip`` on 64x64 images, the cheapest
that there is, and a ViT-B-32 of random weights on 512x512. Prints one Markdown
row per judge; neither time includes loading the judge.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from turbo_lab.identity import DigestCache
from turbo_lab.metrics.cache import CachedExtractor, FeatureCache
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import extractor_source


def random_vit(folder: Path) -> ClipExtractor:
    """ViT-B-32 as open_clip builds it, with weights of a seed: time does not depend on them."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    file = folder / "random.safetensors"
    save_file(open_clip.create_model("ViT-B-32").state_dict(), file)
    return ClipExtractor(extractor_source("ViT-B-32", str(file)), DigestCache(folder / "digests"))


def once(judge: ClipExtractor, cache: FeatureCache, images: np.ndarray, texts: list[str]) -> float:
    """Seconds of all features."""
    view = CachedExtractor(judge.name, judge.digest, lambda: judge, cache)
    began = time.perf_counter()
    view.image_features(images)
    view.text_features(texts)
    return time.perf_counter() - began


def compare(judge: ClipExtractor, images: np.ndarray, texts: list[str], rounds: int) -> list[float]:
    """Seconds first, seconds again and their ratio: medians over rounds, each with a new folder."""
    first, again = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cache = FeatureCache(Path(folder))
            judge._texts.clear()  # the judge remembers its prompts; a new process does not
            first.append(once(judge, cache, images, texts))
            again.append(once(judge, cache, images, texts))
    ratios = [a / b for a, b in zip(first, again, strict=True)]
    return [statistics.median(values) for values in (first, again, ratios)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.num_threads)
    draws = np.random.default_rng(0)
    texts = [f"a thing of kind {i % 64}" for i in range(options.images)]
    print("| judge | images | first s | again s | ratio |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        nano = ClipExtractor(extractor_source("nano-clip"), DigestCache(Path(folder) / "digests"))
        for judge, side in ((nano, 64), (random_vit(Path(folder)), 512)):
            images = draws.integers(0, 256, (options.images, side, side, 3), dtype=np.uint8)
            once(judge, FeatureCache(Path(folder) / "warm-up"), images[:8], texts[:8])
            first, again, ratio = compare(judge, images, texts, options.rounds)
            print(
                f"| {judge.name} | {len(images)} of {side}x{side} | {first:.2f} | {again:.4f} "
                f"| {ratio:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

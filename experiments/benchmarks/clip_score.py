"""CLIP score of images with repeated prompts: ours, and torchmetrics used as it documents.

    python -m experiments.benchmarks.clip_score [--images 256] [--prompts 64] [--rounds 3]

Both have the same ``nano-clip`` in memory; torchmetrics takes it as a
callable that returns model and processor, which is how it takes any model. Its
documentation scores by ``metric(images, texts)``; ``metric.update`` in batches
of 8 is the faster way that it has. Ours is the judge without any cache. Prints
one Markdown row per way, and fails where the scores disagree by more than 1e-4.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from experiments.nano.world import COLOURS
from turbo_lab.metrics.clip_score import clip_score
from turbo_lab.metrics.extractor import ClipExtractor, load_extractor, preprocess


def adapter(judge: ClipExtractor) -> tuple[Any, Any]:
    """The judge in the shape of a Hugging Face model and processor."""

    class Model(torch.nn.Module):
        device = torch.device("cpu")
        config = type("C", (), {"text_config": type("T", (), {"max_position_embeddings": 77})})

        def get_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return judge._model.encode_image(pixel_values)

        def get_text_features(self, input_ids: torch.Tensor, attention_mask: Any) -> torch.Tensor:
            return judge._model.encode_text(input_ids)

    def processor(text: Any = None, images: Any = None, **_: Any) -> dict[str, torch.Tensor]:
        if images is not None:
            pixels = torch.stack([torch.as_tensor(i) for i in images]).permute(0, 2, 3, 1)
            return {"pixel_values": preprocess(pixels, judge.source.preprocessing)}
        tokens = judge._tokenizer(text)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}

    return Model(), processor


def ground(text: str, seed: int) -> np.ndarray:
    """(64, 64, 3) uint8: the prompt's background, so that no score is below torchmetrics' 0."""
    colour = next(rgb for name, rgb in COLOURS.items() if f" {name} " in text)
    noise = np.random.default_rng(seed).normal(0, 3, (64, 64, 3))
    return (np.array(colour) + noise).round().clip(0, 255).astype(np.uint8)


def ways(judge: ClipExtractor, images: np.ndarray, texts: list[str]) -> dict[str, Callable]:
    """Name to a function that gives the score x 100."""
    from torchmetrics.multimodal import CLIPScore

    pixels = list(torch.from_numpy(images).permute(0, 3, 1, 2))

    def ours() -> float:
        judge._texts.clear()
        score = clip_score(judge.image_features(images), judge.text_features(texts), texts)
        assert score.value is not None
        return 100 * score.value

    def one_by_one() -> float:
        metric = CLIPScore(model_name_or_path=lambda: adapter(judge))
        for image, text in zip(pixels, texts, strict=True):
            metric(image, text)
        return float(metric.compute())

    def in_batches() -> float:
        metric = CLIPScore(model_name_or_path=lambda: adapter(judge))
        for start in range(0, len(texts), 8):
            metric.update(pixels[start : start + 8], texts[start : start + 8])
        return float(metric.compute())

    return {
        "turbo-lab": ours,
        "torchmetrics, metric(image, text)": one_by_one,
        "torchmetrics, update by 8": in_batches,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.num_threads)
    warnings.simplefilter("ignore")
    from turbo_lab.request.prompts import DATA, read_prompts

    known = read_prompts(DATA / "scenes-heldout.txt").prompts
    texts = [known[i % options.prompts] for i in range(options.images)]
    images = np.stack([ground(text, index) for index, text in enumerate(texts)])
    found = ways(load_extractor("nano-clip"), images, texts)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(options.rounds):
        values = []
        for name in list(found)[:: -1 if turn % 2 else 1]:
            began = time.perf_counter()
            values.append(found[name]())
            seconds[name].append(time.perf_counter() - began)
        assert values[0] > 0
        np.testing.assert_allclose(values, values[0], atol=1e-4)
    ours = statistics.median(seconds["turbo-lab"])
    print("| way | median s | each round | times ours |\n| --- | --- | --- | --- |")
    for name, taken in seconds.items():
        median, each = statistics.median(taken), ", ".join(f"{value:.2f}" for value in taken)
        print(f"| {name} | {median:.2f} | {each} | {median / ours:.1f} |")


if __name__ == "__main__":
    main()

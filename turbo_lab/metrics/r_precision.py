"""R-precision: how often an image's own caption is the nearest of the prompt set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turbo_lab.analysis.stats import proportion_ci
from turbo_lab.metrics.clip_score import few_prompts_note
from turbo_lab.metrics.inputs import Floats, MetricInputs, Score, unit_rows


def compute(inputs: MetricInputs) -> Score:
    """Compute the metric of one cell; see :func:`r_precision`."""
    candidates = tuple(dict.fromkeys(inputs.prompt_set))
    if len(candidates) < 2:
        return Score(
            None, len(inputs.prompts), note="unscored: the prompt set has fewer than 2 prompts"
        )
    texts = inputs.text_features(candidates)
    return r_precision(inputs.image_features, texts, inputs.prompts, candidates)


def r_precision(
    image_features: Floats,
    candidate_features: Floats,
    prompts: Sequence[str],
    candidates: Sequence[str],
) -> Score:
    """Recall@1 of the own caption among K candidates; N >= 1, K >= 2, higher is better.

    ``image_features``: (N, d); ``candidate_features``: (K, d) of the distinct
    texts ``candidates``, which contain every prompt. AttnGAN's R-precision
    (Xu et al. 2018, arXiv 1711.10485) with the whole set as candidates. A tie of
    t captions counts 1/t, so an image that looks like all of them scores chance.
    The interval is Wilson's by prompts: none right of 16 is not certainly zero.
    Bias: falls with K, hence the candidate set is part of the fingerprint.
    Raises ``ValueError`` for fewer than 2 candidates or a prompt not among them.
    """
    if len(candidates) < 2 or len(set(candidates)) != len(candidates):
        raise ValueError("candidates: must be at least 2 distinct texts")
    position = {text: i for i, text in enumerate(candidates)}
    absent = sorted(set(prompts) - position.keys())
    if absent:
        raise ValueError(f"candidates: the prompt {absent[0]!r} is missing")
    cosines = unit_rows(image_features) @ unit_rows(candidate_features).T
    own = cosines[np.arange(len(prompts)), [position[prompt] for prompt in prompts]]
    # one ulp of a float32 feature: equal texts must tie in any order of the product
    nearest = cosines >= cosines.max(axis=1, keepdims=True) - 1e-7
    hits = np.where(own >= cosines.max(axis=1) - 1e-7, 1.0 / nearest.sum(axis=1), 0.0)
    ci95 = proportion_ci(hits, prompts)
    return Score(
        value=float(hits.mean()),
        n=len(hits),
        ci95=ci95,
        note=few_prompts_note(prompts) if ci95 is None else None,
        per_image=tuple(float(value) for value in hits),
    )

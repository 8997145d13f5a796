"""CLIP score: how well the images show what their prompts say.

The plain cosine is stored. Papers print it as it is (0.33), times 100 (33) or
times 2.5: :data:`turbo_lab.metrics.context.metric_details` records the scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turbo_lab.analysis.stats import MIN_CLUSTERS, bootstrap_mean_ci
from turbo_lab.metrics.inputs import Floats, MetricInputs, Score, unit_rows


def compute(inputs: MetricInputs) -> Score:
    """Compute the metric of one cell; see :func:`clip_score`."""
    return clip_score(inputs.image_features, inputs.text_features(inputs.prompts), inputs.prompts)


def clip_score(
    image_features: Floats, text_features: Floats, prompts: Sequence[str], seed: int = 0
) -> Score:
    """Mean of cos(image, prompt) over (N, d) features each; N >= 1, higher is better.

    CLIPScore of Hessel et al. 2021 (arXiv 2104.08718) without its 2.5 and
    without clipping at 0, which would hide a wrong image. In [-1, 1]. The
    interval resamples prompts (one prompt's images are not independent); it is
    ``None`` below 8 prompts. Bias: none in n; saturates for detailed prompts.
    Equals torchmetrics' ``CLIPScore`` / 100 of the same model. Raises
    ``ValueError`` for unequal shapes and features that are zero or not finite.
    """
    if image_features.shape != text_features.shape:
        raise ValueError(
            f"features: images {image_features.shape} and texts {text_features.shape} differ"
        )
    cosines = np.einsum("nd,nd->n", unit_rows(image_features), unit_rows(text_features))
    ci95 = bootstrap_mean_ci(cosines, prompts, seed)
    return Score(
        value=float(cosines.mean()),
        n=len(cosines),
        ci95=ci95,
        note=few_prompts_note(prompts) if ci95 is None else None,
        per_image=tuple(float(value) for value in cosines),
    )


def few_prompts_note(prompts: Sequence[str]) -> str:
    """Return the note that says why there is no interval."""
    return f"no interval: {len(set(prompts))} prompts, fewer than {MIN_CLUSTERS}"

"""A record that was drawn again, on a terminal."""

from __future__ import annotations

import pytest

from turbo_lab.documents.inspection import PixelDivergence, RecordedKey, Reproduction
from turbo_lab.report.text.reproduce import print_reproduction
from turbo_lab.verdict import Verdict


def test_the_first_divergence_and_the_changed_keys_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_reproduction(
        Reproduction(
            verdict=Verdict.REGRESSION,
            identical=False,
            num_images=4,
            num_identical=3,
            message="differs",
            first_divergence=PixelDivergence("latents.0", "a.png", 2, 0.1),
            fingerprint_difference=(RecordedKey("torch", "2.14", "2.15"),),
        )
    )
    assert capsys.readouterr().out.splitlines() == [
        "regression: differs",
        "3 of 4 images identical to the bit",
        "first divergence  latents.0, 2 levels in a.png",
        "torch             2.14 -> 2.15",
    ]

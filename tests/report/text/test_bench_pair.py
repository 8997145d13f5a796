"""The latency of two pipelines, on a terminal."""

from __future__ import annotations

import dataclasses

import pytest

from turbo_lab.documents.timing import PairEnergy, PairResult
from turbo_lab.report.text.bench_pair import print_pair

PAIR = PairResult(
    baseline=("model=nano-turbo",),
    candidate=("model=nano-sdxl",),
    verdict="B is slower",
    ratio=1.5,
    ci95=(1.4, 1.6),
    noise_ratio=1.0,
    noise_ci95=(0.99, 1.01),
    baseline_s=0.1,
    candidate_s=0.15,
    baseline_blocks_s=(0.1,),
    candidate_blocks_s=(0.15,),
    calls_a_block=1,
    warnings=("the machine is busy",),
    images_per_call=(4, 4),
)


def test_both_sides_their_ratio_and_the_noise(capsys: pytest.CaptureFixture[str]) -> None:
    print_pair(PAIR)
    assert capsys.readouterr().out.splitlines() == [
        "ms: mean, per call of 4 images",
        "A     100.00 ms  model=nano-turbo",
        "B     150.00 ms  model=nano-sdxl",
        "B / A   1.500 (1.400 to 1.600)",
        "A / A   1.000 (0.990 to 1.010), the noise of this run",
        "B is slower",
        "warning: the machine is busy",
    ]


@pytest.mark.parametrize(("ci95", "interval"), [((1.1, 1.3), " (1.100 to 1.300)"), (None, "")])
def test_energy_is_per_image_with_its_interval_if_there_is_one(
    ci95: tuple[float, float] | None, interval: str, capsys: pytest.CaptureFixture[str]
) -> None:
    energy = PairEnergy(10.0, 12.0, ratio=1.2, ci95=ci95, method="counter")
    print_pair(dataclasses.replace(PAIR, energy=energy))
    assert (
        f"energy  A 10 J/image, B 12 J/image, B / A 1.200{interval}, by " in capsys.readouterr().out
    )

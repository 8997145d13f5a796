"""Results around their documents: images, frames and how they look."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.report.comparisons import several_entrants
from turbo_lab import images
from turbo_lab.api.results import Comparison, Gate, Sweep, read_picture
from turbo_lab.documents.compare import CompareReport, ContenderLatency, ContenderMetric
from turbo_lab.documents.compare import ContenderResult as Contender
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.errors import InputError, StoreError
from turbo_lab.verdict import Verdict
from turbo_lab.workflows.results import sweep_result
from turbo_lab.workflows.sweep import Executed

CHECK = CheckResult(name="clip_score", verdict=Verdict.REGRESSION, ci95=(-0.2, -0.1), n=8)


@pytest.fixture
def sweep(executed_copy: Executed) -> Sweep:
    result = sweep_result(executed_copy)
    sheet = executed_copy.store.sweep_files(result.sweep_id).sheet
    executed_copy.store.write_file(
        sheet, images.encode_png(np.zeros((8, 8, 3), np.uint8), {"a": "b"})
    )
    return Sweep(result, sheet)


def test_images_have_their_recipe(sweep: Sweep) -> None:
    found = sweep.images()
    stored = sweep.cells[0].images
    assert [picture.info["seed"] for picture in found] == [image.seed for image in stored]
    assert found[0].info["prompt"] == stored[0].prompt and found[0].mode == "RGB"
    inside = json.loads(found[0].info["turbo-lab"])
    assert inside["recipe"]["num_inference_steps"] == 1
    assert sweep.images(sweep.cells[1]) == []  # it failed
    assert len(sweep.images(sweep.cells[0])) == len(stored)


def test_an_image_that_was_changed_is_refused(sweep: Sweep) -> None:
    path = sweep.cells[0].images[0].path
    path.write_bytes(images.encode_png(np.zeros((8, 8, 3), np.uint8), {}))
    with pytest.raises(StoreError, match="its pixels are not those that were committed"):
        sweep.images()


def test_the_sheet_is_a_picture_or_an_error(sweep: Sweep) -> None:
    assert sweep.sheet.size == (8, 8) and sweep.sheet.info["a"] == "b"
    sweep.sheet_path.unlink()
    with pytest.raises(StoreError, match="does not exist; run the same sweep again"):
        read_picture(sweep.sheet_path)


def test_a_sweep_shows_itself(sweep: Sweep) -> None:
    assert repr(sweep) == f"Sweep({sweep.sweep_id}: 2 cells, 1 done, 1 failed)"
    assert sweep.sweep_id in sweep._repr_html_() and "<table" in sweep._repr_html_()
    assert len(sweep.to_pandas()) == len(sweep.cells) == 2


def test_a_gate_has_its_verdict() -> None:
    report = GateReport(
        verdict=Verdict.REGRESSION,
        gate="release",
        checks=(CHECK,),
        candidate=(),
        baseline="release",
        baseline_digest=None,
        prompts={},
        identical_images=None,
        from_store=None,
        fingerprint={},
        fingerprint_difference=(),
    )
    gate = Gate(report)
    assert (gate.passed, gate.verdict, repr(gate)) == (
        False,
        Verdict.REGRESSION,
        "Gate(release: regression)",
    )
    (row,) = gate.to_pandas().to_dict("records")
    assert (row["name"], row["verdict"], row["ci95_low"], row["ci95_high"]) == (
        "clip_score",
        "regression",
        -0.2,
        -0.1,
    )
    assert "gate release: regression" in gate._repr_html_()


def test_a_comparison_has_its_contenders() -> None:
    contender = Contender(
        "a 1 step",
        {"clip_score": ContenderMetric(0.3, (0.2, 0.4), 8)},
        ContenderLatency(0.01, None, 5),
    )
    report = CompareReport(
        verdict=Verdict.REGRESSION,
        candidate="a 1 step",
        rows=(CHECK,),
        contenders=(contender,),
        pareto=(),
        prompts={},
        fidelity={},
    )
    found = Comparison(report)
    assert repr(found) == "Comparison(a 1 step: regression)" and found.rows == (CHECK,)
    assert list(found.to_pandas()["verdict"]) == ["regression"]
    assert list(found.contenders_to_pandas()["metric"]) == ["clip_score", "latency_p50_s"]
    assert list(found.contenders_to_pandas()["value"]) == [0.3, 0.01]
    assert "compare a 1 step: regression" in found._repr_html_()


def test_entrants_of_a_comparison_have_a_row_each() -> None:
    found = Comparison(several_entrants())
    frame = found.to_pandas("entrants")
    assert list(frame["label"]) == [one.label for one in found.entrants]
    assert list(frame["error"].notna()) == [False, False, True]
    assert frame["latency_ratio"].tolist()[:2] == [1.0, 0.5]
    assert frame["clip_score_difference_ci95_low"][1] == -0.02
    with pytest.raises(InputError, match="kind=entrant: unknown. Did you mean entrants?"):
        found.to_pandas("entrant")  # type: ignore[arg-type]

"""The gate on the shipped model, from the command line to the exit code."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.runtime.meters import ReplayedMeter
from turbo_lab import config, environment
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError
from turbo_lab.gate.inputs import GateInputs
from turbo_lab.gate.run import GateResult
from turbo_lab.golden.library import library_by_case, open_libraries
from turbo_lab.planning.options import RunOptions

# Eight prompts: the fewest that have an interval. One golden: the suite checks them all.
SMALL = ["prompts=scenes-demo", "num_images=8", "batch_size=8", "num_threads=1"]
# Eight of eight right on both sides may still be a loss of 41%.
MARGIN = "gate.quality.r_precision.margin=0.5"
ONE_GOLDEN = ["gate.goldens=[nano-turbo-1-step]", "gate.min_goldens=1"]
NO_GOLDENS = ["gate.goldens=none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all, so that a side is drawn once."""
    return tmp_path_factory.mktemp("gate")


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    yield


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["gate", "gate=release", MARGIN, *SMALL, *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def verdicts(values: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in values["checks"]}


def test_a_pipeline_passes_against_itself_and_every_output_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--junit", "out/g.xml", "--markdown", "out/g.md", "--html", "out/g.html"]
    code, values = run(capsys, "baseline.model=nano-turbo", *ONE_GOLDEN, *files)
    assert (code, values["verdict"], values["kind"]) == (0, "pass", "gate")
    assert verdicts(values) == dict.fromkeys(
        ("licenses", "clip_score", "r_precision", "goldens"), "pass"
    )
    for check in values["checks"]:
        assert {
            "name",
            "verdict",
            "value",
            "baseline",
            "difference",
            "ci95",
            "margin",
            "n",
            "minimum_detectable_effect",
        } <= set(check)
    assert values["identical_images"] == {"same": 8, "of": 8}
    assert values["from_store"] == 0 and values["fingerprint_difference"] == []
    precision = next(c for c in values["checks"] if c["name"] == "r_precision")
    assert precision["minimum_detectable_effect"] > 0.3  # eight pairs that do not differ
    suite = ElementTree.parse(folder / "out" / "g.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "0", "0")
    (golden,) = suite.iterfind("testcase[@classname='gate.release.goldens']")
    assert float(golden.get("time", "0")) > 0  # drawing takes a while
    assert values["date"] == suite.get("timestamp") and values["date"].endswith("+00:00")
    sides = values["sides"]
    assert sides["candidate"]["weights"] == sides["baseline"]["weights"] and len(sides) == 2
    assert sides["baseline"]["digest"] == values["baseline_digest"]
    assert "✅ pass" in (folder / "out" / "g.md").read_text().splitlines()[0]
    assert 'class="verdict pass"' in (folder / "out" / "g.html").read_text()


def test_a_loss_of_quality_is_exit_1_and_fails_in_junit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adapter at three times its weight draws nothing."""
    code, values = run(
        capsys,
        "baseline.model=nano-turbo",
        "candidate.lora=ink@3",
        *NO_GOLDENS,
        "--junit",
        "bad.xml",
        "--html",
        "bad.html",
    )
    assert (code, values["verdict"]) == (1, "regression")
    assert verdicts(values)["clip_score"] == "regression"
    (score,) = [check for check in values["checks"] if check["name"] == "clip_score"]
    assert score["difference"] < -0.3 and score["ci95"][1] < -0.02 and score["p_value"] <= 0.05
    lost = values["prompts"]["clip_score"]
    assert len(lost) == 5 and lost == sorted(lost, key=lambda pair: pair[1]) and lost[0][1] < -0.3
    page = (folder / "bad.html").read_text()
    assert lost[0][0] in page and page.count("data:image/png") >= 10  # both sides of each
    suite = ElementTree.parse(folder / "bad.xml").getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert "clip_score" in failed and "licenses" not in failed


def test_the_same_is_told_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gate", "gate=release", MARGIN, *SMALL, *NO_GOLDENS, "baseline.model=nano-turbo"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "8 of 8 images have the baseline's pixels" in shown
    assert shown.rstrip().endswith("release: pass")


def test_no_such_baseline_is_uncovered_and_says_how_to_make_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, values = run(capsys, "gate.baseline=mine", *NO_GOLDENS)
    assert (code, values["verdict"]) == (3, "uncovered")
    assert "turbo-lab baseline set mine SWEEP" in values["checks"][1]["note"]
    assert values["baseline_digest"] is None and values["identical_images"] is None


def test_a_baseline_of_other_prompts_is_uncovered(capsys: pytest.CaptureFixture[str]) -> None:
    """The packaged one is of the held-out prompts."""
    code, values = run(capsys, *NO_GOLDENS)
    assert (code, values["baseline"]) == (3, "release")
    assert "do not pair" in values["checks"][1]["note"]


def test_a_stored_baseline_is_paired_and_what_it_cannot_hold_is_uncovered(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = [
        "sweep",
        *SMALL,
        "num_inference_steps=1",
        "metrics.names=clip_score,r_precision",
        "timing=off",
        "tracking=none",
        "--json",
    ]
    assert main(sweep) == 0
    made = json.loads(capsys.readouterr().out)["sweep_id"]
    assert main(["baseline", "set", "own", made, "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert kept["replaced"] is None and Path(kept["path"]) == folder / "baselines" / "own.json"
    assert main(["baseline", "set", "own", made]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"{kept['digest'][:12]}  unchanged")
    more = ["gate.latency=0.2", "gate.memory=0.1", "gate.frechet=1.0"]
    code, values = run(capsys, "gate.baseline=own", *NO_GOLDENS, *more)
    found = verdicts(values)
    assert code == 3
    assert (found["clip_score"], found["r_precision"]) == ("pass", "pass")
    assert found["latency"] == found["memory"] == found["fd"] == "uncovered"
    assert values["identical_images"] == {"same": 8, "of": 8}
    path = folder / "baselines" / "own.json"
    assert values["baseline_digest"] == json.loads(path.read_text())["digest"]


@pytest.mark.slow
def test_a_stored_baseline_that_was_timed_gates_latency_on_its_own_fingerprint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = [
        "sweep",
        *SMALL,
        "num_inference_steps=1",
        "metrics.names=clip_score,r_precision",
        "timing=full",
        "tracking=none",
        "--json",
    ]
    assert main(sweep) == 0
    made = json.loads(capsys.readouterr().out)["sweep_id"]
    assert main(["baseline", "set", "timed", made]) == 0
    capsys.readouterr()
    words = ["gate.baseline=timed", "gate.latency=5", *NO_GOLDENS]
    code, values = run(capsys, *words)
    row = values["checks"][-1]
    assert (code, row["name"], row["verdict"]) == (0, "latency", "pass")
    assert row["n"] >= 30 and "timed when it was stored" in row["note"]
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(environment.HOST_VARIABLE, "another machine of that name")
        code, values = run(capsys, *words)
    row = values["checks"][-1]
    assert (code, row["verdict"]) == (3, "uncovered")
    assert "was timed elsewhere (host)" in row["note"]
    code, values = run(capsys, *words, "candidate.batch_size=4")
    row = values["checks"][-1]
    assert (code, row["verdict"]) == (3, "uncovered")
    assert row["note"] == "a call draws 4 images, and 8 in the stored baseline"
    here = environment.read_cpu()
    monkeypatch.setattr(environment, "read_cpu", lambda: replace(here, model="another"))
    code, values = run(capsys, *words)
    row = values["checks"][-1]
    assert (code, row["verdict"]) == (3, "uncovered")
    assert "was timed elsewhere (device_model)" in row["note"]


def test_a_frechet_distance_of_too_few_images_is_never_gated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, values = run(capsys, "baseline.model=nano-turbo", "gate.frechet=5", *NO_GOLDENS)
    (row,) = [check for check in values["checks"] if check["name"] == "fd/nano-clip"]
    assert (code, row["verdict"]) == (3, "uncovered")
    assert row["note"] == "8 images for 64 features; needs at least as many images, and 8 prompts"


@pytest.mark.slow
def test_a_frechet_distance_of_enough_images_is_paired(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prompts=scenes-heldout", "num_images=72", "gate.frechet=1", *NO_GOLDENS]
    code, values = run(capsys, *words, "baseline.model=nano-turbo")
    (row,) = [check for check in values["checks"] if check["name"] == "fd/nano-clip"]
    assert (code, row["verdict"], row["difference"], row["ci95"]) == (0, "pass", 0.0, [0.0, 0.0])
    worse = [
        "baseline.model=nano-turbo",
        "candidate.model=nano-sdxl",
        "candidate.num_inference_steps=1",
    ]
    _, values = run(capsys, *words, *worse)
    (row,) = [check for check in values["checks"] if check["name"] == "fd/nano-clip"]
    assert row["verdict"] == "regression" and row["ci95"][0] > 1


def test_on_another_cpu_the_goldens_are_held_numerically(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment.read_cpu()
    monkeypatch.setattr(environment, "read_cpu", lambda: replace(here, model="another"))
    code, values = run(capsys, "baseline.model=nano-turbo", *ONE_GOLDEN)
    row = values["checks"][-1]
    assert (code, row["name"], row["verdict"]) == (0, "goldens", "pass")
    assert re.fullmatch(r"1 at T1, [01] of them identical to the bit", row["note"])
    strict = [*ONE_GOLDEN, "gate.golden_tier=T0"]
    code, values = run(capsys, "baseline.model=nano-turbo", *strict)
    assert (code, values["checks"][-1]["verdict"]) == (3, "uncovered")


def test_required_coverage_is_of_the_goldens_that_were_judged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    coverage = "gate.coverage=[candidate_model,one_step,lora]"
    code, values = run(capsys, "baseline.model=nano-turbo", *ONE_GOLDEN, coverage)
    row = values["checks"][-1]
    assert (code, row["name"], row["verdict"], row["n"]) == (3, "coverage", "uncovered", 2)
    assert row["note"] == "no judged golden covers lora"


def test_goldens_of_ones_own_add_to_the_packaged_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    case = ["seed=1", "num_images=1", "num_threads=1", "--processes", "0"]
    assert main(["golden", "record", "my-case", *case]) == 0
    capsys.readouterr()
    words = ["gate.quality=null", "gate.min_goldens=2"]
    code, values = run(capsys, *words, "gate.goldens=[my-case,nano-turbo-1-step]")
    row = values["checks"][-1]
    assert (code, row["verdict"], row["n"]) == (0, "pass", 2)
    assert row["note"].endswith("1 of your own and 1 packaged")
    libraries = open_libraries()
    assert len(library_by_case(libraries)) == len(libraries[1].cases()) + 1


def test_sides_that_cannot_be_paired_are_named_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn: list[str] = []

    def stop(inputs: GateInputs) -> GateResult:
        drawn.extend(inputs.warnings)
        raise InputError("stopped before drawing")

    monkeypatch.setattr("turbo_lab.gate.run.run_gate", stop)
    words = ["gate", "gate=release", *SMALL, *NO_GOLDENS]
    assert main([*words, "resolution=128"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("warning: the candidate's images are 128x128, the baseline's 64x64: ")
    assert said[1].startswith("warning: the candidate draws 8 images, the baseline 128, and ")
    assert said[1].endswith("give both the same prompts, num_images and seed")
    assert main([*words, "baseline.model=nano-turbo", "candidate.num_images=16"]) == 2
    assert "draws 16 images, the baseline 8, and 8 have equal" in capsys.readouterr().err
    assert main([*words, "baseline.model=nano-turbo"]) == 2
    assert "warning" not in capsys.readouterr().err and len(drawn) == 3


def test_energy_is_uncovered_without_a_meter(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gate.energy=0.1", *NO_GOLDENS]
    code, values = run(capsys, "baseline.model=nano-turbo", *words)
    row = values["checks"][-1]
    assert (code, row["name"], row["verdict"]) == (3, "energy", "uncovered")
    assert row["note"].startswith(
        "device=cpu has no energy meter; energy is read from an NVIDIA GPU"
    )


def test_energy_of_a_gpu_is_gated_by_the_readings_of_its_meter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meter of a card that is not here; both sides run for real."""
    meter = ReplayedMeter(time.perf_counter)
    monkeypatch.setattr("turbo_lab.runtime.energy.open_meter", lambda device: meter)
    monkeypatch.setattr("turbo_lab.runtime.paired_timing.METERED_BLOCK_S", 0.02)
    words = ["baseline.model=nano-turbo", "gate.energy=3", "timing=short", *NO_GOLDENS]
    code, values = run(capsys, *words)
    row = values["checks"][-1]
    assert (code, row["name"], row["verdict"], row["n"]) == (0, "energy", "pass", 12)
    assert "J per image" in row["note"]


def test_a_licence_that_is_not_listed_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, values = run(capsys, "baseline.model=nano-turbo", "gate.licenses=[MIT]", *NO_GOLDENS)
    assert (code, values["checks"][0]["note"]) == (1, "nano-turbo: Apache-2.0")


@pytest.mark.slow
def test_mutation_invariance_latency_and_memory_for_real(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = "[nano-turbo-1-step]"
    asked = [
        f"gate.mutation={cases}",
        f"gate.invariance={cases}",
        "gate.latency=3",
        "gate.memory=1",
    ]
    code, values = run(capsys, "baseline.model=nano-turbo", *NO_GOLDENS, *asked)
    found = {check["name"]: check for check in values["checks"]}
    assert (code, values["verdict"]) == (0, "pass"), values["checks"]
    assert found["mutation score"]["value"] == 1.0 and found["mutation score"]["n"] >= 12
    assert found["invariance"]["n"] >= 8
    assert found["latency"]["n"] == 12 and found["memory"]["n"] == 8


def test_a_candidate_that_does_not_run_is_an_error_in_every_output(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a new diffusers raises: never wrong input, and CI still has its files."""
    from diffusers import UNet2DConditionModel

    def broken(*_: object, **__: object) -> None:
        raise TypeError("forward() got an unexpected keyword argument 'timestep_cond'")

    monkeypatch.setattr(UNet2DConditionModel, "forward", broken)
    words = ["seed=900", "baseline.model=nano-turbo", *NO_GOLDENS, "--junit", "broken.xml"]
    code, values = run(capsys, *words)
    assert (code, values["verdict"], verdicts(values)) == (4, "error", {"drawing": "error"})
    assert "the candidate could not be drawn" in values["checks"][0]["note"]
    assert "timestep_cond" in (folder / "broken.xml").read_text()


@pytest.mark.slow
def test_what_was_drawn_before_is_told_and_drawn_anew_where_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A diffusers that was patched under its version: the store's images know nothing of it."""
    from diffusers import AutoencoderKL

    decode = AutoencoderKL.decode

    def black(self: AutoencoderKL, latents: Any, **options: Any) -> Any:
        found = decode(self, latents, **options)
        (found[0] if isinstance(found, tuple) else found.sample).fill_(-1)
        return found

    words = ["seed=700", "baseline.model=nano-turbo", *NO_GOLDENS]
    assert run(capsys, *words)[1]["from_store"] == 0
    monkeypatch.setattr(AutoencoderKL, "decode", black)
    code, values = run(capsys, *words)
    assert (code, values["from_store"]) == (0, 8)
    assert main(["gate", "gate=release", MARGIN, *SMALL, *words]) == 0
    assert "8 of the candidate's images were reused from the store" in capsys.readouterr().out
    code, values = run(capsys, *words, "--fresh")
    assert (code, values["from_store"], verdicts(values)["clip_score"]) == (1, 0, "regression")


def test_hydras_flags_show_the_config_and_draw_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["gate=release", "candidate.model=nano-lcm", "store=never-made", "--cfg", "job"]
    assert main(["gate", *words, "--package", "gate"]) == 0
    assert "min_goldens: 8" in capsys.readouterr().out
    assert main(["gate", *words]) == 0
    assert "name: nano-lcm" in capsys.readouterr().out
    assert not (folder / "never-made").exists()


@pytest.mark.slow
def test_each_side_is_composed_and_resolved_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with latency and memory, and if something is retried."""
    composed: list[str] = []
    resolved: list[str] = []
    compose, from_config = config.compose, RunOptions.from_config

    def counted_compose(command: str, words: Sequence[str]) -> list[config.GridPoint]:
        composed.append(command)
        return compose(command, words)

    def counted_options(values: Mapping[str, Any]) -> RunOptions:
        resolved.append(values["store"])
        return from_config(values)

    monkeypatch.setattr(config, "compose", counted_compose)
    monkeypatch.setattr(RunOptions, "from_config", counted_options)
    words = ["gate", "gate=release-timing", MARGIN, *SMALL, *NO_GOLDENS, "gate.memory=5"]
    code = main([*words, "gate.latency=0", "baseline.model=nano-turbo", "--json"])
    values = json.loads(capsys.readouterr().out)
    assert {"latency", "memory"} <= verdicts(values).keys() and code in (0, 1, 3)
    assert composed == ["gate"] * 2 and len(resolved) == 2


def test_a_file_that_cannot_be_written_is_told_before_anything_is_drawn(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "taken").write_text("")
    words = ["gate", "gate=release", "store=never-made", "--html", "taken/g.html"]
    assert main(words) == 2
    assert "--html=taken/g.html: cannot be written" in capsys.readouterr().err
    assert not (folder / "never-made").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["gate=release", "gate.latency=0.2", "baseline.model=nano-turbo", "timing=off"],
            "timing=off: this command times",
        ),
        (
            [
                "gate=release",
                "gate.latency=0.2",
                "baseline.num_threads=2",
                "candidate.num_threads=1",
            ],
            "gate: num_threads is 2 for the baseline and 1 for the candidate",
        ),
        (
            [
                "gate=release",
                "gate.memory=0.1",
                "baseline.num_threads=2",
                "candidate.num_threads=1",
            ],
            "gate: num_threads is 2 for the baseline and 1 for the candidate",
        ),
        (
            [
                "gate=release",
                "gate.latency=0.2",
                "baseline.batch_size=16",
                "candidate.batch_size=8",
            ],
            "a call draws 16 images for the baseline and 8 for the candidate",
        ),
        (
            ["gate=release", "gate.goldens=none", "gate.coverage=[lora]"],
            "gate.coverage=lora: needs goldens, and gate.goldens=none checks none",
        ),
        (["gate=release", "baseline.model=nano-trubo"], "Did you mean nano-turbo"),
        ([], "name a policy, as in turbo-lab gate gate=release"),
        (["gate=relase"], "Did you mean release?"),
        (["gate=release", "gate.goldens=[nano-turbo-1-stp]"], "Did you mean nano-turbo-1-step?"),
        (["gate=release", "gate.mutation=[nano]"], "golden=nano: unknown"),
        (["gate=release", "gate.quality.clip_score.margin=-1"], "must be a number of at least 0"),
        (["gate=release", "candidate.seed=1,2", *SMALL], "is a grid of 2 cells"),
        (
            ["gate=release", "candidate.gate.goldens=none"],
            "candidate.gate.goldens: the policy judges both sides; write gate.goldens=none",
        ),
    ],
)
def test_wrong_words_are_exit_2_before_anything_is_drawn(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_gate_is_put_to_the_test_by_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Two seed sets of one pipeline, then every fault; few images, so that few are decided."""
    small = ["gate=release", *SMALL, *NO_GOLDENS, "--json"]
    code = main(["gate", "calibrate", *small, "--seeds", "4", "--resamples", "40", "--real", "1"])
    values = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in values["metrics"]} == {"clip_score", "r_precision"}
    assert len(values["real"]) == 1
    # So few prompts cannot hold the margins, which the exit code says.
    sound = all(row["holds"] for row in values["metrics"]) and values["rate_ci95"][0] <= 0.05
    assert code == (0 if sound and values["real"][0]["verdict"] != "regression" else 1)
    code = main(["gate", "mutate", *small])
    values = json.loads(capsys.readouterr().out)
    caught = {fault["name"]: fault["caught"] for fault in values["faults"]}
    assert caught["noise of 30 levels"] and caught["prompt set shuffled"]
    assert values["score"] == sum(caught.values()) / len(caught)
    assert code == (0 if values["score"] == 1 else 1)

"""The latency script: on a clock of ours, on hand-made results, and end to end on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.latency import __main__ as script
from experiments.latency import lanes, sharing, steps
from experiments.latency.floor import UNET_TFLOP, VAE_TFLOP, floor_s
from experiments.latency.grid import FAST_VAES, PIPELINES, REGIONAL, Point, Setup
from experiments.latency.interleaved import interleave
from experiments.latency.plot import stage_plot
from experiments.latency.results import Figures, Results, Step
from experiments.latency.table import page, published_table
from tests.runtime.meters import ReplayedMeter
from tests.runtime.test_energy import Calls
from turbo_lab.cards import locate, model_card
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache

SHAPE = Setup("sdxl-turbo-shape", "cuda", "float16", FAST_VAES["sdxl-turbo-shape"], False)
NANO = Setup("nano-turbo", "cpu", "float32", None, True)
POINT = Point("512x512", 16, 1)
ENVIRONMENT = {"keys": {"device_model": "NVIDIA H200", "torch": "2.11.0"}, "options": {"host": "a"}}
FAST = Figures(
    pipeline="fast",
    point=POINT,
    process=steps.FAST,
    mean_s=0.1,
    ci95=(0.09, 0.11),
    ratio=0.25,
    ratio_ci95=(0.24, 0.26),
    stages_s={"text": 0.01, "unet": 0.05, "vae": 0.04},
    peak_memory_bytes=3 << 30,
    joules_per_image=4.5,
    joules_ci95=(4.4, 4.6),
    energy_method="counter",
    first_call_s=61.0,
    load_s=9.0,
    blocks_s=(0.1,) * 8,
    warnings=("GPU clock drifted",),
)


def results() -> Results:
    failed = Figures("exact", POINT, steps.EXACT, error="out of memory in capture")
    found = Results(SHAPE, ENVIRONMENT).with_figures(FAST, failed)
    return found.with_step("doctor", Step("done", 1.0, {"verdict": "ok", "findings": []}))


def test_the_most_valuable_points_come_first_and_a_full_run_has_them_all() -> None:
    quick = replace(SHAPE, is_quick=True)
    assert quick.points[:2] == (Point("512x512", 1, 1), POINT)
    every = {(p.resolution, p.batch_size, p.num_inference_steps) for p in SHAPE.points}
    assert every == {
        *(("512x512", batch, step) for batch in (1, 4, 16, 64) for step in (1, 4)),
        *(("1024x1024", batch, step) for batch in (1, 4) for step in (1, 4)),
    }
    assert set(quick.points) < set(SHAPE.points)
    assert {one.resolution for one in NANO.points} == {"64x64", "128x128"}


@pytest.mark.parametrize("setup", [SHAPE, NANO])
def test_its_words_are_a_command_line_of_bench(setup: Setup) -> None:
    from turbo_lab import config

    here = replace(setup, device="cpu")
    for pipeline in PIPELINES:
        (point,) = config.compose("bench", here.words(pipeline, here.points[-1]))
        assert point.values["model"]["name"] == setup.model
        has_vae = pipeline.startswith("fast") and setup is SHAPE
        assert (point.values["vae"] is not None) == has_vae
        assert (point.values["compile_scope"] is not None) == (pipeline == REGIONAL)


def test_calls_are_interleaved_and_a_drift_leaves_their_ratio() -> None:
    """The machine becomes three times slower; B always takes twice as long as A."""
    calls, order = Calls(), list[str]()

    def call(name: str, seconds: float) -> None:
        order.append(name)
        calls.take(seconds * (1 + 2 * len(order) / 60))

    found = interleave(
        {"a": lambda: call("a", 0.1), "b": lambda: call("b", 0.2)},
        images_per_call=4,
        rounds=20,
        block_s=0.0,
        clock=calls.clock,
        meter=ReplayedMeter(calls.now_s, watts=400.0),
    )
    ratio, interval = found["b"].ratio_to(found["a"])
    assert ratio == pytest.approx(2, rel=0.02) and interval is not None
    assert interval[0] <= ratio <= interval[1]
    blocks = order[4:]  # two calls of each to warm up
    assert all({blocks[i], blocks[i + 1]} == {"a", "b"} for i in range(0, 40, 2))
    assert blocks[0:2] == blocks[2:4][::-1]
    energy = found["a"].energy
    assert energy is not None and energy.ci95 is not None
    assert energy.joules_per_image == pytest.approx(400 * found["a"].mean_s / 4)


def test_a_block_is_as_long_as_the_counter_needs() -> None:
    calls = Calls()
    count = 0

    def call() -> None:
        nonlocal count
        count += 1
        calls.take(0.01)

    interleave({"a": call}, 1, rounds=8, block_s=0.35, clock=calls.clock)
    assert count == 2 + 8 * 35


def test_results_survive_the_file_and_resume(tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    results().write(path)
    assert Results.read(path) == results()
    assert json.loads(path.read_text())["schema"] == 1
    resumed = Results.resume(path, replace(SHAPE, is_quick=True), ENVIRONMENT)
    assert resumed.figures == results().figures and resumed.setup.is_quick
    assert [one.pipeline for one in resumed.of(steps.FAST, POINT)] == ["fast"]
    assert not steps.is_complete(resumed, "fast") and steps.is_complete(resumed, "doctor")


@pytest.mark.parametrize(
    ("setup", "environment"),
    [
        (replace(SHAPE, dtype="bfloat16"), ENVIRONMENT),
        (SHAPE, {**ENVIRONMENT, "keys": {"device_model": "NVIDIA H100"}}),
        (SHAPE, {**ENVIRONMENT, "options": {"host": "b"}}),
    ],
)
def test_figures_of_another_run_are_not_mixed_in(
    setup: Setup, environment: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    results().write(tmp_path / "latency.json")
    with pytest.raises(InputError, match="name another folder with --out"):
        Results.resume(tmp_path / "latency.json", setup, environment)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": 9}'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "latency.json").write_text(text)
    with pytest.raises(InputError, match="latency.json: "):
        Results.read(tmp_path / "latency.json")


def test_the_page_has_figures_failures_floors_and_what_others_published() -> None:
    shown = page(results())
    assert "| 512x512 | 16 | 1 | fast | 100 (90 to 110) | 0.250 (0.24 to 0.26) |" in shown
    assert "| 160 | 4.5 (4.4 to 4.6) | 3072 | 61 |" in shown
    assert "- 512x512, batch 16, 1 step, exact: out of memory in capture" in shown
    assert "| 512x512, batch 16, 1 step | 68.2 |" in shown
    assert "- GPU clock drifted (512x512, batch 16, 1 step, fast)" in shown
    assert "| doctor | done | 1 | verdict ok |" in shown
    assert "NVIDIA H200" in shown and "onnxruntime" in shown
    assert "not measured" in page(Results(SHAPE, ENVIRONMENT))
    assert len(published_table().splitlines()) == 2 + 13


def test_the_products_of_the_floor_are_those_of_the_shape(cache: DigestCache) -> None:
    files = locate(model_card("sdxl-turbo-shape"), cache)

    def config(part: str) -> dict[str, object]:
        values: dict[str, object] = json.loads((files.path / part / "config.json").read_text())
        return values

    with torch.device("meta"), torch.inference_mode():
        unet = diffusers.UNet2DConditionModel.from_config(config("unet"))
        vae = diffusers.AutoencoderKL.from_config(config("vae"))
        for size, tflop in UNET_TFLOP.items():
            latents = torch.empty(1, 4, size // 8, size // 8)
            added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
            text = torch.empty(1, 77, 2048)
            with FlopCounterMode(display=False) as unet_counter:
                unet(latents, torch.tensor(1.0), text, added_cond_kwargs=added)
            with FlopCounterMode(display=False) as vae_counter:
                vae.decode(latents)
            assert unet_counter.get_total_flops() / 1e12 == pytest.approx(tflop, abs=5e-4)
            assert vae_counter.get_total_flops() / 1e12 == pytest.approx(VAE_TFLOP[size], abs=5e-4)


def test_the_floor_is_arithmetic_and_known_cards_only() -> None:
    """(0.111 + 1.589 + 2.515) TFLOP at 989 TFLOP/s."""
    assert floor_s(Point("512x512", 1, 1), "NVIDIA H100 80GB HBM3") == pytest.approx(
        0.00426, rel=0.01
    )
    four = floor_s(Point("512x512", 4, 4), "NVIDIA A100-SXM4-80GB")
    assert four == pytest.approx(4 * (0.111 + 4 * 1.589 + 2.515) / 312)
    assert floor_s(Point("768x512", 1, 1), "NVIDIA H100") is None
    assert floor_s(POINT, "AuthenticAMD") is None


def test_the_plot_has_a_bar_per_pipeline_with_its_stages() -> None:
    drawn = stage_plot(results())
    assert drawn.count("<title>unet</title>") == 1 and "512x512, batch 16, 1 step: fast" in drawn
    assert "6.25 ms" in drawn  # per image
    assert "not measured" in stage_plot(Results(SHAPE, ENVIRONMENT))


def sleeper(*words: str) -> subprocess.Popen[str]:
    code = "import time; time.sleep(60)"
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)


def test_a_step_that_takes_too_long_is_ended_and_the_next_ones_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = sleeper()
    monkeypatch.setattr(steps, "_start", lambda *words: started)
    ended = steps.doctor(steps.Run(tmp_path / "latency.json", NANO, 0.1))
    assert ended.status == "cut off" and started.poll() is not None
    both = [sleeper(), sleeper()]
    left = iter(both)
    monkeypatch.setattr(steps, "_start", lambda *words: next(left))
    ended = steps.fresh_processes(steps.Run(tmp_path / "latency.json", NANO, 0.1))
    assert ended.status == "cut off" and ended.wall_s < 30
    assert all(one.poll() is not None for one in both), "none runs into the next step"
    monkeypatch.undo()
    path = tmp_path / "latency.json"
    Results(NANO, ENVIRONMENT).write(path)
    script._run_step(script.STEPS[0], path, left_s=1.0)
    assert Results.read(path).steps["doctor"].status == "skipped"


def test_a_quick_run_fits_six_minutes_and_each_step_has_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(step.limit_s for step in script.STEPS) <= script.QUICK_BUDGET_S <= 340
    assert [step.name for step in script.STEPS][:2] == ["doctor", "exact"], "most valuable first"
    path = tmp_path / "latency.json"
    Results(NANO, ENVIRONMENT).write(path)
    limits = []

    def run(one: steps.Run) -> Step:
        limits.append(one.limit_s)
        return Step("done", 0.0, {})

    doctor, last = (replace(script.STEPS[i], run=run) for i in (0, -1))
    monkeypatch.setattr(script, "STEPS", (doctor, last))
    script._run_step(doctor, path, left_s=300.0)
    script._run_step(last, path, left_s=100.0)
    assert limits == [doctor.limit_s, 100.0], "the last one takes what the others left"
    script._run_step(last, path, left_s=last.least_s - 1)
    assert len(limits) == 2 and Results.read(path).steps["fast"].status == "done"


def test_every_step_measures_the_first_points_before_any_step_measures_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = list[tuple[str, int]]()

    def measuring(name: str, process: str, status: str) -> script.Named:
        def run(one: steps.Run) -> Step:
            turns.append((name, len(one.setup.points)))
            found = Results.read(one.path)
            for point in one.setup.points:
                if not found.of(process, point):
                    found = found.with_figures(replace(FAST, point=point, process=process))
            found.write(one.path)
            return Step(status, 0.0, {f"points {len(one.setup.points)}": 1})

        return script.Named(name, 10.0, run)

    exact, fast = measuring("exact", steps.EXACT, "done"), measuring("fast", steps.FAST, "done")
    failing = measuring("regional", "nothing", "failed")
    monkeypatch.setattr(script, "STEPS", (exact, failing, fast))
    words = ["--device", "cpu", "--model", "nano-turbo", "--quick", "--out", str(tmp_path)]
    assert script.main(words) == 3
    assert turns == [("exact", 2), ("regional", 2), ("fast", 2), ("exact", 4), ("fast", 4)]
    found = Results.read(tmp_path / "latency.json")
    assert found.steps["exact"].detail == {"points 2": 1, "points 4": 1}, "nothing is forgotten"
    assert "not finished: regional; run the same command again" in capsys.readouterr().err


def test_a_step_with_points_left_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = replace(script.STEPS[1], run=lambda one: Step("done", 0.0, {}))
    monkeypatch.setattr(script, "STEPS", (done,))
    words = ["--device", "cpu", "--model", "nano-turbo", "--out", str(tmp_path)]
    assert script.main([*words, "--only", "exact"]) == 3
    assert "not finished: exact" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "exact,fats"], "fats: must be one of doctor, exact, regional,"),
        (["--points", "0"], "0: must be 1 or more"),
        (["--budget-s", "0"], "0: must be more than 0 seconds"),
    ],
)
def test_wrong_options_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        script.main(words)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_a_run_without_time_left_begins_nothing_and_writes_its_page(tmp_path: Path) -> None:
    words = ["--device", "cpu", "--model", "nano-turbo", "--quick", "--budget-s", "1"]
    assert script.main([*words, "--out", str(tmp_path)]) == 3
    found = Results.read(tmp_path / "latency.json")
    assert {step.status for step in found.steps.values()} == {"skipped"}
    assert len(found.steps) == len(script.STEPS)
    assert "out of time" in (tmp_path / "latency.md").read_text()


def test_the_settings_of_the_image_lane_have_a_table_of_their_own() -> None:
    base = replace(FAST, pipeline=lanes.AS_TORCH_COMES, process=lanes.PROCESS, ratio=None)
    lane = replace(FAST, pipeline="image lane", process=lanes.PROCESS)
    shown = page(results().with_figures(base, lane))
    table = shown.partition("## Cost of the image lane's settings")[2].partition("##")[0]
    assert "| 512x512 | 16 | 1 | image lane | 100 (90 to 110) | 0.250 (0.24 to 0.26) |" in table
    assert shown.count("| image lane |") == 1
    assert "Cost of the image lane" not in page(results())
    assert "image lane" not in stage_plot(
        Results(SHAPE, ENVIRONMENT).with_figures(replace(lane, stages_s=None))
    )


def test_settings_and_points_differ_by_device() -> None:
    assert set(lanes.lanes("cpu")) == set(lanes.lanes("cuda"))
    assert lanes.points(replace(SHAPE, is_quick=True)) == (POINT,)
    assert len(lanes.points(SHAPE)) == 5 and lanes.points(replace(NANO, num_points=1))
    assert Point("1024x1024", 1, 1) in lanes.points(SHAPE), "where math needs a score matrix"


def test_the_grid_that_is_shared_is_that_of_the_goal_on_a_gpu() -> None:
    grid = sharing.grid(SHAPE)
    assert (len(grid.steps) * len(grid.guidances), grid.batch_size) == (24, 16)
    (one,) = {word for word in grid.words(SHAPE) if word.startswith("guidance_scale")}
    assert one == "guidance_scale=0,0.5,1,1.5,2,3"
    few = sharing.checked(replace(SHAPE, is_quick=True))
    assert set(few.steps) < set(grid.steps) and set(few.guidances) < set(grid.guidances)
    assert few.batch_size == grid.batch_size and sharing.checked(SHAPE) == grid


def test_the_number_of_points_may_differ_between_runs_of_one_file(tmp_path: Path) -> None:
    few = replace(SHAPE, num_points=1)
    assert few.points == SHAPE.points[:1]
    Results(few, ENVIRONMENT).write(tmp_path / "latency.json")
    assert Results.resume(tmp_path / "latency.json", SHAPE, ENVIRONMENT).setup == SHAPE


def test_a_process_that_fails_is_a_failed_step(tmp_path: Path) -> None:
    ended = steps.exact(steps.Run(tmp_path / "absent.json", NANO, 60.0))
    assert ended.status == "failed" and "ended with" in ended.detail["reason"]


def test_wrong_words_are_explained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert script.main(["--model", "sdxl-turbo-shap", "--device", "cpu"]) == 2
    assert "Did you mean sdxl-turbo-shape" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_script_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The very script that a GPU runs, every step of it, on the model that ships."""
    words = ["--device", "cpu", "--model", "nano-turbo", "--quick", "--out", str(tmp_path)]
    # A busy machine may take longer than a GPU's budget; the steps are the same.
    only = ["--points", "1", "--budget-s", "1800"]
    monkeypatch.setattr(
        script, "STEPS", tuple(replace(step, limit_s=600.0) for step in script.STEPS)
    )
    assert script.main([*words, *only]) == 0
    found = Results.read(tmp_path / "latency.json")
    assert {name: step.status for name, step in found.steps.items()} == dict.fromkeys(
        (step.name for step in script.STEPS), "done"
    )
    shared = found.steps["sharing"].detail
    assert shared["images"] == shared["identical"] == 8 and shared["of_bare"] > 0
    settings = found.of(lanes.PROCESS, NANO.points[0])
    assert [one.pipeline for one in settings] == list(lanes.lanes("cpu"))
    assert all(one.ratio_ci95 is not None for one in settings[1:])
    changed = found.steps["determinism"].detail["changed_per_mille"]
    assert changed["image lane"] == changed["image lane, tf32=convolutions"] == 0
    for process in (steps.FAST, steps.BLOCKS):
        stock, fast = found.of(process, NANO.points[0])
        assert fast.error is None and (fast.first_call_s or 0) > (stock.first_call_s or 0)
    cells = found.steps["nano"].detail["cells"]
    assert {cell["pipeline"] for cell in cells} == {"stock", "exact"}
    fresh = found.steps["fresh"].detail
    assert fresh["images"] == fresh["identical"] == 128
    assert found.steps["goldens"].detail["verdict"] == "pass"
    for point in NANO.points[:1]:
        stock, exact = found.of(steps.EXACT, point)
        assert stock.error is None and exact.error is None and exact.ratio_ci95 is not None
        assert sum((stock.stages_s or {}).values()) > 0 and len(stock.blocks_s) == 8
        assert stock.joules_per_image is None
    assert (tmp_path / "stages.svg").is_file()
    assert capsys.readouterr().out == (tmp_path / "latency.md").read_text() + "\n"
    before = found.figures
    assert script.main([*words, *only]) == 0  # nothing is left to do
    assert Results.read(tmp_path / "latency.json").figures == before

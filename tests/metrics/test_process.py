"""Metrics of scorers in a real second environment: what they measure, and how they fail."""

from __future__ import annotations

import os
import textwrap
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from turbo_lab import images as png
from turbo_lab.errors import JudgementError
from turbo_lab.metrics import process
from turbo_lab.metrics.inputs import MetricInputs
from turbo_lab.metrics.interpreter import ScorerProcess

PROMPTS = tuple(f"prompt {index // 2}" for index in range(16))
LOOP = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    images = request["images"]
    scores = [float(image["seed"]) for image in images]
    answer = {"id": request["id"], "scores": scores}
    BODY
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that has no packages."""
    folder = tmp_path_factory.mktemp("scorers")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


@pytest.fixture(autouse=True)
def no_scorers_left() -> Iterator[None]:
    yield
    process.end_scorers()


def scorer(python: Path, folder: Path, body: str = "", timeout_s: float = 60) -> ScorerProcess:
    """Return a scorer whose ``body`` changes the answer."""
    script = folder / "scorer.py"
    script.write_text(LOOP.replace("BODY", textwrap.indent(body, "    ").strip() or "pass"))
    return ScorerProcess(str(python), str(script), timeout_s=timeout_s)


def inputs_of(
    num_images: int = 16, paths: tuple[Path, ...] | None = None, size: int = 8
) -> MetricInputs:
    def refuse() -> None:
        raise AssertionError("a scorer needs no extractor and no reference")

    return MetricInputs(
        images=np.zeros((num_images, size, size, 3), np.uint8),
        prompts=PROMPTS[:num_images],
        seeds=tuple(range(num_images)),
        extractor_loader=refuse,  # type: ignore[arg-type]
        reference_loader=refuse,
        paths=paths,
    )


def test_the_value_is_the_mean_with_an_interval_over_prompts(python: Path, tmp_path: Path) -> None:
    score = process.compute("taste", scorer(python, tmp_path), inputs_of())
    assert score.per_image == tuple(map(float, range(16)))
    assert (score.value, score.n, score.note) == (7.5, 16, None)
    assert score.ci95 is not None and score.ci95[0] < 7.5 < score.ci95[1]
    few = process.compute("taste", scorer(python, tmp_path), inputs_of(4))
    assert few.ci95 is None and few.note == "no interval: 2 prompts, fewer than 8"


def test_the_process_keeps_its_model(python: Path, tmp_path: Path) -> None:
    one = scorer(python, tmp_path, "answer['scores'] = [os.getpid()] * len(images)")
    first, second = (process.compute("taste", one, inputs_of()).value for _ in range(2))
    assert first == second != os.getpid()
    assert process.compute("other", one, inputs_of()).value != first
    process.end_scorers()
    assert process.compute("taste", one, inputs_of()).value != first


def test_images_are_files_of_the_store_or_temporary_ones(python: Path, tmp_path: Path) -> None:
    body = "answer['scores'] = [os.path.getsize(one['path']) for one in images]"
    one = scorer(python, tmp_path, body)
    size = len(png.encode_png(np.zeros((8, 8, 3), np.uint8), {}))
    assert process.compute("detail", one, inputs_of()).per_image == (size,) * 16
    stored = tmp_path / "image.png"
    stored.write_bytes(b"123")
    found = process.compute("detail", one, inputs_of(paths=(stored,) * 16))
    assert found.per_image == (3.0,) * 16


def test_a_request_larger_than_a_pipe_is_read_while_it_is_written(
    python: Path, tmp_path: Path
) -> None:
    paths = (tmp_path / ("x" * 200),) * 3000
    inputs = MetricInputs(
        images=[],
        prompts=tuple(f"{'a long prompt ' * 20}{index % 9}" for index in range(3000)),
        seeds=tuple(range(3000)),
        extractor_loader=lambda: None,  # type: ignore[arg-type,return-value]
        reference_loader=lambda: None,
        paths=paths,
    )
    score = process.compute("taste", scorer(python, tmp_path), inputs)
    assert score.per_image == tuple(map(float, range(3000)))


FAULTS = [
    ("import nothing_there", "ended with exit code 1 before it answered: ModuleNotFoundError: No"),
    ("sys.exit(3)", "ended with exit code 3 before it answered"),
    ("os.kill(os.getpid(), 9)", "was ended by signal 9 before it answered"),
    ("print('Loading \\x1b[2J model')", "answered 'Loading"),
    ("print(json.dumps(answer))", "answered '"),
    ("answer = [1]", "answered '[1]'; must be one JSON object with id and scores"),
    ("answer['id'] += 1", "answered '{"),
    ("answer['scores'].pop()", "gave 15 scores for 16 images; must give one per image"),
    ("answer['scores'] = None", "gave no list of scores for 16 images"),
    ("answer['scores'][1] = float('nan')", "gave nan for image 2 of 16; must be a finite number"),
    ("answer['scores'][1] = float('inf')", "gave inf for image 2 of 16"),
    ("answer['scores'][0] = '7'", "gave '7' for image 1 of 16; must be a finite number"),
    ("answer['scores'][0] = True", "gave True for image 1 of 16"),
    ("sys.stdout.close(); os.close(1); time.sleep(600)", "closed its output before it answered"),
    ("os.write(1, b'[' * 100_000 + b'\\n')", "answered '[[["),
]


@pytest.mark.parametrize(("body", "message"), FAULTS, ids=[body for body, _ in FAULTS])
def test_a_fault_is_one_line_that_names_the_metric(
    body: str, message: str, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ENDING_S", 0.5)
    with pytest.raises(JudgementError) as refused:
        process.compute("taste", scorer(python, tmp_path, body), inputs_of())
    text = str(refused.value)
    assert text.startswith("taste: its process ") and message in text, text
    assert "\n" not in text and "\x1b" not in text and len(text) < 300
    assert process._RUNNING == {}
    good = process.compute("taste", scorer(python, tmp_path), inputs_of())
    assert good.value == 7.5


def test_a_scorer_that_hangs_is_ended(python: Path, tmp_path: Path) -> None:
    body = "open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    one = scorer(python, tmp_path, body.replace("'pid'", repr(str(tmp_path / "pid"))), 1.0)
    with pytest.raises(JudgementError, match="^taste: its process did not answer within 1 s$"):
        process.compute("taste", one, inputs_of())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_an_answer_without_end_is_cut(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MAX_ANSWER_BYTES", 100_000)
    body = "while True: os.write(1, b'x' * 1000)"
    with pytest.raises(JudgementError, match="without an end of the line"):
        process.compute("taste", scorer(python, tmp_path, body), inputs_of())

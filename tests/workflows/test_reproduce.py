"""A record's cell drawn again: identical, changed, or refused with the reason."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab import images
from turbo_lab.cli.main import main
from turbo_lab.identity import canonical_json, sha256_text
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import Store
from turbo_lab.workflows.reproduce import drawing_of_png

SWEEP = (
    "sweep",
    "num_inference_steps=1,2",
    "num_images=2",
    "batch_size=2",
    "num_threads=1",
    "timing=off",
    "metrics=none",
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two cells of two images, and the MLflow database next to it."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*SWEEP, "--json"]) == 0
    return folder


@pytest.fixture
def folder(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage, as the working directory."""
    shutil.copytree(swept, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def reproduced(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    capsys.readouterr()
    code = main(["reproduce", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_by_path_id_and_png(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(folder / "turbo-lab-store")
    record = next(store.records())
    png = next((store.root / "batches").rglob("*.png"))
    words = [str(store.record_path(record.record_id)), record.cell_id, record.record_id[:10]]
    for word in words:
        code, values = reproduced(capsys, word)
        assert (code, values["verdict"], values["identical"]) == (0, "pass", True)
        assert values["num_images"] == values["num_identical"] == 2
        assert values["fingerprint_difference"] == []
    code, values = reproduced(capsys, str(png), "num_threads=1")
    assert (code, values["num_images"]) == (0, 1)


def test_by_mlflow_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep,) = (folder / "turbo-lab-store" / "sweeps").glob("*/sweep.json")
    run = json.loads(sweep.read_text())["cells"][0]["mlflow_run_id"]
    assert reproduced(capsys, run)[0] == 0


def test_a_changed_pixel_is_found_at_its_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if the record had been drawn by a VAE that was a little different."""
    store = Store(folder / "turbo-lab-store")
    record = next(store.records())
    key = record.batches[0]
    path = store.batch_folder(key) / "batch.json"
    values = json.loads(path.read_text())
    image = values["images"][1]
    file = store.batch_folder(key) / image["file"]
    pixels = images.read_png(file)[0].copy()
    pixels[3, 4, 0] ^= 64
    file.write_bytes(images.encode_png(pixels, {}))
    image["pixel_sha256"] = images.pixel_sha256(pixels)
    values["stages"]["vae"] = "0" * 64
    path.write_text(json.dumps(values))
    code, found = reproduced(capsys, record.record_id)
    assert (code, found["verdict"]) == (1, "regression")
    assert (found["num_identical"], found["first_divergence"]["stage"]) == (1, "vae")
    assert found["first_divergence"]["max_abs"] == 64


def test_a_record_says_how_much_its_lora_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "sweep",
        "lora=none,flat@0.4,flat@0.8",
        "num_images=1",
        "num_threads=1",
        "timing=off",
        "metrics=none",
        "tracking=none",
        "num_inference_steps=1",
    ]
    for _ in range(2):  # drawn, then from the store
        capsys.readouterr()
        assert main([*words, "--json"]) == 0
        none, less, more = json.loads(capsys.readouterr().out)["cells"]
        assert "adapter_changes" not in none
        assert 0 < less["adapter_changes"]["flat"] < more["adapter_changes"]["flat"] < 1
        assert more["adapter_changes"]["flat"] == pytest.approx(2 * less["adapter_changes"]["flat"])


def test_every_stage_of_a_sweep_is_hashed(folder: Path) -> None:
    store = Store(folder / "turbo-lab-store")
    found = [store.read_batch(key).stages for r in store.records() for key in r.batches]
    assert sorted(len(stages or {}) for stages in found) == [6, 8]
    longest = max(found, key=lambda stages: len(stages or {}))
    assert list(longest or {}) == [
        "noise",
        "prompt_embeds",
        "pooled_prompt_embeds",
        "unet.0",
        "latents.0",
        "unet.1",
        "latents.1",
        "vae",
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing.png", "does not exist"),
        ("abcdef0123", "no record of"),
        ("x", "is not a PNG file, a record path"),
        ("0" * 32, "has no such run"),
    ],
)
def test_what_is_not_there_is_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert main(["reproduce", word]) == 2
    assert message in capsys.readouterr().err


def test_weights_that_have_changed_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = images.encode_png(
        np.zeros((64, 64, 3), np.uint8),
        {"turbo-lab": json.dumps(_about("f" * 64))},
    )
    (folder / "old.png").write_bytes(image)
    assert main(["reproduce", "old.png"]) == 2
    assert "was drawn with nano-turbo ffffffffffff" in capsys.readouterr().err


def _about(model: str) -> dict:  # type: ignore[type-arg]
    """Of the 64x64 image that is black."""
    recipe = {
        "model": model,
        "scheduler": '{"_class_name": "EulerDiscreteScheduler"}',
        "lora": [],
        "num_inference_steps": 1,
        "guidance_scale": 0.0,
        "negative_prompt": None,
        "width": 64,
        "height": 64,
        "dtype": "float32",
        "variant": [],
    }
    rows = {"prompts": ["a key"], "seeds": [1]}
    return {
        "recipe": recipe,
        "rows": rows,
        "row": 0,
        "pixel_sha256": images.pixel_sha256(np.zeros((64, 64, 3), np.uint8)),
        "models": {model: "nano-turbo"},
    }


def test_a_png_says_where_it_was_drawn_and_by_which_stages(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if another VAE and another torch had drawn it."""
    path = next((folder / "turbo-lab-store" / "batches").rglob("*.png"))
    pixels, text = images.read_png(path)
    about = json.loads(text["turbo-lab"])
    pixels = pixels.copy()
    pixels[3, 4, 0] ^= 64
    about["pixel_sha256"] = images.pixel_sha256(pixels)
    about["stages"]["vae"] = "0" * 64
    (folder / "other.png").write_bytes(images.encode_png(pixels, {"turbo-lab": json.dumps(about)}))
    code, found = reproduced(capsys, "other.png")
    assert (code, found["verdict"]) == (1, "regression")
    assert found["first_divergence"]["stage"] == "vae"
    about["keys"]["torch"] = "2.0"
    (folder / "old.png").write_bytes(images.encode_png(pixels, {"turbo-lab": json.dumps(about)}))
    code, found = reproduced(capsys, "old.png")
    assert (code, found["verdict"]) == (0, "pass")  # one pixel of 4096
    assert "within rounding" in found["message"]
    assert [row["key"] for row in found["fingerprint_difference"]] == ["torch"]
    about["keys"]["compile"] = "default"
    (folder / "fast.png").write_bytes(images.encode_png(pixels, {"turbo-lab": json.dumps(about)}))
    code, found = reproduced(capsys, "fast.png")
    assert (code, found["verdict"]) == (3, "uncovered")
    assert found["message"] == "compile: no tier covers this difference"


texts = st.text(st.characters(codec="utf-8"))
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def drawn_batches(draw: st.DrawFn) -> DrawnBatch:
    """One row of 2x2 pixels by any recipe, with and without a negative prompt."""
    negative = draw(st.none() | texts)
    strength = draw(st.none() | st.floats(0.0, 1.0))
    sources = () if strength is None else (draw(hashes),)
    recipe = Recipe(
        model=draw(hashes),
        scheduler=canonical_json({"_class_name": draw(texts)}),
        lora=tuple(draw(st.lists(st.tuples(hashes, numbers), max_size=3))),
        num_inference_steps=draw(st.integers(1, 1000)),
        guidance_scale=draw(numbers),
        negative_prompt=None if negative is None else sha256_text(negative),
        width=draw(st.integers(1, 10_000)),
        height=draw(st.integers(1, 10_000)),
        dtype=draw(st.sampled_from(["float32", "float16", "bfloat16"])),
        variant=tuple(sorted(draw(st.dictionaries(texts, texts, max_size=4)).items())),
        strength=strength,
    )
    layout = Layout((draw(texts),), (draw(st.integers(0, 2**63 - 1)),), sources)
    names = draw(st.dictionaries(hashes, texts, max_size=3))
    return DrawnBatch(
        batch=Batch(recipe, layout),
        exactness=draw(st.sampled_from(Exactness)),
        keys=draw(st.dictionaries(texts, texts | st.integers(0, 99), max_size=4)),
        pixels=np.zeros((1, 2, 2, 3), np.uint8),
        negative_prompt=negative,
        names=names,
        source_names=dict.fromkeys(sources, "a source.png"),
    )


@settings(deadline=None)
@given(drawn_batches())
def test_a_png_describes_the_whole_drawing(drawn: DrawnBatch) -> None:
    """What a PNG did not carry could not be drawn again from it."""
    (png,) = encode_batch(drawn)[1].values()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.png"
        path.write_bytes(png)
        found = drawing_of_png(path)
    assert found.recipe == drawn.batch.recipe
    assert found.negative_prompt == drawn.negative_prompt
    assert [batch.layout for batch in found.batches] == [drawn.batch.layout]
    assert (found.keys, found.exactness) == (drawn.keys, drawn.exactness)
    assert found.weights.names == drawn.names
    assert list(found.sources) == list(drawn.batch.layout.sources)


def test_a_png_is_drawn_again_with_its_negative_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["guidance_scale=2", "negative_prompt=bell", "seed=4", "num_threads=1"]
    assert main(["generate", "a key", *words]) == 0
    (png,) = (tmp_path / "turbo-lab-images").glob("*.png")
    code, found = reproduced(capsys, str(png))
    assert (code, found["identical"]) == (0, True)
    for text, message in (
        ("box", "its negative prompt is not the one that its recipe names"),
        (None, "whose text an old turbo-lab did not write into the PNG; name its record instead"),
    ):
        pixels, chunks = images.read_png(png)
        about = json.loads(chunks["turbo-lab"]) | {"negative_prompt": text}
        edited = tmp_path / "edited.png"
        edited.write_bytes(images.encode_png(pixels, {"turbo-lab": json.dumps(about)}))
        assert main(["reproduce", str(edited)]) == 2
        assert message in capsys.readouterr().err


def test_an_image_that_was_edited_or_damaged_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((folder / "turbo-lab-store" / "batches").rglob("*.png"))
    pixels, text = images.read_png(path)
    (folder / "edited.png").write_bytes(images.encode_png(255 - pixels, text))
    assert main(["reproduce", "edited.png"]) == 2
    assert "it was changed after it was drawn" in capsys.readouterr().err
    for name, recipe in (("cut.png", text["turbo-lab"][:50]), ("empty.png", "{}")):
        (folder / name).write_bytes(images.encode_png(pixels, {"turbo-lab": recipe}))
        assert main(["reproduce", name]) == 2
        assert "its turbo-lab recipe: is damaged" in capsys.readouterr().err


def test_what_was_drawn_in_company_is_held_to_rounding_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that shared a call have the bits of that call: alone they round otherwise."""
    monkeypatch.chdir(tmp_path)
    assert main([*SWEEP, "guidance_scale=0,2", "share=batched", "--json"]) == 0
    store = Store(tmp_path / "turbo-lab-store")
    found = [reproduced(capsys, record.record_id) for record in store.records()]
    assert {code for code, _ in found} == {0}
    apart = [values for _, values in found if not values["identical"]]
    assert apart and all("it was drawn batched" in values["message"] for values in apart)


def test_a_stage_that_differs_under_equal_pixels_is_no_pass(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A weight off by a hair moves a tensor and rounds to the same image."""
    store = Store(folder / "turbo-lab-store")
    record = next(store.records())
    path = store.batch_folder(record.batches[0]) / "batch.json"
    values = json.loads(path.read_text())
    values["stages"]["unet.0"] = "0" * 64
    path.write_text(json.dumps(values))
    code, found = reproduced(capsys, record.record_id)
    assert (code, found["verdict"], found["identical"]) == (1, "regression", False)
    assert found["first_divergence"]["stage"] == "unet.0"
    assert found["num_identical"] == 2  # pixels
    assert "a stage is not" in found["message"]


def test_a_file_that_lies_nowhere_near_a_store_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = tmp_path / "stray.json"
    stray.write_text("{}")
    assert main(["reproduce", str(stray)]) == 2
    assert "is not a turbo-lab store" in capsys.readouterr().err

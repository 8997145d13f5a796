"""Image to image from the command line: pixels, records, reports, goldens and reproduce."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline
from PIL import Image, ImageDraw

from tests.docs.test_commands import commands
from tests.report.pages import data_of
from turbo_lab import images
from turbo_lab.cards import locate, model_card
from turbo_lab.cli.main import main
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.store.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "image-to-image.md"
# The page's first command.
SWEEP = next(words for words in commands(PAGE) if words[0] == "sweep" and len(words) > 1)
QUICK = ("num_threads=1", "timing=off", "metrics=none", "tracking=none")


def save_photos(folder: Path) -> None:
    folder.mkdir()
    for name, colour, width in (("apple", "red", 64), ("boat", "green", 96)):
        picture = Image.new("RGB", (width, 64), "white")
        ImageDraw.Draw(picture).ellipse((16, 16, width - 16, 48), fill=colour)
        picture.save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's example: two strengths, eight images from two sources."""
    folder = tmp_path_factory.mktemp("swept")
    save_photos(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*SWEEP, *QUICK]) == 0
    return folder


@pytest.fixture
def folder(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage, as the working directory."""
    shutil.copytree(swept, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def sweep_document(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "turbo-lab-store" / "sweeps").glob("*/sweep.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_one_image_has_the_pixels_of_the_pipeline_called_directly(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oracle: diffusers' own pipeline on the same files, with the same seed."""
    words = (
        "prompt=a green boat",
        "image=photos/apple.png",
        "strength=0.5",
        "seed=7",
        "num_inference_steps=4",
        "--json",
    )
    assert main(["sweep", *words, *QUICK]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(
        locate(model_card("nano-turbo")).source.path, add_watermarker=False
    )
    with image_lane(1):
        (expected,) = pipeline(
            prompt="a green boat",
            image=Image.open("photos/apple.png"),
            strength=0.5,
            num_inference_steps=4,
            guidance_scale=0.0,
            generator=torch.Generator().manual_seed(7),
        ).images
    drawn, text = images.read_png(Path(cell["images"][0]["path"]))
    assert np.array_equal(drawn, np.asarray(expected))
    settings = text["parameters"].splitlines()[-1].split(", ")
    assert {"Denoising strength: 0.5", "Source image: apple.png"} <= set(settings)


def test_records_name_the_sources_and_png_files_no_folder(folder: Path) -> None:
    document = sweep_document(folder)
    first, second = document["cells"]
    assert [cell["parameters"]["strength"] for cell in (first, second)] == [0.5, 0.75]
    assert first["parameters"]["image"] == "photos"
    sources = first["provenance"]["sources"]
    assert [(one["name"], one["width"], one["height"]) for one in sources.values()] == [
        ("apple.png", 64, 64),
        ("boat.png", 96, 64),
    ]
    assert {one["resize"] for one in sources.values()} == {"center crop, Lanczos"}
    assert [image["source"] for image in first["images"]] == [*sources] * 4
    assert document["work"]["source_rows"] == {"alone": 16, "done": 2}
    png = Path(first["images"][0]["path"])
    png = folder / png.relative_to(document["store"].removesuffix("turbo-lab-store"))
    about = json.loads(images.read_png(png)[1]["turbo-lab"])
    assert about["sources"] == {key: one["name"] for key, one in sources.items()}
    assert about["rows"]["sources"] == [*sources] * 4
    assert "photos" not in json.dumps(about)


def test_a_second_run_takes_everything_from_the_store(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    shutil.move("photos", "moved")
    words = [word.replace("image=photos", "image=moved") for word in SWEEP]
    assert main([*words, *QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["reused"] == 2


def test_the_page_shows_each_source_once_and_only_by_its_digest(folder: Path) -> None:
    sweep_id = sweep_document(folder)["sweep_id"]
    assert main(["report", sweep_id]) == 0
    data = data_of(Path("report.html").read_text())
    images = [image for cell in data["cells"] for image in cell["images"]]
    assert [one[:16] for one in data["sources"]] == ["data:image/webp;"] * 2
    assert [image["source"] for image in images].count(0) == len(images) // 2 == 8
    assert {image["source_name"] for image in images} == {"apple.png", "boat.png"}
    record = next(Store(folder / "turbo-lab-store").records())
    assert record.provenance.sources is not None
    for one in record.provenance.sources.values():
        Image.new("RGB", (64, 64), "blue").save(one.path)
    try:
        assert main(["report", sweep_id]) == 0
    finally:
        for one in record.provenance.sources.values():
            shutil.copy(folder / "photos" / one.name, one.path)
    data = data_of(Path("report.html").read_text())
    assert data["sources"] == [] and data["cells"][0]["images"][0]["source"] is None


def reproduced(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["reproduce", *words, "num_threads=1"])
    output = capsys.readouterr()
    return code, output.out + output.err


def test_reproduce_finds_the_sources_by_their_digest(
    swept: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(folder / "turbo-lab-store")
    record = next(store.records())
    assert "identical to the bit" in reproduced(capsys, record.record_id)[1]
    png = str(next((store.root / "batches").rglob("*.png")))
    code, text = reproduced(capsys, png)
    assert code == 2 and "its source image" in text and "with image=PATH" in text
    code, text = reproduced(capsys, png, "image=photos")
    assert code == 0, text
    shutil.move(swept / "photos", swept / "gone")
    try:
        code, text = reproduced(capsys, record.record_id)
        assert code == 2 and f"is not at {swept / 'photos' / 'apple.png'}; name its file" in text
        assert reproduced(capsys, record.record_id, "image=photos")[0] == 0
    finally:
        shutil.move(swept / "gone", swept / "photos")


def test_reproduce_finds_a_packaged_source_of_an_image_that_left_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("image=shapes", "strength=0.5", "num_inference_steps=2", "num_images=1")
    assert main(["generate", "a boat", *words, "num_threads=1", "--json"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    code, text = reproduced(capsys, image["path"])
    assert code == 0, text


def test_a_source_that_is_changed_meanwhile_fails_the_cell(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from turbo_lab.workflows import sweep as workflow

    run = workflow.run_plan

    def late(*arguments: Any) -> Any:
        Image.new("RGB", (64, 64), "blue").save("photos/boat.png")
        return run(*arguments)

    monkeypatch.setattr(workflow, "run_plan", late)
    words = [*SWEEP, *QUICK, "seed=99", "num_images=2"]
    assert main(words) == 3
    assert "boat.png does not hold source image" in "".join(capsys.readouterr())


def test_plan_refuses_what_would_change_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "image=photos", "num_inference_steps=1"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "turbo-lab: strength=0.3: is less than one step of num_inference_steps=1, so that no image "
        "would change; set num_inference_steps=4, or more"
    ]


def test_goldens_begin_from_the_source_and_notice_another_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = (
        "image=photos/apple.png",
        "strength=0.5",
        "num_inference_steps=4",
        "seed=3",
        "prompt=a green boat",
        "num_threads=1",
    )
    assert main(["golden", "record", "boat", *case]) == 0
    golden = json.loads(Path("goldens/boat/golden.json").read_text())
    assert [stage["stage"] for stage in golden["stages"][:3]] == [
        "noise",
        "encode",
        "prompt_embeds",
    ]
    capsys.readouterr()
    assert main(["golden", "check", "boat"]) == 0
    Image.open("photos/boat.png").save("photos/apple.png")
    capsys.readouterr()
    assert main(["golden", "check", "boat", "--json"]) != 0
    (judged,) = json.loads(capsys.readouterr().out)["cases"]
    assert judged["verdict"] == "uncovered"


@pytest.mark.slow
def test_the_trials_of_a_golden_from_a_source_image(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own thresholds, every fault that it can show, every second way of working."""
    case = ("image=photos", "strength=0.5", "num_inference_steps=4", "num_images=2", "seed=3")
    assert main(["golden", "record", "pair", *case, "num_threads=1", "--processes", "0"]) == 0
    assert main(["golden", "calibrate", "--write"]) == 0
    capsys.readouterr()
    assert main(["golden", "mutate", "--json"]) == 0
    tried = json.loads(capsys.readouterr().out)
    of_source = [one for one in tried["faults"] if "source" in one["name"]]
    assert len(of_source) == 5 and all(one["caught"] for one in of_source)
    assert not any(change["alarm"] for change in tried["harmless"])
    assert main(["golden", "invariance", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    shared = rows["shared against unshared work"]
    assert shared["holds"] and shared["note"] == "images; 2 of 4 UNet rows were reused"
    assert all(row["holds"] for row in rows.values() if row["cases"])


def test_bench_times_the_encoder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("image=photos", "strength=0.5", "num_inference_steps=2", "num_images=2", "--json")
    capsys.readouterr()
    for loop in ("stock", "exact"):
        assert main(["bench", *words, "timing=short", "num_threads=1", f"loop={loop}"]) == 0
        (cell,) = json.loads(capsys.readouterr().out)["cells"]
        stages = cell["stages_s"]
        assert list(stages) == ["text", "encode", "unet", "vae", "post", "other"]
        assert stages["encode"] > 0 and all(stages[name] > 0 for name in ("text", "unet", "vae"))

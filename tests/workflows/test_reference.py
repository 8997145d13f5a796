"""`turbo-lab reference build`: a folder of images becomes what distances are taken to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from turbo_lab.cli.main import main
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import extractor_source
from turbo_lab.metrics.reference import load_reference
from turbo_lab.metrics.reference_source import reference_source


@pytest.fixture
def folder(tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """20 images, one of them in a folder below, and a file that is none."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(root / ("more" if index == 7 else "") / f"{index:02}.png")
    (root / "captions.txt").write_text("not an image")
    return root


def build(*arguments: str | Path) -> int:
    return main(["reference", "build", *map(str, arguments)])


def test_a_folder_becomes_a_reference(
    folder: Path,
    clip_folder: Path,
    extractor: ClipExtractor,
    images: np.ndarray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge = f"metrics.extractor={clip_folder}"
    assert build(folder, judge, "--features", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert Path(values["path"]) == folder.parent / "photos-tiny-clip.safetensors"
    assert (values["n"], values["distinct"], values["num_features"]) == (20, 20, 12)
    assert values["extractor"] == extractor.digest and values["warnings"] == []
    found = load_reference(Path(values["path"]))
    assert (found.n, found.name, found.digest) == (20, "photos-tiny-clip", values["digest"])
    features = extractor.image_features(images)
    np.testing.assert_allclose(found.mean, features.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.covariance, np.cov(features, rowvar=False), atol=1e-5)
    assert found.features is not None and found.kept_root is not None

    assert build(folder, judge, "--features", "--output", "again.safetensors") == 0
    printed = capsys.readouterr().out
    assert f"digest      {values['digest'][:12]}" in printed  # built twice, one digest
    assert "use it      turbo-lab sweep reference=" in printed


def test_photos_count_as_people_see_them(
    folder: Path, clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Telephones save pixels as the sensor has them, and say in EXIF how to turn them."""
    generator = np.random.default_rng(0)
    for name, orientation in (("upright", 1), ("turned", 6)):
        (folder.parent / name).mkdir()
        for index in range(3):
            picture = Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            if orientation == 6:
                picture = Image.open(folder.parent / "upright" / f"{index}.png")
                picture = picture.transpose(Image.Transpose.ROTATE_90)
            exif = Image.Exif()
            exif[0x0112] = orientation
            picture.save(folder.parent / name / f"{index}.png", exif=exif)
        (folder.parent / name / "._0.png").write_bytes(b"Mac OS X")  # as on a USB stick
    images = []
    for name in ("upright", "turned"):
        words = (f"metrics.extractor={clip_folder}", "--output", f"{name}.safetensors", "--json")
        assert build(folder.parent / name, *words) == 0
        values = json.loads(capsys.readouterr().out)
        said = [text for text in values["warnings"] if "EXIF" in text]
        turned = ["3 of the 3 images were turned upright, as their EXIF orientation says"]
        assert said == (turned if name == "turned" else [])
        images.append(load_reference(Path(values["path"])))
    np.testing.assert_array_equal(images[0].mean, images[1].mean)


def test_a_palette_with_transparency_is_refused(
    folder: Path, clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Image.open(folder / "00.png").quantize(8)
    picture.save(folder / "00.png", transparency=0)
    assert build(folder, f"metrics.extractor={clip_folder}") == 2
    assert "00.png: its pixels are P with transparency" in capsys.readouterr().err


def test_its_own_images_are_at_distance_zero(
    folder: Path,
    clip_folder: Path,
    images: np.ndarray,
) -> None:
    judge = f"metrics.extractor={clip_folder}"
    assert build(folder, judge, "--features", "--output", "r.safetensors") == 0
    context = MetricContext(extractor_source(str(clip_folder)), reference_source("r.safetensors"))
    fd, kid = measure(
        images, ["a"] * 20, range(20), ("fd", "kid"), context, cache=DigestCache(folder / "digests")
    )
    assert fd.value == pytest.approx(0, abs=1e-5) and kid.value is not None
    assert fd.details is not None and fd.details["reference_name"] == "r"


def spoil_empty(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def spoil_size(folder: Path) -> None:
    Image.new("RGB", (32, 16)).save(folder / "05.png")


def spoil_file(folder: Path) -> None:
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:60])


def spoil_mode(folder: Path) -> None:
    Image.new("RGBA", (32, 32)).save(folder / "05.png")


def spoil_count(folder: Path) -> None:
    for path in sorted(folder.rglob("*.png"))[1:]:
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_empty, "holds no image; it takes files ending in .png, .jpg"),
        (spoil_size, "05.png: is 32x16, but 00.png is 32x32; bring all images to one size first"),
        (spoil_file, "05.png: cannot be read as an image"),
        (spoil_mode, "05.png: its pixels are RGBA; save it as 8-bit RGB without transparency"),
        (spoil_count, "reference=photos: 1 images; at least 2 are needed"),
    ],
)
def test_what_is_no_reference_is_refused_and_nothing_is_written(
    spoil,
    message: str,
    folder: Path,
    clip_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(folder)
    assert build(folder, f"metrics.extractor={clip_folder}") == 2
    assert message in capsys.readouterr().err
    assert list(folder.parent.glob("*.safetensors*")) == []


def test_few_and_equal_images_are_warned_of(
    folder: Path,
    clip_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path in sorted(folder.rglob("*.png"))[10:]:
        path.unlink()
    (folder / "01.png").write_bytes((folder / "00.png").read_bytes())
    assert build(folder, f"metrics.extractor={clip_folder}") == 0
    warned = capsys.readouterr().err
    assert "10 images for 12 features: the covariance has no full rank" in warned
    assert "only 9 of the 10 images are distinct" in warned

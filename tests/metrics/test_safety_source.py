"""Which folders hold a safety checker, and what is refused before anything is drawn."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.metrics.test_safety import save_checker
from turbo_lab.errors import InputError, MissingFilesError, TurboLabError
from turbo_lab.metrics.safety_source import processor_folder, safety_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checker(tmp_path_factory.mktemp("checker"))


def test_a_folder_of_its_own_and_a_pipelines_folder(folder: Path, tmp_path: Path) -> None:
    assert processor_folder(safety_source(str(folder))) == folder
    shutil.copytree(folder, tmp_path / "safety_checker")
    (tmp_path / "safety_checker" / "preprocessor_config.json").unlink()
    (tmp_path / "feature_extractor").mkdir()
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "feature_extractor")
    found = safety_source(str(tmp_path))
    assert processor_folder(found) == tmp_path / "feature_extractor"
    assert found.preprocessing.image_size == 32


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda f: (f / "model.safetensors").unlink(),
            MissingFilesError,
            "model.safetensors is missing; name a folder with model.safetensors, config.json",
        ),
        (
            lambda f: (f / "preprocessor_config.json").unlink(),
            MissingFilesError,
            "preprocessor_config.json is missing",
        ),
        (lambda f: (f / "config.json").write_text("{"), InputError, "config.json is damaged"),
        (lambda f: (f / "config.json").write_text("[]"), InputError, "is not a JSON object"),
        (
            lambda f: (f / "config.json").write_text("{}"),
            InputError,
            "its config.json names None; must be a StableDiffusionSafetyChecker of diffusers",
        ),
        (
            lambda f: (f / "preprocessor_config.json").write_text("{}"),
            InputError,
            "preprocessor_config.json lacks crop_size, image_mean or image_std",
        ),
    ],
)
def test_a_folder_that_lacks_something_is_refused_before_anything_is_drawn(
    folder: Path, tmp_path: Path, change: object, kind: type[TurboLabError], message: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    change(copy)  # type: ignore[operator]
    with pytest.raises(kind, match=re.escape(message)) as caught:
        safety_source(str(copy))
    assert str(caught.value).startswith(f"safety_checker={copy}: ")
    assert "\n" not in str(caught.value)

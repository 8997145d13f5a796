"""Files of an extractor: found by name, tag or folder, and known by their content."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_clip import save_tiny_clip
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import (
    INCEPTION,
    PRESETS,
    TOKENIZER_FILES,
    ExtractorSource,
    Preset,
    extractor_source,
    inception_source,
    plain_preprocessing,
)


def put_in_cache(cache: Path, repository: str, folder: Path) -> None:
    """As the hub lays a snapshot."""
    home = cache / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, home / "snapshots" / ("0" * 40))


def test_the_digest_follows_weights_and_constants_not_the_place(
    tmp_path: Path, source: ExtractorSource, cache: DigestCache
) -> None:
    same = extractor_source(str(save_tiny_clip(tmp_path / "copy")))
    other = extractor_source(str(save_tiny_clip(tmp_path / "other", seed=1)))
    assert same.digest(cache) == source.digest(cache) != other.digest(cache)
    config = same.folder / "open_clip_config.json"
    config.write_text(config.read_text().replace("0.25", "0.26"))
    assert extractor_source(str(same.folder)).digest(cache) != source.digest(cache)


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"lacks open_clip_config.json and open_clip_model"):
        extractor_source(str(tmp_path))
    with pytest.raises(MissingFilesError, match=r"nowhere.safetensors does not exist"):
        extractor_source("ViT-B-32", str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(InputError, match="metrics.pretrained=openaj: unknown.*Did you mean openai"):
        extractor_source("ViT-B-32", "openaj")
    with pytest.raises(InputError, match="metrics.extractor=ViT-X-32 openai: unknown"):
        extractor_source("ViT-X-32", "openai")
    with pytest.raises(InputError, match=r"a pickle \(jienengchen/ViTamin-S/pytorch_model.bin\)"):
        extractor_source("ViTamin-S", "datacomp1b")
    with pytest.raises(InputError, match="metrics.extractor=ViT-B-32-opena: unknown"):
        extractor_source("ViT-B-32-opena")


def test_any_tag_of_open_clip_is_found_by_its_own_table(
    clip_folder: Path, cache: DigestCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    with pytest.raises(MissingFilesError, match=f"hf download {repository} open_clip_model"):
        extractor_source("ViT-B-32", "laion2b_s34b_b79k")
    put_in_cache(tmp_path, repository, clip_folder)
    found = extractor_source("ViT-B-32", "laion2b_s34b_b79k")
    assert found.name == "ViT-B-32-laion2b_s34b_b79k"
    assert found.digest(cache) == extractor_source(str(clip_folder)).digest(cache)


def test_what_open_clip_would_look_for_elsewhere_is_refused(
    tmp_path: Path, clip_folder: Path
) -> None:
    folder = tmp_path / "siglip"
    shutil.copytree(clip_folder, folder)
    for file in TOKENIZER_FILES:
        (folder / file).unlink(missing_ok=True)
    config = json.loads((folder / "open_clip_config.json").read_text())
    text = config["model_cfg"]["text_cfg"]
    text["hf_tokenizer_name"] = "timm/ViT-B-16-SigLIP"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(MissingFilesError, match="lacks tokenizer.json"):
        extractor_source(str(folder))
    text["hf_model_name"] = "roberta-base"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="its text tower is roberta-base"):
        extractor_source(str(folder))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_found_where_hf_download_leaves_it(
    preset: Preset,
    clip_folder: Path,
    cache: DigestCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hub's own cache layout, with small weights in the place of the published ones."""

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    name = f"{preset.model}-{preset.tag}"
    with pytest.raises(MissingFilesError, match=f"hf download {preset.repository} open_clip_model"):
        extractor_source(name)
    put_in_cache(tmp_path, preset.repository, clip_folder)
    found = extractor_source(name)
    assert found == extractor_source(preset.model, preset.tag)
    assert found.name == name
    assert found.digest(cache) == extractor_source(str(clip_folder)).digest(cache)
    assert ClipExtractor(found, cache).text_features(["a"]).shape == (1, 12)


def test_a_presets_file_has_the_presets_architecture(tmp_path: Path) -> None:
    """OpenAI's weights with the plain ViT-B-32 would load, and score by another network."""
    file = tmp_path / "mine.safetensors"
    file.touch()
    found = extractor_source("ViT-B-32-openai", str(file))
    assert (found.model, found.config["quick_gelu"]) == ("ViT-B-32-quickgelu", True)
    assert not extractor_source("ViT-B-32", str(file)).config.get("quick_gelu", False)
    assert extractor_source("ViT-g-14-laion2b_s12b_b42k", str(file)).model == "ViT-g-14"


def test_a_model_name_with_a_local_file_loads(
    tmp_path: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch, clip_folder: Path
) -> None:
    """A file without a config next to it takes open_clip's own architecture of that name."""
    from turbo_lab.metrics import extractor_source as sources

    config = json.loads((clip_folder / "open_clip_config.json").read_text())["model_cfg"]
    del config["text_cfg"]["hf_tokenizer_name"]
    import open_clip

    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "tiny-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(configs)
    monkeypatch.setattr(sources, "_builtin_config", lambda name: config)
    file = tmp_path / "weights.safetensors"
    file.write_bytes((clip_folder / "open_clip_model.safetensors").read_bytes())
    judge = ClipExtractor(extractor_source("tiny-test", str(file)), cache)
    assert judge.name == "tiny-test-weights"
    assert judge.image_features(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 12)


def test_a_damaged_config_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["image_size"] = [32, 48]
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"image_size=\[32, 48\]: must be one number, a square"):
        extractor_source(str(folder))


def test_inception_is_where_torch_hub_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = extractor_source("inception")
    assert found == extractor_source(INCEPTION) == inception_source()
    assert found.weights.parent == tmp_path / "hub" / "checkpoints"
    assert extractor_source("inception", "mine.pth").weights == Path("mine.pth")
    assert plain_preprocessing(found.preprocessing)["size"] == "299x299"


def test_the_preprocessing_is_recorded_in_words(source: ExtractorSource) -> None:
    found = plain_preprocessing(source.preprocessing)
    assert (found["image_size"], found["crop"], found["interpolation"]) == (32, "centre", "bicubic")
    assert found["mean"] == [0.5, 0.4, 0.6] and found["std"] == [0.25, 0.3, 0.2]


def edited(clip_folder: Path, folder: Path, part: str, **values: object) -> Path:
    """A copy of an extractor whose config has other values in one of its towers."""
    shutil.copytree(clip_folder, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"][part] |= values
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("text_cfg", {"tokenizer_kwargs": {"trust_remote_code": True}}, "'trust_remote_code' is"),
        ("text_cfg", {"tokenizer_kwargs": {"clean": ["lower"]}}, "'clean' is not passed on"),
        ("vision_cfg", {"timm_model_name": "hf-hub:a/b"}, "'hf-hub:a/b', which timm fetches"),
        ("vision_cfg", {"timm_model_name": "local-dir:/tmp"}, "'local-dir:/tmp', which timm"),
        ("text_cfg", {"layers": 10**9}, "'layers' is more than 1,000"),
        ("vision_cfg", {"image_size": None}, "image_size=None: must be one number"),
    ],
)
def test_what_open_clip_would_run_or_fetch_is_refused(
    clip_folder: Path, tmp_path: Path, part: str, values: dict[str, object], message: str
) -> None:
    folder = edited(clip_folder, tmp_path / "clip", part, **values)
    with pytest.raises(InputError, match=message):
        extractor_source(str(folder))


def test_options_of_a_tokenizer_that_only_clean_text_pass(
    clip_folder: Path, tmp_path: Path
) -> None:
    options = {"clean": "canonicalize", "strip_sep_token": True}
    extractor_source(
        str(edited(clip_folder, tmp_path / "clip", "text_cfg", tokenizer_kwargs=options))
    )


@pytest.mark.parametrize("text", ["[]", "{}", '{"model_cfg": 1}', "no JSON", '{"model_cfg": {}}'])
def test_a_config_of_anything_else_is_refused(clip_folder: Path, tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    (folder / "open_clip_config.json").write_text(text)
    with pytest.raises(InputError, match="is not the config of an open_clip model"):
        extractor_source(str(folder))


def test_code_of_an_extractor_s_folder_is_not_run(
    clip_folder: Path, tmp_path: Path, cache: DigestCache
) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer |= {"auto_map": {"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    ClipExtractor(extractor_source(str(folder)), cache)
    assert not ran.exists()


def test_a_tokenizer_that_open_clip_fetches_by_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.touch()
    with pytest.raises(InputError, match="its tokenizer is timm/ViT-B-16-SigLIP of the hub"):
        extractor_source("ViT-B-16-SigLIP", str(file))

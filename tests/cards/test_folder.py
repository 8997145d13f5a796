"""The files of a diffusers folder that determine an image: variants, shards, what is refused."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.cards.checkpoints import local
from turbo_lab.cards import locate
from turbo_lab.cards.folder import (
    check_files,
    component_files,
    components_of,
    has_unlisted_files,
    read_json,
    read_scheduler,
    tokenizer_files,
    weight_files,
    with_unet,
)
from turbo_lab.errors import InputError, MissingFilesError

WEIGHTS = "diffusion_pytorch_model"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A component with a config and no weights."""
    folder = tmp_path / "unet"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def weights(part: Path, *names: str) -> None:
    for name in names:
        save_file({"x": np.zeros(1, np.float32)}, part / name)


def sharded(part: Path, mark: str = "", *names: str) -> Path:
    """Write a shard index of a variant that names these files."""
    index = part / f"{WEIGHTS}.safetensors.index{mark}.json"
    index.write_text(json.dumps({"weight_map": dict(enumerate(names))}))
    return index


def taken(part: Path, variant: str | None = None) -> dict[str, str]:
    """Return the name of the file that is taken, by plain name, without the config."""
    found = weight_files(part, variant)
    assert found.pop("config.json") == part / "config.json"
    return {name: path.name for name, path in found.items()}


@pytest.mark.parametrize(
    ("there", "variant", "file"),
    [
        ((f"{WEIGHTS}.safetensors",), None, f"{WEIGHTS}.safetensors"),
        ((f"{WEIGHTS}.safetensors", f"{WEIGHTS}.fp16.safetensors"), None, f"{WEIGHTS}.safetensors"),
        (
            (f"{WEIGHTS}.safetensors", f"{WEIGHTS}.fp16.safetensors"),
            "plain",
            f"{WEIGHTS}.safetensors",
        ),
        (
            (f"{WEIGHTS}.safetensors", f"{WEIGHTS}.fp16.safetensors"),
            "fp16",
            f"{WEIGHTS}.fp16.safetensors",
        ),
        ((f"{WEIGHTS}.fp16.safetensors",), None, f"{WEIGHTS}.fp16.safetensors"),
        ((f"{WEIGHTS}.safetensors",), "fp16", f"{WEIGHTS}.safetensors"),
    ],
)
def test_one_of_several_variants_is_taken(
    part: Path, there: tuple[str, ...], variant: str | None, file: str
) -> None:
    weights(part, *there)
    assert taken(part, variant) == {f"{WEIGHTS}.safetensors": file}


def test_two_variants_without_plain_files_are_not_chosen_between(part: Path) -> None:
    weights(part, f"{WEIGHTS}.fp16.safetensors", f"{WEIGHTS}.non_ema.safetensors")
    with pytest.raises(InputError, match="holds fp16, non_ema; choose one: model.variant=fp16"):
        weight_files(part, None)
    with pytest.raises(MissingFilesError, match="does not exist; there is fp16, non_ema: set"):
        weight_files(part, "plain")


@pytest.mark.parametrize("mark", ["", ".fp16"])
def test_shards_are_taken_with_their_index_under_its_plain_name(part: Path, mark: str) -> None:
    one, two = (f"{WEIGHTS}{mark}-0000{n}-of-00002.safetensors" for n in (1, 2))
    weights(part, one, two)
    index = sharded(part, mark, two, one, two)
    assert taken(part) == {one: one, two: two, f"{WEIGHTS}.safetensors.index.json": index.name}
    (part / two).unlink()
    with pytest.raises(MissingFilesError, match=rf"{two} does not exist \(named by {index}\)"):
        weight_files(part, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "weight_map must be an object of tensor names and file names"),
        ('{"weight_map": []}', "weight_map must be an object"),
        ('{"weight_map": {"a": "b.bin"}}', "b.bin: only safetensors are loaded"),
        ('{"weight_map": {"a": "../b.safetensors"}}', "weight_map"),
    ],
)
def test_a_damaged_shard_index_is_refused(part: Path, text: str, message: str) -> None:
    sharded(part).write_text(text)
    with pytest.raises(InputError, match=message):
        weight_files(part, None)


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".pt", ".pth"])
def test_pickled_weights_are_refused(part: Path, suffix: str) -> None:
    (part / f"{WEIGHTS}{suffix}").touch()
    with pytest.raises(InputError, match=f"holds only pickled weights .{WEIGHTS}{suffix}"):
        weight_files(part, None)
    weights(part, f"{WEIGHTS}.safetensors")
    assert taken(part) == {f"{WEIGHTS}.safetensors": f"{WEIGHTS}.safetensors"}


def test_a_component_without_config_or_weights_is_named(part: Path) -> None:
    with pytest.raises(MissingFilesError, match=f"{WEIGHTS}.safetensors does not exist$"):
        weight_files(part, None)
    (part / "config.json").unlink()
    with pytest.raises(MissingFilesError, match="config.json does not exist"):
        weight_files(part, None)


def test_a_text_encoder_has_another_file_name(tmp_path: Path) -> None:
    folder = tmp_path / "text_encoder_2"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    weights(folder, "model.safetensors", f"{WEIGHTS}.safetensors")
    assert taken(folder) == {"model.safetensors": "model.safetensors"}


def test_the_files_of_a_whole_model(tiny_sdxl_dir: Path) -> None:
    files = component_files(tiny_sdxl_dir, None)
    assert all(path == tiny_sdxl_dir / name for name, path in files.items())
    assert {name.split("/")[0] for name in files} == {
        "model_index.json",
        "scheduler",
        "unet",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
    }


def test_an_unknown_variant_lists_those_that_are_there(copy: Path) -> None:
    unet = copy / "unet"
    (unet / f"{WEIGHTS}.safetensors").rename(unet / f"{WEIGHTS}.fp16.safetensors")
    files = component_files(copy, "fp16")
    assert files[f"unet/{WEIGHTS}.safetensors"].name == f"{WEIGHTS}.fp16.safetensors"
    assert files[f"vae/{WEIGHTS}.safetensors"].name == f"{WEIGHTS}.safetensors"
    with pytest.raises(MissingFilesError, match="variant=bf16: .* choose one of plain, fp16"):
        component_files(copy, "bf16")


def test_components_that_a_folder_lacks_are_those_of_its_base(
    copy: Path, tiny_sdxl_dir: Path
) -> None:
    index = copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"vae": [None, None]}))
    with pytest.raises(InputError, match="has no vae; name the model that they come from"):
        component_files(copy, None)
    files = component_files(copy, None, lambda: component_files(tiny_sdxl_dir, None))
    parents = {name.split("/")[0]: path.parent.parent for name, path in files.items()}
    assert parents["vae"] == tiny_sdxl_dir and parents["unet"] == copy
    assert files["model_index.json"] == tiny_sdxl_dir / "model_index.json"


def test_a_tokenizer_without_files_and_an_absent_scheduler_are_named(copy: Path) -> None:
    shutil.rmtree(copy / "tokenizer_2")
    (copy / "tokenizer_2").mkdir()
    with pytest.raises(MissingFilesError, match="tokenizer_2 has no tokenizer files"):
        component_files(copy, None)
    shutil.copytree(copy / "tokenizer", copy / "tokenizer_2", dirs_exist_ok=True)
    (copy / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(MissingFilesError, match="scheduler_config.json does not exist"):
        component_files(copy, None)


def test_another_unet_takes_the_place_of_the_base_s(part: Path, tmp_path: Path) -> None:
    weights(part, "own.safetensors")
    base = {
        "unet/config.json": tmp_path / "base.json",
        "unet/old.safetensors": tmp_path / "old",
        "vae/config.json": tmp_path / "vae.json",
    }
    own = {"own.safetensors": part / "own.safetensors"}
    assert with_unet(base, own) == {
        "unet/config.json": tmp_path / "base.json",
        "vae/config.json": tmp_path / "vae.json",
        "unet/own.safetensors": part / "own.safetensors",
    }
    config = {"config.json": part / "config.json"}
    assert with_unet(base, own | config)["unet/config.json"] == part / "config.json"


def test_weights_that_are_cut_off_and_lfs_pointers_are_refused(part: Path) -> None:
    weights(part, "whole.safetensors")
    whole = part / "whole.safetensors"
    check_files({"a": whole, "b": part / "config.json"})
    (part / "cut.safetensors").write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(InputError, match="cut.safetensors is cut off"):
        check_files({"a": part / "cut.safetensors"})
    (part / "config.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:a\n")
    with pytest.raises(InputError, match="Git LFS"):
        check_files({"b": part / "config.json"})


def test_components_take_part_in_an_image() -> None:
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": [None, None],
        "scheduler": ["diffusers", "x"],
        "image_encoder": ["transformers", "x"],
        "tokenizer": ["transformers", "x"],
        "force_zeros_for_empty_prompt": True,
        "empty": [],
    }
    assert components_of(index, Path("model_index.json")) == ["unet", "tokenizer"]
    with pytest.raises(InputError, match=r"\.\./unet"):
        components_of({"../unet": ["diffusers", "x"]}, Path("model_index.json"))


def test_files_of_a_tokenizer_are_known_by_their_endings(tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt", "a.model", "README.md", "x.bin"):
        (tmp_path / name).touch()
    (tmp_path / "folder.json").mkdir()
    assert [path.name for path in tokenizer_files(tmp_path)] == [
        "a.model",
        "merges.txt",
        "vocab.json",
    ]


def test_an_index_next_to_whole_weights_must_be_listed(part: Path) -> None:
    sources = {
        "unet/a.safetensors": part / "a.safetensors",
        "unet/config.json": part / "config.json",
    }
    assert not has_unlisted_files(part.parent, sources)
    index = part / "a.safetensors.index.json"
    index.touch()
    assert has_unlisted_files(part.parent, sources)
    assert not has_unlisted_files(part.parent, sources | {"unet/a.safetensors.index.json": index})


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        ("unet/adapter_config.json", True),
        ("unet/evil.py", True),
        ("None.py", True),
        ("unet/a.fp16.safetensors", False),
        ("unet/a.safetensors.index.fp16.json", False),
        ("unet/flax_model.msgpack", False),
        ("README.md", False),
    ],
)
def test_files_that_a_loader_reads_must_be_listed(part: Path, name: str, is_read: bool) -> None:
    sources = {
        "unet/a.safetensors": part / "a.safetensors",
        "unet/config.json": part / "config.json",
    }
    (part.parent / name).touch()
    assert has_unlisted_files(part.parent, sources) == is_read


def test_a_lora_that_came_with_a_text_encoder_is_not_loaded(
    tiny_sdxl_dir: Path, tmp_path: Path
) -> None:
    """transformers would put it on, and the model would keep its digest."""
    model = shutil.copytree(tiny_sdxl_dir, tmp_path / "model")
    (model / "text_encoder" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (model / "text_encoder" / "adapter_model.safetensors").touch()
    found = locate(local(model))
    assert found.digest == locate(local(tiny_sdxl_dir)).digest
    assert not list(found.path.rglob("adapter_*"))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[]", InputError, "holds no JSON object"),
        ("{", InputError, "is not JSON"),
        (None, MissingFilesError, "cannot be read"),
    ],
)
def test_a_config_is_a_json_object(
    text: str | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        read_json(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(text)
        try:
            assert read_json(Path(file.name)) == json.loads(text)
        except InputError as error:
            assert file.name in str(error)


def test_a_scheduler_names_its_class(tmp_path: Path) -> None:
    path = tmp_path / "scheduler_config.json"
    path.write_text('{"_class_name": "EulerDiscreteScheduler"}')
    assert read_scheduler(path)["_class_name"] == "EulerDiscreteScheduler"
    for text in ("{}", '{"_class_name": 1}'):
        path.write_text(text)
        with pytest.raises(InputError, match="has no _class_name"):
            read_scheduler(path)

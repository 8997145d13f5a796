"""What is in a cell's identity, what is not, and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cards.checkpoints import TO_Q, lora
from turbo_lab import config, environment
from turbo_lab.cards import locate_adapter
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep, plan_sweep, resolve_points
from turbo_lab.request.recipe import Cell
from turbo_lab.request.resolve import Library, pin_revisions, resolve
from turbo_lab.store.encode import DrawnBatch, encode_batch
from turbo_lab.store.store import Store, reuse_key

SHAPES = {f"unet.{TO_Q}.lora_A.weight": (4, 32), f"unet.{TO_Q}.lora_B.weight": (32, 4)}


def compose(*overrides: str) -> ResolvedSweep:
    """Return a grid as the command line gives it."""
    return resolve_points(config.compose("plan", overrides))


@pytest.fixture(scope="module")
def folder(tiny_sdxl_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a copy of it, one with other weights, two LoRAs and a prompt file."""
    root = tmp_path_factory.mktemp("files")
    for name in ("model", "moved", "other", "no-zeros"):
        shutil.copytree(tiny_sdxl_dir, root / name)
    _shift_last_byte(root / "other" / "unet" / "diffusion_pytorch_model.safetensors")
    index = root / "no-zeros" / "model_index.json"
    index.write_text(
        json.dumps(json.loads(index.read_text()) | {"force_zeros_for_empty_prompt": 0})
    )
    lora(root / "a.safetensors", SHAPES)
    shutil.copy(root / "a.safetensors", root / "a-again.safetensors")
    _shift_last_byte(lora(root / "b.safetensors", SHAPES))
    (root / "photos").mkdir()
    for name, value in (("a", 1), ("a-again", 1), ("b", 2), ("photos/a", 1), ("photos/b", 2)):
        Image.new("RGB", (64, 64), (value, 0, 0)).save(root / f"{name}.png")
    (root / "prompts.txt").write_text("a red apple\na boat\nc\nd\n")
    (root / "same-prompts.txt").write_text("a red apple\na boat\nc\nd\n")
    (root / "other-prompts.txt").write_text("a red apple\na boat\nc\ne\n")
    return root


def _shift_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.fixture(scope="module")
def base(folder: Path) -> Mapping[str, Any]:
    """Return the values of one composed point."""
    overrides = [
        "model=local",
        f"model.path={folder / 'model'}",
        "prompts=file",
        f"prompts.path={folder / 'prompts.txt'}",
        "resolution=64",
        "num_inference_steps=2",
        "guidance_scale=2",
        "batch_size=2",
    ]
    (point,) = config.compose("plan", overrides)
    return point.values


def cell(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Cell:
    """The point with some values changed; dotted keys reach into groups."""
    values = dict(base)
    for key, value in changes.items():
        group, _, name = key.partition(".")
        values[group] = {**values[group], name: value} if name else value
    return resolve(values, (), Library())


# What each change would do to the images, so that it must be another cell.
IN: list[tuple[dict[str, Any], str]] = [
    ({"model.path": "@other"}, "weights by content: one bit of one file differs"),
    ({"model.path": "@no-zeros"}, "switches of the pipeline: an empty negative is encoded"),
    ({"scheduler": "EulerDiscreteScheduler"}, "another scheduler"),
    ({"model.scheduler": {"timestep_spacing": "leading"}}, "an option of the scheduler"),
    ({"lora": "@a.safetensors"}, "an adapter"),
    ({"lora": "@b.safetensors"}, "another adapter, by its file's digest"),
    ({"lora": "@a.safetensors@0.5"}, "an adapter's weight"),
    ({"lora": "@a.safetensors+@b.safetensors"}, "a stack"),
    ({"lora": "@b.safetensors+@a.safetensors"}, "its order: sums of floats depend on it"),
    ({"num_inference_steps": 3}, "steps"),
    ({"guidance_scale": 3}, "guidance above 1"),
    ({"guidance_scale": 0}, "no guidance"),
    ({"negative_prompt": "blurry"}, "a negative prompt under guidance"),
    ({"negative_prompt": ""}, "an empty one too, where none means zeros"),
    ({"resolution": 128}, "size"),
    ({"resolution": "64x128"}, "width and height by name"),
    ({"resolution": "128x64"}, "width and height by name"),
    ({"dtype": "float16"}, "precision"),
    ({"seed": 1}, "seeds"),
    ({"seed_mode": "same"}, "seeds, row by row"),
    ({"num_images": 3}, "fewer images"),
    ({"batch_size": 4}, "rows of another batch size are other bits"),
    ({"prompts.path": "@other-prompts.txt"}, "prompts by text"),
    ({"image": "@a.png", "strength": 0.5}, "a source image, by its pixels"),
    ({"image": "@b.png", "strength": 0.5}, "another source image"),
    ({"image": "@photos", "strength": 0.5}, "several, row by row"),
    ({"image": "@a.png", "strength": 1.0}, "how much of it is changed"),
]
# What must not make another cell: where it lies, what it is called, how it runs.
OUT: list[tuple[dict[str, Any], str]] = [
    ({}, "resolved again"),
    ({"model.path": "@moved"}, "the same weights elsewhere"),
    ({"model.name": "sdxl-turbo"}, "a card's name"),
    ({"model.license": "other"}, "a card's licence is recorded, not drawn"),
    ({"prompts.path": "@same-prompts.txt"}, "the same prompts in another file"),
    ({"prompts.name": "mine"}, "a prompt set's name"),
    ({"scheduler": "EulerAncestralDiscreteScheduler"}, "the checkpoint's own scheduler, by name"),
    ({"resolution": "64x64"}, "64 is 64x64"),
    ({"num_inference_steps": 2, "guidance_scale": 2.0}, "2 is 2.0"),
    ({"lora": "@a.safetensors@0"}, "weight 0 is absent"),
    ({"lora": "@a.safetensors@-0.0"}, "and so is minus 0"),
    ({"num_images": 4}, "one a prompt is the default"),
    ({"device": "cuda"}, "the device is part of the reuse key, not of the cell"),
    ({"num_threads": 64}, "so is the number of threads"),
    ({"share": "none"}, "and how work was shared"),
    ({"store": "elsewhere", "output": "elsewhere"}, "where results go"),
    ({"timing": "full", "reference": None}, "what is measured afterwards"),
    ({"image": None, "strength": None}, "no source image is the default"),
]


def _with_files(changes: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """``@name`` as the path of a file; ``@0.5`` and ``@-0.0`` are weights."""

    def filled(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        parts = [f"{folder}/{part.removeprefix('@')}" for part in value.split("+")]
        return "+".join(parts)

    return {key: filled(value) for key, value in changes.items()}


def test_everything_that_changes_an_image_is_in_the_identity(
    base: Mapping[str, Any], folder: Path
) -> None:
    ids = {cell(base, {}).cell_id: "the cell itself"}
    for changes, why in IN:
        one = cell(base, _with_files(changes, folder)).cell_id
        assert one not in ids, f"{why}: is taken for {ids[one]}"
        ids[one] = why


@pytest.mark.parametrize(("changes", "why"), OUT, ids=[why for _, why in OUT])
def test_nothing_else_is_in_the_identity(
    base: Mapping[str, Any], folder: Path, changes: dict[str, Any], why: str
) -> None:
    assert cell(base, _with_files(changes, folder)).cell_id == cell(base, {}).cell_id, why


def test_equal_work_on_a_source_image_is_one_cell(base: Mapping[str, Any], folder: Path) -> None:
    def drawn(**changes: object) -> Cell:
        return cell(base, _with_files({"strength": 0.5, **changes}, folder))

    first = drawn(image="@a.png")
    assert drawn(image="@a-again.png").cell_id == first.cell_id, "the same pixels in another file"
    assert drawn(image="@a.png", strength=0.9).cell_id == first.cell_id, "also one step of two"
    assert first.misfit is None
    assert [batch.layout.sources for batch in drawn(image="@photos").batches] == [
        tuple(dict.fromkeys(drawn(image="@photos").batches[0].layout.sources))
    ] * 2
    assert (
        drawn(image="@photos", num_images=1).batches[0].layout.sources
        == (first.batches[0].layout.sources[:1])
    )


def test_less_than_one_step_on_a_source_image_is_refused_with_the_remedy(
    base: Mapping[str, Any], folder: Path
) -> None:
    few = {"image": str(folder / "a.png"), "strength": 0.3, "num_inference_steps": 3}
    assert cell(base, few).misfit == (
        "strength=0.3: is less than one step of num_inference_steps=3, so that no image would "
        "change; set num_inference_steps=4, or more"
    )
    assert cell(base, few | {"num_inference_steps": 4}).misfit is None
    assert str(cell(base, few | {"strength": 1e-4}).misfit).endswith("change; raise it")


def test_versions_and_machine_are_not_in_the_identity(
    base: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cell(base, {})
    monkeypatch.setattr(environment, "package_version", lambda name: "99.0")
    assert environment.fingerprint("cpu", 1).keys["torch"] == "99.0"
    assert cell(base, {}).cell_id == before.cell_id
    assert cell(base, {}).batches[0].batch_id == before.batches[0].batch_id


def test_two_names_of_one_adapter_are_one(base: Mapping[str, Any], folder: Path) -> None:
    one, again = (
        cell(base, {"lora": f"{folder}/{name}@0.5"}).cell_id
        for name in ("a.safetensors", "a-again.safetensors")
    )
    assert one == again


def test_guidance_of_at_most_1_is_one_cell_whatever_the_negative_prompt(
    base: Mapping[str, Any],
) -> None:
    ids = {
        cell(base, {"guidance_scale": scale, "negative_prompt": negative}).cell_id
        for scale in (0, 0.5, 1, 1.0)
        for negative in (None, "", "blurry")
    }
    assert len(ids) == 1


def test_empty_negative_prompt_is_none_where_none_is_encoded_as_one(
    base: Mapping[str, Any], folder: Path
) -> None:
    there = {"model.path": str(folder / "no-zeros")}
    none, empty, other = (
        cell(base, {**there, "negative_prompt": negative}) for negative in (None, "", "blurry")
    )
    assert none.cell_id == empty.cell_id != other.cell_id


def test_batch_size_beyond_the_number_of_images_changes_nothing(base: Mapping[str, Any]) -> None:
    assert len({cell(base, {"batch_size": size}).cell_id for size in (4, 5, 64)}) == 1


def test_longer_sweep_begins_with_the_batches_of_the_shorter(base: Mapping[str, Any]) -> None:
    short, long = (cell(base, {"num_images": n}) for n in (4, 8))
    assert short.cell_id != long.cell_id
    own = [batch.batch_id for batch in short.batches]
    assert [batch.batch_id for batch in long.batches[:2]] == own


def test_reuse_key_holds_the_device_and_the_exactness(
    base: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = environment.Gpu("NVIDIA H100 80GB HBM3", "9.0", "580", 80 << 30)
    monkeypatch.setattr(environment, "read_gpu", lambda: gpu)
    batch = cell(base, {}).batches[0].batch_id
    keys = {
        reuse_key(batch, environment.fingerprint(device, threads).keys, exactness)
        for device in ("cpu", "cuda")
        for threads in (1, 2)
        for exactness in ("exact", "batched")
    }
    assert len(keys) == 8


def test_sweep_of_the_same_cells_has_the_same_id(folder: Path) -> None:
    grid = ("model=local", "resolution=64", "num_images=2", "guidance_scale=0,1")
    one, two = (compose(*grid, f"model.path={folder / name}") for name in ("model", "moved"))
    assert one.sweep_id == two.sweep_id
    assert plan_sweep(one, None).counts.distinct == 1


def test_a_plan_takes_split_batches_only_where_splitting_is_allowed(
    folder: Path, tmp_path: Path
) -> None:
    grid = ("model=local", f"model.path={folder / 'model'}", "resolution=64", "num_images=2")
    store = Store(tmp_path / "store")
    for share, exactness in (("exact", "split"), ("batched", "batched")):
        made = compose(*grid, f"share={share}")
        (batch,) = made.cells[0].batches
        pixels = np.zeros((2, 64, 64, 3), np.uint8)
        drawn = DrawnBatch(batch, exactness, made.fingerprint.keys, pixels)
        store.commit_batch(*encode_batch(drawn))
    in_store = {
        (share, on_out_of_memory): plan_sweep(
            compose(*grid, f"share={share}", f"on_out_of_memory={on_out_of_memory}"),
            Store(tmp_path / "store"),
        ).counts.in_store
        for share in ("exact", "none", "batched")
        for on_out_of_memory in ("fail", "split")
    }
    assert in_store == {
        ("exact", "fail"): 0,
        ("exact", "split"): 1,
        ("none", "fail"): 0,
        ("none", "split"): 1,
        ("batched", "fail"): 1,
        ("batched", "split"): 1,
    }


def test_what_a_card_leaves_open_is_held_to_its_first_use(tmp_path: Path) -> None:
    library, lock = Library(), tmp_path / "revisions.json"
    own = locate_adapter(str(lora(tmp_path / "own.safetensors", SHAPES)))
    open_card = replace(own, name="lcm-lora-sdxl", revision="1" * 40)
    library.adapters = {"own": own, "open": open_card}
    pin_revisions(library, lock)
    pin_revisions(library, lock)
    assert json.loads(lock.read_text()) == {"latent-consistency/lcm-lora-sdxl": "1" * 40}
    library.adapters["open"] = replace(open_card, revision="2" * 40)
    with pytest.raises(InputError, match="was at revision 1111"):
        pin_revisions(library, lock)

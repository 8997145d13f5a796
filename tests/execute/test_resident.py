"""The resident pipeline: what is loaded, when, and which adapters are on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cards.checkpoints import TO_Q, lora
from tests.small_sweeps import small_sweep
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.errors import InputError
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep


@pytest.fixture(scope="module")
def sweep(tiny_sdxl_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> ResolvedSweep:
    """A cell without an adapter, and one with an adapter that changes nothing."""
    folder = tmp_path_factory.mktemp("adapters")
    shapes = {f"unet.{TO_Q}.lora_A.weight": (4, 32), f"unet.{TO_Q}.lora_B.weight": (32, 4)}
    return small_sweep(tiny_sdxl_dir, f"lora=none,{lora(folder / 'zeros.safetensors', shapes)}")


@pytest.fixture
def resident(sweep: ResolvedSweep) -> ResidentPipeline:
    return ResidentPipeline(Weights.of(sweep.library), "cpu")


def test_weights_are_found_by_digest_in_all_libraries(sweep: ResolvedSweep, tmp_path: Path) -> None:
    other = small_sweep(save_tiny_sdxl(tmp_path / "other", seed=1))
    found = Weights.of(sweep.library, other.library)
    plain, adapted = (cell.recipe for cell in sweep.cells)
    assert set(found.models) == {plain.model, other.cells[0].recipe.model}
    assert found.adapters[adapted.lora[0][0]][1].name == "zeros.safetensors"
    assert found.vaes == {}


def test_a_model_is_loaded_once_and_swapped_when_asked(
    sweep: ResolvedSweep, resident: ResidentPipeline
) -> None:
    recipe = sweep.cells[0].recipe
    with pytest.raises(AssertionError, match="nothing is loaded yet"):
        _ = resident.pipeline
    assert not resident.holds(recipe)
    resident.prepare(recipe)
    loaded, version, load_s = resident.pipeline, resident.version, resident.load_s
    assert resident.holds(recipe) and load_s > 0
    resident.prepare(replace(recipe, num_inference_steps=4))
    assert resident.pipeline is loaded and resident.version == version
    half = replace(recipe, dtype="bfloat16")
    assert not resident.holds(half)
    resident.prepare(half)
    assert resident.pipeline is not loaded and resident.version > version
    assert str(resident.pipeline.unet.dtype) == "torch.bfloat16"


def test_adapters_are_put_on_and_taken_off_without_loading_again(
    sweep: ResolvedSweep, resident: ResidentPipeline
) -> None:
    plain, adapted = (cell.recipe for cell in sweep.cells)
    put_on: list[list[str]] = []

    def seam(pipeline, adapters) -> None:
        from turbo_lab.runtime import lora as adapters_module

        put_on.append([name for name, *_ in adapters])
        adapters_module.put_on(pipeline, adapters)

    resident.prepare(plain, seam)
    loaded, version = resident.pipeline, resident.version
    assert put_on == [] and resident.notes == ()
    resident.prepare(adapted, seam)
    resident.prepare(adapted, seam)
    assert len(put_on) == 1 and resident.pipeline is loaded and resident.version > version
    assert "changes no weight: its products are all zero" in resident.notes[-1]
    assert set(resident.adapter_changes.values()) == {0.0}
    assert loaded.get_active_adapters()
    resident.prepare(plain, seam)
    assert resident.notes == () and not getattr(loaded.unet, "peft_config", {})
    assert resident.adapter_changes == {}


def test_keys_that_cannot_run_are_refused_before_anything_is_loaded(
    sweep: ResolvedSweep, resident: ResidentPipeline
) -> None:
    recipe = replace(sweep.cells[0].recipe, variant=(("graphs", "cuda"), ("loop", "exact")))
    with pytest.raises(InputError, match="graphs=cuda"):
        resident.prepare(recipe)
    with pytest.raises(AssertionError, match="nothing is loaded yet"):
        _ = resident.pipeline


def test_a_prompt_that_is_cut_is_told_once(
    sweep: ResolvedSweep, resident: ResidentPipeline
) -> None:
    resident.prepare(sweep.cells[0].recipe)
    long = "b" * 70 + "cdefghi"
    assert resident.cut_prompts([long, "short"]) == {long: "hi"}
    assert resident.cut_prompts([long]) == {}

"""Origins of a cell: names for its images, sources for its record."""

from __future__ import annotations

from turbo_lab.config import compose
from turbo_lab.environment import GitState
from turbo_lab.planning.resolved_sweep import resolve_points
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.origins import cell_origin


def test_model_adapters_vae_and_prompts_are_named_by_their_digests() -> None:
    words = ["model=nano-turbo", "lora=flat@0.5+ink@0.3", "vae=nano-vae", "prompts=scenes-demo"]
    sweep = resolve_points(compose("sweep", [*words, "num_images=1", "tracking=none"]))
    (cell,), library = sweep.cells, sweep.library
    git = GitState("c" * 40, False)
    found = cell_origin(library, git, cell)
    assert list(found.names.values()) == ["nano-turbo", "flat", "ink", "nano-vae"]
    assert next(iter(found.names)) == cell.recipe.model
    assert list(found.names)[1:3] == [digest for digest, _ in cell.recipe.lora]
    about = found.provenance
    assert list(about.models) == ["nano-turbo", "nano-vae"] and list(about.adapters) == [
        "flat",
        "ink",
    ]
    origins = {**about.models, **about.adapters}
    assert {one.digest: name for name, one in origins.items()} == found.names
    assert {one.license for one in origins.values()} == {"Apache-2.0"}
    assert list(about.prompt_sets) == ["scenes-demo"] and about.git is git
    # A folder has no hash that other programs know; a LoRA is known by its tensors.
    assert list(found.hashes) == [digest for digest, _ in cell.recipe.lora]
    assert set(found.hashes.values()).isdisjoint(found.names)


def test_what_a_cell_does_not_use_is_left_out(executed: Executed) -> None:
    sweep = executed.sweep
    found = cell_origin(sweep.library, None, sweep.cells[0])
    assert found.provenance.adapters == {} and found.provenance.git is None
    assert list(found.names) == [sweep.cells[0].recipe.model]
    assert found.provenance.models["tiny-sdxl"].license == "unknown"

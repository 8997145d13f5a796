"""What goldens are goldens of: the shipped ones, feature by feature."""

from __future__ import annotations

from turbo_lab.golden.coverage import FEATURES, missing_features
from turbo_lab.golden.library import GoldenLibrary, packaged_root


def test_the_shipped_goldens_have_every_feature_of_their_own_model() -> None:
    goldens = list(GoldenLibrary(packaged_root()).read_all().values())
    model = next(g.recipe.model for g in goldens if g.name == "nano-turbo-1-step")
    assert missing_features(list(FEATURES), goldens, model) == []


def test_one_golden_has_what_it_is_named_for_and_no_more() -> None:
    library = GoldenLibrary(packaged_root())
    stack = library.read("nano-turbo-flat-ink")
    has = set(FEATURES) - set(missing_features(list(FEATURES), [stack], "of another model"))
    assert has == {"several_steps", "lora", "lora_stack"}
    guided = library.read("nano-turbo-batch-4-guided")
    has = set(FEATURES) - set(missing_features(list(FEATURES), [guided], guided.recipe.model))
    assert has == {"candidate_model", "several_steps", "guidance", "batch"}
    pictured = library.read("nano-turbo-image")
    has = set(FEATURES) - set(missing_features(list(FEATURES), [pictured], "of another model"))
    assert has == {"several_steps", "batch", "image_to_image"}


def test_nothing_judged_covers_nothing() -> None:
    assert missing_features(["lora", "one_step"], [], "m") == ["lora", "one_step"]

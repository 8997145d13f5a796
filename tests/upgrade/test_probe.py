"""What a probe does, in this process and as a process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.golden_cases import CASES, Loaded
from turbo_lab.environment import package_version
from turbo_lab.golden.fresh_process import read_stages, write_stages
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.stages import mark
from turbo_lab.store.store import Store
from turbo_lab.upgrade.messages import Described
from turbo_lab.upgrade.probe import LIBRARIES, Probe
from turbo_lab.upgrade.remote import RemoteProbe

NAME = "two-steps"
WORDS: Sequence[str] = (*CASES[NAME], "num_threads=1")
SWEEP = ("num_images=2", "batch_size=1", "num_threads=1", "tracking=none", "gate=release")


class Beats:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_a_process_describes_this_environment(tmp_path: Path) -> None:
    with RemoteProbe("this environment", tmp_path / "log", 120) as probe:
        found = probe.ask(Described, "describe", "import its libraries")
    assert set(found.modules) == set(LIBRARIES)
    for name in LIBRARIES:
        assert found.versions[canonicalize_name(name)] == package_version(name)


def test_cases_are_drawn_as_their_goldens_were(
    library: GoldenLibrary, loaded: Loaded, tmp_path: Path
) -> None:
    file, beats = tmp_path / "stages.safetensors", Beats()
    cases = {NAME: WORDS, "wrong": ["num_inference_steps=0"]}
    drawn = Probe(beats).draw(cases, str(file))
    golden = library.read(NAME)
    first, second = drawn.cases
    assert (first.cell_id, first.error, first.keys) == (
        golden.cell_id,
        None,
        golden.fingerprint.keys,
    )
    assert tuple(map(mark, read_stages(file)[NAME])) == golden.stages
    assert second.error is not None and "num_inference_steps=0" in second.error
    assert beats.count == 2


def test_fed_stages_take_the_place_of_a_processs_own(tmp_path: Path) -> None:
    plain, given, fed = (tmp_path / name for name in ("plain", "given", "fed"))
    Probe(Beats()).draw({NAME: WORDS}, str(plain))
    stages = read_stages(plain)[NAME]
    write_stages(given, {NAME: [_without(one) for one in stages]})  # type: ignore[dict-item]
    Probe(Beats()).draw({NAME: WORDS}, str(fed), str(given))
    before = {one.stage: mark(one).sha256 for one in stages}
    after = {one.stage: mark(one).sha256 for one in read_stages(fed)[NAME]}
    # The noise is drawn before anything is fed; the UNet then sees other noise.
    assert after["noise"] == before["noise"]
    assert after["unet.0"] != before["unet.0"]


def _without(one: object) -> object:
    from dataclasses import replace

    from turbo_lab.golden.stages import StageValue

    assert isinstance(one, StageValue)
    return replace(one, values=one.values * 0) if one.stage == "noise" else one


def test_a_sweep_goes_into_the_store_that_is_named(tmp_path: Path) -> None:
    beats = Beats()
    drawn = Probe(beats).sweep(SWEEP, str(tmp_path / "store"))
    record = Store(tmp_path / "store").read_record(drawn.record_id)
    assert record is not None and record.error is None
    assert beats.count >= 2


def test_blocks_are_timed_after_a_warm_up() -> None:
    probe = Probe(Beats())
    with pytest.raises(AssertionError, match="warm_up comes first"):
        probe.block(1)
    probe.warm_up(SWEEP, "short")
    assert 0 < probe.block(2).mean_s < 60

"""Memory that models need, by hand."""

from __future__ import annotations

import os

from turbo_lab.cards import model_names, read_packaged_card
from turbo_lab.workflows.memory_needed import memory_needed, memory_there


def test_every_model_but_the_users_own_is_estimated() -> None:
    for device, dtype in (("cpu", "float32"), ("cuda", "float16")):
        found = memory_needed(device)
        assert [one.model for one in found] == [name for name in model_names() if name != "local"]
        assert {one.dtype for one in found} == {dtype}


def test_sdxl_turbo_on_a_gpu_by_hand() -> None:
    """float16 weights, the VAE in float32, 8 tensors of 128 channels at full size."""
    (turbo,) = (one for one in memory_needed("cuda") if one.model == "sdxl-turbo")
    weights = 2_567_463_684 + 123_060_480 + 694_659_840 + 83_653_863
    held = 2 * weights + 2 * 83_653_863
    pixel = 8 * 128 * 4
    assert turbo.bytes_by_call[512, 1] == held + 512 * 512 * pixel
    assert turbo.bytes_by_call[1024, 16] == held + 16 * 1024 * 1024 * pixel
    assert set(turbo.bytes_by_call) == {(e, n) for e in (512, 1024) for n in (1, 4, 16)}


def test_sdxl_base_is_used_at_its_native_size_only() -> None:
    (base,) = (one for one in memory_needed("cuda") if one.model == "sdxl-base")
    assert {edge for edge, _ in base.bytes_by_call} == {1024}


def test_a_nano_model_with_an_adapter_counts_its_base() -> None:
    by_name = {one.model: one for one in memory_needed("cpu")}
    lcm, plain = read_packaged_card("nano-lcm"), read_packaged_card("nano-sdxl")
    weights = (lcm.parameters or 0) + (plain.parameters or 0)
    size = min(by_name["nano-lcm"].bytes_by_call)[0]
    assert by_name["nano-lcm"].bytes_by_call[size, 1] == 4 * weights + size**2 * 8 * 32 * 4
    more = by_name["nano-lcm"].bytes_by_call[size, 1] - by_name["nano-sdxl"].bytes_by_call[size, 1]
    assert more == 4 * (lcm.parameters or 0)


def test_memory_of_this_machine_is_that_of_the_system() -> None:
    import psutil

    assert memory_there("cpu") == psutil.virtual_memory().total
    assert os.sysconf("SC_PAGE_SIZE") > 0


def test_a_machine_without_a_gpu_reports_none(monkeypatch) -> None:
    monkeypatch.setattr("turbo_lab.environment.read_gpu", lambda: None)
    assert memory_there("cuda") is None

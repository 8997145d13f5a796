"""What this machine can run, and why not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from turbo_lab import environment
from turbo_lab.documents.inspection import FindingStatus
from turbo_lab.environment import CudaDriver, Gpu
from turbo_lab.workflows.diagnosis import diagnose


def findings() -> dict[str, tuple[str, str]]:
    """Return the findings about this machine by name, as status and text."""
    return {row.name: (row.status, row.detail) for row in diagnose(Path("turbo-lab-store"))}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_wrong_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = {"torch": environment.ABSENT, "diffusers": "0.43.0"}
    real = environment.package_version
    monkeypatch.setattr(environment, "package_version", lambda n: versions.get(n) or real(n))
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("H100", "9.0", "575", None))
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: None)
    found = findings()
    assert found["torch"][0] == "problem" and "needs >=2.13" in found["torch"][1]
    assert found["diffusers"][0] == "note" and "0.43.0, outside" in found["diffusers"][1]
    assert found["gpu"] == (
        "note",
        "H100, but this torch is CPU-only: install another",
    )
    # Other versions are the upgrade question; the goldens' CPU may be another, too.
    status, text = found["goldens"]
    assert status == "ok" and text.startswith("14 at T1 (other ")
    assert {"cuda", "diffusers", "torch"} <= set(
        text.strip(")").replace("(other ", ", ").split(", ")
    )


def test_memory_needed_is_shown_next_to_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On an H200, SDXL's shape at 512x512 took 7.9, 10.8 and 22.8 GiB (8136 to 23319 MiB)."""
    monkeypatch.setattr(environment, "read_cuda_driver", lambda: CudaDriver(1, 0, 1, 13020))
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: "13.2")
    monkeypatch.setattr(environment, "resolve_device", lambda device: "cuda")
    gpu = Gpu("NVIDIA H200", "9.0", "580", 139 << 30)
    monkeypatch.setattr(environment, "read_gpu", lambda: gpu)
    status, text = findings()["memory sdxl-turbo-shape"]
    assert status == "ok" and "float16, 1, 4, 16 images per call: 512x512 about 7.6, 11, 23" in text
    assert "1024x1024 about" in text and text.endswith("; cuda has 139")
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("T4", "7.5", "580", 4 << 30))
    status, text = findings()["memory sdxl-turbo"]
    assert status == "note" and text.endswith("; cuda has 4, too little for any of these")
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("L4", "8.9", "580", 23 << 30))
    status, text = findings()["memory sdxl-turbo"]
    assert status == "note"
    assert text.endswith("; cuda has 23, too little for 1024x1024 with 16 images")


def test_a_checkout_that_is_not_installed_is_still_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("turbo_lab.workflows.diagnosis.metadata.requires", absent)
    found = findings()
    assert found["turbo-lab"][0] == "note"
    assert FindingStatus.PROBLEM not in [status for status, _ in found.values()]


def test_an_adapter_is_fetched_itself_and_not_the_model_of_its_name() -> None:
    found = findings()
    status, text = found["adapter lcm-lora-sdxl"]
    assert status == "note"
    assert "hf download latent-consistency/lcm-lora-sdxl pytorch_lora_weights.safetensors" in text
    assert "stable-diffusion-xl-base" not in text
    assert found["model lcm-lora-sdxl"][1].endswith("turbo-lab models get lcm-lora-sdxl")


def test_an_absent_vae_of_the_hub_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    details = [one.detail for one in diagnose(tmp_path / "store") if "taesdxl" in one.name]
    assert len(details) == 1 and details[0].endswith("turbo-lab models get taesdxl")

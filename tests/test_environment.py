"""What is read of the machine, and that nothing is guessed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from turbo_lab import environment
from turbo_lab.environment import (
    Cpu,
    CudaDriver,
    Fingerprint,
    Gpu,
    fingerprint,
    git_state,
    parse_cpuinfo,
    parse_gpu,
)
from turbo_lab.errors import InputError

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu vme avx2 fma avx512f sse4_2 hypervisor
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


def test_x86_cpu() -> None:
    assert parse_cpuinfo(X86) == Cpu(
        vendor="GenuineIntel",
        family="6",
        model="143",
        name="Intel(R) Xeon(R) Platinum 8481C",
        isa="avx2 avx512f fma sse4_2",
    )


def test_arm_cpu_says_unknown_where_nothing_is_said() -> None:
    cpu = parse_cpuinfo(ARM)
    assert (cpu.vendor, cpu.model, cpu.isa) == ("0x41", "0xd40", "asimd sve")
    assert cpu.family == cpu.name == "unknown"


def test_an_unreadable_cpu_is_unknown() -> None:
    assert set(asdict(parse_cpuinfo("")).values()) == {"unknown"}


def test_gpu_line() -> None:
    assert parse_gpu("NVIDIA H100 80GB HBM3, 9.0, 580.95.05, 81559\n") == Gpu(
        "NVIDIA H100 80GB HBM3", "9.0", "580.95.05", 81559 << 20
    )
    assert parse_gpu("") is None
    assert parse_gpu("No devices were found") is None


def test_keys_are_json_and_complete() -> None:
    keys = fingerprint("cpu", 2, "float32").keys
    assert json.loads(json.dumps(keys)) == keys
    assert keys["device_class"].startswith("cpu ")
    assert keys["num_threads"] == 2
    assert keys["dtype"] == "float32"
    for name in ("torch", "diffusers", "transformers", "tokenizers", "peft", "cuda", "cudnn"):
        assert keys[name]
    for name in ("sdpa_backend", "memory_format", "compile", "ATEN_CPU_CAPABILITY", "MKL_CBWR"):
        assert name in keys


def test_the_hostname_is_no_part_of_it() -> None:
    import socket

    assert socket.gethostname() not in json.dumps(fingerprint("cpu", 2).options).split('"')


def test_the_host_is_an_option_by_digest_or_as_it_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(environment.HOST_VARIABLE, raising=False)
    monkeypatch.setattr("platform.node", lambda: "gpu-17")
    first = fingerprint("cpu", 2)
    assert re.fullmatch("sha256 [0-9a-f]{12}", str(first.options["host"]))
    monkeypatch.setattr("platform.node", lambda: "gpu-18")
    second = fingerprint("cpu", 2)
    assert first.keys == second.keys and first.options["host"] != second.options["host"]
    monkeypatch.setenv(environment.HOST_VARIABLE, "pool-a")
    assert fingerprint("cpu", 2).options["host"] == "pool-a"


def test_dispatch_variables_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("cpu", 2).keys
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    after = fingerprint("cpu", 2).keys
    assert {k for k in before if before[k] != after[k]} == {"ATEN_CPU_CAPABILITY"}


def test_a_gpu_is_the_device_model(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu("NVIDIA H100 80GB HBM3", "9.0", "580.95.05", None)
    monkeypatch.setattr(environment, "read_gpu", lambda: gpu)
    found = fingerprint("cuda", 2)
    assert found.keys["device_class"] == "cuda sm_90"
    assert found.keys["device_model"] == gpu.name
    assert found.options["driver"] == gpu.driver


def test_absent_packages_are_said_to_be() -> None:
    assert environment.package_version("no-such-package-at-all") == "absent"


def test_auto_takes_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_gpu", lambda: None)
    assert environment.resolve_device("auto") == "cpu"
    assert environment.resolve_device("cpu") == "cpu"


def test_auto_takes_the_gpu_where_torch_can_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("GPU", "9.0", "1", None))
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: "13.0")
    assert environment.resolve_device("auto") == "cuda"
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: None)
    assert environment.resolve_device("auto") == "cpu"
    with pytest.raises(InputError, match="this torch is CPU-only; use device=cpu"):
        environment.resolve_device("cuda")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "device=cuda: no NVIDIA GPU was found .*; use device=cpu"),
        ("gpu", "device=gpu: must be one of auto, cpu, cuda"),
    ],
)
def test_wrong_devices(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_gpu", lambda: None)
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: "13.0")
    with pytest.raises(InputError, match=message):
        environment.resolve_device(device)


def test_git_is_asked_of_the_folder(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None

    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    found = git_state(tmp_path)
    assert found is not None and len(found.commit) == 40 and found.dirty is False
    (tmp_path / "file").write_text("2")
    found = git_state(tmp_path)
    assert found is not None and found.dirty is True


def test_it_is_quick() -> None:
    fingerprint("cpu", 2)  # what is read once a process
    began = time.perf_counter()
    fingerprint("cpu", 2)
    assert time.perf_counter() - began < 0.03


def test_a_program_that_hangs_is_said_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("git", "nvidia-smi"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(environment, "_COMMAND_LIMIT_S", 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    environment.read_gpu.cache_clear()
    assert git_state(tmp_path) is None
    assert environment.read_gpu() is None
    environment.read_gpu.cache_clear()
    said = capsys.readouterr().err
    assert "warning: git did not answer within 1 s; continuing without it" in said
    assert "warning: nvidia-smi did not answer within 1 s" in said


def test_a_driver_library_that_cannot_be_loaded_is_not_taken_for_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts now meets the broken library first, on any machine."""
    (tmp_path / "libcuda.so.1").write_text("not a library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    environment.read_cuda_driver.cache_clear()
    assert environment.read_cuda_driver() == CudaDriver(is_loaded=0)
    assert environment.cuda_failure() == "the driver's library libcuda.so.1 cannot be loaded"
    environment.read_cuda_driver.cache_clear()


@pytest.mark.parametrize(
    ("driver", "failure"),
    [
        (None, "gives no answer"),
        (CudaDriver(1, error=803), "cannot be started (cuInit fails with error 803)"),
        (CudaDriver(1, num_devices=0, cuda_version=13000), "offers no device"),
        (CudaDriver(1, 0, 1, 11040), "is for CUDA 11, and this torch for CUDA 13.2"),
        (CudaDriver(1, 0, 1, 13000), None),  # a minor version may be older
        (CudaDriver(1, 0, 8, 14010), None),
    ],
)
def test_a_driver_must_start_offer_a_device_and_be_new_enough(
    driver: CudaDriver | None, failure: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "read_cuda_driver", lambda: driver)
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: "13.2")
    assert environment.cuda_failure() == (failure and f"its driver {failure}")


def test_keys_that_cannot_be_read_are_named_also_those_in_part() -> None:
    keys = {"isa": "unknown", "device_model": "AMD family unknown model 1", "num_threads": 2}
    assert Fingerprint(keys, {"libc": "unknown"}).unknown_keys == ("isa", "device_model")


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("place", ["local", "worktree", "included"])
def test_no_command_of_a_repository_is_run(tmp_path: Path, place: str) -> None:
    """A repository comes with a folder: its config and its hooks are another person's."""
    repository, ran = tmp_path / "repository", tmp_path / "ran"
    repository.mkdir()

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(repository), *words], check=True)

    git("init", "-q")
    (repository / "file").write_text("1")
    (repository / ".gitattributes").write_text("* filter=own")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "one")
    executable(repository / ".git" / "hooks" / "post-index-change", f"touch {ran}.hook")
    settings = {
        "core.fsmonitor": f"touch {ran}.fsmonitor; false",
        "core.sshCommand": f"touch {ran}.ssh",
        "filter.own.clean": f"touch {ran}.filter; cat",
    }
    if place == "worktree":
        git("config", "extensions.worktreeConfig", "true")
    for name, command in settings.items():
        own = {"included": ["--file", str(repository / ".git" / "more")]}
        git("config", *own.get(place, [f"--{place}"]), name, command)
    if place == "included":
        git("config", "include.path", "more")
    os.utime(repository / "file", (1, 1))
    found = git_state(repository)
    assert found is not None and found.dirty is False
    (repository / "file").write_text("2")
    found = git_state(repository)
    assert found is not None and found.dirty == "unknown"
    assert not list(tmp_path.glob("ran.*"))


def test_a_filter_that_cannot_be_switched_off_leaves_the_state_unknown(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    git("init", "-q")
    (tmp_path / ".gitattributes").write_text("* filter=a=b\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("config", "filter.a=b.clean", f"touch {tmp_path}/ran; cat")
    os.utime(tmp_path / ".gitattributes", (1, 1))
    found = git_state(tmp_path)
    assert found is not None and found.dirty == "unknown"
    assert not (tmp_path / "ran").exists()


def test_hooks_and_monitors_do_not_keep_git_from_telling_what_changed(tmp_path: Path) -> None:
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["add", "file"], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    command = f"touch {tmp_path}/ran; false"
    subprocess.run(["git", "-C", str(tmp_path), "config", "core.fsmonitor", command], check=True)
    executable(tmp_path / ".git" / "hooks" / "post-index-change", f"touch {tmp_path}/ran")
    os.utime(tmp_path / "file", (1, 1))
    found = git_state(tmp_path)
    assert found is not None and found.dirty is False
    (tmp_path / "file").write_text("2")
    found = git_state(tmp_path)
    assert found is not None and found.dirty is True
    assert not (tmp_path / "ran").exists()

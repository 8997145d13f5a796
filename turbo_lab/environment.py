"""The environment as a fingerprint: facts that decide an image's bits, and facts on record.

Owns the split into *keys* (another value may mean other bits, so they select
goldens and guard reuse) and *options* (recorded only). Reads text files and
package metadata, never torch: a planner asks for it before anything is loaded.
What cannot be read is ``unknown``, a package that is not installed ``absent``;
nothing is guessed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from turbo_lab.errors import InputError
from turbo_lab.identity import sha256_text

UNKNOWN = "unknown"
ABSENT = "absent"
DEVICES = ("auto", "cpu", "cuda")
SDPA_ORDER = {"cpu": "flash,math", "cuda": "flash,efficient,math"}
"""Attention backends of the image lane by device, the preferred one first."""
HOST_VARIABLE = "TURBO_LAB_HOST"
# Read by the math libraries when they start; each changes results on its own (measured).
CPU_DISPATCH = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR")
_KEY_PACKAGES = ("torch", "diffusers", "transformers", "tokenizers", "peft")
_OPTION_PACKAGES = (
    "numpy",
    "safetensors",
    "pillow",
    "torchvision",
    "open_clip_torch",
    "torchmetrics",
    "hydra-core",
    "mlflow",
    "accelerate",
    "huggingface_hub",
)
# CPU features that a math library may choose a kernel by; the rest of the flags is noise.
_ISA_FLAGS = (
    "sse4_2 avx f16c fma avx2 avx_vnni avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16 "
    "avx512_fp16 amx_tile amx_int8 amx_bf16 asimd asimdhp asimddp sve sve2 i8mm bf16"
)
# Prints the fields of a CudaDriver.
_START_CUDA = """
import ctypes
count, version = ctypes.c_int(), ctypes.c_int()
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError:
    print(0)
else:
    error = cuda.cuInit(0)
    error or cuda.cuDeviceGetCount(ctypes.byref(count))
    cuda.cuDriverGetVersion(ctypes.byref(version))
    print(1, error, count.value, version.value)
"""
# A repository that somebody else packed may name commands in its config and have hooks. git runs
# the first and writes the index, for which it runs a hook, even to tell what has changed.
_NO_COMMANDS = (
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    f"core.hooksPath={os.devnull}",
)
_FILTER = re.compile(r"^(?:local|worktree)\tfilter\.(.*)\.(?:clean|smudge|process)$", re.M | re.I)
# No transport: a repository may lack objects, and name a command that fetches them.
_GIT_VARIABLES = {"GIT_ALLOW_PROTOCOL": "none", "GIT_TERMINAL_PROMPT": "0"}
# nvidia-smi takes seconds while a driver wakes up; a hung one never answers.
_COMMAND_LIMIT_S = 20


Keys = Mapping[str, str | int]
"""Facts about an environment, by name."""


@dataclass(frozen=True)
class Fingerprint:
    """One environment, as JSON values."""

    keys: Keys
    """Facts that may change the bits of an image."""
    options: Keys
    """Facts that are only recorded."""

    @classmethod
    def from_plain(cls, values: Mapping[str, Keys]) -> Fingerprint:
        """Return the fingerprint of a document. Raises ``KeyError`` if a part is missing."""
        return cls(values["keys"], values["options"])

    @property
    def unknown_keys(self) -> tuple[str, ...]:
        """Names of the keys that could not be read on this machine, wholly or in part."""
        return tuple(name for name, value in self.keys.items() if UNKNOWN in str(value).split())


@dataclass(frozen=True)
class GitState:
    """State of a folder's git repository."""

    commit: str
    """Commit, 40 hex digits."""
    dirty: bool | str
    """``True`` if tracked files differed from the commit; ``unknown`` if git could not tell."""


@dataclass(frozen=True)
class Cpu:
    """The first CPU, in the words of ``/proc/cpuinfo``; ``unknown`` where it says nothing."""

    vendor: str
    """Vendor, such as ``AuthenticAMD``."""
    family: str
    """Family, a number."""
    model: str
    """Model, a number."""
    name: str
    """Name of the product."""
    isa: str
    """Instruction sets that a math library may choose a kernel by, sorted, with spaces between."""


@dataclass(frozen=True)
class Gpu:
    """The first NVIDIA GPU, as its driver names it."""

    name: str
    """Name of the device, such as ``NVIDIA H100 80GB HBM3``."""
    compute_capability: str
    """Compute capability, such as ``9.0``."""
    driver: str
    """Version of the driver."""
    memory_bytes: int | None
    """Memory of the whole device, in bytes; ``None`` if the driver does not say."""


@dataclass(frozen=True)
class CudaDriver:
    """The CUDA driver, as a program meets it that uses the GPU."""

    is_loaded: int
    """1 if the driver's library could be loaded, otherwise 0."""
    error: int = 0
    """Error code of ``cuInit``; 0 if the driver has started."""
    num_devices: int = 0
    """Number of devices that a program can use."""
    cuda_version: int = 0
    """Newest CUDA version that the driver supports, as 1000 * major + 10 * minor."""

    @property
    def cuda_major(self) -> int:
        """Major version of CUDA that the driver supports."""
        return self.cuda_version // 1000


def fingerprint(
    device: str,
    num_threads: int,
    dtype: str | None = None,
    sdpa_backend: str | None = None,
    memory_format: str = "contiguous",
) -> Fingerprint:
    """Describe this environment for work on a resolved ``device`` (``cpu`` or ``cuda``).

    ``sdpa_backend``: ``None`` for the image lane's own order on the device.
    ``dtype``: ``None`` if the recipe carries it, so that one fingerprint serves cells of several
    dtypes. The key ``compile`` is always ``none``: a cell's own compiled UNet is in its recipe.
    """
    keys: dict[str, str | int] = {
        **(_cuda_keys() if device == "cuda" else _cpu_keys()),
        **{name: package_version(name) for name in _KEY_PACKAGES},
        "cuda": torch_cuda_version() or "none",
        "cudnn": _first_version("nvidia-cudnn-cu13", "nvidia-cudnn-cu12", "nvidia-cudnn-cu11"),
        "dtype": dtype or "recipe",
        "num_threads": num_threads,
        "sdpa_backend": sdpa_backend or SDPA_ORDER[device],
        "memory_format": memory_format,
        "compile": "none",
        **{name: os.environ.get(name, "unset") for name in CPU_DISPATCH},
    }
    return Fingerprint(keys=keys, options=_options(device))


def resolve_device(device: str) -> str:
    """Resolve ``auto``, ``cpu`` or ``cuda`` to ``cpu`` or ``cuda``, without importing torch.

    ``auto`` takes CUDA if there is a GPU and this torch is built for it. Raises
    :class:`InputError` for ``cuda`` without both.
    """
    if device not in DEVICES:
        raise InputError(f"device={device}: must be one of {', '.join(DEVICES)}")
    if device == "cpu":
        return "cpu"
    built, gpu = torch_cuda_version(), read_gpu()
    if built and gpu:
        return "cuda"
    if device == "auto":
        return "cpu"
    reason = (
        "no NVIDIA GPU was found (nvidia-smi names none)" if built else "this torch is CPU-only"
    )
    raise InputError(
        f"device=cuda: {reason}; use device=cpu, or device=auto to use what is available"
    )


def _cpu_keys() -> dict[str, str | int]:
    machine = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine() or UNKNOWN
    )
    cpu = read_cpu()
    return {
        "device_class": f"cpu {machine}",
        "device_model": f"{cpu.vendor} family {cpu.family} model {cpu.model}",
        "isa": cpu.isa,
    }


def _cuda_keys() -> dict[str, str | int]:
    gpu = read_gpu()
    if gpu is None:
        return {"device_class": f"cuda {UNKNOWN}", "device_model": UNKNOWN}
    flags = read_cpu().isa.split()
    vector = "avx2" in flags and os.environ.get("ATEN_CPU_CAPABILITY") != "default"
    return {
        "device_class": f"cuda sm_{gpu.compute_capability.replace('.', '')}",
        "device_model": gpu.name,
        # The initial noise is drawn on the CPU: AVX2 and AVX512 agree, plain code does not.
        "isa": "noise avx2" if vector else f"noise {platform.machine() or UNKNOWN}",
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
    }


def _options(device: str) -> dict[str, str | int]:
    gpu = read_gpu() if device == "cuda" else None
    return {
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()).strip() or UNKNOWN,
        "cpu_name": read_cpu().name,
        "cpu_count": os.cpu_count() or UNKNOWN,
        "host": host_name(),
        "driver": gpu.driver if gpu else "none",
        **{name: package_version(name) for name in _OPTION_PACKAGES},
    }


def host_name() -> str:
    """Return ``TURBO_LAB_HOST``, the name of a machine or of a pool of equal machines.

    Without it, the first digits of the hostname's sha256: fingerprints are published with
    goldens, and a hostname is nobody else's business. A container that gets a new hostname at
    each start needs ``TURBO_LAB_HOST``, or each of its runs counts as another machine.
    """
    given = os.environ.get(HOST_VARIABLE, "").strip()
    return given or f"sha256 {sha256_text(platform.node())[:12]}"


@lru_cache(maxsize=1)
def read_cpu() -> Cpu:
    """Describe the first CPU, from Linux's file: psutil has no vendor, family or flags."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return parse_cpuinfo(text.partition("\n\n")[0])


def parse_cpuinfo(text: str) -> Cpu:
    """Parse one processor's block of ``/proc/cpuinfo`` (x86 or arm)."""
    rows = dict(re.findall(r"^([^\t:]+?)\s*:[ \t]*(.*)$", text, flags=re.MULTILINE))

    def first(*names: str) -> str:
        return next((rows[name] for name in names if rows.get(name)), UNKNOWN)

    flags = sorted(set(_ISA_FLAGS.split()).intersection(first("flags", "Features").split()))
    return Cpu(
        vendor=first("vendor_id", "CPU implementer"),
        family=first("cpu family", "CPU architecture"),
        model=first("model", "CPU part"),
        name=first("model name", "Processor"),
        isa=" ".join(flags) or UNKNOWN,
    )


@lru_cache(maxsize=1)
def read_gpu() -> Gpu | None:
    """Return the first GPU that ``nvidia-smi`` names; ``None`` without one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not shutil.which("nvidia-smi"):
        return None
    query = "--query-gpu=name,compute_cap,driver_version,memory.total"
    text = _output_of("nvidia-smi", query, "--format=csv,noheader,nounits")
    return None if text is None else parse_gpu(text)


def _output_of(*command: str) -> str | None:
    """Return what a command prints; ``None`` if it fails, or hangs, which is said."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_GIT_VARIABLES},
        )
    except subprocess.TimeoutExpired:
        print(
            f"warning: {command[0]} did not answer within {_COMMAND_LIMIT_S} s; "
            "continuing without it",
            file=sys.stderr,
        )
        return None
    except OSError:  # it is there and cannot be run
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def parse_gpu(text: str) -> Gpu | None:
    """Parse the first line of nvidia-smi's CSV; ``None`` if it names no device."""
    parts = [part.strip() for part in (text.strip().splitlines() or [""])[0].split(",")]
    if len(parts) != 4:
        return None
    name, capability, driver, memory = parts
    return Gpu(name, capability, driver, int(memory) << 20 if memory.isdigit() else None)


@lru_cache(maxsize=64)
def package_version(name: str) -> str:
    """Return the version of an installed package, from its metadata; ``absent`` without it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ABSENT


def _first_version(*names: str) -> str:
    found = (package_version(name) for name in names)
    return next((version for version in found if version != ABSENT), ABSENT)


@lru_cache(maxsize=1)
def torch_cuda_version() -> str | None:
    """Return the CUDA version that torch was built with, ``None`` for a CPU-only one.

    It is read from the text of torch's ``version.py``: importing torch takes seconds.
    """
    spec = util.find_spec("torch")  # finds a top-level package without importing it
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("version.py")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, flags=re.MULTILINE)
    return found.group(1) if found else None


@lru_cache(maxsize=1)
def read_cuda_driver() -> CudaDriver | None:
    """Start the CUDA driver as torch would, in another process; ``None`` if that hangs.

    nvidia-smi may list a GPU that no program can use: a container without the driver's
    libraries, a module that does not match them, or a driver older than this torch.
    """
    text = _output_of(sys.executable, "-c", _START_CUDA)
    return None if text is None else CudaDriver(*map(int, text.split()))


def cuda_failure() -> str | None:
    """Return why this torch cannot use the GPU that nvidia-smi lists; ``None`` if it can."""
    driver, built = read_cuda_driver(), torch_cuda_version()
    if driver is None:
        return "its driver gives no answer"
    if not driver.is_loaded:
        return "the driver's library libcuda.so.1 cannot be loaded"
    if driver.error:
        return f"its driver cannot be started (cuInit fails with error {driver.error})"
    if not driver.num_devices:
        return "its driver offers no device"
    if built is not None and driver.cuda_major < int(built.split(".")[0]):
        return f"its driver is for CUDA {driver.cuda_major}, and this torch for CUDA {built}"
    return None


def git_state(folder: Path) -> GitState | None:
    """Return the commit and whether files differ from it; ``None`` outside a git checkout.

    Looks at the folder given, never at the working directory. Runs no command that the repository
    names: it may have come with the folder.
    """
    if not shutil.which("git"):
        return None

    git = ("git", "-C", str(folder), *_NO_COMMANDS)
    commit = _output_of(*git, "rev-parse", "HEAD")
    if commit is None:
        return None
    no_filters = _no_filters(git)
    if no_filters is None:
        return GitState(commit, dirty=UNKNOWN)
    options = ("--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    status = _output_of(*git, *no_filters, "status", *options)
    # Without its filter, a file that was only touched may look changed.
    is_unsure = status is None or (status and no_filters)
    return GitState(commit, dirty=UNKNOWN if is_unsure else bool(status))


def _no_filters(git: tuple[str, ...]) -> list[str] | None:
    """Return options that switch off the filters of a repository's own config.

    ``None``: they cannot be switched off.
    """
    listed = _output_of(*git, "config", "--list", "--show-scope", "--name-only", "--includes")
    if listed is None:
        return None
    names = sorted(set(_FILTER.findall(listed)))
    if not all(re.fullmatch(r"[\w.-]+", name) for name in names):  # no option can name it
        return None
    off = ("clean=", "smudge=", "process=", "required=false")
    return [word for name in names for key in off for word in ("-c", f"filter.{name}.{key}")]

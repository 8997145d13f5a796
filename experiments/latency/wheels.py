"""Fetch the wheels that a machine without a network lacks, and check that they fit it.

    python -m experiments.latency.wheels [FOLDER]
    python -m experiments.latency.wheels --missing

Owns the list. The machine has Python 3.12 on x86-64, torch 2.11 with CUDA, torchvision 0.26,
transformers 5.17, tokenizers, peft, torchmetrics, timm and what they bring, and lacks diffusers,
Hydra and open_clip. MLflow is not needed: nothing is tracked. With ``--missing``, which that
machine runs first, it says in a second what neither the machine nor the wheels have.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

PYTHON = "3.12"
MAX_BYTES = 64 << 20
"""Size of a working tree that can be carried, the checkout included."""
WHEELS = (
    "diffusers==0.42.1",
    "importlib_metadata==9.1.0",  # for diffusers; later versions need a package more
    "hydra-core==1.3.8",
    "omegaconf==2.3.1",  # for Hydra
    "open_clip_torch==3.3.0",
    "ftfy==6.3.1",  # for open_clip
    "wcwidth==0.9.4",  # for ftfy
    "rich==15.0.0",  # often there, but nothing that the machine is for needs it
)
BUILT = ("antlr4-python3-runtime==4.9.3",)  # for Hydra; has no wheel on the index
THERE = (
    *("torch", "torchvision", "transformers", "tokenizers", "peft", "torchmetrics", "timm"),
    *("huggingface_hub", "safetensors", "numpy", "scipy", "pandas", "pillow", "psutil"),
    *("click", "PyYAML", "regex", "tqdm", "packaging", "filelock", "requests", "zipp"),
    *("Pygments", "markdown-it-py"),
)
"""Packages that the machine brings."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def download_words(folder: Path) -> list[str]:
    """Return pip's words for wheels of the other machine's Python and platform."""
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    return [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        PYTHON,
        *platforms,
        "--dest",
        str(folder),
        *WHEELS,
    ]


def build_words(folder: Path) -> list[str]:
    """Return pip's words for packages that are built here; they are plain Python."""
    return ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), *BUILT]


def faults(folder: Path, checkout_bytes: int) -> list[str]:
    """Return why the wheels cannot be carried or installed; empty: they can."""
    files = sorted(folder.glob("*.whl"))
    found = {_project(file.name.split("-")[0]) for file in files}
    wanted = {_project(pin.partition("==")[0]): pin for pin in (*WHEELS, *BUILT)}
    lines = [f"{wanted[name]}: is missing" for name in sorted(wanted.keys() - found)]
    lines += [f"{name}: is not in the list" for name in sorted(found - wanted.keys())]
    tags = {*cpython_tags((3, 12), platforms=_PLATFORMS), *compatible_tags((3, 12))}
    lines += [
        f"{file.name}: is not for Python {PYTHON} on x86-64; name another version"
        for file in files
        if not parse_wheel_filename(file.name)[3] & tags
    ]
    total = checkout_bytes + sum(file.stat().st_size for file in files)
    if total > MAX_BYTES:
        lines.append(f"{total >> 20} MiB with the checkout: more than {MAX_BYTES >> 20} MiB")
    return lines


def checkout_bytes(root: Path) -> int:
    """Return the size of the tracked files of a checkout."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z"], check=True, capture_output=True, text=True
    )
    return sum((root / name).stat().st_size for name in listed.stdout.split("\0") if name)


def missing() -> list[str]:
    """Return the packages that are not installed here, wheels on the path included."""
    names = [*THERE, *(pin.partition("==")[0] for pin in (*WHEELS, *BUILT))]
    return [name for name in names if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _project(name: str) -> str:
    return name.replace("-", "_").lower()


def main(words: Sequence[str]) -> int:
    """Fetch, check, and say what is there."""
    if list(words) == ["--missing"]:
        if absent := missing():
            print(f"wheels: not installed here: {', '.join(absent)}", file=sys.stderr)
        return 1 if absent else 0
    folder = Path(words[0] if words else ".wheels")
    for arguments in (download_words(folder), build_words(folder)):
        subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)
    found = faults(folder, checkout_bytes(Path(__file__).parents[2]))
    for line in found:
        print(f"wheels: {line}", file=sys.stderr)
    size = sum(file.stat().st_size for file in folder.glob("*.whl"))
    print(f"{folder}: {len(list(folder.glob('*.whl')))} wheels, {size / 2**20:.1f} MiB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

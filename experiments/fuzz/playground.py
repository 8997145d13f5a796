"""The folder that commands run in, with one file of every kind that turbo-lab reads.

Owns making the folder, telling whether a command left anything half written in it, and
putting it back. The files come from the contract tests: a store, goldens and a baseline that
an earlier version wrote.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from turbo_lab import images

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests/contract/files"


class Playground:
    """A working directory of commands that is restored after each of them."""

    def __init__(self, folder: Path) -> None:
        """Make the files below ``folder``, which must not exist yet."""
        self.folder = folder / "work"
        self._original = folder / "original"
        _make_files(self._original)
        shutil.copytree(self._original, self.folder, symlinks=True)
        self._before = self._state()

    def files(self) -> list[str]:
        """Return the relative path of every file as it was made, sorted."""
        return sorted(
            str(path.relative_to(self._original))
            for path in self._original.rglob("*")
            if path.is_file() and not path.is_symlink()
        )

    def original(self, name: str) -> bytes:
        """Return the undamaged content of a file."""
        return (self._original / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the working directory."""
        (self.folder / name).write_bytes(content)

    def half_written(self) -> list[str]:
        """Return files that a command left under a temporary name."""
        new = self._state().keys() - self._before.keys()
        names = (os.path.relpath(path, self.folder) for path in new)
        return sorted(name for name in names if _is_temporary(name))

    def restore(self) -> None:
        """Put every file back that differs from the originals; remove the others."""
        now = self._state()
        for path in now.keys() - self._before.keys():
            Path(path).unlink()
        for path, state in self._before.items():
            if now.get(path) != state:
                self._put_back(Path(path), state)

    def _put_back(self, path: Path, state: tuple[int, int]) -> None:
        """Copy one file from the originals, with the time of change that it had."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        source = self._original / path.relative_to(self.folder)
        shutil.copy(source, path, follow_symlinks=False)
        os.utime(path, ns=(state[1], state[1]), follow_symlinks=False)

    def _state(self) -> dict[str, tuple[int, int]]:
        """Return (size, time of change) of every file, by path."""
        found = {}
        folders = [self.folder]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    else:
                        status = entry.stat(follow_symlinks=False)
                        found[entry.path] = (status.st_size, status.st_mtime_ns)
        return found


def _is_temporary(name: str) -> bool:
    """Report whether a path has the form of a write that was not finished."""
    parts = Path(name).parts
    return "tmp" in parts[:-1] or ".partial" in parts[-1] or parts[-1].endswith(".tmp")


def _make_files(folder: Path) -> None:
    """Write one file of each kind below ``folder``."""
    folder.mkdir(parents=True)
    for name in ("store", "goldens", "baselines"):
        shutil.copytree(KEPT / name, folder / name)
    shutil.copytree(KEPT / "store", folder / "turbo-lab-store")
    (folder / "prompts.txt").write_text("a red apple\na blue car\n", encoding="utf-8")
    lines = [{"id": f"p{k}", "prompt": f"a picture of {k}"} for k in range(3)]
    (folder / "prompts.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    image = next((folder / "store/batches").rglob("*.png"))
    shutil.copy(image, folder / "image.png")
    (folder / "plain.png").write_bytes(images.encode_png(np.zeros((8, 8, 3), np.uint8), {}))
    (folder / "pictures").mkdir()
    shutil.copy(image, folder / "pictures/0.png")
    save_file({"unet.x.lora_A.weight": np.zeros((2, 4), np.float32)}, folder / "lora.safetensors")
    _copy_model(ROOT / "turbo_lab/data/weights/nano-turbo", folder / "model")


def _copy_model(source: Path, target: Path) -> None:
    """Copy the small files of a model folder and link its weights."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".safetensors":
                copy.symlink_to(path)
            else:
                shutil.copy(path, copy)

"""Wheels made by a test: packages of a few lines, and patched copies of an installed one."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

VAE = ("models/autoencoders/autoencoder_kl.py", "self.decoder(z)", "self.decoder(z * 1.01)")
"""Patch of diffusers: a VAE whose latents are scaled by one percent too much."""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
) -> Path:
    """Write a wheel of pure Python; ``files``: text by path, one module by default."""
    module = name.replace("-", "_")
    written = dict(files or {f"{module}.py": f"__version__ = {version!r}\n"})
    info = f"{module}-{version}.dist-info"
    about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    about += [f"Requires-Dist: {one}" for one in requires]
    written[f"{info}/METADATA"] = "\n".join(about) + "\n"
    written[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    rows = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in written.items():
            digest = hashlib.sha256(text.encode()).digest()
            shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            rows.append(f"{path},sha256={shown},{len(text.encode())}")
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return wheel


def patched_wheel(folder: Path, name: str, version: str, *patches: tuple[str, str, str]) -> Path:
    """Write a wheel of an installed package with other text in some of its files.

    ``patches``: path within the package, the text to replace, and the text that replaces it; an
    empty text to replace puts the new text in front of the file.
    """
    files = {
        path.as_posix(): path.locate().read_text(encoding="utf-8")
        for path in metadata.files(name) or ()
        if path.suffix == ".py" and path.parts[0] == name
    }
    for file, old, new in patches:
        path = f"{name}/{file}"
        assert old in files[path], f"{path} has no {old}"
        files[path] = files[path].replace(old, new) if old else new + files[path]
    return make_wheel(folder, name, version, files)

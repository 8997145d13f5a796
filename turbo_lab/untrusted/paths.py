"""Names and files that another person may have written: confined to their folder, or refused.

Owns the policy for every path that is read from a file, and for every file that is
opened in a folder that somebody else may have made:

- A name in a file (a weight map, ``model_index.json``, a sweep, a batch, a golden) stays in
  the folder it belongs to. That is checked on the text and again after links are resolved.
- What is copied to others or into a user's folders (images, records, contact sheets), and
  every document of a store, is a regular file that no symbolic link leads to.
- A model folder, an adapter or a prompt file that the user names is read through links, since
  weights are often linked from a shared folder. It is only parsed and hashed, never sent on.
- A snapshot of the Hugging Face cache links to its blobs, and never out of its repository.
- A pipe, a socket or a device is never opened: reading one may wait for ever.
- A file that is read into memory at once has a largest size.
- A file that a record or an image names by path (an adapter, a VAE) is used only where its
  content has the digest that is recorded next to the name.
- A file is written under a name that did not exist, then renamed. No link is written through.

Refuses by raising a :class:`TurboLabError` that names the file, the value and the remedy.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from turbo_lab.errors import InputError, TurboLabError

MAX_DOCUMENT_BYTES = 512 << 20
"""Largest file that is read into memory at once: a document of a store, a golden, an image."""
MAX_CONFIG_BYTES = 64 << 20
"""Largest config of a model or extractor, and largest prompt file."""
_MAX_PART_BYTES, _MAX_NAME_BYTES = 255, 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEX = re.compile(r"[0-9a-f]{1,64}")
_NOT_REPLACEABLE = (errno.EACCES, errno.EPERM, errno.EBUSY)
_REMEDY = "correct the name, or get the file from a source that you trust"


def user_path(text: str | Path) -> Path:
    """Return a path that a user wrote, ``~`` expanded where there is a home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # a container with a numeric user and no HOME
        return Path(text)


def output_path(text: str | Path, option: str) -> Path:
    """Return a path that a user names to write to, ``~`` expanded.

    ``option``: the option or key that names it. Raises :class:`InputError` for a name that no
    file system takes, so that it is refused before any work. Nothing is read or made.
    """
    path = user_path(text)
    if (problem := name_problem(path)) is not None:
        shown = str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}..."
        raise InputError(f"{option}={shown}: {problem}")
    return path


def name_problem(path: Path) -> str | None:
    """Return why the names in a path are too long, with the remedy; ``None``: they are not."""
    longest = max((len(part.encode("utf-8", "surrogatepass")) for part in path.parts), default=0)
    if longest > _MAX_PART_BYTES:
        return (
            f"a name in it has {longest} bytes, and a file or folder name has at most "
            f"{_MAX_PART_BYTES}; choose a shorter one"
        )
    return None


def confined(
    root: Path,
    name: Any,
    field: str,
    error: type[TurboLabError] = InputError,
    *,
    links: bool = True,
) -> Path:
    """Return ``root / name`` for a relative name that stays below ``root``, links resolved.

    ``field``: where the name was read, for the message. ``links``: whether there may be
    symbolic links on the way, as long as they stay inside. Nothing needs to exist.
    Raises ``error``.
    """
    path = root / _checked(name, field, error)
    if not links:
        refuse_links(root, path, error)
        return path
    home, real = os.path.realpath(root), os.path.realpath(path)
    if not real.startswith(home.rstrip("/") + "/"):
        raise _refused(field, name, f"leads out of {root} through a symbolic link", error)
    return path


def file_name(name: Any, field: str, error: type[TurboLabError] = InputError) -> str:
    """Return a name that is one part of a path: no folders. Raises ``error``."""
    checked = _checked(name, field, error)
    if "/" in checked:
        raise _refused(field, name, "must be the name of a file or folder, without a path", error)
    return checked


def hex_name(name: Any, field: str, error: type[TurboLabError] = InputError) -> str:
    """Return an id that names a file or folder: 1 to 64 lower-case hex digits. Raises ``error``."""
    if not is_hex_name(name):
        raise _refused(field, name, "must be an id of 1 to 64 lower-case hex digits", error)
    return str(name)


def is_hex_name(name: Any) -> bool:
    """Return whether an id could name a file or folder; see :func:`hex_name`."""
    return isinstance(name, str) and _HEX.fullmatch(name) is not None


def _checked(name: Any, field: str, error: type[TurboLabError]) -> str:
    """Return ``name`` if its text alone cannot lead out of a folder."""
    if not isinstance(name, str) or not name:
        raise _refused(field, name, "must be a text that is not empty", error)
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise _refused(field, name, "must be valid Unicode", error) from None
    if _CONTROL.search(name) or "\\" in name:
        raise _refused(field, name, "must not hold a backslash or a control character", error)
    if name.startswith("/") or {"", ".", ".."} & set(name.split("/")):
        raise _refused(field, name, "must be a relative path without '.' and '..'", error)
    longest = max(len(part) for part in encoded.split(b"/"))
    if len(encoded) > _MAX_NAME_BYTES or longest > _MAX_PART_BYTES:
        rule = f"must have at most {_MAX_PART_BYTES} bytes a part and {_MAX_NAME_BYTES} in all"
        raise _refused(field, name, rule, error)
    return name


def _refused(field: str, name: Any, rule: str, error: type[TurboLabError]) -> TurboLabError:
    shown = ascii(name)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return error(f"{field}: {shown}: {rule}; {_REMEDY}")


def read_regular(
    path: Path,
    *,
    follow_links: bool = False,
    error: type[TurboLabError] = InputError,
    limit_bytes: int = MAX_DOCUMENT_BYTES,
) -> bytes:
    """Return the content of a regular file; see :func:`open_regular`."""
    with open_regular(
        path, follow_links=follow_links, error=error, limit_bytes=limit_bytes
    ) as file:
        return file.read(limit_bytes)


def open_regular(
    path: Path,
    *,
    follow_links: bool = False,
    error: type[TurboLabError] = InputError,
    limit_bytes: int | None = None,
) -> BinaryIO:
    """Open a regular file for reading. Raises ``error`` for anything else, or ``OSError``.

    ``follow_links``: whether ``path`` itself may be a symbolic link. ``limit_bytes``: the largest
    file that is read into memory; ``None``: only parts of it are.
    """
    check_regular(path, follow_links=follow_links, error=error)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags if follow_links else flags | os.O_NOFOLLOW)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # it was replaced since
        file.close()
        raise error(f"{path}: is not a regular file any more; try again")
    size = os.fstat(handle).st_size
    if limit_bytes is not None and size > limit_bytes:
        file.close()
        raise error(
            f"{path}: has {size:,} bytes, and at most {limit_bytes:,} are read into memory for a "
            "file of its kind; check that it is the file that you mean"
        )
    return file


def check_regular(
    path: Path, *, follow_links: bool = False, error: type[TurboLabError] = InputError
) -> None:
    """Raise ``error`` if a path is not a regular file, ``OSError`` if it does not exist."""
    mode = (path.stat() if follow_links else path.lstat()).st_mode
    if not stat.S_ISREG(mode):
        raise error(
            f"{path}: is {_kind(mode)}, not a regular file; remove it, or put the file itself there"
        )


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for matches, text in kinds if matches(mode)), "a device")


def refuse_links(root: Path, path: Path, error: type[TurboLabError] = InputError) -> None:
    """Raise ``error`` if a part of ``path`` below ``root`` is a symbolic link."""
    at = root
    for part in path.relative_to(root).parts:
        at = at / part
        if at.is_symlink():
            raise error(
                f"{at}: is a symbolic link, and nothing in {root} may be one; put the file or "
                "folder itself there"
            )


def open_lock(path: Path, error: type[TurboLabError] = InputError) -> int:
    """Return a descriptor of a file that is only locked, which is made if it does not exist.

    Its content is left alone. Raises ``error`` if it is not a regular file, and ``OSError``.
    """
    make_lock(path, error)
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def make_lock(path: Path, error: type[TurboLabError] = InputError) -> None:
    """Make a file that is only locked, unless it exists; raises as :func:`open_lock`."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    with suppress(FileExistsError):
        os.close(os.open(path, flags, 0o666))
    check_regular(path, error=error)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that the user names, so that a write that fails leaves the old file as it was.

    A link is followed, and the file that it leads to keeps its permissions. Pipes and devices are
    written to directly, and so is a file that cannot be replaced: one that is mounted by itself,
    or that is in a folder where nothing can be made. Raises ``OSError``.
    """
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode if os.path.lexists(target) else None
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(content)
        return
    try:
        replace_file(target, content, mode)
    except OSError as error:
        if mode is None or error.errno not in _NOT_REPLACEABLE:
            raise
        target.write_bytes(content)


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file under another name next to ``path``, then rename it to ``path``.

    A link at ``path`` is replaced, never written through. ``mode``: its permissions; ``None``:
    those of a new file. Raises ``OSError``.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            if mode is not None:
                os.fchmod(handle, stat.S_IMODE(mode))
            file.write(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

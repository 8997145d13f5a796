"""Prompt sets: texts in a fixed order, known by content.

Owns the reading of prompt files (one a line, JSON lines, PartiPrompts' TSV,
COCO captions) and their digest. Refuses files that are empty, broken or
ambiguous rather than skipping what it cannot read. Downloads nothing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.cards import ConfigNode
from turbo_lab.errors import InputError, MissingFilesError, unknown_name
from turbo_lab.identity import digest
from turbo_lab.untrusted.paths import confined

DATA = Path(__file__).parent.parent / "data" / "prompts"
_FORMATS_BY_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".tsv": "parti", ".json": "coco"}


@dataclass(frozen=True)
class PromptSet:
    """Prompts in order; image i takes prompt i mod their number."""

    name: str
    """For display."""
    prompts: tuple[str, ...]
    """At least one; the same text may come twice."""
    ids: tuple[str, ...]
    """One a prompt, all different: the file's own, else the position from 0."""
    digest: str
    """Over the texts in their order. Names, ids and files do not count."""
    source: str
    """Where they were read from, for people."""


def prompts_from_config(node: ConfigNode, prompt: object = None) -> PromptSet:
    """Return the prompt set that a ``prompts`` node names.

    ``prompt``: the only prompt, instead of the set; ``None``: the set.
    """
    if prompt is not None:
        return from_text(prompt)
    name, path = node.text("name"), node.optional_text("path")
    file_format = node.optional_text("format") or "auto"
    if path is not None:
        return read_prompts(Path(path).expanduser(), name, file_format)
    file_name, where = node.optional_text("file"), node.optional_text("where")
    if file_name is None:
        source = f" ({where})" if where else ""
        raise InputError(f"prompts={name}: needs a file; add prompts.path=FILE{source}")
    file = confined(DATA, file_name, f"prompts={name}: file")
    if not file.is_file():
        raise MissingFilesError(
            f"prompts={name}: {file.name} is not in this installation; install turbo-lab again, "
            "or use prompts=file prompts.path=FILE"
        )
    return read_prompts(file, name, file_format)


def from_text(prompt: object) -> PromptSet:
    """Return a set of one prompt."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError(f"prompt={prompt!r}: must be a non-empty text")
    return _make("prompt", [("0", prompt)], "prompt")


def read_prompts(path: Path, name: str | None = None, file_format: str = "auto") -> PromptSet:
    """Read a local file; ``auto`` goes by its ending (text unless .jsonl, .tsv or .json)."""
    if file_format == "auto":
        file_format = _FORMATS_BY_SUFFIX.get(path.suffix.lower(), "text")
    if file_format not in _READERS:
        raise unknown_name("prompts.format", file_format, [*_READERS, "auto"])
    rows = list(_READERS[file_format](_read_text(path), path))
    if not rows:
        raise InputError(f"prompts.path={path}: holds no prompt; write one a line")
    _check_ids(rows, path)
    return _make(name or path.stem, [(key, text) for key, text, _ in rows], str(path))


def _make(name: str, rows: Iterable[tuple[str, str]], source: str) -> PromptSet:
    ids, prompts = zip(*rows, strict=True)
    return PromptSet(name, prompts, ids, digest({"prompts": list(prompts)}), source)


def _read_text(path: Path) -> str:
    if not path.exists():
        raise InputError(f"prompts.path={path}: there is no such file")
    if not path.is_file():
        raise InputError(f"prompts.path={path}: is not a file; name a text or JSON-lines file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"prompts.path={path}: is not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"prompts.path={path}: cannot be read ({error.strerror})") from error


# Readers yield (id, text, where in the file); ``where`` is for messages.
_Rows = Iterable[tuple[str, str, str]]


def _text_rows(text: str, path: Path) -> _Rows:
    # Not splitlines(): it also cuts at characters that may stand inside a prompt (U+2028).
    lines = [line.strip() for line in text.split("\n")]
    prompts = [(n, line) for n, line in enumerate(lines, 1) if line]
    for index, (number, line) in enumerate(prompts):
        yield str(index), line, f"line {number}"


def _jsonl_rows(text: str, path: Path) -> _Rows:
    index = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"prompts.path={path}: {where}: is not JSON ({error.msg})") from error
        prompt = row.get("prompt", row.get("text")) if isinstance(row, dict) else None
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError(
                f'prompts.path={path}: {where}: must be an object with a "prompt" that is not empty'
            )
        yield str(row.get("id", index)), prompt.strip(), where
        index += 1


def _parti_rows(text: str, path: Path) -> _Rows:
    """PartiPrompts (arXiv:2206.10789): tab-separated, one column is ``Prompt``."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if "Prompt" not in (reader.fieldnames or []):
        raise InputError(
            f"prompts.path={path}: line 1: has no column Prompt; "
            "PartiPrompts' PartiPrompts.tsv has one"
        )
    for index, row in enumerate(reader):
        prompt = (row["Prompt"] or "").strip()
        if not prompt:
            raise InputError(f"prompts.path={path}: line {index + 2}: the Prompt is empty")
        yield str(index), prompt, f"line {index + 2}"


def _coco_rows(text: str, path: Path) -> _Rows:
    """COCO captions: the first caption of every image, by image id.

    The first is the annotation with the lowest id, as the file's own order is
    not fixed.
    """
    try:
        rows = json.loads(text)["annotations"]
        found = sorted((int(r["image_id"]), int(r["id"]), str(r["caption"]).strip()) for r in rows)
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"prompts.path={path}: is not a COCO captions file "
            "(annotations with id, image_id and caption are expected)"
        ) from error
    last = None
    for image, annotation, caption in found:
        if image != last:
            if not caption:
                raise InputError(f"prompts.path={path}: annotation {annotation}: has no caption")
            yield str(image), caption, f"annotation {annotation}"
        last = image


_READERS: dict[str, Callable[[str, Path], _Rows]] = {
    "text": _text_rows,
    "jsonl": _jsonl_rows,
    "parti": _parti_rows,
    "coco": _coco_rows,
}


def _check_ids(rows: Iterable[tuple[str, str, str]], path: Path) -> None:
    seen: dict[str, str] = {}
    for key, _, where in rows:
        if key in seen:
            raise InputError(
                f"prompts.path={path}: {where}: id {key} was used in {seen[key]} already; "
                "ids must differ"
            )
        seen[key] = where

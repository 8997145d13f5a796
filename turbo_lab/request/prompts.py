"""Prompt sets: texts in a fixed order, with a digest.

Owns the reading of prompt files: text with one prompt per line, JSON lines, PartiPrompts' TSV
and COCO captions. Refuses a file that is empty, broken or ambiguous; never skips a line that it
cannot read. Downloads nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from turbo_lab.cards import ConfigNode
from turbo_lab.errors import MALFORMED, InputError, MissingFilesError, unknown_name
from turbo_lab.identity import digest
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import MAX_CONFIG_BYTES, confined, read_regular, user_path

DATA = Path(__file__).parent.parent / "data" / "prompts"
MAX_PROMPTS = 1_000_000
"""Most prompts of a file."""
_FORMATS_BY_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".tsv": "parti", ".json": "coco"}


@dataclass(frozen=True)
class PromptSet:
    """Prompts in order; image i has prompt i modulo their number."""

    name: str
    """Name of the set, for display."""
    prompts: tuple[str, ...]
    """Texts, at least one; a text may occur twice."""
    ids: tuple[str, ...]
    """Ids, one per prompt and all different: from the file, or the position from 0."""
    digest: str
    """Digest of the texts in order; names, ids and files do not count."""
    source: str
    """File that the texts were read from, for display."""
    skills: tuple[str | None, ...] = ()
    """Skill that each prompt tests, such as ``counting``; ``None``: none is named. Empty if the
    file names none. They are part of no id."""

    def skills_of(self, num_images: int) -> tuple[str | None, ...]:
        """Return the skill of each image; empty if the set names none."""
        return tuple(
            self.skills[i % len(self.skills)] for i in range(num_images if self.skills else 0)
        )


def prompts_from_config(node: ConfigNode, prompt: object = None) -> PromptSet:
    """Return the prompt set that a ``prompts`` node names.

    ``prompt``: the only prompt, instead of the set; ``None``: the set.
    """
    if prompt is not None:
        return from_text(prompt)
    name, path = node.text("name"), node.optional_text("path")
    file_format = node.optional_text("format") or "auto"
    file_name, where = node.optional_text("file"), node.optional_text("where")
    if path is not None:
        own = user_path(path)
        # A packaged set keeps its name, also for a file that the user puts in its place.
        is_named = name != "file" and file_name is None
        return read_prompts(own, name if is_named else own.stem, file_format)
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
    _check_unicode(prompt, "prompt")
    return _make("prompt", [("0", prompt)], "prompt")


def read_prompts(path: Path, name: str | None = None, file_format: str = "auto") -> PromptSet:
    """Read a prompt file; ``auto`` takes the format from the ending, else text."""
    if file_format == "auto":
        file_format = _FORMATS_BY_SUFFIX.get(path.suffix.lower(), "text")
    if file_format not in _READERS:
        raise unknown_name("prompts.format", file_format, [*_READERS, "auto"])
    rows = list(islice(_READERS[file_format](_read_text(path), path), MAX_PROMPTS + 1))
    if len(rows) > MAX_PROMPTS:
        raise InputError(
            f"prompts.path={path}: has more than {MAX_PROMPTS:,} prompts, which is the largest "
            "num_images; split the file"
        )
    if not rows:
        raise InputError(f"prompts.path={path}: has no prompts; write one per line")
    _check_ids(rows, path)
    for row in rows:
        for text in (row.text, row.skill or ""):
            _check_unicode(text, f"prompts.path={path}: {row.where}")
    named = tuple(row.skill for row in rows)
    pairs = [(row.key, row.text) for row in rows]
    return _make(name or path.stem, pairs, str(path), named if any(named) else ())


def require_skills(sets: Iterable[PromptSet]) -> None:
    """Raise ``InputError`` if no prompt of the sets has a skill."""
    found = list(sets)
    if not any(one.skills for one in found):
        names = ", ".join(dict.fromkeys(one.name for one in found))
        raise InputError(
            f"--by skill: prompts={names}: no prompt has a skill; use JSON lines with "
            '"prompt" and "skill", or PartiPrompts'
        )


def with_replaced_text(
    prompts: PromptSet, search: str | None, replacement: str | None
) -> PromptSet:
    """Return a set with a text replaced in every prompt that contains it.

    Raises ``InputError`` if one of the two texts is not given, if no prompt contains
    ``search``, and if a prompt would be left empty.
    """
    if not search:
        raise InputError(
            f"prompt_sr={replacement}: names no text to replace; write prompt_sr=red,blue or "
            "prompt_search=red prompt_sr=blue"
        )
    if replacement is None:
        raise InputError(f"prompt_search={search}: has no effect without prompt_sr")
    if not any(search in prompt for prompt in prompts.prompts):
        raise InputError(f"prompt_search={search}: no prompt of prompts={prompts.name} contains it")
    texts = [prompt.replace(search, replacement).strip() for prompt in prompts.prompts]
    if not all(texts):
        raise InputError(f"prompt_sr={replacement}: leaves a prompt without text")
    _check_unicode(replacement, "prompt_sr")
    pairs = zip(prompts.ids, texts, strict=True)
    return _make(prompts.name, pairs, prompts.source, prompts.skills)


def _check_unicode(text: str, where: str) -> None:
    """Refuse half of a character, such as an emoji that was cut in JSON."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: character {error.start + 1} is not valid Unicode ({text[error.start]!a}); "
            "write the whole character"
        ) from error


def _make(
    name: str,
    rows: Iterable[tuple[str, str]],
    source: str,
    skills: tuple[str | None, ...] = (),
) -> PromptSet:
    ids, prompts = zip(*rows, strict=True)
    return PromptSet(
        name=name,
        prompts=prompts,
        ids=ids,
        digest=digest({"prompts": list(prompts)}),
        source=source,
        skills=skills,
    )


def _read_text(path: Path) -> str:
    if not path.exists():
        raise InputError(f"prompts.path={path}: does not exist")
    if not path.is_file():
        raise InputError(f"prompts.path={path}: is not a file; name a text or JSON-lines file")
    try:
        content = read_regular(path, follow_links=True, limit_bytes=MAX_CONFIG_BYTES)
        # As from a file that is opened as text.
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"prompts.path={path}: is not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"prompts.path={path}: cannot be read ({error.strerror})") from error


class _Row(NamedTuple):
    """A prompt in a file."""

    key: str
    """Its id."""
    text: str
    """The prompt."""
    where: str
    """Its place in the file, for messages."""
    skill: str | None = None
    """The skill that it tests. ``None``: the file does not say."""


_Rows = Iterable[_Row]


def _text_rows(text: str, path: Path) -> _Rows:
    # splitlines() would also split at characters that may be part of a prompt, such as U+2028.
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    for index, (number, line) in enumerate(found for found in lines if found[1]):
        yield _Row(str(index), line, f"line {number}")


def _jsonl_rows(text: str, path: Path) -> _Rows:
    index = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise InputError(f"prompts.path={path}: {where}: is not JSON ({error})") from error
        prompt = row.get("prompt", row.get("text")) if isinstance(row, dict) else None
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError(
                f'prompts.path={path}: {where}: must be an object with a non-empty "prompt"'
            )
        yield _Row(str(row.get("id", index)), prompt.strip(), where, _skill(row, path, where))
        index += 1


def _skill(row: Mapping[str, object], path: Path, where: str) -> str | None:
    """Return the skill of a JSON line: ``skill``, else ``category`` if that is a text."""
    skill = row.get("skill")
    if skill is None:
        category = row.get("category")
        return (category.strip() or None) if isinstance(category, str) else None
    if not isinstance(skill, str) or not skill.strip():
        raise InputError(
            f"prompts.path={path}: {where}: skill={skill}: must be a non-empty text, or left out"
        )
    return skill.strip()


def _parti_rows(text: str, path: Path) -> _Rows:
    """Yield the rows of PartiPrompts (arXiv:2206.10789): tab-separated, with a ``Prompt``."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if "Prompt" not in (reader.fieldnames or []):
        raise InputError(
            f"prompts.path={path}: line 1: has no column Prompt; "
            "PartiPrompts' PartiPrompts.tsv has one"
        )
    for index, row in enumerate(_read_rows(reader, path)):
        prompt = (row["Prompt"] or "").strip()
        if not prompt:
            raise InputError(f"prompts.path={path}: line {index + 2}: the Prompt is empty")
        skill = (row.get("Category") or "").strip() or None
        yield _Row(str(index), prompt, f"line {index + 2}", skill)


def _read_rows(reader: csv.DictReader[str], path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table. Raises ``InputError`` for one that csv refuses."""
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(
            f"prompts.path={path}: line {reader.line_num + 1}: {error}; shorten it, or check that "
            "every quote in the file is closed"
        ) from error


def _coco_rows(text: str, path: Path) -> _Rows:
    """Yield the first caption of every image in a COCO captions file, by image id.

    The first caption is the annotation with the lowest id, because the order in the file varies.
    """
    try:
        rows = parse_json(text)["annotations"]
        found = sorted((int(r["image_id"]), int(r["id"]), str(r["caption"]).strip()) for r in rows)
    except MALFORMED as error:
        raise InputError(
            f"prompts.path={path}: is not a COCO captions file "
            "(annotations with id, image_id and caption are expected)"
        ) from error
    last = None
    for image, annotation, caption in found:
        if image != last:
            if not caption:
                raise InputError(f"prompts.path={path}: annotation {annotation}: has no caption")
            yield _Row(str(image), caption, f"annotation {annotation}")
        last = image


_READERS: dict[str, Callable[[str, Path], _Rows]] = {
    "text": _text_rows,
    "jsonl": _jsonl_rows,
    "parti": _parti_rows,
    "coco": _coco_rows,
}


def _check_ids(rows: Iterable[_Row], path: Path) -> None:
    seen: dict[str, str] = {}
    for key, _, where, _ in rows:
        if key in seen:
            raise InputError(
                f"prompts.path={path}: {where}: id {key} is already used in {seen[key]}; "
                "give each prompt its own id"
            )
        seen[key] = where

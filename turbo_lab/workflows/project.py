"""A project to start from: goldens and a gate for a model, and the workflow that runs them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from turbo_lab.cards.card import Recommended, model_card, model_names
from turbo_lab.cards.conf import choices_of
from turbo_lab.documents.results import ProjectStarted
from turbo_lab.errors import InputError
from turbo_lab.golden.library import CASES_FILE, cases_document
from turbo_lab.untrusted.paths import replace_file, user_path

GROUPS = Path("turbo-lab")
"""Folder of the groups of one's own, for ``--config-dir``."""
_TEMPLATES = Path(__file__).parent.parent / "data" / "project"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
# A prompt that every text-to-image model can draw; nano-turbo has seen both words.
_PROMPT = "a panda on a red background"


def start_project(folder: Path, model: str, name: str | None) -> ProjectStarted:
    """Write the files of a project for a model, none of which may exist.

    ``model``: a card, or the path of a checkpoint. ``name``: name of the policy, and of the card
    of a checkpoint; ``None``: that of the model. Raises :class:`InputError`, and then has written
    nothing.
    """
    is_card = model in model_names()
    if not is_card and not user_path(model).exists():
        raise InputError(
            f"model={model}: is neither a file or folder nor a model; turbo-lab models list names "
            "the models"
        )
    name = name or _name_of(model)
    _check_name(name, is_card)
    files = _files(model, name, is_card=is_card)
    _write(folder, files)
    return ProjectStarted(
        folder=folder.resolve(),
        name=name,
        model=model if is_card else name,
        files=tuple(files),
    )


def _name_of(model: str) -> str:
    """Return a name made of the letters, digits and dashes of a model's name."""
    stem = Path(model).name.removesuffix(".safetensors").lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "mine"


def _check_name(name: str, is_card: bool) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {name}: must have 1 to 41 lower-case letters, digits and dashes, and start "
            "with a letter or digit"
        )
    taken = [*choices_of("gate"), *(() if is_card else model_names())]
    if name in taken:
        raise InputError(f"--name {name}: is the name of a packaged file; pass another --name")


def _files(model: str, name: str, *, is_card: bool) -> dict[str, str]:
    """Return the text of each file, by its path in the project."""
    card = model_card(model) if is_card else None
    cases = _cases(model if is_card else name, name)
    values = {
        "name": model if is_card else name,
        "gate": name,
        "goldens": len(cases),
        "licenses": _quoted("unknown" if card is None else card.license),
    }
    files = {
        f"goldens/{CASES_FILE}": cases_document(cases),
        f"{GROUPS}/gate/{name}.yaml": _filled("gate", values),
        ".github/workflows/turbo-lab.yml": _filled("workflow", values),
    }
    if card is None:
        steps = Recommended(num_inference_steps=4, guidance_scale=0.0, resolution="native")
        own = {
            **values,
            "title": _quoted(f"the checkpoint {Path(model).name}"),
            "path": _quoted(str(user_path(model).resolve())),
            "steps": steps.num_inference_steps,
            "guidance": steps.guidance_scale,
        }
        files[f"{GROUPS}/model/{name}.yaml"] = _filled("model", own)
    return files


def _cases(model: str, name: str) -> dict[str, tuple[str, ...]]:
    """Return the words of the goldens: one image, a batch, and guidance with a negative prompt."""
    words = (f"model={model}", f"prompt='{_PROMPT}'")
    return {
        f"{name}-one": (*words, "seed=7"),
        f"{name}-batch-4": (*words, "num_images=4", "batch_size=4"),
        f"{name}-guided": (*words, "guidance_scale=2", "negative_prompt='a red panda'", "seed=11"),
    }


def _quoted(text: str) -> str:
    """Return a text as YAML reads it, with any character; JSON is YAML."""
    return json.dumps(text)


def _filled(template: str, values: Mapping[str, object]) -> str:
    text = (_TEMPLATES / f"{template}.yaml").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files, or none. Raises :class:`InputError`."""
    if there := [name for name in files if (folder / name).exists()]:
        raise InputError(f"{folder / there[0]}: exists already; remove it, or name another folder")
    written: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, text.encode())
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink()
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error

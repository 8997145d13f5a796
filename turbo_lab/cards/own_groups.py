"""A folder with the user's own choices of config groups, checked before it is used.

Owns what such a folder may contain: YAML files in folders that are named like a packaged group,
each with a name that no packaged file has. Everything is checked at once, so that a mistake is
found when the folder is named and not when the file is first chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from turbo_lab.cards.conf import conf_dir
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.untrusted.paths import MAX_CONFIG_BYTES, read_regular, user_path

# What Hydra reads as one word.
_NAME = re.compile(r"\w[\w.-]*", flags=re.ASCII)
_UNREADABLE: Mapping[type[Exception], str] = {
    FileNotFoundError: "does not exist",
    NotADirectoryError: "is not a folder",
}
# Groups whose files have the field ``name``, which is also how records name the model.
_NAMED = ("model", "adapters", "vaes")


def check_own_groups(text: str | Path, option: str) -> Path:
    """Return the folder as an absolute path. Raises ``InputError`` for anything wrong in it.

    ``option``: the option or argument that names the folder, for messages.
    """
    folder = user_path(text).absolute()
    try:
        entries = sorted(folder.iterdir())
    except (OSError, ValueError) as error:
        what = _UNREADABLE.get(type(error), "cannot be read")
        raise InputError(f"{option}={text}: {what}; name a folder with {_examples()}") from error
    groups = _packaged_groups()
    for entry in entries:
        if entry.suffix in (".yaml", ".yml"):
            raise InputError(f"{entry}: is in no group; move it to {_examples()}")
        files = [] if not entry.is_dir() else sorted(entry.glob("*.y*ml"))
        if files and entry.name not in groups:
            raise unknown_name(f"{option}={text}: group", entry.name, groups)
        for file in files:
            _check_file(file)
    return folder


def read_choice(files: Mapping[str, Path], name: str) -> dict[str, object]:
    """Return the values of a choice, on top of those that its ``defaults`` name.

    ``files``: the files of its group, by choice. Raises ``InputError``.
    """
    return _with_defaults(files, name, ())


def _with_defaults(
    files: Mapping[str, Path], name: str, seen: tuple[str, ...]
) -> dict[str, object]:
    values = dict(read_yaml(files[name]))
    defaults = values.pop("defaults", None) or []
    merged: dict[str, object] = {}
    for below in defaults if isinstance(defaults, list) else [defaults]:
        if below == "_self_":
            continue
        if not isinstance(below, str) or below not in files or below in (*seen, name):
            rule = "must list other files of the same folder, as in [local]"
            raise InputError(f"{files[name]}: defaults: {rule}")
        merged |= _with_defaults(files, below, (*seen, name))
    return merged | values


def read_yaml(file: Path) -> Mapping[str, object]:
    """Return the values of a config file. Raises ``InputError`` unless it is a mapping."""
    try:
        content = read_regular(file, follow_links=True, limit_bytes=MAX_CONFIG_BYTES)
        values = yaml.safe_load(content.decode("utf-8-sig"))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise InputError(f"{file}: {line}is not valid YAML ({error.problem})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: is not valid YAML ({reason})") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{file}: must have keys and values, as in name: mine")
    return values


def _check_file(file: Path) -> None:
    if file.suffix != ".yaml":
        raise InputError(f"{file}: has the ending {file.suffix}; name it {file.stem}.yaml")
    if not _NAME.fullmatch(file.stem):
        raise InputError(f"{file}: must have a name of letters, digits, _, - and .")
    if (conf_dir() / file.parent.name / file.name).exists():
        raise InputError(
            f"{file}: {file.parent.name}={file.stem} is packaged with turbo-lab; rename the file"
        )
    values = read_yaml(file)
    if file.parent.name in _NAMED and values.get("name") != file.stem:
        raise InputError(
            f"{file}: name={values.get('name')}: must be that of the file; write name: {file.stem}"
        )


def _packaged_groups() -> list[str]:
    return sorted(_folders_with_files(conf_dir()))


def _folders_with_files(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if any(path.glob("*.yaml")))


def _examples() -> str:
    return "groups such as model/, prompts/, sweep/ and gate/"

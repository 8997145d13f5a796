"""``docs/configuration.md`` names every key of ``conf/`` with its default, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from turbo_lab import config
from turbo_lab.cards import adapter_names, conf_dir

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
# Cards of adapters are named by `lora=`; they are not a group of the command line.
GROUPS = sorted({path.parent.name for path in conf_dir().glob("*/*.yaml")} - {"adapters", "vaes"})


def tables(first_heading: str) -> list[dict[str, str]]:
    """Rows of every table whose first column has this heading, as heading to cell."""
    found, headings = [], None
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells:
            headings = None
        elif headings is None:
            headings = cells
        elif headings[0] == first_heading and not set(cells[0]) <= {"-"}:
            found.append(dict(zip(headings, cells, strict=True)))
    return found


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def config_yaml() -> dict[str, Any]:
    return yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))


def choices(group: str) -> list[Path]:
    return sorted((conf_dir() / group).glob("*.yaml"))


def keys_of(group: str) -> set[str]:
    """Keys of all files of a group; a preset of `sweep` sets axes and has no keys of its own."""
    if group == "sweep":
        return set()
    keys = {key for path in choices(group) for key in yaml.safe_load(path.read_text())}
    return {f"{group}.{key}" for key in keys - {"defaults"}}


def test_the_page_names_every_key_and_no_other() -> None:
    plain = set(config_yaml()) - {"defaults"}
    wanted = plain | {key for group in GROUPS for key in keys_of(group)}
    assert {code(row["key"])[0] for row in tables("key")} == wanted


def test_defaults_are_those_of_the_config() -> None:
    for key, value in config_yaml().items():
        if key == "defaults":
            continue
        (row,) = (row for row in tables("key") if code(row["key"]) == [key])
        from_card = str(value).startswith("${model.recommended.")
        shown = value if isinstance(value, str) else json.dumps(value).replace('"', "")
        wanted = "model's" if from_card else f"`{shown}`"
        assert row["default"] == wanted, key


def test_keys_marked_for_sweeping_are_those_that_can_be_swept() -> None:
    rows = [row for row in tables("key") if "sweep" in row]
    marked = {code(row["key"])[0] for row in rows if row["sweep"] == "yes"}
    assert marked == {*config.AXES, *config.MORE_AXES} - set(GROUPS)


def test_groups_and_their_choices_are_those_of_the_folder() -> None:
    defaults = {
        group: choice
        for entry in config_yaml()["defaults"]
        if isinstance(entry, dict)
        for group, choice in entry.items()
    }
    rows = {code(row["group"])[0]: row for row in tables("group")}
    assert sorted(rows) == GROUPS
    for group, row in rows.items():
        assert code(row["default"]) == [defaults[group]]
        assert sorted(code(row["choices"])) == sorted(path.stem for path in choices(group)), group


def test_adapters_are_named() -> None:
    assert all(f"`{name}`" in PAGE for name in adapter_names())

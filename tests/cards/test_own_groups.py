"""A folder with the user's own choices: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from turbo_lab.cards import model_card, model_names, with_own_groups
from turbo_lab.cards.conf import choices_of, config_files, own_groups
from turbo_lab.cards.own_groups import check_own_groups, read_choice, read_yaml
from turbo_lab.errors import InputError

MINE = "defaults: [local]\nname: mine\ntitle: Mine\npath: weights\n"


def write(folder: Path, file: str, text: str = "name: x\n") -> Path:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_own_choices_are_next_to_those_that_are_packaged(tmp_path: Path) -> None:
    file = write(tmp_path, "model/mine.yaml", MINE)
    write(tmp_path, "README.md", "what this is\n")
    write(tmp_path, "notes/more.txt", "not a group\n")
    folder = check_own_groups(tmp_path, "--config-dir")
    packaged = model_names()
    with with_own_groups(folder):
        assert own_groups() == tmp_path
        assert model_names() == sorted([*packaged, "mine"])
        assert config_files("model")["mine"] == file
        card = model_card("mine")
        with with_own_groups(None):
            assert model_names() == packaged
    assert (card.title, card.path, card.license) == ("Mine", "weights", "unknown")
    assert own_groups() is None and choices_of("model") == packaged


def test_defaults_are_read_below_the_values_of_a_file(tmp_path: Path) -> None:
    files = {
        "a": write(tmp_path, "a.yaml", "one: 1\ntwo: 1\n"),
        "b": write(tmp_path, "b.yaml", "defaults: [a, _self_]\ntwo: 2\nthree: 2\n"),
        "c": write(tmp_path, "c.yaml", "defaults: [b]\nthree: 3\n"),
    }
    assert read_choice(files, "c") == {"one": 1, "two": 2, "three": 3}


@pytest.mark.parametrize("defaults", ["[none]", "[loop]", "{a: b}", "[{model: x}]", "3"])
def test_wrong_defaults_name_the_file(tmp_path: Path, defaults: str) -> None:
    files = {"loop": write(tmp_path, "loop.yaml", f"defaults: {defaults}\n")}
    with pytest.raises(InputError, match=r"loop.yaml: defaults: must list other files of the same"):
        read_choice(files, "loop")


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda d: write(d, "model/x.yaml", "a: [1\n"), "x.yaml: line 2: is not valid YAML ("),
    (lambda d: write(d, "model/x.yaml", "a: !!python/object:os.system {}"), "is not valid YAML"),
    (
        lambda d: (d / "prompts").mkdir() or (d / "prompts/x.yaml").write_bytes(b"\xff\xfe\x00"),
        "is",
    ),
    (lambda d: write(d, "sweep/x.yaml", "- 1\n"), "x.yaml: must have keys and values"),
    (lambda d: write(d, "sweep/x.yaml", ""), "x.yaml: must have keys and values"),
    (lambda d: write(d, "modle/x.yaml"), "group=modle: unknown. Did you mean model? Valid: "),
    (lambda d: write(d, "x.yaml"), "x.yaml: is in no group; move it to groups such as model/"),
    (lambda d: write(d, "gate/x.yml"), "x.yml: has the ending .yml; name it x.yaml"),
    (lambda d: write(d, "gate/my gate.yaml"), "must have a name of letters, digits, _, - and ."),
    (lambda d: write(d, "gate/release.yaml"), "gate=release is packaged with turbo-lab; rename"),
    (lambda d: write(d, "model/x.yaml", "name: y\n"), "name=y: must be that of the file; write"),
    (lambda d: write(d, "vaes/x.yaml", "title: y\n"), "name=None: must be that of the file"),
    (lambda d: (d / "model").mkdir() or (d / "model/x.yaml").mkdir(), "x.yaml"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[text for _, text in BAD])
def test_a_mistake_is_one_line(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(InputError) as refused:
        check_own_groups(tmp_path, "--config-dir")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^config_dir=nowhere: does not exist; name a folder"):
        check_own_groups("nowhere", "config_dir")
    file = write(tmp_path, "x.yaml")
    with pytest.raises(InputError, match=r"x.yaml: is not a folder; name a folder with groups"):
        check_own_groups(file, "--config-dir")
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(InputError, match="cannot be read; name a folder with groups"):
            check_own_groups(name, "config_dir")


def test_yaml_has_text_keys(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "x.yaml", "a: 1\n")) == {"a": 1}
    with pytest.raises(InputError, match="must have keys and values"):
        read_yaml(write(tmp_path, "x.yaml", "1: 1\n"))

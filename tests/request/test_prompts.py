"""Prompt files: what they give, and what is said of broken ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cards import ConfigNode, conf_dir
from turbo_lab.errors import InputError
from turbo_lab.request.prompts import (
    MAX_PROMPTS,
    from_text,
    prompts_from_config,
    read_prompts,
    require_skills,
    with_replaced_text,
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_one_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.txt", "\ufeffa red apple\r\n\n  a blue cat \n")
    found = read_prompts(path)
    assert found.prompts == ("a red apple", "a blue cat")
    assert found.ids == ("0", "1")
    assert found.name == "mine"


def test_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"id": "x", "prompt": "a"}\n\n{"text": "b"}\n')
    found = read_prompts(path)
    assert (found.prompts, found.ids) == (("a", "b"), ("x", "1"))


def test_the_digest_is_of_the_texts_in_order(tmp_path: Path) -> None:
    text = read_prompts(write(tmp_path / "a.txt", "one\ntwo\n"))
    lines = read_prompts(write(tmp_path / "b.jsonl", '{"id":7,"prompt":"one"}\n{"prompt":"two"}'))
    turned = read_prompts(write(tmp_path / "c.txt", "two\none\n"))
    assert text.digest == lines.digest != turned.digest


def test_skills_are_read_and_are_no_part_of_the_digest(tmp_path: Path) -> None:
    lines = [
        {"prompt": "two cats", "skill": " counting "},
        {"prompt": "a red dog", "category": "colour"},
        {"prompt": "a house", "category": ["not a text"]},
    ]
    text = "\n".join(map(json.dumps, lines))
    found = read_prompts(write(tmp_path / "a.jsonl", text))
    assert found.skills == ("counting", "colour", None)
    assert found.skills_of(5) == ("counting", "colour", None, "counting", "colour")
    plain = read_prompts(write(tmp_path / "a.txt", "two cats\na red dog\na house\n"))
    assert plain.digest == found.digest and plain.skills == plain.skills_of(5) == ()
    assert with_replaced_text(found, "red", "blue").skills == found.skills
    require_skills([plain, found])
    with pytest.raises(InputError, match="--by skill: prompts=a: no prompt has a skill; use JSON"):
        require_skills([plain])


def test_the_categories_of_parti_are_skills(tmp_path: Path) -> None:
    text = "Prompt\tCategory\na cat\tAnimals\na house\t\n"
    assert read_prompts(write(tmp_path / "p.tsv", text)).skills == ("Animals", None)
    assert read_prompts(write(tmp_path / "q.tsv", "Prompt\na cat\n")).skills == ()


@pytest.mark.parametrize("skill", ["", "  ", 3, ["a"], {}])
def test_a_skill_is_a_text(tmp_path: Path, skill: object) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"prompt": "a", "skill": skill}))
    with pytest.raises(InputError, match=r"a\.jsonl: line 1: skill=.*: must be a non-empty text"):
        read_prompts(path)


def test_one_prompt() -> None:
    found = prompts_from_config(ConfigNode({"name": "scenes-heldout", "file": "x"}), "a cat")
    assert found.prompts == ("a cat",)
    assert found == from_text("a cat")


def test_a_text_is_replaced_in_every_prompt_that_has_it(tmp_path: Path) -> None:
    found = read_prompts(write(tmp_path / "a.txt", "a red cat\na dog\nred on red\n"))
    blue = with_replaced_text(found, "red", "blue")
    assert blue.prompts == ("a blue cat", "a dog", "blue on blue")
    assert (blue.ids, blue.name) == (found.ids, found.name)
    assert with_replaced_text(found, "red", "red") == found
    assert with_replaced_text(found, " red", "").prompts[0] == "a cat"


@pytest.mark.parametrize(
    ("search", "replacement", "message"),
    [
        (None, "blue", "prompt_sr=blue: names no text to replace"),
        ("", "blue", "prompt_sr=blue: names no text to replace"),
        ("red", None, "prompt_search=red: has no effect without prompt_sr"),
        ("green", "blue", "prompt_search=green: no prompt of prompts=prompt contains it"),
        ("a red cat", " ", "prompt_sr= : leaves a prompt without text"),
        ("red", "\ud83d", "is not valid Unicode"),
    ],
)
def test_what_cannot_be_replaced(search: str | None, replacement: str | None, message: str) -> None:
    with pytest.raises(InputError) as refused:
        with_replaced_text(from_text("a red cat"), search, replacement)
    assert message in str(refused.value)


def test_parti_prompts(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tsv", 'Prompt\tCategory\na "cat"\tAnimals\na dog\tAnimals\n')
    assert read_prompts(path).prompts == ('a "cat"', "a dog")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b"])
def test_a_mark_that_is_a_line_end_to_some_stays_inside_its_prompt(
    tmp_path: Path, mark: str
) -> None:
    """PartiPrompts has one: splitlines() would make two prompts of it, one without its fields."""
    text = f"Prompt\tCategory\na{mark}cat\tAnimals\na dog\tAnimals\n"
    assert read_prompts(write(tmp_path / "p.tsv", text)).prompts == (f"a{mark}cat", "a dog")
    assert len(read_prompts(write(tmp_path / "p.txt", f"a{mark}cat\na dog\n")).prompts) == 2


def test_coco_takes_the_first_caption_of_each_image(tmp_path: Path) -> None:
    rows = [
        {"image_id": 9, "id": 3, "caption": "late"},
        {"image_id": 2, "id": 5, "caption": "a bus\n"},
        {"image_id": 9, "id": 1, "caption": "early"},
    ]
    found = read_prompts(write(tmp_path / "c.json", json.dumps({"annotations": rows})))
    assert (found.prompts, found.ids) == (("a bus", "early"), ("2", "9"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "a.txt: has no prompts; write one per line"),
        ("a.txt", " \n\n", "has no prompts"),
        ("a.txt", b"caf\xe9", r"is not UTF-8 \(byte 3\); save it as UTF-8"),
        ("a.jsonl", '{"prompt": "a"}\n{oops\n', r"line 2: is not JSON \(Expecting"),
        ("a.jsonl", '{"prompt": " "}', 'line 1: must be an object with a non-empty "prompt"'),
        ("a.jsonl", '"a"', 'line 1: must be an object with a non-empty "prompt"'),
        (
            "a.jsonl",
            '{"id": 1, "prompt": "a"}\n{"id": "1", "prompt": "b"}',
            "line 2: id 1 is already used in line 1; give each prompt its own id",
        ),
        ("a.tsv", "Text\na cat\n", "line 1: has no column Prompt"),
        ("a.tsv", "Prompt\tB\n\tx\n", "line 2: the Prompt is empty"),
        ("a.json", "{}", "is not a COCO captions file"),
        ("a.json", "nope", "is not a COCO captions file"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(InputError, match=message) as caught:
        read_prompts(path)
    assert f"prompts.path={path}: " in str(caught.value)


def test_no_such_file_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_prompts(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is not a file; name a text"):
        read_prompts(tmp_path)


def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="prompts=file: needs a file; add prompts.path=FILE"):
        prompts_from_config(ConfigNode({"name": "file", "file": None, "path": None}))
    with pytest.raises(InputError, match="prompt=' ': must be a non-empty text"):
        from_text(" ")
    path = write(tmp_path / "a.txt", "a")
    with pytest.raises(InputError, match=r"prompts.format=txt: unknown. Did you mean text\?"):
        read_prompts(path, file_format="txt")


@pytest.mark.parametrize(
    ("name", "count"), [("scenes-heldout", 128), ("scenes-train", 512), ("scenes-all", 640)]
)
def test_the_sets_that_ship(name: str, count: int) -> None:
    import yaml

    values = yaml.safe_load((conf_dir() / "prompts" / f"{name}.yaml").read_text())
    found = prompts_from_config(ConfigNode(values))
    assert len(found.prompts) == len(set(found.prompts)) == count


def test_every_set_has_the_same_keys() -> None:
    import yaml

    for path in (conf_dir() / "prompts").glob("*.yaml"):
        values = yaml.safe_load(path.read_text())
        assert values["name"] == path.stem
        assert {"name", "file", "path", "format"} <= set(values)


def test_lists_without_end_are_refused_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "deep.jsonl", '{"prompt": "a key"}\n' + "[" * 100_000 + "\n")
    with pytest.raises(InputError, match="line 2: is not JSON .it has more than 100 levels"):
        read_prompts(path)


def test_half_a_character_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text('{"prompt": "a key"}\n{"prompt": "a key \\ud83d"}\n')
    with pytest.raises(InputError, match=r"cut.jsonl: line 2: .* it has half of a character"):
        read_prompts(path)
    with pytest.raises(InputError, match="prompt: character 4 is not valid Unicode"):
        from_text("caf\udce9")


def test_a_field_that_is_too_long_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "huge.tsv"
    path.write_text("Prompt\tNote\na key\t-\n" + "x" * 200_000 + "\t-\n")
    with pytest.raises(InputError, match="huge.tsv: line 3: field larger than field limit"):
        read_prompts(path)


def test_a_file_of_more_prompts_than_images_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "many.txt", "a\n" * (MAX_PROMPTS + 1))
    with pytest.raises(InputError, match="has more than 1,000,000 prompts"):
        read_prompts(path)

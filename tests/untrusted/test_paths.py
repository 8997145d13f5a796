"""Names and files of other people: nothing outside is read, written, shown or sent."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from turbo_lab.cards import ConfigNode, locate_adapter, pin_revision
from turbo_lab.cards.packaged import link_together, packaged_files, read_packaged_card
from turbo_lab.cli.main import main
from turbo_lab.compare.baseline import PACKAGED, read_baseline, write_baseline
from turbo_lab.errors import InputError, StoreError
from turbo_lab.golden.library import GoldenLibrary, packaged_root
from turbo_lab.identity import DigestCache
from turbo_lab.images import encode_png, read_png
from turbo_lab.request.prompts import prompts_from_config
from turbo_lab.store.store import Store
from turbo_lab.untrusted.paths import (
    confined,
    file_name,
    hex_name,
    open_lock,
    read_regular,
    refuse_links,
    replace_file,
    user_path,
)

SECRET = "a secret of the user's"

# Parts that names are made of: plain ones, and all that could lead out.
PARTS = st.one_of(
    st.sampled_from(
        [
            "..",
            ".",
            "",
            "/",
            "~",
            "a",
            "inside",
            "out",
            "loop",
            "up",
            "dir",
            "\\",
            "..\\..",
            "\x00",
            "\n",
            "\x1b[2J",
            "\u2028",
            "\ud800",
            "é",
            "\u2025",
            "\uff0e\uff0e",
            "..;",
            "C:",
            "x" * 256,
            "ä" * 200,
            "dev",
            "etc",
            "passwd",
        ]
    ),
    st.text(st.characters(), max_size=8),
)
NAMES = st.one_of(
    st.lists(PARTS, max_size=6).map("/".join),
    st.lists(PARTS, max_size=4).map("".join),
    st.text(st.characters(), max_size=40),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links that stay inside, lead out, up and round in a circle."""
    top = tmp_path_factory.mktemp("confine")
    (top / "secret").write_text(SECRET)
    root = top / "root"
    (root / "dir" / "a").mkdir(parents=True)
    (root / "inside").symlink_to("dir")
    (root / "out").symlink_to(top)
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "dir" / "a" / "up").symlink_to("../../..")
    return root


@given(NAMES)
@settings(max_examples=1500)
@example("../secret")
@example("out/secret")
@example("dir/a/up/secret")
@example("inside/../../secret")
def test_nothing_outside_the_root_is_ever_returned(root: Path, name: str) -> None:
    for links in (True, False):
        try:
            path = confined(root, name, "field", links=links)
        except InputError as error:
            assert str(error).isprintable() and len(str(error)) < 600
            continue
        real = Path(os.path.realpath(path))
        assert real.is_relative_to(root) and real != root
        assert ".." not in path.parts and path == root / name
        if not links:
            assert real == path


@given(NAMES)
@settings(max_examples=500)
def test_a_file_name_is_one_part_of_a_path(root: Path, name: str) -> None:
    try:
        checked = file_name(name, "field")
    except InputError:
        return
    assert (root / checked).parent == root and checked not in (".", "..")


@pytest.mark.parametrize("name", ["a", "dir/a", "inside/a", "new/file.json", "..a", "a..", "é.png"])
def test_plain_names_pass(root: Path, name: str) -> None:
    assert confined(root, name, "field") == root / name


@pytest.mark.parametrize("name", [None, 3, ["a"], {"a": 1}, b"a", True])
def test_what_is_no_text_is_refused(root: Path, name: Any) -> None:
    for check in (lambda: confined(root, name, "f"), lambda: hex_name(name, "f")):
        with pytest.raises(InputError):
            check()


def test_the_message_names_field_value_rule_and_remedy(root: Path) -> None:
    with pytest.raises(StoreError) as caught:
        confined(root, "../\x1bsecret", "store/sweep.json: path", StoreError)
    assert str(caught.value) == (
        "store/sweep.json: path: '../\\x1bsecret': must not hold a backslash or a control "
        "character; correct the name, or get the file from a source that you trust"
    )
    with pytest.raises(InputError, match=r"'out/secret': leads out of .* through a symbolic link"):
        confined(root, "out/secret", "f")


@pytest.mark.parametrize("name", ["", "AB", "0x1", "g", "a" * 65, "../ab", "ab\n", "ab/cd"])
def test_an_id_is_lower_case_hex(name: str) -> None:
    with pytest.raises(InputError, match="1 to 64 lower-case hex digits"):
        hex_name(name, "record_id")
    assert hex_name("ab" * 32, "record_id") == "ab" * 32


# Regular files


def make_special(path: Path, kind: str) -> None:
    """A pipe, a link, a folder, a socket's name or a link to a device."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": path.with_name("target"), "device": "/dev/zero"}[kind])


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        ("pipe", "a named pipe"),
        ("folder", "a folder"),
        ("link", "a symbolic link"),
        ("device", "a symbolic link"),
    ],
)
def test_only_regular_files_are_read(tmp_path: Path, kind: str, description: str) -> None:
    (tmp_path / "target").write_text("content")
    path = tmp_path / "file"
    make_special(path, kind)
    with pytest.raises(StoreError, match=f"file: is {description}, not a regular file; remove it"):
        read_regular(path, error=StoreError)
    assert read_regular(tmp_path / "target") == b"content"


def test_links_are_followed_where_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("content")
    make_special(tmp_path / "link", "link")
    assert read_regular(tmp_path / "link", follow_links=True) == b"content"
    make_special(tmp_path / "device", "device")
    with pytest.raises(InputError, match="is a device"):
        read_regular(tmp_path / "device", follow_links=True)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nothing")


def test_a_link_on_the_way_is_refused(root: Path) -> None:
    refuse_links(root, root / "dir" / "a" / "new")
    for name in ("inside/a", "out/secret", "dir/a/up"):
        with pytest.raises(InputError, match="is a symbolic link, and nothing in"):
            refuse_links(root, root / name)


# Model folders


@pytest.fixture
def model(tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with a shard index, and a home with a cache next to it.

    A name that leads four folders up from the UNet's means ``tmp_path/.bashrc`` when it is
    read, and ``home/.bashrc`` when it is linked into the cache.
    """
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text(SECRET)
    (tmp_path / ".bashrc").write_text("payload")
    (tmp_path / "evil.safetensors").write_text("payload")
    monkeypatch.setenv("TURBO_LAB_CACHE", str(home / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(tiny_sdxl_dir, tmp_path / "a" / "b" / "model")
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole.rename(whole.with_name("one.safetensors"))
    return folder


def write_index(model: Path, weight_map: Any) -> None:
    """A shard index of the UNet, as ``fp16`` so that its files are linked into the cache."""
    path = model / "unet" / "diffusion_pytorch_model.safetensors.index.fp16.json"
    path.write_text(json.dumps({"weight_map": weight_map}))


def planned(model: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(
        [
            "plan",
            "model=local",
            f"model.path={model}",
            "model.variant=fp16",
            "num_inference_steps=1",
        ]
    )
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "../../../../.bashrc",
        "../../../../evil.safetensors",
        "/etc/passwd",
        "..",
        "a\x00b",
        "",
        7,
        None,
        ["one.safetensors"],
        "one.bin",
        "..\\one.safetensors",
        "sub/one.safetensors",
    ],
)
def test_a_weight_map_names_files_of_its_folder(
    model: Path, name: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in list(model.rglob("*.safetensors")):
        if path.name != "one.safetensors":
            path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    write_index(model, {"a": "one.safetensors"})
    assert planned(model, capsys)[0] == 0
    write_index(model, {"a": "one.safetensors", "b": name})
    code, said = planned(model, capsys)
    assert code == 2 and "weight_map" in said and said.count("\n") == 1
    home = model.parents[2] / "home"
    assert (home / ".bashrc").read_text() == SECRET
    assert not list(home.glob("*.safetensors"))
    assert not list((home / "cache" / "models").glob(".*")), "an unfinished folder was left"


def test_an_index_that_the_weights_make_superfluous_is_not_loaded(
    tiny_sdxl_dir: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """diffusers prefers it to the whole file, and would follow its names."""
    from tests.cards.checkpoints import local
    from turbo_lab.cards import locate

    unet = model / "unet"
    (unet / "one.safetensors").rename(unet / "diffusion_pytorch_model.safetensors")
    index = unet / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../../../evil.safetensors"}}))
    files = locate(local(model))
    assert files.digest == locate(local(tiny_sdxl_dir)).digest
    assert not list(files.path.rglob("*.index.json"))


@pytest.mark.parametrize("name", ["../unet", "/tmp", "..", "a/b", "unet\n"])
def test_a_component_is_a_folder_of_the_model(
    model: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    index = model / "model_index.json"
    values = json.loads(index.read_text()) | {name: ["diffusers", "UNet2DConditionModel"]}
    index.write_text(json.dumps(values))
    code, said = planned(model, capsys)
    assert code == 2 and "model_index.json" in said and said.count("\n") == 1


def test_linking_into_the_cache_writes_over_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))
    source, victim = tmp_path / "source", tmp_path / "victim"
    source.write_text("new")
    victim.write_text(SECRET)
    for relative in ("../../../victim", str(victim)):
        with pytest.raises(InputError, match="must be a relative path"):
            link_together("m", {relative: source}, DigestCache())
    for link in (os.link, refused_link):
        monkeypatch.setattr(os, "link", link)
        with pytest.raises((InputError, StoreError)):
            # As two names are on a file system that ignores case.
            link_together("m", TwoOfOneName(source), DigestCache())
    assert victim.read_text() == SECRET
    assert not list((tmp_path / "cache" / "models").iterdir())


def refused_link(source: Path, target: Path) -> None:
    """A file system without hard links."""
    raise PermissionError("no hard links")


class TwoOfOneName(dict[str, Path]):
    """A mapping whose items hold one name twice."""

    def __init__(self, source: Path) -> None:
        super().__init__({"a": source})

    def items(self) -> Any:
        return [*super().items(), *super().items()]


# Stores

SWEEP = (
    "sweep",
    "num_inference_steps=1",
    "num_images=2",
    "batch_size=2",
    "num_threads=1",
    "timing=off",
    "metrics=none",
    "tracking=none",
    "store=made",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of one sweep. Do not change it."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*SWEEP]) == 0
    return folder


@pytest.fixture
def foreign(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that store, as another person sends it, and a secret next to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text(SECRET)
    return shutil.copytree(made / "made", tmp_path / "foreign")


def document_of(store: Path) -> tuple[Path, dict[str, Any]]:
    """The path and the content of the store's sweep document."""
    (path,) = store.glob("sweeps/*/sweep.json")
    return path, json.loads(path.read_text())


def uploaded(folder: Path) -> list[Path]:
    """The artifacts that were logged."""
    found = (folder / "mlartifacts").rglob("*")
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize(
    "name",
    [
        "{there}/secret",
        "{store}/../secret",
        "/etc/passwd",
        "secret",
        "{store}/batches/../../secret",
        "{store}/store.json",
        "",
        3,
    ],
)
@pytest.mark.parametrize("field", ["images", "record"])
def test_a_sweep_names_only_files_of_its_store(
    foreign: Path, field: str, name: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, values = document_of(foreign)
    if isinstance(name, str):
        name = name.format(there=foreign.parent, store=values["store"])
    row = values["cells"][0]
    if field == "images":
        row["images"][1]["path"] = name
    else:
        row["record"] = name or "x"
    path.write_text(json.dumps(values))
    capsys.readouterr()
    report = ["report", str(path)]
    for command in (["sync", "store=foreign"], report, [*report, "store=foreign"]):
        assert main(command) == (3 if command[0] == "sync" else 2)
        said = capsys.readouterr().err
        rules = ("of its store", "must be a relative path", "not a path")
        assert any(rule in said for rule in rules)
        assert said.count("\n") == 1
    assert uploaded(foreign.parent) == []
    assert not (foreign.parent / "report.html").exists()


def test_verify_finds_a_sweep_whose_files_are_gone_or_elsewhere(
    foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``report`` shows these files, and ``sync`` uploads them."""
    path, values = document_of(foreign)
    assert main(["store", "verify", "store=foreign"]) == 0
    Path(next(iter((foreign / "records").rglob("*.json")))).unlink()
    assert main(["store", "verify", "store=foreign"]) == 3
    assert "names files that are missing: 1 of 3" in capsys.readouterr().out
    values["cells"][0]["record"] = "/etc/passwd"
    path.write_text(json.dumps(values))
    assert main(["store", "verify", "--remove-damaged", "store=foreign"]) == 0
    assert "'/etc/passwd' is not in records of its store" in capsys.readouterr().out
    assert not path.exists() and Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    "pattern",
    [
        "batches/*/*/*.png",
        "records/*/*.json",
        "sweeps/*/sheet.png",
        "batches/*/*",
        "batches",
        "sweeps/*",
    ],
)
def test_what_a_link_leads_to_is_not_uploaded(
    foreign: Path, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = sorted(foreign.glob(pattern))[0]
    aside = foreign.parent / "aside"
    target.rename(aside)
    target.symlink_to(aside)
    capsys.readouterr()
    assert main(["sync", "store=foreign"]) in (2, 3)
    assert "symbolic link" in capsys.readouterr().err
    assert not [path for path in uploaded(foreign.parent) if path.suffix == ".png"]


SPECIAL = ("pipe", "link", "device")


def replace_by(path: Path, kind: str) -> Path:
    """Put a pipe or link in the place of a file; returns where the file is now."""
    aside = path.with_name("target")
    path.rename(aside)
    make_special(path, kind)
    return aside


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["claims", "store.json"])
def test_a_store_is_opened_only_by_regular_files(
    foreign: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_by(foreign / name, kind)
    for command in (["store", "verify"], ["sync"], ["plan", "num_inference_steps=1"]):
        assert main([*command, "store=foreign"]) == 2
        said = capsys.readouterr().err
        assert "not a regular file" in said and said.count("\n") == 1


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize(
    "pattern",
    ["batches/*/*/*.png", "batches/*/*/batch.json", "records/*/*.json", "sweeps/*/sweep.json"],
)
def test_verify_reports_what_is_no_regular_file_and_removes_only_that(
    foreign: Path, pattern: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(foreign.glob(pattern))[0]
    secret = foreign.parent / "secret"
    path.unlink()
    make_special(path, kind)
    if kind == "link":
        path.unlink()
        path.symlink_to(secret)
    capsys.readouterr()
    assert main(["store", "verify", "store=foreign"]) == 3
    assert "a symbolic link" in (out := capsys.readouterr().out) or "a named pipe" in out
    assert main(["sync", "store=foreign"]) in (0, 3)
    assert not [p for p in uploaded(foreign.parent) if p.read_bytes() == SECRET.encode()]
    main(["store", "verify", "store=foreign", "--remove-damaged"])
    assert not os.path.lexists(path) and secret.read_text() == SECRET


@pytest.mark.parametrize(
    "pattern", ["batches/*", "batches/*/*", "records/*", "sweeps/*", "measurements/*"]
)
def test_nothing_is_removed_through_a_linked_folder(foreign: Path, pattern: str) -> None:
    private = foreign.parent / "private"
    (private / ("e" * 64)).mkdir(parents=True)
    (private / ("e" * 64) / "f.json").write_text(SECRET)
    (private / "f.json").write_text(SECRET)
    (foreign / "measurements" / ("a" * 64)).mkdir(parents=True)
    path = sorted(foreign.glob(pattern))[0]
    shutil.rmtree(path)
    path.symlink_to(private)
    assert main(["store", "verify", "store=foreign"]) == 3
    main(["store", "verify", "store=foreign", "--remove-damaged"])
    main(["store", "gc", "--orphans", "store=foreign"])
    assert not path.is_symlink()
    assert sorted(p.name for p in private.rglob("*")) == ["e" * 64, "f.json", "f.json"]


@pytest.mark.parametrize("name", ["tmp", "batches", "records", "measurements", "timings", "sweeps"])
def test_the_folders_of_a_store_are_no_links(
    foreign: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """gc removes all that is in ``tmp``."""
    private = foreign.parent / "private"
    private.mkdir()
    (private / "file").write_text(SECRET)
    shutil.rmtree(foreign / name, ignore_errors=True)
    (foreign / name).symlink_to(private)
    for command in (["gc"], ["gc", "--orphans"], ["verify", "--remove-damaged"]):
        assert main(["store", *command, "store=foreign"]) == 2
        assert f"{name}: is a symbolic link" in capsys.readouterr().err
    assert [p.name for p in private.iterdir()] == ["file"]


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON document."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


BAD_IDS = ("../../../../secret", "/etc/passwd", "", "AB", 7, None, "x' OR '1' = '1")


@pytest.mark.parametrize("value", BAD_IDS)
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("records", lambda values, bad: values.update(batches=[bad])),
        ("records", lambda values, bad: values.update(record_id=bad)),
        ("batches", lambda values, bad: values["images"][0].update(pixel_sha256=bad)),
        ("batches", lambda values, bad: values["images"][0].update(seed=str(bad))),
        ("batches", lambda values, bad: values.update(reuse_key=bad)),
    ],
    ids=["batches", "record_id", "pixel_sha256", "seed", "reuse_key"],
)
def test_ids_in_documents_are_checked_when_they_are_read(
    foreign: Path, kind: str, change: Callable[[dict[str, Any], Any], object], value: Any
) -> None:
    pattern = "batches/*/*/batch.json" if kind == "batches" else "records/*/*.json"
    path = sorted(foreign.glob(pattern))[0]
    edited(path, lambda values: change(values, value))
    store = Store(foreign)
    with pytest.raises(StoreError) as caught:
        store.read_batch(path.parent.name) if kind == "batches" else list(store.records())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "..", "a/b.png", "a\x00", ""])
def test_an_image_is_a_file_of_its_batch(foreign: Path, name: Any) -> None:
    path = sorted(foreign.glob("batches/*/*/batch.json"))[0]
    edited(path, lambda values: values["images"][0].update(file=name))
    with pytest.raises(StoreError, match="batch.json: file: "):
        Store(foreign).read_batch(path.parent.name)


@pytest.mark.parametrize("value", BAD_IDS)
@pytest.mark.parametrize("field", ["sweep_id", "record_id"])
def test_ids_of_sweeps_are_checked_when_they_are_read(
    foreign: Path, field: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = document_of(foreign)
    begun = path.with_name("begun.json")
    edited(path, lambda v: (v if field == "sweep_id" else v["cells"][0]).update({field: value}))
    if field == "sweep_id":
        edited(begun, lambda v: v.update(sweep_id=value))
    else:
        edited(begun, lambda v: v["cells"][0].update(records=[value]))
    capsys.readouterr()
    for command in (["sync", "store=foreign"], ["report", str(path)]):
        assert main(command) == (3 if command[0] == "sync" else 2)
        said = capsys.readouterr().err
        assert "lower-case hex digits" in said or f"{field} is {value!a}, not text" in said
    path.unlink()
    assert main(["sync", "store=foreign"]) == 3
    assert "begun.json" in capsys.readouterr().err
    assert uploaded(foreign.parent) == []


def test_images_are_copied_out_of_a_store_only_if_they_are_files(
    foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell that a foreign store has already is not drawn again: its images are copied."""
    images = sorted(foreign.glob("batches/*/*/*.png"))
    for image in images:
        image.unlink()
        image.symlink_to(foreign.parent / "secret")
    capsys.readouterr()
    words = [word for word in SWEEP if word.startswith(("num_", "batch_"))]
    assert (
        main(["generate", "prompts=scenes-heldout", *words, "store=foreign", "output=drawn"]) == 2
    )
    assert "is a symbolic link" in capsys.readouterr().err
    assert not list(Path("drawn").glob("*"))


def test_pinned_revisions_are_a_file_of_the_store(tmp_path: Path) -> None:
    lock, victim = tmp_path / "revisions.json", tmp_path / "victim"
    victim.write_text("{}")
    for kind, change in (
        ("link", lambda: lock.symlink_to(victim)),
        ("pipe", lambda: os.mkfifo(lock)),
    ):
        lock.unlink(missing_ok=True)
        change()
        with pytest.raises(StoreError, match="not a regular file"):
            pin_revision(lock, "a/b", "0" * 40)
        assert victim.read_text() == "{}", kind
    lock.unlink()
    pin_revision(lock, "a/b", "0" * 40)
    assert json.loads(lock.read_text()) == {"a/b": "0" * 40}


# The Hugging Face cache


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of the hub's cache, whose LoRA is a link to a blob, as the hub makes it."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    home = tmp_path / "hub" / "models--latent-consistency--lcm-lora-sdxl"
    commit = home / "snapshots" / ("a" * 40)
    for folder in (home / "refs", home / "blobs", commit):
        folder.mkdir(parents=True)
    (home / "refs" / "main").write_text("a" * 40)
    blob = home / "blobs" / ("b" * 64)
    layer = "unet.mid_block.attentions.0.proj_in"
    halves = {f"{layer}.lora_{half}.weight": np.zeros((1, 1), np.float32) for half in "AB"}
    save_file(halves, blob)
    (commit / "pytorch_lora_weights.safetensors").symlink_to(f"../../blobs/{'b' * 64}")
    shutil.copytree(commit, tmp_path / "outside")
    shutil.copy(blob, tmp_path / "outside.safetensors")
    return home


def test_a_snapshot_links_to_its_blobs(repository: Path) -> None:
    assert locate_adapter("lcm-lora-sdxl").revision == "a" * 40


@pytest.mark.parametrize(
    "content", ["../../../outside", "..", "/tmp", "main", "", "A" * 40, "\x00", "a" * 40 + "/.."]
)
def test_a_ref_is_a_commit(repository: Path, content: str) -> None:
    (repository / "refs" / "main").write_text(content)
    with pytest.raises(InputError, match="refs/main: .*must be the 40 hex digits of a commit"):
        locate_adapter("lcm-lora-sdxl")


def test_a_snapshot_does_not_leave_its_repository(repository: Path, tmp_path: Path) -> None:
    file = repository / "snapshots" / ("a" * 40) / "pytorch_lora_weights.safetensors"
    file.unlink()
    file.symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(InputError, match="leads out of .* through a symbolic link"):
        locate_adapter("lcm-lora-sdxl")
    shutil.rmtree(file.parent)
    file.parent.symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="leads out of .* through a symbolic link"):
        locate_adapter("lcm-lora-sdxl")


def test_packaged_parts_stay_among_the_weights(packaged_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    for part in ("../outside", str(tmp_path / "outside")):
        edited(
            packaged_weights / "nano-turbo" / "card.json",
            lambda values, part=part: values["parts"].update(vae=part),
        )
        with pytest.raises(InputError, match="parts: .*must be a relative path"):
            packaged_files("nano-turbo")
    with pytest.raises(InputError, match="must be a relative path"):
        read_packaged_card("../outside")


# Goldens, baselines and what else is read


@pytest.fixture
def goldens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoldenLibrary:
    """A copy of the packaged goldens as those of the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text(SECRET)
    shutil.copytree(packaged_root(), tmp_path / "goldens")
    return GoldenLibrary(tmp_path / "goldens")


@pytest.mark.parametrize("name", ["../case", "/tmp/case", "..", "a/../../b", "a\\b", "\x00"])
def test_a_golden_case_is_a_folder_of_its_library(
    goldens: GoldenLibrary, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(goldens.root / "cases.json", lambda values: values["cases"].update({name: ["seed=1"]}))
    assert main(["golden", "list"]) == 2
    assert "must consist of letters" in capsys.readouterr().err
    for reach in (goldens.has, goldens.read, goldens.remove):
        with pytest.raises(StoreError):
            reach(name)


@pytest.mark.parametrize("file", ["golden.json", "image.png", "tensors.safetensors"])
def test_files_of_a_golden_lie_in_its_library(goldens: GoldenLibrary, file: str) -> None:
    name = next(iter(goldens.cases()))
    path = goldens.root / name / file
    aside = goldens.root.parent / file
    path.rename(aside)
    path.symlink_to(aside)
    with pytest.raises(StoreError, match="leads out of .* through a symbolic link"):
        goldens.stored_tensors(goldens.read(name))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="is a named pipe"):
        goldens.stored_tensors(goldens.read(name))


def test_removing_a_golden_removes_nothing_elsewhere(goldens: GoldenLibrary) -> None:
    private = goldens.root.parent / "private"
    private.mkdir()
    (private / "golden.json").write_text(SECRET)
    (goldens.root / "old").symlink_to(private)
    assert main(["golden", "prune"]) == 2
    assert (private / "golden.json").read_text() == SECRET


@pytest.mark.parametrize("field", ["tensors", "image"])
def test_files_of_a_golden_are_named_by_digest(goldens: GoldenLibrary, field: str) -> None:
    """What is too large for git is looked for by it in another folder."""
    name = next(iter(goldens.cases()))
    changed = dataclasses.replace(goldens.read(name), **{field: "../../secret"})
    goldens.write_document(changed)
    with pytest.raises(StoreError, match=f"{field}: .*lower-case hex digits"):
        goldens.read(name)


@pytest.mark.parametrize("name", ["../mine", "/tmp/mine", "a/b", "\x00", "x" * 300])
def test_a_baseline_is_a_file_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="^baseline: "):
        read_baseline(name, tmp_path)


def test_a_baseline_is_written_over_no_link(tmp_path: Path) -> None:
    folder, victim = tmp_path / "baselines", tmp_path / "victim"
    folder.mkdir()
    victim.write_text(SECRET)
    (folder / "release.partial").symlink_to(victim)
    baseline = read_baseline("release", PACKAGED)
    write_baseline(baseline, folder)
    assert read_baseline("release", folder) == baseline and victim.read_text() == SECRET
    (folder / "release.json").unlink()
    (folder / "release.json").symlink_to(victim)
    with pytest.raises(InputError, match="leads out of"):
        write_baseline(baseline, folder)
    assert victim.read_text() == SECRET


def test_a_file_is_replaced_and_no_link_is_written_through(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text(SECRET)
    path.symlink_to(victim)
    replace_file(path, b"new")
    assert (path.read_text(), victim.read_text(), path.is_symlink()) == ("new", SECRET, False)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        replace_file(tmp_path / "folder", b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder", "victim"]


@pytest.mark.parametrize(
    "words",
    [
        ["show", "pipe.png"],
        ["reproduce", "pipe.png"],
        ["report", "pipe.json"],
        ["golden", "check"],
        ["baseline", "show", "pipe"],
        ["reference", "build", "images"],
        ["plan", "prompts=file", "prompts.path=pipe.txt", "num_inference_steps=1"],
        ["plan", "lora=pipe.safetensors", "num_inference_steps=1"],
        ["plan", "vae=folder", "num_inference_steps=1"],
        ["plan", "model=local", "model.path=pipe.safetensors", "num_inference_steps=1"],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_no_command_waits_for_a_pipe(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "goldens", "baselines", "folder"):
        (tmp_path / folder).mkdir()
    for name in (
        "pipe.png",
        "pipe.json",
        "pipe.txt",
        "pipe.safetensors",
        "images/pipe.png",
        "goldens/cases.json",
        "baselines/pipe.json",
        "folder/config.json",
    ):
        os.mkfifo(tmp_path / name)
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_report_is_not_written_through_a_link(foreign: Path) -> None:
    """A link named ``report.html`` may come with a folder that is shared."""
    secret = foreign.parent / "secret"
    Path("report.html").symlink_to(secret)
    path, _ = document_of(foreign)
    assert main(["report", str(path)]) == 2
    assert secret.read_text() == SECRET


def test_a_prompt_set_is_a_file_of_its_folder() -> None:
    with pytest.raises(InputError, match="file: .*must be a relative path"):
        prompts_from_config(ConfigNode({"name": "x", "file": "../../secret.txt"}))


@pytest.mark.parametrize("names", [["a"], {"model": 7}, {"model": "../../secret"}, "text"])
def test_a_png_names_no_files_but_those_of_its_digests(
    foreign: Path, names: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels, text = read_png(next(foreign.glob("batches/*/*/*.png")))
    about = json.loads(text["turbo-lab"])
    if isinstance(names, dict):
        names = {about["recipe"]["model"]: names["model"]}
    about["models"] = names
    Path("image.png").write_bytes(encode_png(pixels, {"turbo-lab": json.dumps(about)}))
    capsys.readouterr()
    assert main(["reproduce", "image.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# Paths that a user wrote


def test_the_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/models") == Path("/home/me/models")
    assert user_path("models") == Path("models")


def test_a_user_without_a_home_folder_keeps_the_text() -> None:
    assert user_path("~nobody-has-this-name/models") == Path("~nobody-has-this-name/models")


HUGE = 600 << 20


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "prompts=file", "prompts.path={}.txt"],
        ["plan", "model=local", "model.path=model"],
        ["show", "{}.png"],
        ["reproduce", "{}.png"],
        ["report", "{}.json"],
        ["reference", "build", "pictures", "--output", "r.safetensors"],
    ],
)
def test_a_huge_file_is_refused_and_not_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "model").mkdir()
    for name in ("h.txt", "h.png", "h.json", "model/model_index.json", "pictures/h.png"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(HUGE)  # has no blocks on the disk
    assert main([word.format("h") for word in words]) == 2
    error = capsys.readouterr().err
    assert f"has {HUGE:,} bytes, and at most " in error, error
    assert "are read into memory for a file of its kind" in error


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "device"])
def test_a_file_to_lock_is_a_regular_file_and_keeps_its_content(tmp_path: Path, kind: str) -> None:
    (tmp_path / "target").write_text("content")
    os.close(open_lock(tmp_path / "target"))
    make_special(tmp_path / "lock", kind)
    with pytest.raises(StoreError, match="not a regular file"):
        open_lock(tmp_path / "lock", StoreError)
    assert (tmp_path / "target").read_text() == "content"
    os.close(open_lock(tmp_path / "new"))
    assert (tmp_path / "new").read_text() == ""

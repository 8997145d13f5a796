"""Names and files of other people: nothing outside is read, written, shown or sent."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from turbo_lab.cards.packaged import link_together
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError, StoreError
from turbo_lab.identity import DigestCache
from turbo_lab.untrusted.paths import confined, file_name, hex_name, read_regular, refuse_links

SECRET = "a secret of the user's"

# Parts that names are made of: plain ones, and all that could lead out.
PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "/", "~", "a", "inside", "out", "loop", "up", "dir", "\\", "..\\..",
         "\x00", "\n", "\x1b[2J", "\u2028", "\ud800", "é", "\u2025", "\uff0e\uff0e", "..;", "C:",
         "x" * 256, "ä" * 200, "dev", "etc", "passwd"]
    ),
    st.text(st.characters(), max_size=8),
)  # fmt: skip
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
@settings(max_examples=1500, deadline=None)
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
@settings(max_examples=500, deadline=None)
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
    ("kind", "told"),
    [("pipe", "a named pipe"), ("folder", "a folder"), ("link", "a symbolic link"),
     ("device", "a symbolic link")],
)  # fmt: skip
def test_only_regular_files_are_read(tmp_path: Path, kind: str, told: str) -> None:
    (tmp_path / "target").write_text("content")
    path = tmp_path / "file"
    make_special(path, kind)
    with pytest.raises(StoreError, match=f"file: is {told}, not a regular file; remove it"):
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
    code = main(["plan", "model=local", f"model.path={model}", "model.variant=fp16",
                 "num_inference_steps=1"])  # fmt: skip
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["../../../../.bashrc", "../../../../evil.safetensors", "/etc/passwd", "..", "a\x00b", "", 7,
     None, ["one.safetensors"], "one.bin", "..\\one.safetensors", "sub/one.safetensors"],
)  # fmt: skip
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
    from tests.cards.test_cards import local
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

SWEEP = ("sweep", "num_inference_steps=1", "num_images=2", "batch_size=2", "num_threads=1",
         "timing=off", "metrics=none", "tracking=none", "store=made")  # fmt: skip


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
) -> None:  # fmt: skip
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
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "of its store" in said or "must be a relative path" in said
        assert said.count("\n") == 1
    assert uploaded(foreign.parent) == []
    assert not (foreign.parent / "report.html").exists()


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
) -> None:  # fmt: skip
    target = sorted(foreign.glob(pattern))[0]
    aside = foreign.parent / "aside"
    target.rename(aside)
    target.symlink_to(aside)
    capsys.readouterr()
    assert main(["sync", "store=foreign"]) == 2
    assert "symbolic link" in capsys.readouterr().err
    assert not [path for path in uploaded(foreign.parent) if path.suffix == ".png"]

"""Field names and types of every ``--json`` document: add fields freely, rename none.

The contract is ``documents.json``; :mod:`tests.contract.shapes` says how to read it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import load_file, save_file

from tests.contract.conftest import FILES, Answer, TurboLab, digest
from tests.contract.shapes import differences, unreached
from tests.history.entries import entries, stepped
from tests.history.test_figures import BENCH
from tests.metrics.test_safety import save_checker
from tests.upgrade.reports import bisection, report
from turbo_lab.documents.document import to_document
from turbo_lab.history.file import append

CONTRACT: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "documents.json").read_text(encoding="utf-8")
)
HERE = ("num_threads=1", "device=cpu")
# Documents with no kind of their own; ``models show`` has the kind of the model there.
UNNAMED = ("show", "models list", "models show", "models verify")


def check(command: str, *found: Answer | dict[str, Any]) -> None:
    """Check documents of one command, which must reach every field of its contract."""
    documents = [one.document if isinstance(one, Answer) else one for one in found]
    for one in documents:
        assert differences(one, CONTRACT[command]) == []
        assert command in UNNAMED or one["kind"] == command
    assert unreached(documents, CONTRACT[command]) == set()


def printed(kind: str, value: object) -> dict[str, Any]:
    """Return a document as it is printed; what an upgrade takes is in tests/cli."""
    found = json.loads(json.dumps(to_document(kind, value)))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def lab(turbo_lab: TurboLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an old store and a LoRA that fits no model here."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(FILES / "store", folder / "old")
    ink = turbo_lab("models", "show", "ink", "--json", folder=folder).document["path"]
    weights = load_file(ink)
    names = sorted(weights)[:2]
    save_file(
        {name: np.repeat(weights[name], 2, axis=i) for i, name in zip((1, 0), names, strict=True)},
        folder / "misfit.safetensors",
    )
    return folder


@pytest.fixture(scope="module")
def swept(turbo_lab: TurboLab, lab: Path) -> dict[str, Any]:
    """A sweep with a cell drawn, one with an adapter, one that failed, and an alias."""
    grid = ["guidance_scale=0,1", "lora=none,ink@0.5,misfit.safetensors", "num_images=8"]
    answer = turbo_lab("sweep", *grid, *HERE, "--json", folder=lab)
    assert answer.exit_code == 3, answer.errors
    return answer.document


@pytest.fixture(scope="module")
def drawn(turbo_lab: TurboLab, lab: Path) -> Answer:
    """One image with a LoRA and another VAE."""
    words = ["seed=7", "lora=ink", "vae=nano-vae"]
    return turbo_lab("generate", "a red apple", *words, *HERE, "--json", folder=lab)


@pytest.fixture(scope="module")
def checker(lab: Path) -> str:
    """A safety checker that flags no image."""
    return str(save_checker(lab / "checker"))


FROM_PICTURES = ("image=shapes", "strength=0.5", "num_inference_steps=2", "num_images=2")


def test_plan(turbo_lab: TurboLab, lab: Path, swept: dict[str, Any]) -> None:
    grid = ["num_inference_steps=1,2", "guidance_scale=0,1", "num_images=8", *HERE, "--json"]
    new = turbo_lab("plan", *grid, "lora=none,misfit.safetensors", "store=none", folder=lab)
    measured = turbo_lab("plan", *grid, folder=lab)
    assert measured.document["forecast"]["wall_s"] is not None
    assert new.document["forecast"]["wall_s"] is None and new.document["warnings"]
    assert measured.document["cells"][0]["aliases"]
    pictured = turbo_lab("plan", *FROM_PICTURES, *HERE, "--json", folder=lab)
    check("plan", new, measured, pictured)


def test_sweep(turbo_lab: TurboLab, lab: Path, swept: dict[str, Any], checker: str) -> None:
    assert {cell["status"] for cell in swept["cells"]} == {"done", "failed"}
    bare = ["num_images=8", "metrics=none", "timing=off", "tracking=none", *HERE, "--json"]
    again = turbo_lab("sweep", "sweep=single", *bare, folder=lab)
    assert again.document["counts"]["reused"] == 1
    old = [json.loads(p.read_text("utf-8")) for p in (FILES / "store").rglob("sweep.json")]
    skills = [{"prompt": "a red apple", "skill": "colour"}, {"prompt": "two", "skill": "counting"}]
    (lab / "skills.jsonl").write_text("\n".join(map(json.dumps, skills)))
    prompts = ["prompts=file", "prompts.path=skills.jsonl", f"safety_checker={checker}"]
    words = [*FROM_PICTURES, *prompts, "tracking=none", *HERE, "--json"]
    pictured = turbo_lab("sweep", *words, folder=lab)
    check("sweep", swept, again, pictured, *old)


@pytest.fixture(scope="module")
def pictured(turbo_lab: TurboLab, lab: Path, checker: str) -> Answer:
    """Two images from source images, judged by a safety checker."""
    words = [*FROM_PICTURES, f"safety_checker={checker}", *HERE, "--json"]
    return turbo_lab("generate", "a red apple", *words, folder=lab)


def test_generate(drawn: Answer, pictured: Answer) -> None:
    check("generate", drawn, pictured)


def test_show(turbo_lab: TurboLab, lab: Path, drawn: Answer, pictured: Answer) -> None:
    paths = [answer.document["images"][0]["path"] for answer in (drawn, pictured)]
    check("show", *(turbo_lab("show", path, "--json", folder=lab) for path in paths))


def test_bench(turbo_lab: TurboLab, lab: Path) -> None:
    grid = ["batch_size=1,2,4", "lora=none,misfit.safetensors", "num_images=4"]
    answer = turbo_lab("bench", *grid, *HERE, "--json", folder=lab)
    assert answer.exit_code == 3, answer.errors
    pictured = turbo_lab("bench", *FROM_PICTURES, "timing=short", *HERE, "--json", folder=lab)
    check("bench", answer, pictured)


def test_bench_pair(turbo_lab: TurboLab, lab: Path) -> None:
    words = ["candidate.num_inference_steps=2", "num_images=1", *HERE, "--json"]
    check("bench pair", turbo_lab("bench", *words, folder=lab))


def test_compare(turbo_lab: TurboLab, lab: Path, swept: dict[str, Any]) -> None:
    words = ["candidate.dtype=bfloat16", "published=on", "num_images=8", *HERE, "--json"]
    pictured = [*words[:1], *FROM_PICTURES, *HERE, "--json"]
    check(
        "compare",
        turbo_lab("compare", *words, folder=lab),
        turbo_lab("compare", *pictured, folder=lab),
    )


def test_gate(turbo_lab: TurboLab, lab: Path) -> None:
    shutil.copytree(FILES / "baselines", lab / "baselines", dirs_exist_ok=True)
    policy = ["gate=release", "gate.goldens=none", "device=cpu", "num_images=8", "--json"]
    stored = turbo_lab("gate", *policy, "gate.baseline=old", "num_threads=2", folder=lab)
    missing = turbo_lab("gate", *policy, "gate.baseline=none", "num_threads=1", folder=lab)
    assert missing.document["baseline_digest"] is None
    sides = ["candidate.num_inference_steps=2", "baseline.num_inference_steps=1", "num_threads=1"]
    strict = "gate.quality.clip_score.margin=0"
    redrawn = turbo_lab("gate", *policy, strict, *sides, "num_images=16", folder=lab)
    check("gate", stored, missing, redrawn)


def test_gate_calibrate(turbo_lab: TurboLab, lab: Path) -> None:
    effort = ["--seeds", "2", "--resamples", "8", "--real", "1"]
    words = ["prompts=scenes-demo", "gate.goldens=none", *HERE, "--json"]
    check("gate calibrate", turbo_lab("gate", "calibrate", *effort, *words, folder=lab))


@pytest.mark.slow
def test_gate_mutate(turbo_lab: TurboLab, lab: Path) -> None:
    words = ["gate.goldens=none", "num_images=8", *HERE, "--json"]
    check("gate mutate", turbo_lab("gate", "mutate", *words, folder=lab))


def test_upgrade() -> None:
    nothing = replace(report(), timing=None, identical_images=None, made_s=None)
    check("upgrade", printed("upgrade", report()), printed("upgrade", nothing))


def test_bisect() -> None:
    check("bisect", printed("bisect", bisection()))


def test_baseline(turbo_lab: TurboLab, lab: Path, swept: dict[str, Any]) -> None:
    words = ["baseline", "set", "mine", swept["sweep_id"], "cell=0", "--json"]
    first, second = (turbo_lab(*words, folder=lab) for _ in range(2))
    assert first.document["replaced"] is None and second.document["replaced"]
    check("baseline set", first, second)
    check("baseline list", turbo_lab("baseline", "list", "--json", folder=lab))
    check("baseline show", turbo_lab("baseline", "show", "mine", "--json", folder=lab))


def test_history(turbo_lab: TurboLab, tmp_path: Path) -> None:
    path = tmp_path / "turbo-lab-history.jsonl"
    append(path, entries(stepped()))
    check("history show", turbo_lab("history", "show", "--json", folder=tmp_path))
    document = tmp_path / "bench.json"
    document.write_text(json.dumps(to_document("bench", BENCH)))
    recorded = turbo_lab("history", "record", "bench.json", "--json", folder=tmp_path)
    check("history record", recorded)
    words = ["history", "simulate", "--entries", "12", "--runs", "20", "--json"]
    check("history simulate", turbo_lab(*words, folder=tmp_path))


def test_report(turbo_lab: TurboLab, lab: Path, swept: dict[str, Any]) -> None:
    check("report", turbo_lab("report", swept["sweep_id"], "--json", folder=lab))


def test_export(turbo_lab: TurboLab, lab: Path, swept: dict[str, Any]) -> None:
    check("export", turbo_lab("export", swept["sweep_id"], "out", "--json", folder=lab))


def test_init(turbo_lab: TurboLab, tmp_path: Path) -> None:
    check("init", turbo_lab("init", "--json", folder=tmp_path))


def test_reproduce(turbo_lab: TurboLab, lab: Path, drawn: Answer) -> None:
    image = Path(drawn.document["images"][0]["path"])
    words = ["device=cpu", "num_threads=2", "--json"]
    _forge(image, lab / "forged.png")
    forged = turbo_lab("reproduce", "forged.png", *words, folder=lab)
    same = turbo_lab("reproduce", str(image), "device=cpu", "--json", folder=lab)
    assert same.document["identical"] is True
    check("reproduce", same, forged)


def _forge(image: Path, target: Path) -> None:
    """Write an image whose recipe names pixels that the recipe does not draw."""
    with Image.open(image) as opened:
        pixels, text = np.array(opened), dict(opened.text)  # type: ignore[attr-defined]
    pixels[:8, :8] ^= 0x80
    about = json.loads(text["turbo-lab"])
    size = "{1}x{0}\n".format(*pixels.shape).encode()
    about["pixel_sha256"] = hashlib.sha256(size + pixels.tobytes()).hexdigest()
    notes = PngInfo()
    for key, value in (text | {"turbo-lab": json.dumps(about)}).items():
        notes.add_text(key, value)
    Image.fromarray(pixels).save(target, pnginfo=notes)


def test_reference_build(turbo_lab: TurboLab, lab: Path) -> None:
    folder = str(next((lab / "old" / "batches").glob("*/*")))
    words = [folder, "--features", "--output", "mine.safetensors", "--json"]
    check("reference build", turbo_lab("reference", "build", *words, folder=lab))


def test_models(turbo_lab: TurboLab, lab: Path) -> None:
    listed = turbo_lab("models", "list", "--json", folder=lab)
    check("models list", listed)
    names = [row["name"] for row in listed.document["models"] if row["name"] != "local"]
    shown = [turbo_lab("models", "show", name, "--json", folder=lab) for name in names]
    check("models show", *shown)
    check("models verify", turbo_lab("models", "verify", "--json", folder=lab))


def test_doctor(turbo_lab: TurboLab, lab: Path) -> None:
    check("doctor", turbo_lab("doctor", "--json", folder=lab))


def test_store(turbo_lab: TurboLab, lab: Path) -> None:
    store = shutil.copytree(lab / "old", lab / "damaged")
    check("store du", turbo_lab("store", "du", "store=damaged", "--json", folder=lab))
    words = ["store=damaged", "--json"]
    next((store / "batches").rglob("*.png")).write_bytes(b"")
    found = turbo_lab("store", "verify", *words, folder=lab)
    mended = turbo_lab("store", "verify", "--remove-damaged", *words, folder=lab)
    check("store verify", found, mended)
    for record in (store / "records").rglob("*.json"):
        record.unlink()
    kept = turbo_lab("store", "gc", "--orphans", "--dry-run", *words, folder=lab)
    freed = turbo_lab("store", "gc", "--orphans", *words, folder=lab)
    assert kept.document["removed"] == freed.document["removed"] != []
    check("store gc", kept, freed)


def test_sync(turbo_lab: TurboLab, lab: Path) -> None:
    words = ["store=old", "tracking.uri=sqlite:///mlflow.db", "--json"]
    check("sync", turbo_lab("sync", *words, folder=lab))


@pytest.fixture(scope="module")
def goldens(turbo_lab: TurboLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one golden, and a case that has none."""
    folder = tmp_path_factory.mktemp("goldens")
    case = ["one", "batch_size=1", "num_images=1", "--processes", "0", *HERE]
    answer = turbo_lab("golden", "record", *case, "--json", folder=folder)
    assert answer.exit_code == 0, answer.errors
    check("golden record", answer)
    return folder


def _edit(golden: Path, stage: str | None = None, torch: str | None = None) -> None:
    """Give a golden another hash of one stage, or another environment, and its digest."""
    values = json.loads(golden.read_text(encoding="utf-8"))
    del values["digest"]
    for kept in values["stages"]:
        if kept["stage"] == stage:
            kept["sha256"] = values["accepted"][0]["outcome"] = "0" * 64
    for keys in (values["fingerprint"]["keys"], *(one["keys"] for one in values["accepted"])):
        keys["torch"] = torch or keys["torch"]
    signed = {key: value for key, value in values.items() if key != "turbo_lab"}
    golden.write_text(json.dumps({**values, "digest": digest(signed)}), encoding="utf-8")


def test_golden_record_and_list(turbo_lab: TurboLab, goldens: Path, tmp_path: Path) -> None:
    shutil.copytree(goldens / "goldens", tmp_path / "goldens")
    path = tmp_path / "goldens" / "cases.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["cases"]["two"] = ["seed=1"]
    path.write_text(json.dumps(values), encoding="utf-8")
    answer = turbo_lab("golden", "list", "--json", folder=tmp_path)
    assert [row["outcome"] is None for row in answer.document["goldens"]] == [False, True]
    check("golden list", answer)


def test_golden_check(turbo_lab: TurboLab, goldens: Path, tmp_path: Path) -> None:
    shutil.copytree(goldens / "goldens", tmp_path / "goldens")
    sidecar = tmp_path / "goldens" / "one" / "golden.json"
    same = turbo_lab("golden", "check", "--json", folder=tmp_path)
    assert same.document["cases"][0]["tier"] == "T0"
    _edit(sidecar, stage="vae", torch="2.0")
    upgraded = turbo_lab("golden", "check", "--json", folder=tmp_path)
    assert upgraded.document["cases"][0]["tier"] == "T1"
    shutil.copy(goldens / "goldens" / "one" / "golden.json", sidecar)
    _edit(sidecar, stage="vae")
    apart = turbo_lab("golden", "check", "--explain", "--json", folder=tmp_path)
    assert apart.exit_code == 1, apart.errors
    check("golden check", same, upgraded, apart)


def test_golden_accept_reject_and_prune(turbo_lab: TurboLab, goldens: Path, tmp_path: Path) -> None:
    shutil.copytree(goldens / "goldens", tmp_path / "goldens")
    _edit(tmp_path / "goldens" / "one" / "golden.json", stage="vae")
    why = ["one", "--reason", "tried", "--json"]
    rejected = turbo_lab("golden", "reject", *why, folder=tmp_path)
    check("golden reject", rejected)
    effort = [*why, "--processes", "0"]
    beside = turbo_lab("golden", "accept", *effort, "--expires", "2999-12-31", folder=tmp_path)
    moved = turbo_lab("golden", "accept", *effort, folder=tmp_path)
    assert moved.document["accepted"][0]["was_known_bad"] == "tried"
    check("golden accept", beside, moved)
    shutil.copytree(tmp_path / "goldens" / "one", tmp_path / "goldens" / "orphan")
    pruned = turbo_lab("golden", "prune", "--json", folder=tmp_path)
    assert pruned.document["removed"] == ["orphan"]
    check("golden prune", pruned)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["calibrate", "mutate", "invariance"])
def test_golden_trials(command: str, turbo_lab: TurboLab, goldens: Path) -> None:
    answer = turbo_lab("golden", command, "--json", folder=goldens)
    check(f"golden {command}", answer)


DOCUMENT = {"kind": "x", "cells": [{"id": "a", "value": 1.5, "ci95": None, "pairs": [["p", 1]]}]}
SHAPE = {
    "kind": "string",
    "cells[].id": "string",
    "cells[].value": "number|null",
    "cells[].ci95": "list[number]|null",
    "cells[].pairs[].0": "string",
    "cells[].pairs[].1": "number",
}


@pytest.mark.parametrize(
    ("path", "change", "problem"),
    [
        ([], {"kind": None}, "kind: is null, not string"),
        ([], {"cells": {}}, "cells: is object, not list"),
        (["cells", 0], {"id": 7}, "cells[0].id: is integer, not string"),
        (["cells", 0], {"value": True}, "cells[0].value: is boolean, not number or null"),
        (["cells", 0], {"value": "much"}, "cells[0].value: is string, not number or null"),
        (["cells", 0], {"ci95": ["a"]}, "cells[0].ci95: is list, not list[number] or null"),
        (["cells", 0], {"pairs": [[1, "p"]]}, "cells[0].pairs[0][0]: is integer, not string"),
        (["cells", 0], {"pairs": [["p"]]}, "cells[0].pairs[0].1: is missing"),
    ],
)
def test_a_retyped_field_breaks_the_contract(
    path: Sequence[Any], change: dict[str, Any], problem: str
) -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    assert differences(document, SHAPE) == []
    inner = document
    for key in path:
        inner = inner[key]
    inner.update(change)
    assert problem in differences(document, SHAPE)


def test_a_removed_or_renamed_field_breaks_the_contract() -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    del document["kind"]
    document["cells"][0]["cell_id"] = document["cells"][0].pop("id")
    assert differences(document, SHAPE) == ["kind: is missing", "cells[0].id: is missing"]


def test_a_new_field_and_a_number_that_is_not_finite_keep_it() -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    document["cells"][0] |= {"new": 1, "value": "inf", "ci95": [0, "inf"]}
    assert differences(document, SHAPE) == []


def test_a_field_that_no_document_has_is_named() -> None:
    assert unreached([DOCUMENT], SHAPE | {"cells[].note?": "string"}) == {"cells[].note"}
    assert unreached([{"kind": "x", "cells": []}], SHAPE) == set(SHAPE) - {"kind"}

"""Tests mirror the package: a test file at each module's path, a module for each test file."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WITHOUT_TESTS = {
    "documents/compare.py": "fields only; docs/json.md and the reports' tests show them",
    "documents/kinds.py": "a table of names; tests/docs/test_json_page.py checks it",
    "documents/models.py": "fields only; written by commands, whose tests read them",
    "documents/plan.py": "fields only; written by turbo-lab plan, whose tests read them",
    "documents/results.py": "fields only; written by commands, whose tests read them",
    "documents/store.py": "fields only; written by turbo-lab store, whose tests read them",
    "execute/context.py": "fields and a protocol; the driver's tests fill them",
    "upgrade/messages.py": "fields only; the probe's tests read them",
}
"""Modules that define nothing to call, by reason."""

CROSS_CUTTING = {
    "api/test_contexts.py": "calls from Hydra, threads, an event loop and pools of processes",
    "cards/test_packaged_family.py": "the weights that ship, loaded by stock diffusers",
    "cards/test_published_cards.py": "the cards of published models in conf/",
    "cli/test_gate.py": "all commands of the gate, from words to files",
    "cli/test_shapes.py": "shapes, from commands to timings",
    "cli/test_read_only_store.py": "every command on a store that cannot be written to",
    "contract/": "the outside behaviour of every command",
    "docs/": "the pages of docs/",
    "execute/test_kills.py": "a sweep that is killed at every step",
    "execute/test_pipeline_failures.py": "pipeline keys that fail while a cell is drawn",
    "execute/test_processes.py": "a sweep in fresh processes",
    "execute/test_sharing.py": "whole sweeps that share work",
    "experiments/": "the package experiments",
    "report/test_explored.py": "a sweep's page, from the sweep to the page to a sweep again",
    "report/text/test_width.py": "the tables of every command, at 80 columns",
    "runtime/test_nano_turbo.py": "the shipped model against the stock pipeline",
    "runtime/test_on_a_gpu.py": "what only a GPU shows, from config to images",
    "runtime/test_pipeline_keys.py": "every pipeline key against diffusers, from config to images",
    "runtime/test_single_files.py": "checkpoints in one file, from card to images",
    "runtime/test_variants.py": "variants of the pipeline, from config to images",
    "test_architecture.py": "imports between all modules",
    "test_ci_files.py": "the files of continuous integration",
    "test_release.py": "the script of make release",
    "test_language.py": "the words of all messages and docstrings",
    "test_mirror.py": "the tree itself",
    "test_workers.py": "tests/workers.py",
    "tracking/test_servers.py": "tracking servers that misbehave, from command to run",
    "workflows/test_image_to_image.py": "image to image, from command to report",
    "workflows/test_memory_keys.py": "slicing, tiling and offloading, from sweep to golden",
    "workflows/test_safety.py": "a safety checker, from sweep to report",
}
"""Test files and folders of more than one module, by what they are about."""

UNMIRRORED = (
    "cli/__main__.py",
    "cli/baseline.py",
    "cli/bench_pair.py",
    "cli/gate/",
    "cli/golden/calibrate.py",
    "cli/golden/invariance.py",
    "cli/golden/mutate.py",
    "cli/grid.py",
    "cli/groups.py",
    "cli/models/list.py",
    "cli/models/show.py",
    "cli/models/verify.py",
    "cli/reproduce.py",
    "cli/store/du.py",
    "cli/store/gc.py",
    "cli/store/verify.py",
)
"""Commands without a test file: tests of several commands run them, mostly tests/contract/."""


def problems(
    package: Path, tests: Path, without_tests: Collection[str], cross_cutting: Collection[str]
) -> list[str]:
    """Return what breaks the mirror, one line each."""
    initial = {
        name
        for name in _files(package, "__init__.py")
        if not _defines_something_to_call(package / name)
    }
    modules = set(_files(package, "*.py")) - initial
    files = set(_files(tests, "test_*.py"))
    found = []
    for module in sorted(modules):
        if module in without_tests:
            if _defines_something_to_call(package / module):
                found.append(f"{module}: has functions, so it needs {_mirrored(module)}")
        elif _mirrored(module) not in files:
            found.append(f"{module}: has no {_mirrored(module)}")
    wanted = {_mirrored(module) for module in modules}
    for file in sorted(files - wanted):
        if not file.startswith(tuple(cross_cutting)):
            found.append(f"{file}: mirrors no module")
    found += [
        f"{one}: is listed and does not exist" for one in sorted(set(without_tests) - modules)
    ]
    for one in sorted(cross_cutting):
        if not any(file.startswith(one) for file in files):
            found.append(f"{one}: is listed and does not exist")
        elif one in wanted:
            found.append(f"{one}: is listed and mirrors a module")
    return found


def _files(root: Path, pattern: str) -> Iterable[str]:
    paths = (path.relative_to(root).as_posix() for path in root.rglob(pattern))
    return (path for path in paths if not path.startswith(UNMIRRORED))


def _mirrored(module: str) -> str:
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name.replace('__init__', 'init')}".lstrip("/")


def _defines_something_to_call(path: Path) -> bool:
    """Return whether a module has a function with a body; those of protocols have none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return any(not all(_is_text(line) for line in function.body) for function in functions)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def test_every_module_has_a_test_file_and_every_test_file_a_module() -> None:
    assert problems(ROOT / "turbo_lab", ROOT / "tests", WITHOUT_TESTS, CROSS_CUTTING) == []


FUNCTION = "def f() -> int:\n    return 1\n"
FIELDS = (
    'class P:\n    x: int\n    """A field."""\n\n    def f(self) -> int:\n        """Read."""\n'
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package and its tests, which mirror it."""
    planted = {
        "package/__init__.py": "from package.a import f\n",
        "package/a.py": FUNCTION,
        "package/sub/__init__.py": "",
        "package/sub/b.py": FUNCTION,
        "package/sub/fields.py": FIELDS,
        "package/cli/baseline.py": FUNCTION,
        "tests/test_a.py": "",
        "tests/sub/test_b.py": "",
        "tests/pages/test_page.py": "",
    }
    for name, text in planted.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def in_tree(tree: Path) -> list[str]:
    return problems(tree / "package", tree / "tests", ["sub/fields.py"], ["pages/"])


def test_a_tree_that_mirrors_has_no_problems(tree: Path) -> None:
    assert in_tree(tree) == []


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("package/sub/new.py", FUNCTION, "sub/new.py: has no sub/test_new.py"),
        ("package/sub/new.py", "X = 1\n", "sub/new.py: has no sub/test_new.py"),
        ("tests/sub/test_gone.py", "", "sub/test_gone.py: mirrors no module"),
        ("tests/test_b.py", "", "test_b.py: mirrors no module"),
        (
            "package/sub/fields.py",
            FIELDS + "\n" + FUNCTION,
            "sub/fields.py: has functions, so it needs sub/test_fields.py",
        ),
        (
            "package/sub/__init__.py",
            FUNCTION,
            "sub/__init__.py: has no sub/test_init.py",
        ),
    ],
)
def test_a_planted_gap_is_seen(tree: Path, file: str, text: str, problem: str) -> None:
    (tree / file).write_text(text)
    assert in_tree(tree) == [problem]


def test_lists_do_not_outlive_what_they_name(tree: Path) -> None:
    (tree / "package" / "sub" / "fields.py").unlink()
    (tree / "tests" / "pages" / "test_page.py").unlink()
    assert in_tree(tree) == [
        "sub/fields.py: is listed and does not exist",
        "pages/: is listed and does not exist",
    ]
    assert problems(tree / "package", tree / "tests", [], ["test_a.py"]) == [
        "test_a.py: is listed and mirrors a module"
    ]

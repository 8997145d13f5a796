"""Imports go one way, and the light commands stay light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "turbo_lab"
# The longest prefix counts. A module that no line covers fails the test.
RANKS = {
    "turbo_lab": 0,
    "turbo_lab.errors": 0,
    "turbo_lab.identity": 0,
    "turbo_lab.confine": 1,
    "turbo_lab.claims": 2,
    "turbo_lab.spec": 1,
    "turbo_lab.images": 2,
    "turbo_lab.stats": 1,
    "turbo_lab.schedule": 1,
    "turbo_lab.scaling": 2,
    "turbo_lab.similarity": 1,
    "turbo_lab.progress": 1,
    "turbo_lab.prompts": 2,
    "turbo_lab.published": 3,
    "turbo_lab.cards": 2,
    "turbo_lab.plan": 2,
    "turbo_lab.environment": 2,
    "turbo_lab.metrics": 2,
    "turbo_lab.record": 3,
    "turbo_lab.resolve": 3,
    "turbo_lab.store": 4,
    "turbo_lab.upkeep": 5,
    "turbo_lab.forecast": 5,
    "turbo_lab.projection": 5,
    "turbo_lab.baseline": 5,
    "turbo_lab.policy": 5,
    "turbo_lab.compare": 4,
    "turbo_lab.golden": 4,
    "turbo_lab.runtime": 5,
    "turbo_lab.metrics.*": 5,
    "turbo_lab.models": 5,
    "turbo_lab.execute": 6,
    "turbo_lab.trials": 9,
    "turbo_lab.pytest_plugin": 11,
    "turbo_lab.gate": 6,
    "turbo_lab.report": 6,
    "turbo_lab.tracking": 6,
    "turbo_lab.config": 7,
    "turbo_lab.results": 7,
    "turbo_lab.planning": 8,
    "turbo_lab.commands": 10,
    "turbo_lab.cli": 11,
}
HEAVY = ("torch", "diffusers", "transformers", "mlflow", "open_clip", "torchvision", "peft", "ray")
# Where a heavy package may be imported when the module is.
HEAVY_AT_TOP = ("turbo_lab.runtime.", "turbo_lab.metrics.")
# The only modules that may name these at all.
OWNED = {
    "mlflow": "turbo_lab.tracking",
    "hydra": "turbo_lab.config",
    "omegaconf": "turbo_lab.config",
}


def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE.parent).with_suffix("")
        name = ".".join(relative.parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def rank(name: str) -> int:
    """Of a module, by the longest prefix in the table."""
    parts = name.split(".")
    if name in RANKS:
        return RANKS[name]
    for end in range(len(parts) - 1, 1, -1):
        prefix = ".".join(parts[:end])
        if f"{prefix}.*" in RANKS:
            return RANKS[f"{prefix}.*"]
        if prefix in RANKS:
            return RANKS[prefix]
    raise AssertionError(f"{name}: add its rank to RANKS, from the design's table")


def is_type_checking(node: ast.AST) -> bool:
    """``if TYPE_CHECKING:`` is never run."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(tree: ast.AST, inside_functions: bool = True) -> Iterator[str]:
    """Names imported; ``from a import b`` gives ``a.b`` too where both could be modules."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node, inside_functions)


def target_module(name: str, known: set[str]) -> str | None:
    """The module behind an imported name, if it is ours."""
    while name:
        if name in known:
            return name
        name = name.rpartition(".")[0]
    return None


def top_package(name: str) -> str:
    """``turbo_lab.cards.hub`` is of ``turbo_lab.cards``."""
    return ".".join(name.split(".")[:2])


def rank_violations(trees: dict[str, ast.Module]) -> list[str]:
    """Imports of a higher rank, or of the same rank in another package."""
    wrong = []
    for name, tree in trees.items():
        for imported in imports(tree):
            target = target_module(imported, set(trees))
            if target in (None, "turbo_lab") or top_package(name) == top_package(str(target)):
                continue
            if rank(str(target)) >= rank(name):
                wrong.append(f"{name} ({rank(name)}) imports {target} ({rank(str(target))})")
    return wrong


def test_imports_go_from_a_higher_rank_to_a_lower_one() -> None:
    assert rank_violations(modules()) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("turbo_lab.spec", "from turbo_lab.cards import locate"),
        ("turbo_lab.spec", "def f():\n    from turbo_lab import config"),
        ("turbo_lab.plan", "import turbo_lab.prompts"),
        ("turbo_lab.metrics", "from turbo_lab.store import Store"),
    ],
)
def test_the_rank_guard_can_fail(name: str, code: str) -> None:
    trees = modules()
    trees[name] = ast.parse(code)
    assert any(line.startswith(f"{name} (") for line in rank_violations(trees))


def test_the_rank_guard_passes_over_what_is_never_run() -> None:
    trees = modules()
    trees["turbo_lab.spec"] = ast.parse("if TYPE_CHECKING:\n    from turbo_lab.cards import locate")
    assert rank_violations(trees) == []


def test_heavy_packages_are_imported_lazily() -> None:
    wrong = [
        f"{name} imports {imported} when it is imported"
        for name, tree in modules().items()
        if not name.startswith(HEAVY_AT_TOP)
        for imported in imports(tree, inside_functions=False)
        if imported.split(".")[0] in HEAVY
    ]
    assert wrong == []


def test_hydra_and_mlflow_each_have_one_module() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, tree in modules().items()
        for imported in imports(tree)
        for package, owner in OWNED.items()
        if imported.split(".")[0] == package and not f"{name}.".startswith(f"{owner}.")
    ]
    assert wrong == []


def test_there_are_no_pickles_and_no_import_of_tests() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, tree in modules().items()
        for imported in imports(tree)
        if imported.split(".")[0] in ("pickle", "dill", "joblib", "tests")
    ]
    assert wrong == []


LIGHT = ("torch", "diffusers", "transformers", "mlflow")


def heavy_after(code: str, tmp_path: Path) -> list[str]:
    """Which of LIGHT a fresh interpreter has imported after running ``code``."""
    script = f"import sys\n{code}\nprint('heavy:', *[m for m in {LIGHT!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plan", "num_inference_steps=1,2,4", "guidance_scale=0,2", "--json"],
        ["models", "list"],
        ["models", "show", "nano-turbo", "--json"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_light_commands_import_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code = f"from turbo_lab.cli import main\nassert main({arguments!r}) == 0"
    assert heavy_after(code, tmp_path) == []


def test_the_torch_guard_can_fail(tmp_path: Path) -> None:
    assert heavy_after("import diffusers", tmp_path) == ["torch", "diffusers"]

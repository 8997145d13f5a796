"""Imports go one way, and the light commands stay light."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from turbo_lab.workflows.sweep import Executed

PACKAGE = Path(__file__).parent.parent / "turbo_lab"
# An import goes to a lower rank, or stays in its package. Sorted by rank; docs/architecture.md
# shows the same table.
RANKS: dict[str, float] = {
    "turbo_lab": 0,
    "turbo_lab.errors": 0,
    "turbo_lab.verdict": 0.05,
    "turbo_lab.identity": 0.1,
    "turbo_lab.analysis": 1,
    "turbo_lab.untrusted": 1.1,
    "turbo_lab.images": 1.2,
    "turbo_lab.progress": 1.3,
    "turbo_lab.cards": 2,
    "turbo_lab.environment": 2.1,
    "turbo_lab.config": 3,
    "turbo_lab.request": 3.1,
    "turbo_lab.infotext": 3.2,
    "turbo_lab.store": 4,
    "turbo_lab.documents": 4.1,
    "turbo_lab.history": 4.2,
    "turbo_lab.metrics": 5,
    "turbo_lab.planning": 5.1,
    "turbo_lab.tracking": 6,
    "turbo_lab.runtime": 6.1,
    "turbo_lab.execute": 7,
    "turbo_lab.golden": 8,
    "turbo_lab.trials": 9,
    "turbo_lab.report": 10,
    "turbo_lab.workflows": 11,
    "turbo_lab.compare": 12,
    "turbo_lab.gate": 13,
    "turbo_lab.upgrade": 13.5,
    "turbo_lab.api": 14,
    "turbo_lab.cli": 14.1,
    "turbo_lab.pytest_plugin": 14.2,
}
# The package passes the functions of the Python interface on, when one of them is first used.
PASSED_ON = ("turbo_lab", "turbo_lab.api")
HEAVY = ("torch", "diffusers", "transformers", "mlflow", "open_clip", "torchvision", "peft", "ray")
# Where a heavy package may be imported when the module is.
HEAVY_AT_TOP = ("turbo_lab.runtime.", "turbo_lab.metrics.")
# Most lines of a module of the command line, with no exception.
MOST_LINES = 80
# The only modules that may name these at all.
OWNED = {
    "mlflow": "turbo_lab.tracking",
    "hydra": "turbo_lab.config",
    "omegaconf": "turbo_lab.config",
}


@cache
def _parsed() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE.parent).with_suffix("")
        name = ".".join(relative.parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed once; a test may put others into the dictionary."""
    return dict(_parsed())


def rank(name: str) -> float:
    """Return a module's rank, by the longest prefix in the table."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        prefix = ".".join(parts[:end])
        if prefix in RANKS:
            return RANKS[prefix]
    assert name == "turbo_lab", f"{name}: add its rank to RANKS and to docs/architecture.md"
    return RANKS[name]


def is_type_checking(node: ast.AST) -> bool:
    """``if TYPE_CHECKING:`` is never run."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@cache
def imports(tree: ast.Module, inside_functions: bool = True) -> tuple[str, ...]:
    """Names imported; ``from a import b`` gives ``a.b`` too where both could be modules."""
    return tuple(_imports(tree, inside_functions))


def _imports(tree: ast.AST, inside_functions: bool) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and inside_functions:
            yield from imported_by_name(node)
        yield from _imports(node, inside_functions)


def imported_by_name(call: ast.Call) -> Iterator[str]:
    """Module names in a call such as ``importlib.import_module("a.b")`` or ``find_spec``."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if function in ("import_module", "find_spec", "__import__"):
        for argument in call.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def target_module(name: str, known: Collection[str]) -> str | None:
    """The module behind an imported name, if it is ours."""
    while name:
        if name in known:
            return name
        name = name.rpartition(".")[0]
    return None


def top_package(name: str) -> str:
    """Return the package or loose module that a module belongs to: its rank is its own."""
    return str(rank(name))


def edges(trees: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """Every import of one of our modules by another."""
    for name, tree in trees.items():
        for imported in imports(tree):
            target = target_module(imported, trees)
            if target is not None and target not in ("turbo_lab", name):
                yield name, target


def rank_violations(trees: dict[str, ast.Module]) -> list[str]:
    """Imports of a higher rank, or of the same rank in another package."""
    return [
        f"{name} ({rank(name)}) imports {target} ({rank(target)})"
        for name, target in edges(trees)
        if top_package(name) != top_package(target) and rank(target) >= rank(name)
        if (name, target) != PASSED_ON
    ]


def circles(trees: dict[str, ast.Module]) -> list[str]:
    """Modules that import themselves by way of others, also inside one package."""
    targets: dict[str, set[str]] = {name: set() for name in trees}
    for name, target in edges(trees):
        targets[name].add(target)
    reached = {name: set(found) for name, found in targets.items()}
    for middle in trees:  # Warshall's transitive closure
        for found in reached.values():
            if middle in found:
                found |= reached[middle]
    return sorted(name for name, found in reached.items() if name in found)


def experiments_named(trees: dict[str, ast.Module]) -> list[str]:
    """Modules that import ``experiments``, or name one of its modules in a string."""
    return [
        name
        for name, tree in trees.items()
        if any(imported.split(".")[0] == "experiments" for imported in imports(tree))
        or any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"experiments(\.\w+)*", node.value)
            for node in ast.walk(tree)
        )
    ]


def test_ranks_are_sorted() -> None:
    assert list(RANKS.values()) == sorted(RANKS.values())


def page_ranks() -> list[tuple[str, int]]:
    """Return the rows of the rank table in docs/architecture.md, from the top."""
    page = PACKAGE.parent / "docs" / "architecture.md"
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| .+ \|$", page.read_text("utf-8"), flags=re.M)
    return [(f"turbo_lab.{package}", int(number)) for number, package in rows]


def test_the_architecture_page_shows_the_ranks() -> None:
    packages = sorted((of, name) for name, of in RANKS.items() if name.count(".") == 1)
    assert page_ranks() == [(name, int(of)) for of, name in packages]


def test_imports_go_from_a_higher_rank_to_a_lower_one() -> None:
    assert rank_violations(modules()) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(modules()) == []


def test_the_package_does_not_know_the_experiments() -> None:
    assert experiments_named(modules()) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("turbo_lab.request.recipe", "from turbo_lab.store.store import Store"),
        ("turbo_lab.request.recipe", "def f():\n    from turbo_lab import planning"),
        ("turbo_lab.planning.plan", "import turbo_lab.tracking.runs"),
        ("turbo_lab.metrics", "from turbo_lab.compare.paired import CheckResult"),
        ("turbo_lab.store.store", "import importlib\nimportlib.import_module('turbo_lab.cli')"),
    ],
)
def test_the_rank_guard_can_fail(name: str, code: str) -> None:
    trees = modules()
    trees[name] = ast.parse(code)
    assert any(line.startswith(f"{name} (") for line in rank_violations(trees))


def test_the_rank_guard_passes_over_what_is_never_run() -> None:
    trees = modules()
    trees["turbo_lab.request.recipe"] = ast.parse(
        "if TYPE_CHECKING:\n    from turbo_lab.store.store import Store"
    )
    assert rank_violations(trees) == []


def test_the_circle_guard_can_fail_inside_a_package() -> None:
    trees = modules()
    trees["turbo_lab.cards.first"] = ast.parse("from turbo_lab.cards import second")
    trees["turbo_lab.cards.second"] = ast.parse("def f():\n    import turbo_lab.cards.first")
    assert circles(trees) == ["turbo_lab.cards.first", "turbo_lab.cards.second"]


@pytest.mark.parametrize("code", ["import experiments.nano", "NAME = 'experiments.nano.world'"])
def test_the_experiments_guard_can_fail(code: str) -> None:
    trees = modules()
    trees["turbo_lab.request.recipe"] = ast.parse(code)
    assert "turbo_lab.request.recipe" in experiments_named(trees)


def long_modules(folder: Path, most: int = MOST_LINES) -> list[str]:
    """Modules below a folder that have more lines than a command needs to parse, call and print."""
    return [
        f"{path.relative_to(folder)}: {lines} lines"
        for path in sorted(folder.rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > most
    ]


def test_a_module_of_the_command_line_parses_calls_and_prints() -> None:
    """Work belongs to workflows/ or its subject's package, text to report/text/."""
    assert long_modules(PACKAGE / "cli") == []


def test_the_guard_of_the_command_line_can_fail(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "thin.py").write_text("x = 1\n" * MOST_LINES)
    (tmp_path / "golden" / "check.py").write_text("x = 1\n" * (MOST_LINES + 1))
    assert long_modules(tmp_path) == [f"golden/check.py: {MOST_LINES + 1} lines"]


def composers(trees: dict[str, ast.Module]) -> list[str]:
    """Functions below the Python interface that turn words into a config, by module."""
    return [
        f"{name}.{function.name}"
        for name, tree in sorted(trees.items())
        if rank(name) < RANKS["turbo_lab.api"] and not name.startswith("turbo_lab.config.")
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("compose", "config.compose")
    ]


def test_words_of_the_command_line_are_composed_there() -> None:
    """Below, a golden's case is composed from the words of its own document, and a process in
    another environment composes the words that the command line's process sends."""
    assert composers(modules()) == [
        "turbo_lab.golden.run_case.resolve_case",
        "turbo_lab.upgrade.probe._resolve",
    ]


@pytest.mark.parametrize("call", ["compose('gate', words)", "config.compose('gate', words)"])
def test_the_guard_of_words_can_fail(call: str) -> None:
    trees = {
        "turbo_lab.gate.new": ast.parse(f"def load(words):\n    return {call}"),
        "turbo_lab.cli.new": ast.parse(f"def load(words):\n    return {call}"),
    }
    assert composers(trees) == ["turbo_lab.gate.new.load"]


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


# What drawing imports only for metrics, tracking, plots or training.
NOT_FOR_DRAWING = (
    "mlflow",
    "sqlalchemy",
    "alembic",
    "pandas",
    "sklearn",
    "matplotlib",
    "open_clip",
    "torchmetrics",
    "torch_fidelity",
    "pytorch_optimizer",
    "ray",
)


def heavy_after(code: str, tmp_path: Path, names: Sequence[str] = LIGHT) -> list[str]:
    """Return which of ``names`` a fresh interpreter has imported after running ``code``."""
    script = f"import sys\n{code}\nprint('heavy:', *[m for m in {names!r} if m in sys.modules])"
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
    code = f"from turbo_lab.cli.main import main\nassert main({arguments!r}) == 0"
    assert heavy_after(code, tmp_path) == []


def test_results_are_read_from_python_without_torch(executed: Executed, tmp_path: Path) -> None:
    code = f"""
        import turbo_lab
        store = turbo_lab.open_store({str(executed.store.root)!r})
        for kind in ("cells", "images", "timings", "measurements"):
            assert len(store.to_pandas(kind)) > 0, kind
        assert store.images()
        assert callable(turbo_lab.sweep) and "_repr_html_" in dir(turbo_lab.Sweep)
    """
    assert heavy_after(textwrap.dedent(code), tmp_path) == []
    assert heavy_after("import turbo_lab", tmp_path, (*LIGHT, "pandas", "numpy", "hydra")) == []


def test_the_torch_guard_can_fail(tmp_path: Path) -> None:
    assert heavy_after("import diffusers", tmp_path) == ["torch", "diffusers"]


def first_image_with(tracking: str) -> str:
    """Code that stops a sweep when it opens its first image for writing."""
    return f"""
import os
from turbo_lab.cli.main import main

def stop(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".png") and arguments[2] & os.O_CREAT:
        print("heavy:", *[m for m in {NOT_FOR_DRAWING!r} if m in sys.modules], flush=True)
        os._exit(0)

sys.addaudithook(stop)
main(["sweep", "num_images=1", "num_inference_steps=1", "guidance_scale=0", "metrics=none",
      "timing=off", "num_threads=1", "tracking={tracking}"])
raise SystemExit("no image was drawn")
"""


@pytest.mark.parametrize("tracking", ["none", "local"])
def test_a_first_image_is_drawn_without_metrics_and_tracking(tracking: str, tmp_path: Path) -> None:
    assert heavy_after(first_image_with(tracking), tmp_path, NOT_FOR_DRAWING) == []


def test_the_drawing_guard_can_fail(tmp_path: Path) -> None:
    code = f"import sqlalchemy\n{first_image_with('none')}"
    assert heavy_after(code, tmp_path, NOT_FOR_DRAWING) == ["sqlalchemy"]

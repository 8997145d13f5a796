"""Links and anchors of the documents resolve, the index is complete, pictures are small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "experiments").glob("*.md"),
        *(ROOT / "experiments").glob("*/*.md"),
    ]
)
MOST_BYTES = 150 * 1024


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def links(path: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)


def anchor(title: str) -> str:
    """The anchor of a heading, by GitHub's rule."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings."""
    return {anchor(title) for title in re.findall(r"^#+ (.+)$", prose(path), flags=re.M)}


def broken(path: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    wrong = []
    for link in links(path):
        if link.startswith(("http://", "https://")):
            continue
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (heading and heading not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path: Path) -> None:
    assert broken(path) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#a-heading-with-code) [b](missing.md) [c](other.md#nowhere)\n")
    assert broken(page) == ["missing.md", "other.md#nowhere"]


def test_the_index_links_every_page() -> None:
    linked = {link.partition("#")[0] for link in links(DOCS / "index.md")}
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} <= linked


def recipes() -> set[str]:
    """Anchors of the recipes in docs/architecture.md."""
    page = (DOCS / "architecture.md").read_text("utf-8")
    part = page.partition("\n## Where does my change go?\n")[2].partition("\n## ")[0]
    return {anchor(title) for title in re.findall(r"^### (.+)$", part, flags=re.M)}


@pytest.mark.parametrize(
    ("page", "prefix"),
    [(ROOT / "CONTRIBUTING.md", "docs/architecture.md#"), (DOCS / "architecture.md", "#")],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_every_recipe_is_linked(page: Path, prefix: str) -> None:
    assert len(recipes()) > 10
    linked = {link.removeprefix(prefix) for link in links(page) if link.startswith(prefix)}
    assert recipes() - linked == set()


def test_pictures_are_small() -> None:
    pictures = [*DOCS.rglob("*.png"), *DOCS.rglob("*.jpg")]
    assert pictures
    large = [path.name for path in pictures if path.stat().st_size > MOST_BYTES]
    assert large == []


def missing_files(text: str) -> list[str]:
    """Files that a page names in code marks and that are not in the repository."""
    named = re.findall(r"`((?:turbo_lab|tests|experiments|conf|docs)/[\w./-]+\.\w+)`", text)
    return [name for name in named if "NAME" not in name and not (ROOT / name).is_file()]


# The changelog may speak of files that are gone.
@pytest.mark.parametrize(
    "path", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_that_a_page_names_are_there(path: Path) -> None:
    assert missing_files(path.read_text(encoding="utf-8")) == []


def test_a_missing_file_is_found() -> None:
    text = "`turbo_lab/nowhere.py`, `turbo_lab/errors.py` and `turbo_lab/cli/NAME.py`"
    assert missing_files(text) == ["turbo_lab/nowhere.py"]

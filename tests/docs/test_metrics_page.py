"""The recipe of docs/metrics.md for a metric in another interpreter, run as it is written."""

from __future__ import annotations

import re
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from turbo_lab.identity import DigestCache
from turbo_lab.metrics import interpreter, process, table
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import ExtractorSource
from turbo_lab.store.record import Measurement

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
RECIPE = PAGE.partition("### In another interpreter")[2]
INFO, SCORER = re.findall(r"^```python\n(.*?)^```", RECIPE, flags=re.M | re.S)
(POINTS,) = re.findall(r"^```toml\n(.*?)^```", RECIPE, flags=re.M | re.S)


def put_package(site: Path, name: str, version: str, points: str = "") -> None:
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (about / "entry_points.txt").write_text(points)


@pytest.fixture
def scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment with other versions, the recipe's script in it, and its metric here."""
    home = tmp_path / "opt" / "scorers"
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    put_package(site, "transformers", "4.30.2")
    (home / "scorer.py").write_text(SCORER)
    (tmp_path / "my_metrics.py").write_text(INFO.replace("/opt/scorers", str(home)))
    lines = POINTS.replace('[project.entry-points."turbo_lab.metrics"]', "[turbo_lab.metrics]")
    put_package(tmp_path, "my-metrics", "1.0", lines.replace('"', ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_metrics", raising=False)  # that of another test
    for cached in (table._added, table._loaded, interpreter._installed):
        cached.cache_clear()
    yield home
    process.end_scorers()
    for cached in (table._added, table._loaded, interpreter._installed):
        cached.cache_clear()


def run(
    images: np.ndarray, source: ExtractorSource, extractor: ClipExtractor, cache: DigestCache
) -> dict[str, Measurement]:
    prompts = [f"prompt {index // 2}" for index in range(len(images))]
    context = MetricContext(source)
    names = ["clip_score", "detail"]
    seeds = list(range(len(images)))
    found = measure(images, prompts, seeds, names, context, extractor, cache)
    assert metric_fingerprints(names, context, cache) == {m.name: m.fingerprint for m in found}
    return {one.name: one for one in found}


def test_the_recipe_measures_with_the_versions_of_its_environment(
    scorers: Path,
    images: np.ndarray,
    source: ExtractorSource,
    extractor: ClipExtractor,
    cache: DigestCache,
) -> None:
    found = run(images, source, extractor, cache)["detail"]
    assert found.value is not None and found.value > 100 and found.ci95 is not None
    assert found.unit == "bytes" and len(found.per_image or ()) == len(images)
    assert found.details is not None
    own = found.details["process"]
    assert isinstance(own, dict) and own["packages"] == {"transformers": "4.30.2"}
    assert (found.details["package"], found.details["package_version"]) == ("my-metrics", "1.0")
    (site,) = scorers.glob("lib/python*/site-packages")
    (site / "transformers-4.30.2.dist-info").rename(site / "transformers-4.31.0.dist-info")
    meta = site / "transformers-4.31.0.dist-info" / "METADATA"
    meta.write_text(meta.read_text().replace("4.30.2", "4.31.0"))
    interpreter._installed.cache_clear()
    assert run(images, source, extractor, cache)["detail"].fingerprint != found.fingerprint


def test_the_other_metrics_go_on_without_it(
    scorers: Path,
    images: np.ndarray,
    source: ExtractorSource,
    extractor: ClipExtractor,
    cache: DigestCache,
) -> None:
    (scorers / "scorer.py").write_text("import preference_model\n")
    found = run(images, source, extractor, cache)
    assert found["clip_score"].value is not None
    assert found["detail"].failed and found["detail"].value is None
    assert found["detail"].note == (
        "error: detail: its process ended with exit code 1 before it answered: "
        "ModuleNotFoundError: No module named 'preference_model'"
    )

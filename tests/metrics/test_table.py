"""The table of metrics; metrics of other packages, by a real installed distribution."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from turbo_lab.compare.paired import ScoredImages, compare_metric
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics import table
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import ExtractorSource
from turbo_lab.metrics.table import (
    METRICS,
    SETS,
    measurement_name,
    metric_info,
    metric_names,
    provider,
)

CODE = """
from turbo_lab.metrics import MetricInfo

def info(function):
    return MetricInfo("levels", "none", 3, f"brightness_metrics:{function}", False, False, False,
                      "mean level")

BRIGHTNESS, BROKEN, FOREIGN, SHORT = map(info, ("mean_level", "broken", "foreign", "short"))
NO_INFO = "a text"

def mean_level(inputs):
    from turbo_lab.metrics.inputs import Score
    values = inputs.pixels.mean(axis=(1, 2, 3))
    return Score(float(values.mean()), len(values), per_image=tuple(float(v) for v in values))

def broken(inputs):
    return {}["nothing"]

def foreign(inputs):
    return 0.5

def short(inputs):
    from turbo_lab.metrics.inputs import Score
    return Score(0.5, 1, per_image=(0.5,))
"""
POINTS = {
    "brightness": "BRIGHTNESS",
    "broken": "BROKEN",
    "foreign": "FOREIGN",
    "short": "SHORT",
    "no_info": "NO_INFO",
    "absent": "ABSENT",
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a distribution with these entry points on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(points: dict[str, str], name: str = "brightness-metrics") -> None:
        (tmp_path / "brightness_metrics.py").write_text(textwrap.dedent(CODE))
        about = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = "".join(f"{key} = brightness_metrics:{value}\n" for key, value in points.items())
        (about / "entry_points.txt").write_text(f"[turbo_lab.metrics]\n{lines}")
        table._added.cache_clear()

    yield put
    table._added.cache_clear()
    table._loaded.cache_clear()


def run(
    names: tuple[str, ...],
    source: ExtractorSource,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
) -> dict:
    texts = tuple(f"prompt {i}" for i in range(20))
    found = measure(images, texts, range(20), names, MetricContext(source), extractor, cache)
    return {m.name: m for m in found}


def test_an_added_metric_is_measured_with_its_package_in_the_fingerprint(
    install: Callable[..., None],
    source: ExtractorSource,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
) -> None:
    install(POINTS)
    assert metric_names("clip_score,brightness") == ("clip_score", "brightness")
    assert metric_info("brightness").unit == "levels"
    assert measurement_name("brightness", "nano-clip") == "brightness"
    found = run(("brightness",), source, extractor, images, cache)["brightness"]
    assert found.value == pytest.approx(images.mean()) and found.n == 20
    assert (found.unit, found.direction, len(found.per_image)) == ("levels", "none", 20)
    assert found.details["package"] == "brightness-metrics"
    assert found.details["package_version"] == "1.2" and found.details["version"] == 3
    planned = metric_fingerprints(("brightness",), MetricContext(source), cache)
    assert planned == {"brightness": found.fingerprint}


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("broken", "error: KeyError: 'nothing' (brightness_metrics.py, line 17)"),
        ("foreign", "error: returned a float; must be a turbo_lab Score"),
        ("short", "error: returned 1 values for 20 images"),
    ],
)
def test_one_that_raises_is_its_own_error_and_passes_no_gate(
    name: str,
    note: str,
    install: Callable[..., None],
    source: ExtractorSource,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
) -> None:
    install(POINTS)
    found = run((name, "clip_score"), source, extractor, images, cache)
    assert found["clip_score"].value is not None
    assert (found[name].value, found[name].ci95) == (None, None) and found[name].note == note
    keys = [(f"prompt {i}", i) for i in range(20)]
    scored = ScoredImages(found[name], keys)
    row = compare_metric(scored, scored, margin=1e9)
    assert row.verdict == "error" and str(row.note).startswith("candidate: error")


def test_unknown_names_list_the_added_ones(install: Callable[..., None]) -> None:
    install(POINTS)
    with pytest.raises(InputError, match="Did you mean brightness"):
        metric_names("brightnes")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_info",
            r"gives a str \(brightness_metrics:NO_INFO\); must be a turbo_lab.metrics.table.M",
        ),
        ("absent", "brightness-metrics 1.2 fails to load it .AttributeError"),
    ],
)
def test_what_is_no_metric_is_refused_with_its_package(
    name: str, message: str, install: Callable[..., None]
) -> None:
    install(POINTS)
    with pytest.raises(InputError, match=message):
        metric_names(name)


def test_a_name_is_taken_once(install: Callable[..., None]) -> None:
    install({"kid": "BRIGHTNESS"})
    assert metric_info("kid").unit == "squared MMD"  # ours, also if others are installed
    with pytest.raises(
        InputError, match="brightness-metrics 1.2 adds 'kid', which is already in use"
    ):
        metric_info("another")


def test_two_packages_cannot_add_one_name(install: Callable[..., None]) -> None:
    install(POINTS)
    install({"brightness": "BROKEN"}, "other-metrics")
    with pytest.raises(InputError, match="both add brightness; uninstall one"):
        metric_info("brightness")


def test_choices_are_sets_or_names() -> None:
    assert metric_names("none") == () and metric_names("default") == ("clip_score", "fd")
    assert metric_names("fd/nano-clip, clip_score,fd/nano-clip") == ("fd/nano-clip", "clip_score")
    with pytest.raises(InputError, match="Did you mean clip_score"):
        metric_names("clip_scor")
    with pytest.raises(InputError, match="metrics=: unknown"):
        metric_names("clip_score,")


@pytest.mark.parametrize("name", METRICS)
def test_every_row_leads_to_a_function(name: str) -> None:
    module, _, function = METRICS[name].path.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert METRICS[name].direction in ("higher", "lower") and METRICS[name].version >= 1
    assert provider(name) == {}


def test_every_set_is_of_the_table_and_needs_nothing_that_does_not_ship() -> None:
    assert all(set(names) <= set(METRICS) for names in SETS.values())
    assert "fid" not in SETS["full"]  # its weights do not ship


def test_only_a_distance_by_a_chosen_extractor_has_its_name() -> None:
    assert measurement_name("fd", "nano-clip") == "fd/nano-clip"
    assert measurement_name("fid", "nano-clip") == "fid"
    assert measurement_name("clip_score", "nano-clip") == "clip_score"
    assert metric_info("fd/nano-clip") is METRICS["fd"]

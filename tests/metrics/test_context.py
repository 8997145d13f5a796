"""The context of a metric and its fingerprint, without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny_clip import PROMPTS, save_tiny_clip
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache, digest
from turbo_lab.metrics.context import (
    MetricContext,
    details_or_error,
    metric_details,
    metric_fingerprints,
)
from turbo_lab.metrics.extractor_source import INCEPTION, extractor_source, inception_source
from turbo_lab.metrics.reference_source import ReferenceSource
from turbo_lab.metrics.table import SETS


def test_a_fingerprint_follows_what_it_was_measured_with(
    context: MetricContext, cache: DigestCache
) -> None:
    before = metric_fingerprints(SETS["full"], context, cache)
    fewer = metric_fingerprints(SETS["full"], replace(context, prompt_set=PROMPTS[:5]), cache)
    assert {name for name in before if before[name] != fewer[name]} == {"r_precision"}


def test_another_extractor_or_reference_gives_other_fingerprints(
    context: MetricContext, cache: DigestCache, tmp_path: Path
) -> None:
    before = metric_fingerprints(SETS["default"], context, cache)
    other = replace(context, extractor=extractor_source(str(save_tiny_clip(tmp_path / "x", 1))))
    assert not set(metric_fingerprints(SETS["default"], other, cache).values()) & set(
        before.values()
    )
    assert context.reference is not None
    path = tmp_path / "reference.safetensors"
    path.write_bytes(context.reference.path.read_bytes() + b" ")
    moved = replace(context, reference=ReferenceSource("set", path))
    after = metric_fingerprints(SETS["default"], moved, cache)
    assert {name for name in before if before[name] != after[name]} == {"fd/tiny-clip"}


def test_details_are_what_a_measurement_depends_on(
    context: MetricContext, cache: DigestCache
) -> None:
    found = metric_details("clip_score", context, cache)
    assert (found["metric"], found["unit"], found["scale"]) == ("clip_score", "cosine", 1.0)
    assert found["extractor"] == context.extractor.digest(cache)
    assert "reference" not in found and "prompt_set" not in found
    found = metric_details("fd/tiny-clip", context, cache)
    assert (found["metric"], found["reference_name"]) == ("fd", "set") and "scale" not in found
    found = metric_details("r_precision", replace(context, prompt_set=("b", "a", "b")), cache)
    assert found["prompt_set"] == digest(["a", "b"]), "neither order nor copies matter"


def test_fid_has_its_own_extractor_and_reference(context: MetricContext) -> None:
    own = replace(context, inception=inception_source("weights.pth"))
    assert own.of("fid").extractor.name == INCEPTION and own.of("fid").reference is None
    assert own.of("clip_score") is own
    assert context.of("fid").extractor == inception_source()


def test_what_is_lacking_is_an_error_of_that_metric_by_its_kind_only(
    context: MetricContext, cache: DigestCache
) -> None:
    bare = MetricContext(context.extractor)
    for name, message in (
        ("fd", "metrics=fd: needs reference=NAME or reference=FILE"),
        ("r_precision", "metrics=r_precision: needs the prompt set"),
    ):
        with pytest.raises(InputError, match=message):
            metric_details(name, bare, cache)
        details, error = details_or_error(name, bare, cache)
        assert isinstance(error, InputError)
        assert details["unavailable"] == "InputError"
    # No path is part of an identity: any absent file gives the same fingerprint.
    absent = [replace(context, reference=ReferenceSource("set", Path(name))) for name in ("a", "b")]
    found = [details_or_error("fd", one, cache) for one in absent]
    assert found[0][0] == found[1][0] and isinstance(found[0][1], MissingFilesError)


def test_a_distance_by_another_extractor_is_refused_regardless_of_files(
    context: MetricContext, cache: DigestCache
) -> None:
    for asked in (metric_details, details_or_error):
        with pytest.raises(InputError, match="the extractor is tiny-clip; ask for fd/tiny-clip"):
            asked("fd/nano-clip", context, cache)
    with pytest.raises(InputError, match="the extractor is tiny-clip"):
        metric_fingerprints(["fd/nano-clip"], context, cache)


PROBE = """
import sys
from pathlib import Path
import turbo_lab.metrics, turbo_lab.analysis.stats
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.extractor_source import extractor_source
{extra}
context = MetricContext(extractor_source({folder!r}), None, ("a", "b"))
print(len(metric_fingerprints(["clip_score", "r_precision"], context, DigestCache(Path({file!r})))))
print(sorted({{"torch", "open_clip", "scipy"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("extra,loaded", [("", "[]"), ("import scipy", "['scipy']")])
def test_fingerprints_need_no_torch(
    extra: str, loaded: str, clip_folder: Path, tmp_path: Path
) -> None:
    """The second case shows that the first can fail."""
    code = PROBE.format(extra=extra, folder=str(clip_folder), file=str(tmp_path / "d.jsonl"))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["2", loaded]

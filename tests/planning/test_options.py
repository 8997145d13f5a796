"""Options are validated once, for every command, with a message that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab import config
from turbo_lab.cards import ConfigNode
from turbo_lab.errors import InputError
from turbo_lab.planning.options import (
    NOT_TRACKED,
    MetricOptions,
    RunOptions,
    SheetOptions,
    TrackingOptions,
)


def options(*overrides: str) -> RunOptions:
    (point,) = config.compose("plan", overrides)
    return RunOptions.from_config(point.values)


def test_the_defaults_of_the_config_are_typed() -> None:
    assert options("device=cpu") == RunOptions(
        store=Path("turbo-lab-store"),
        output=Path("turbo-lab-images"),
        device="cpu",
        num_threads=2,
        share="exact",
        may_split=False,
        fail_fast=False,
        compile_limit_s=600.0,
        timing="short",
        metrics=MetricOptions(
            names=("clip_score", "fd"),
            extractor="nano-clip",
            pretrained=None,
            reference="scenes-heldout",
            inception=None,
            fid_reference=None,
        ),
        tracking=TrackingOptions("local", None, "all"),
    )


def test_every_option_is_read() -> None:
    found = options(
        "store=s",
        "output=o",
        "num_threads=3",
        "share=batched",
        "on_out_of_memory=split",
        "fail_fast=true",
        "sheet.x=prompt",
        "timing=off",
        "metrics=none",
        "metrics.extractor=x",
        "metrics.pretrained=y",
        "metrics.inception=i",
        "metrics.fid_reference=f",
        "reference=null",
        "safety_checker=c",
        "tracking=server",
        "tracking.uri=http://localhost:5000",
        "tracking.images=sheet",
        "tracking.timeout_s=60",
        "tracking.artifacts=s3://bucket",
        "tracking.experiment=nightly",
    )
    assert (found.store, found.output) == (Path("s"), Path("o"))
    assert (found.num_threads, found.share, found.may_split) == (3, "batched", True)
    assert found.fail_fast
    assert found.sheet == SheetOptions("prompt", None)
    assert found.timing is None
    assert found.metrics == MetricOptions(("flagged",), "x", "y", None, "i", "f", "c")
    assert found.tracking == TrackingOptions(
        "server", "http://localhost:5000", "sheet", 60, "s3://bucket", "nightly"
    )
    assert options("tracking=none").tracking == NOT_TRACKED


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("share=some", "share=some: unknown. Did you mean none? Valid: batched, exact, none"),
        ("on_out_of_memory=half", "on_out_of_memory=half: unknown. Valid: fail, split"),
        ("num_threads=0", "num_threads=0: must be an integer from 1 to 1024"),
        ("num_threads=true", "num_threads=True: must be an integer from 1"),
        ("device=tpu", "device=tpu: must be one of auto, cpu, cuda"),
        ("timing=long", "timing=long: unknown. Valid: full, off, short"),
        ("metrics.names=clip_scor", "Did you mean clip_score?"),
        (
            "tracking.images=some",
            "tracking.images=some: unknown. Did you mean none? Valid: all, none, sheet",
        ),
        ("tracking.kind=remote", "tracking.kind=remote: unknown. Valid: auto, local, none, server"),
        ("tracking=server", "tracking.uri: has no value; write tracking.uri=VALUE, or set MLFLOW_"),
        ("tracking.experiment=" + "x" * 300, "tracking.experiment: must be a name in one line"),
    ],
)
def test_a_wrong_option_names_its_key_and_its_rule(override: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        options(override)
    assert message in str(raised.value)


def test_a_command_that_only_times_needs_a_timing_rule() -> None:
    assert options("timing=full").timed() == "full"
    with pytest.raises(InputError, match="timing=off: .*set timing=short or"):
        options("timing=off").timed()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sheet.x=lora", "sheet.y=lora"], "sheet.y=lora: is the axis of sheet.x already"),
        (["sheet.x=sed"], "sheet.x=sed: unknown. Did you mean seed? Valid: batch_size, prompt"),
    ],
)
def test_axes_of_the_sheet_are_checked(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        options(*words).sheet.check(["batch_size"])
    assert message in str(refused.value)
    options("sheet.x=prompt", "sheet.y=batch_size").sheet.check(["batch_size"])


def test_a_folder_of_artifacts_is_an_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    for text, place in (("disk", "/tmp/disk"), ("/disk", "/disk"), ("file:///d", "file:///d")):
        node = {"kind": "local", "images": "all", "timeout_s": 1, "artifacts": text}
        assert TrackingOptions.from_config(ConfigNode(node)).artifacts == place


def test_mlflows_variables_give_what_no_key_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://lab:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nightly")
    found = options("device=cpu").tracking
    assert (found.kind, found.uri, found.experiment) == ("server", "http://lab:5000", "nightly")
    named = options("tracking.uri=http://mine:1", "tracking.experiment=mine").tracking
    assert (named.kind, named.uri, named.experiment) == ("server", "http://mine:1", "mine")
    local = options("tracking=local").tracking
    assert (local.kind, local.uri, local.experiment) == ("local", None, "nightly")
    assert options("tracking=server").tracking.uri == "http://lab:5000"
    assert options("tracking=none").tracking.kind == "none"


def test_a_wrong_variable_is_named_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3/cret@lab")
    with pytest.raises(InputError) as raised:
        options("device=cpu")
    assert str(raised.value).startswith("MLFLOW_TRACKING_URI: not an address of a server")
    assert "s3" not in str(raised.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@lab")
    assert "s3cret" not in repr(options("device=cpu"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "two\nlines")
    with pytest.raises(InputError, match="MLFLOW_EXPERIMENT_NAME: must be a name in one line"):
        options("device=cpu")

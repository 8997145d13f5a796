"""Golden images in any pytest suite: the fixture ``golden_image``.

A test's golden is next to it, in ``goldens/<module>/<test>[/<name>]``, and
holds what the test passes in: uint8 images, arrays, tensors, or a
pipeline with the arguments of its call. Missing goldens fail; ``--golden-record``
writes new ones, ``--golden-accept`` replaces those that differ, and
``--golden-report FILE`` writes an HTML page of what failed. Safe under xdist:
every golden has its own folder, put in place file by file by rename, and the one
page shows the failures of all workers.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turbo_lab import environment
from turbo_lab.documents.document import read_value, to_plain
from turbo_lab.documents.golden import CheckedCase, GoldenCheck
from turbo_lab.documents.output import check_writable
from turbo_lab.errors import InputError, NonFiniteError, StoreError
from turbo_lab.golden.document import Acceptance, Golden, GoldenContent
from turbo_lab.golden.judgement import CaseVerdict, Observation, judge
from turbo_lab.golden.library import GoldenLibrary, check_name
from turbo_lab.golden.stages import StageValue, ordered_by_worth
from turbo_lab.golden.thresholds import read_thresholds
from turbo_lab.identity import digest
from turbo_lab.store.record import encode_floats
from turbo_lab.verdict import Verdict, worst

# What failed in this process, and in xdist's workers once they have ended.
_CASES: list[CheckedCase] = []
_PICTURES: dict[str, dict[str, bytes]] = {}
# Goldens that were recorded or moved, a line each.
_WRITTEN: list[str] = []
_KEY = "turbo_lab_goldens"
_NEW = "has no golden; run pytest --golden-record"
_ACCEPT = 'pytest --golden-accept "REASON" TEST'


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--golden-record``, ``--golden-accept REASON`` and ``--golden-report FILE``."""
    group = parser.getgroup("turbo-lab", "golden images")
    group.addoption(
        "--golden-record", action="store_true", help="write goldens that are new; none is moved"
    )
    group.addoption(
        "--golden-accept", metavar="REASON", help="move the goldens that differ, and say why"
    )
    group.addoption("--golden-report", metavar="FILE", help="an HTML page of failing goldens")


class GoldenImage:
    """The comparison that a test calls; see :func:`golden_image`."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config
        self._folder = request.path.parent / "goldens" / request.path.stem
        self._file, self._test = request.path.name, _folder_of(request.node.nodeid)

    def check(
        self,
        images: Any,
        name: str = "",
        stages: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        """Compare images with the golden of this test; fails it where they differ.

        ``images``: uint8 of (H, W), (H, W, 3) or (N, H, W, 3), a PIL image or a
        list of them; grey is kept as three equal channels, and an alpha channel
        raises ``ValueError``: what is behind it decides how it looks.
        ``stages``: further tensors or arrays by name, in order, such as
        ``{"latents.0": latents}``. ``recipe``: what the images were made from;
        another recipe is another case, and ``uncovered``. ``name`` tells several
        checks of one test apart.
        """
        if name:
            check_name(name)
        case = f"{self._test}/{name}" if name else self._test
        values = [_value(stage, tensor) for stage, tensor in (stages or {}).items()]
        values.append(StageValue("pixels", "uint8", _pixels(images)))
        device = "cuda" if any(_on_cuda(t) for t in (stages or {}).values()) else "cpu"
        seen = Observation(digest(dict(recipe or {})), tuple(values), _fingerprint(device))
        self._compare(GoldenLibrary(self._folder), case, seen, dict(recipe or {}))

    def check_pipeline(self, pipeline: Any, name: str = "", **arguments: Any) -> None:
        """Call a diffusers pipeline and compare every stage of it.

        ``arguments``: of its call; ``generator`` must be fresh. Stages are taken
        from ``encode_prompt``, the UNet, the scheduler and the VAE.
        """
        from turbo_lab.runtime.trace import traced_call

        images, stages = traced_call(pipeline, arguments)
        plain = {k: v for k, v in arguments.items() if _is_plain(v)}
        config = {k: v for k, v in pipeline.scheduler.config.items() if not k.startswith("_")}
        self.check(images, name, stages, plain | {"scheduler": config})

    def _compare(
        self, library: GoldenLibrary, case: str, seen: Observation, recipe: dict[str, Any]
    ) -> None:
        try:
            self._judge(library, case, seen, recipe)
        except StoreError as error:  # damaged, edited, of a newer schema
            self._failed(case, Verdict.ERROR, str(error))
            pytest.fail(f"golden {case}: error: {error}", pytrace=False)
        except NonFiniteError as error:  # neither recorded nor accepted
            self._failed(case, Verdict.REGRESSION, str(error))
            pytest.fail(f"golden {case}: {error}", pytrace=False)

    def _failed(self, case: str, verdict: Verdict, message: str) -> None:
        """Remember a case that failed and has no images to show."""
        _CASES.append(CheckedCase(f"{self._file}::{case}", verdict, tier=None, message=message))

    def _judge(
        self, library: GoldenLibrary, case: str, seen: Observation, recipe: dict[str, Any]
    ) -> None:
        reason = self._config.getoption("--golden-accept")
        if not library.has(case):
            if not self._config.getoption("--golden-record"):
                _CASES.append(
                    CheckedCase(f"{self._file}::{case}", Verdict.UNCOVERED, tier=None, message=_NEW)
                )
                pytest.fail(f"{case}: {_NEW}", pytrace=False)
            _write(library, case, seen, recipe, "first recording", None)
            _WRITTEN.append(f"recorded  {self._file}::{case}")
            return
        from turbo_lab.golden.embedding import image_embedding

        golden = library.read(case)
        material = library.material(golden)
        verdict = judge(
            golden, material, seen, read_thresholds(), _today(), image_embedding(),
            remedy=f"if that is meant: {_ACCEPT}",
        )  # fmt: skip
        if verdict.verdict == Verdict.PASS:
            return
        if reason:
            _write(library, case, seen, recipe, reason, golden)
            _WRITTEN.append(f"accepted  {self._file}::{case}  ({verdict.message})")
            return
        shown = replace(verdict, name=f"{self._file}::{case}")  # a page has several files' tests
        _remember(shown, golden, material.tensors["pixels"], seen)
        pytest.fail(_text(verdict), pytrace=False)


@pytest.fixture
def golden_image(request: pytest.FixtureRequest) -> GoldenImage:
    """Compare a test's images with its golden: ``golden_image.check(images)``."""
    return GoldenImage(request)


def pytest_configure(config: pytest.Config) -> None:
    """Refuses what would be wrong at the end of the run. Raises ``pytest.UsageError``."""
    if hasattr(config, "workerinput"):
        return
    is_chosen = config.option.keyword or any("::" in str(word) for word in config.args)
    if config.getoption("--golden-accept") and not is_chosen:
        raise pytest.UsageError(
            "--golden-accept: say which tests, by name (tests/test_it.py::test_poster) or by -k"
        )
    target = config.getoption("--golden-report")
    if target:
        try:
            check_writable(Path(target), "--golden-report")
        except InputError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None] | None:
    """Say what was written, and the command to run next."""
    if _WRITTEN:
        terminalreporter.section("golden images written")
        for line in sorted(_WRITTEN):
            terminalreporter.line(line)
    failed = [
        report
        for report in terminalreporter.stats.get("failed", [])
        if str(report.longrepr).startswith("golden ") or _NEW in str(report.longrepr)
    ]
    if not failed:
        return None
    terminalreporter.section("golden images")
    terminalreporter.line("record new ones     pytest --golden-record")
    terminalreporter.line(f"if it is meant      {_ACCEPT}")
    terminalreporter.line("see them            pytest --golden-report goldens.html")
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what failed in a worker of xdist."""
    output = getattr(node, "workeroutput", {})
    cases, pictures, written = output.get(_KEY, ("[]", {}, []))
    _CASES.extend(read_value(CheckedCase, case, "a test's worker") for case in json.loads(cases))
    _PICTURES.update(pictures)
    _WRITTEN.extend(written)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page; a worker of xdist hands over what failed in it."""
    target = session.config.getoption("--golden-report")
    to_controller = getattr(session.config, "workeroutput", None)
    if to_controller is not None:
        cases = json.dumps(encode_floats(to_plain(_CASES)))
        to_controller[_KEY] = (cases, _PICTURES if target else {}, _WRITTEN)
        return
    if not target or not _CASES:
        return
    from turbo_lab.report.html.golden import golden_page

    failed = sorted(_CASES, key=lambda case: case.name)
    check = GoldenCheck(worst(case.verdict for case in failed), tuple(failed))
    Path(target).write_text(golden_page(check, _PICTURES), encoding="utf-8")


def _write(
    library: GoldenLibrary,
    case: str,
    seen: Observation,
    recipe: dict[str, Any],
    reason: str,
    old: Golden | None,
) -> None:
    from turbo_lab.golden.lifecycle import who

    golden = GoldenContent.anchor(
        old,
        name=case,
        overrides=(),
        cell_id=seen.cell_id,
        recipe=recipe,
        prompts=(),
        seeds=(),
        fingerprint=seen.fingerprint,
        stages=seen.marks,
        processes=0,
        acceptance=Acceptance(reason, who()),
    )
    library.write(golden, ordered_by_worth(seen.stages), replace=old is not None)


def _remember(verdict: CaseVerdict, golden: Golden, expected: Any, seen: Observation) -> None:
    from turbo_lab.golden.lifecycle import Checked
    from turbo_lab.report.golden_check import checked_case, pictures_of

    keys = {"golden": golden.fingerprint.keys, "here": seen.fingerprint.keys}
    checked = Checked(verdict, expected, seen.pixels(), fingerprints=keys)
    _CASES.append(checked_case(checked))
    _PICTURES.update(pictures_of([checked]))


def _is_plain(value: Any) -> bool:
    """Return whether JSON can hold it; generators and tensors are not part of a recipe."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))


def _folder_of(nodeid: str) -> str:
    """Return a test's folder in its module: ``test_a``, ``TestB.test_a``, or ``test_a-1``."""
    test = ".".join(nodeid.split("::")[1:])
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-")
    # What is not told by its letters is told by a digest.
    is_told = re.fullmatch(r"[A-Za-z0-9_.]+(\[[A-Za-z0-9_.]+\])?", test)
    return plain if is_told else f"{plain}-{digest(test)[:8]}"


def _text(verdict: CaseVerdict) -> str:
    first = verdict.first_divergence
    where = "" if first is None else f"; first at {first.stage}"
    differs = "; ".join(f"{k}: {a} -> {b}" for k, a, b in verdict.fingerprint_difference)
    return f"golden {verdict.name}: {verdict.verdict}: {verdict.message}{where} {differs}".strip()


def _value(stage: str, tensor: Any) -> StageValue:
    if isinstance(tensor, np.ndarray):
        is_narrow = tensor.dtype.kind == "f" and tensor.dtype.itemsize <= 4
        kept = tensor.astype(np.float32) if is_narrow else tensor.copy()
        return StageValue(stage, str(tensor.dtype), kept)
    from turbo_lab.golden.run_case import stage_value

    return stage_value(stage, tensor)


def _pixels(images: Any) -> Any:
    """Return (N, H, W, 3) uint8; fails for anything else and says what it is."""
    if isinstance(images, list):
        array = np.stack([_of_three_channels(np.asarray(image)) for image in images])
    else:
        array = _of_three_channels(np.asarray(images))
    array = array[None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
        remedy = "; put it on a background: image.convert('RGB')" if array.shape[-1] == 4 else ""
        raise ValueError(
            f"golden_image: {array.dtype} {array.shape} is not (N, H, W, 3) uint8 RGB{remedy}"
        )
    return array


def _of_three_channels(image: np.ndarray) -> np.ndarray:
    """Grey, (H, W) or (..., 1), as RGB; what has channels as it is."""
    grey = image[..., None] if image.ndim == 2 else image
    return np.repeat(grey, 3, axis=-1) if grey.shape[-1] == 1 else image


def _on_cuda(tensor: Any) -> bool:
    return bool(getattr(tensor, "is_cuda", False))


def _fingerprint(device: str) -> environment.Fingerprint:
    # A suite without torch has no threads of torch's to record, and is not made to import it.
    torch = sys.modules.get("torch")
    num_threads = 1 if torch is None else torch.get_num_threads()
    return environment.fingerprint(device=device, num_threads=num_threads)


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()

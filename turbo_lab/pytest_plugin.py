"""Golden images in any pytest suite: the fixture ``golden_image``.

The golden of a test is next to it, in ``goldens/<module>/<test>[/<name>]``. It holds what the
test passes in: uint8 images, arrays, tensors, or a pipeline with the arguments of its call. A
test without a golden fails. ``--golden-record`` writes new goldens, ``--golden-accept``
replaces those that differ, and ``--golden-report FILE`` says where the HTML page of the failures
is written; by default, it is in pytest's cache. Limits for every test are in the ini file
(``golden_max_abs``, ``golden_min_psnr``), those of one test in its marker ``golden``.
Safe under xdist: every golden has its own folder, its files are renamed into place, and one
page shows the failures of all workers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from turbo_lab import environment
from turbo_lab.documents.document import read_value
from turbo_lab.documents.golden import CheckedCase, GoldenCheck
from turbo_lab.documents.output import check_writable, write_text
from turbo_lab.errors import InputError, NonFiniteError, StoreError
from turbo_lab.golden.document import Acceptance, CaseRecipe, Golden, GoldenContent, current_day
from turbo_lab.golden.judgement import CaseVerdict, Judge
from turbo_lab.golden.library import GoldenLibrary, check_name
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.stages import StageValue, Values, ordered_by_worth
from turbo_lab.golden.suite_values import (
    folder_of,
    is_on_cuda,
    is_plain,
    rgb_pixels,
    value_of_stage,
)
from turbo_lab.golden.thresholds import read_thresholds
from turbo_lab.golden.tolerance import PixelDifference, Tolerance, pixel_difference
from turbo_lab.identity import digest
from turbo_lab.store.record import encode_floats
from turbo_lab.untrusted.typed_json import to_plain
from turbo_lab.verdict import Verdict, worst

_WORKER_KEY = "turbo_lab_goldens"
_CACHE_KEY = "turbo_lab_cache"
_PAGE = "goldens.html"
_NEW = "has no golden; run pytest --golden-record"
_ACCEPT = 'pytest --golden-accept "REASON" TEST'


_GOLDEN_FAILED = "turbo_lab_golden_failed"  # attribute of a test's report


class GoldenFailed(pytest.fail.Exception):  # type: ignore[misc,name-defined]
    """A failed comparison with a golden."""


@dataclass
class _Session:
    """Results of one pytest process, and of xdist's workers once they have ended."""

    cases: list[CheckedCase] = field(default_factory=list)
    """Cases that failed; with ``--golden-all``, all cases."""
    pictures: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """PNG files of these cases, by case, then ``expected`` and ``actual``."""
    written: list[str] = field(default_factory=list)
    """One line per golden that was recorded or replaced."""

    def add_failure(
        self, name: str, verdict: Verdict, message: str, *, has_golden: bool = True
    ) -> None:
        """Add a case that failed and has no images to show."""
        self.cases.append(CheckedCase(name, verdict, None, message, has_golden=has_golden))


_SESSION = pytest.StashKey[_Session]()


@dataclass(frozen=True)
class _TestCase:
    """One call of the fixture: a case, and what the test drew for it."""

    name: str
    """Name of the golden in its library."""
    title: str
    """Name of the case in reports, with the test's file."""
    seen: Observation
    """Stages that the test passed in."""
    recipe: CaseRecipe
    """Values that the images were made from."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--golden-record``, ``--golden-accept REASON`` and ``--golden-report FILE``."""
    group = parser.getgroup("turbo-lab", "golden images")
    group.addoption(
        "--golden-record", action="store_true", help="write new goldens; existing ones stay"
    )
    group.addoption(
        "--golden-accept", metavar="REASON", help="replace the goldens that differ, and say why"
    )
    group.addoption(
        "--golden-report",
        metavar="FILE",
        help="write the HTML page of the goldens that fail to FILE, not to pytest's cache",
    )
    group.addoption(
        "--golden-all", action="store_true", help="show the goldens that pass in the page as well"
    )
    parser.addini("golden_report", "file of the page, as --golden-report; relative to this file")
    parser.addini("golden_max_abs", "largest difference of a channel that passes, 0 to 255")
    parser.addini("golden_min_psnr", "smallest peak signal-to-noise ratio that passes, in dB")


class GoldenImage:
    """The comparison that a test calls; see :func:`golden_image`."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config
        self._session = request.config.stash[_SESSION]
        self._library = GoldenLibrary(request.path.parent / "goldens" / request.path.stem)
        self._file, self._test = request.path.name, folder_of(request.node.nodeid)
        self._limits = _limits_of(request.node, request.config)

    def check(
        self,
        images: Any,
        name: str = "",
        stages: Mapping[str, Any] | None = None,
        recipe: Mapping[str, object] | None = None,
        *,
        max_abs: int | None = None,
        min_psnr: float | None = None,
    ) -> None:
        """Compare images with the golden of this test, which fails if they differ.

        Args:
            images: uint8 of shape (H, W), (H, W, 3) or (N, H, W, 3), a PIL image, or a list of
                them. Grey is kept as three equal channels. An alpha channel raises
                ``ValueError``, because the background decides how such an image looks.
            name: distinguishes several checks of one test.
            stages: further tensors or arrays by name, in order, such as
                ``{"latents.0": latents}``.
            recipe: values that the images were made from. With another recipe, it is another
                case, and ``uncovered``.
            max_abs: largest difference of a channel that passes, in levels of 255.
            min_psnr: smallest peak signal-to-noise ratio of any image that passes, in dB. With
                both limits, both apply; with neither, those of the test's marker ``golden`` and
                then those of the ini file apply. Without any, the images are equal to the bit
                or as close as the tier of the environment demands.
        """
        if name:
            check_name(name)
        case = f"{self._test}/{name}" if name else self._test
        values = [value_of_stage(stage, tensor) for stage, tensor in (stages or {}).items()]
        values.append(StageValue("pixels", "uint8", rgb_pixels(images)))
        device = "cuda" if any(is_on_cuda(t) for t in (stages or {}).values()) else "cpu"
        made_from = dict(recipe or {})
        self._compare(
            _TestCase(
                name=case,
                title=f"{self._file}::{case}",
                seen=Observation(digest(made_from), tuple(values), _fingerprint(device)),
                recipe=made_from,
            ),
            self._limits if max_abs is None and min_psnr is None else Tolerance(max_abs, min_psnr),
        )

    def check_pipeline(
        self,
        pipeline: Any,
        name: str = "",
        *,
        max_abs: int | None = None,
        min_psnr: float | None = None,
        **arguments: Any,
    ) -> None:
        """Call a diffusers pipeline and compare every stage of the call.

        ``max_abs`` and ``min_psnr`` are those of :meth:`check`.

        ``arguments`` are those of the call; ``generator`` must be fresh. The stages are taken
        from ``encode_prompt``, the UNet, the scheduler and the VAE.
        """
        from turbo_lab.runtime.trace import traced_call

        images, stages = traced_call(pipeline, arguments)
        plain = {k: v for k, v in arguments.items() if is_plain(v)}
        config = {k: v for k, v in pipeline.scheduler.config.items() if not k.startswith("_")}
        recipe = plain | {"scheduler": config}
        self.check(images, name, stages, recipe, max_abs=max_abs, min_psnr=min_psnr)

    def _compare(self, case: _TestCase, tolerance: Tolerance) -> None:
        try:
            self._judge(case, tolerance)
        except StoreError as error:  # damaged, edited, or of a newer schema
            self._session.add_failure(case.title, Verdict.ERROR, str(error))
            raise GoldenFailed(f"golden {case.name}: error: {error}", pytrace=False) from error
        except NonFiniteError as error:  # neither recorded nor accepted
            self._session.add_failure(case.title, Verdict.REGRESSION, str(error))
            raise GoldenFailed(f"golden {case.name}: {error}", pytrace=False) from error

    def _judge(self, case: _TestCase, tolerance: Tolerance) -> None:
        from turbo_lab.golden.embedding import image_embedding

        golden = self._library.read_if_any(case.name)
        if golden is None:
            self._record_new(case)
            return
        stored = self._library.stored_tensors(golden)
        remedy = f"if it is meant: {_ACCEPT}"
        judge = Judge(
            read_thresholds(), current_day(), image_embedding(), remedy, tolerance=tolerance
        )
        verdict = judge.judge(golden, stored, case.seen)
        if verdict.verdict == Verdict.PASS:
            if self._config.getoption("--golden-all"):
                self._add_compared(case, verdict, golden, stored.pixels)
            return
        if reason := self._config.getoption("--golden-accept"):
            self._write(case, reason, golden)
            self._session.written.append(f"accepted  {case.title}  ({verdict.message})")
            return
        self._add_compared(case, verdict, golden, stored.pixels)
        found = pixel_difference(stored.pixels, case.seen.pixels)
        page = _page_of(self._config)
        raise GoldenFailed(_failure_message(verdict, found, page), pytrace=False)

    def _record_new(self, case: _TestCase) -> None:
        if not self._config.getoption("--golden-record"):
            self._session.add_failure(case.title, Verdict.UNCOVERED, _NEW, has_golden=False)
            raise GoldenFailed(f"{case.name}: {_NEW}", pytrace=False)
        self._write(case, "first recording", None)
        self._session.written.append(f"recorded  {case.title}")

    def _write(self, case: _TestCase, reason: str, old: Golden | None) -> None:
        from turbo_lab.golden.lifecycle import current_user

        golden = GoldenContent.anchor(
            old,
            name=case.name,
            overrides=(),
            cell_id=case.seen.cell_id,
            recipe=case.recipe,
            prompts=(),
            seeds=(),
            fingerprint=case.seen.fingerprint,
            stages=case.seen.marks,
            processes=0,
            acceptance=Acceptance(reason, current_user()),
        )
        self._library.write(golden, ordered_by_worth(case.seen.stages), replace=old is not None)

    def _add_compared(
        self, case: _TestCase, verdict: CaseVerdict, golden: Golden, expected: Values
    ) -> None:
        """Add a case with the images of both sides."""
        from turbo_lab.golden.check import CaseCheck
        from turbo_lab.report.golden_check import checked_case, pictures_of

        checked = CaseCheck(
            replace(verdict, name=case.title),
            expected,
            case.seen.pixels,
            fingerprints={
                "golden": golden.fingerprint.keys,
                "here": case.seen.fingerprint.keys,
            },
        )
        self._session.cases.append(checked_case(checked))
        self._session.pictures.update(pictures_of([checked]))


@pytest.fixture
def golden_image(request: pytest.FixtureRequest) -> GoldenImage:
    """Provide the comparison with a test's golden: ``golden_image.check(images)``."""
    return GoldenImage(request)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that would only fail at the end of the run."""
    config.stash[_SESSION] = _Session()
    config.addinivalue_line(
        "markers", "golden(max_abs=None, min_psnr=None): limits of the test's golden images"
    )
    _ini_limits(config)
    if hasattr(config, "workerinput"):
        return
    is_chosen = config.option.keyword or any("::" in str(word) for word in config.args)
    if config.getoption("--golden-accept") and not is_chosen:
        raise pytest.UsageError(
            "--golden-accept: name the tests (tests/test_it.py::test_poster), or choose them by -k"
        )
    target = _named_page(config)
    if target:
        try:
            check_writable(target, "--golden-report")
        except InputError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark the reports of tests that a golden failed; xdist carries the mark to the controller."""
    report = yield
    is_golden = call.excinfo is not None and isinstance(call.excinfo.value, GoldenFailed)
    setattr(report, _GOLDEN_FAILED, is_golden)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None] | None:
    """List the goldens that were written, and the command to run next."""
    session = terminalreporter.config.stash[_SESSION]
    if session.written:
        terminalreporter.section("golden images written")
        for line in sorted(session.written):
            terminalreporter.line(line)
    failed = terminalreporter.stats.get("failed", [])
    if not any(getattr(report, _GOLDEN_FAILED, False) for report in failed):
        return None
    terminalreporter.section("golden images")
    terminalreporter.line("record new ones     pytest --golden-record")
    terminalreporter.line(f"if it is meant      {_ACCEPT}")
    see = _page_of(terminalreporter.config) or "pytest --golden-report goldens.html"
    terminalreporter.line(f"see them            {see}")
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker, which has no cache, where the controller writes the page."""
    page = _page_of(node.config)
    node.workerinput[_CACHE_KEY] = None if page is None else str(page.parent)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the results of an xdist worker to those of this process."""
    output = getattr(node, "workeroutput", {})
    cases, pictures, written = output.get(_WORKER_KEY, ("[]", {}, []))
    session = node.config.stash[_SESSION]
    session.cases.extend(read_value(CheckedCase, case, "xdist") for case in json.loads(cases))
    session.pictures.update(pictures)
    session.written.extend(written)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page; an xdist worker sends its results to the controller instead."""
    own = session.config.stash[_SESSION]
    page = _page_of(session.config)
    to_controller = getattr(session.config, "workeroutput", None)
    if to_controller is not None:
        cases = json.dumps(encode_floats(to_plain(own.cases)))
        to_controller[_WORKER_KEY] = (cases, own.pictures if page else {}, own.written)
        return
    if page is None or not own.cases:
        return
    from turbo_lab.report.html.golden import golden_page

    failed = sorted(own.cases, key=lambda case: case.name)
    check = GoldenCheck(worst(case.verdict for case in failed), tuple(failed))
    write_text(page, golden_page(check, own.pictures), "--golden-report")


def _page_of(config: pytest.Config) -> Path | None:
    """Return the file of the page; ``None`` without ``--golden-report`` and without a cache."""
    if target := _named_page(config):
        return target
    if hasattr(config, "workerinput"):
        folder: str | None = config.workerinput.get(_CACHE_KEY)
        return None if folder is None else Path(folder) / _PAGE
    cache = getattr(config, "cache", None)
    return None if cache is None else cache.mkdir("turbo-lab") / _PAGE


def _named_page(config: pytest.Config) -> Path | None:
    """Return the file of ``--golden-report`` or of the ini file; ``None`` if neither names one."""
    if target := config.getoption("--golden-report"):
        return Path(target)
    named = config.getini("golden_report")
    return config.rootpath / named if named else None


def _limits_of(node: pytest.Item, config: pytest.Config) -> Tolerance:
    """Return the limits of a test's marker ``golden``, or those of the ini file."""
    marker = node.get_closest_marker("golden")
    if marker is None:
        return _ini_limits(config)
    try:
        return Tolerance(*marker.args, **marker.kwargs)
    except (TypeError, InputError) as error:
        raise pytest.UsageError(f"{node.nodeid}: marker golden: {error}") from error


def _ini_limits(config: pytest.Config) -> Tolerance:
    """Return the limits of the ini file. Raises :class:`pytest.UsageError` for a wrong value."""
    max_abs, min_psnr = config.getini("golden_max_abs"), config.getini("golden_min_psnr")
    try:
        return Tolerance(int(max_abs) if max_abs else None, float(min_psnr) if min_psnr else None)
    except (ValueError, InputError) as error:
        raise pytest.UsageError(f"golden_max_abs and golden_min_psnr: {error}") from error


def _failure_message(verdict: CaseVerdict, found: PixelDifference | None, page: Path | None) -> str:
    """Return what differs, by how much, and where it can be seen."""
    first = verdict.first_divergence
    parts = [f"golden {verdict.name}: {verdict.verdict}: {verdict.message}"]
    parts += [] if first is None else [f"first at {first.stage}"]
    parts += [found.text] if found is not None and found.max_abs else []
    parts += [f"{key}: {there} -> {here}" for key, there, here in verdict.fingerprint_difference]
    parts += [] if page is None else [f"see {page}"]
    return "; ".join(parts)


def _fingerprint(device: str) -> environment.Fingerprint:
    # A suite without torch has no torch threads to record, and does not need to import it.
    torch = sys.modules.get("torch")
    num_threads = 1 if torch is None else torch.get_num_threads()
    return environment.fingerprint(device=device, num_threads=num_threads)

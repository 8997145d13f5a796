"""What a command tells GitHub Actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.github import tell_github
from turbo_lab.report.outcomes import Outcome, Outcomes
from turbo_lab.verdict import Verdict

FAILING = Outcomes(
    "gate release", Verdict.REGRESSION, (Outcome("clip_score", Verdict.REGRESSION, "worse"),)
)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of GitHub Actions with the files of one step."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    return tmp_path


def test_a_job_is_annotated_summarised_and_gets_outputs(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "summary").write_text("an earlier step\n")
    tell_github(FAILING, "## regression\n", {"html": Path("a.html")}, no_github=False)
    captured = capsys.readouterr()
    assert captured.out == ""  # it may be a JSON document
    assert captured.err.startswith("::error title=turbo-lab gate release%3A clip_score::")
    assert (job / "summary").read_text() == "an earlier step\n## regression\n\n"
    output = (job / "output").read_text()
    assert "verdict<<" in output and "\nregression\n" in output and "\na.html\n" in output


def test_elsewhere_and_on_request_nothing_is_told(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_github(FAILING, "x", {}, no_github=True)
    monkeypatch.delenv("GITHUB_ACTIONS")
    tell_github(FAILING, "x", {}, no_github=False)
    assert list(job.iterdir()) == [] and capsys.readouterr().err == ""


def test_what_cannot_be_written_is_said(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(job / "none" / "output"))
    tell_github(FAILING, "x" * 1_000_001, {}, no_github=False)
    said = capsys.readouterr().err
    assert "cannot be written (No such file or directory)" in said
    assert "too long for the job's summary" in said
    assert not (job / "summary").exists()

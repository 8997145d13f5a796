"""``turbo-lab gate run``: run the gate that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from turbo_lab import config
from turbo_lab.cli.sides import compose_side, split_sides
from turbo_lab.compare.published import refuse_published
from turbo_lab.compare.sides import SIDES, require_one_cell
from turbo_lab.documents.gate import GateReport
from turbo_lab.documents.output import check_writable, print_document, write_text
from turbo_lab.errors import InputError
from turbo_lab.gate.inputs import check_cases, gate_inputs
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run import GateResult, gate_report, pictures, run_gate
from turbo_lab.planning.resolved_sweep import resolve_points, with_store


def run_gate_words(
    arguments: Sequence[str],
    files: Mapping[str, Path],
    is_fresh: bool,
    as_json: bool,
    *,
    hydra_flags: Sequence[str] = (),
) -> int:
    """Run the gate that a command line names; return the exit code.

    ``files``: file to write the verdict to, by form: ``junit``, ``markdown``, ``html``.
    """
    refuse_published("gate", *arguments)
    _refuse_policies_of_a_side(arguments)
    words = split_sides(arguments)
    points = config.compose("gate", [*words.of("candidate"), *hydra_flags])
    if not points:
        return 0  # one of Hydra's own flags printed something instead
    policy = Policy.from_config(points[0].group("gate"))
    check_cases(policy)
    for form, path in files.items():  # before any work
        check_writable(path, f"--{form}")
    candidate = require_one_cell("gate", "candidate", resolve_points(points))
    baseline = compose_side("gate", "baseline", words.of("baseline")) if words.baseline else None
    with ExitStack() as stack:
        if is_fresh:
            folder = stack.enter_context(TemporaryDirectory(prefix="turbo-lab-gate-"))
            candidate = with_store(candidate, Path(folder))
        inputs = gate_inputs(policy, candidate, baseline)
        for text in inputs.warnings:
            print(f"warning: {text}", file=sys.stderr)
        result = run_gate(inputs)
        report = gate_report(result, words.of("candidate"), words.of("baseline"))
        _write_files(report, files, result)
    if as_json:
        print_document("gate", report)
    else:
        _print_report(report, files)
    return result.verdict.exit_code


def _print_report(report: GateReport, files: Mapping[str, Path]) -> None:
    from turbo_lab.report.text.gate import print_gate

    print_gate(report)
    for form, path in files.items():
        print(f"{form:15} {path}")


def _refuse_policies_of_a_side(arguments: Sequence[str]) -> None:
    for word in arguments:
        side, _, rest = word.partition(".")
        if side in SIDES and rest.split("=")[0].split(".")[0] == "gate":
            raise InputError(
                f"{word.split('=')[0]}: the policy judges both sides; write {rest} with no side"
            )


def _write_files(report: GateReport, files: Mapping[str, Path], result: GateResult) -> None:
    """Write the verdict to each file, in its form."""
    from turbo_lab.report.html.gate import gate_page
    from turbo_lab.report.junit import gate_junit
    from turbo_lab.report.markdown import gate_markdown

    writers: dict[str, Callable[[], str]] = {
        "junit": lambda: gate_junit(report),
        "markdown": lambda: gate_markdown(report),
        "html": lambda: gate_page(report, pictures(result, report.prompts)),
    }
    for form, path in files.items():
        write_text(path, writers[form](), f"--{form}")

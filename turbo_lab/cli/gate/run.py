"""``turbo-lab gate run``: run the gate that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.keep import check_history, keep
from turbo_lab.cli.options import Function, history_option, json_option
from turbo_lab.documents.output import check_writable, print_document


def _file_option(form: str, text: str) -> Callable[[Function], Function]:
    return click.option(f"--{form}", metavar="FILE", help=f"Write the verdict as {text}.")


@click.command("run", cls=GridCommand)
@click.option("--fresh", is_flag=True, help="Generate the candidate again, stored or not.")
@_file_option("junit", "JUnit XML")
@_file_option("markdown", "Markdown")
@_file_option("html", "a page with images")
@history_option
@json_option
@grid_options
@words_argument()
def command(
    words: tuple[str, ...],
    as_json: bool,
    fresh: bool,
    junit: str | None,
    markdown: str | None,
    html: str | None,
    history: Path | None,
    **hydra: Any,
) -> int:
    """Run the gate of a policy.

    \b
    turbo-lab gate gate=release
    turbo-lab gate gate=release baseline.model=nano-turbo candidate.lora=flat@0.8

    The exit code is 0 for pass, 1 for a regression, 3 if undecided or uncovered, 4 for an error.
    --cfg job prints the composed config of the candidate instead.
    """
    from turbo_lab.api.gates import compose_gate
    from turbo_lab.gate.inputs import gate_inputs
    from turbo_lab.gate.run import fresh_store, gate_report, run_gate
    from turbo_lab.gate.verdict_files import write_verdict
    from turbo_lab.report.text.gate import print_gate

    named = (("junit", junit), ("markdown", markdown), ("html", html))
    files = {form: Path(path) for form, path in named if path is not None}
    check_history(history)  # and the others, before any work
    for form, path in files.items():
        check_writable(path, f"--{form}")
    found = compose_gate(words, with_hydra((), hydra))
    if found is None:
        return 0  # one of Hydra's own flags printed something instead
    with fresh_store(found.candidate) if fresh else nullcontext(found.candidate) as candidate:
        inputs = gate_inputs(found.policy, candidate, found.baseline)
        for text in inputs.warnings:
            print(f"warning: {text}", file=sys.stderr)
        result = run_gate(inputs)
        report = gate_report(result, found.words.of("candidate"), found.words.of("baseline"))
        write_verdict(files, result, report)
    keep(history, report)
    if as_json:
        print_document("gate", report)
    else:
        print_gate(report)
        for form, path in files.items():
            print(f"{form:15} {path}")
    return result.verdict.exit_code

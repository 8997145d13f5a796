"""``turbo-lab gate run``: run the gate that a command line names."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from turbo_lab.cli.failures import print_note, print_warnings
from turbo_lab.cli.github import no_github_option, tell_github
from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.keep import check_history, keep
from turbo_lab.cli.options import file_option, history_option, json_option, named_files
from turbo_lab.documents.output import print_document


@click.command("run", cls=GridCommand)
@click.option("--fresh", is_flag=True, help="Generate the candidate again, stored or not.")
@file_option("junit", "the verdict as JUnit XML")
@file_option("markdown", "the verdict as Markdown")
@file_option("comment", "the verdict as a comment for a pull request")
@file_option("html", "the verdict as a page with images")
@no_github_option
@history_option
@json_option
@grid_options
@words_argument()
def command(
    words: tuple[str, ...],
    as_json: bool,
    fresh: bool,
    junit: Path | None,
    markdown: Path | None,
    comment: Path | None,
    html: Path | None,
    history: Path | None,
    no_github: bool,
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
    from turbo_lab.gate.verdict_files import track_gate, write_verdict
    from turbo_lab.report.markdown import gate_markdown
    from turbo_lab.report.outcomes import gate_outcomes
    from turbo_lab.report.text.gate import print_gate

    check_history(history)
    files = named_files(junit=junit, markdown=markdown, comment=comment, html=html)
    found = compose_gate(words, with_hydra((), hydra))
    if found is None:
        return 0  # one of Hydra's own flags printed something instead
    with fresh_store(found.candidate) if fresh else nullcontext(found.candidate) as candidate:
        inputs = gate_inputs(found.policy, candidate, found.baseline)
        print_warnings(inputs.warnings)
        result = run_gate(inputs)
        report = gate_report(result, found.words.of("candidate"), found.words.of("baseline"))
        write_verdict(files, result, report)
        track_gate(result, report, found.candidate.options, print_note)
    keep(history, report)
    tell_github(gate_outcomes(report), gate_markdown(report), files, no_github=no_github)
    if as_json:
        print_document("gate", report)
    else:
        print_gate(report)
        for form, path in files.items():
            print(f"{form:15} {path}")
    return result.verdict.exit_code

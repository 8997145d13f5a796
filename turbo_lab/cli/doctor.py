"""``turbo-lab doctor``: what this machine can run, and why not."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option, take_keys
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.inspection import Diagnosis
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.store.layout import DEFAULT_STORE


@click.command("doctor")
@json_option
@config_dir_option
@words_argument("[store=DIR]")
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Show what this machine can run; exit code 3 if something must be fixed."""
    from turbo_lab.compare.baseline import check_baselines
    from turbo_lab.report.text.doctor import print_diagnosis
    from turbo_lab.workflows.diagnosis import diagnose

    rest, keys = take_keys(words, "store")
    if rest:
        raise InputError(f"doctor: {rest[0]}: unexpected; usage: doctor [store=DIR] [--json]")
    store = Path(keys.get("store", DEFAULT_STORE))
    diagnosis = Diagnosis.of([*diagnose(store), *check_baselines()])
    if as_json:
        print_document("doctor", diagnosis)
    else:
        print_diagnosis(diagnosis)
    return diagnosis.exit_code

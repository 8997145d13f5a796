"""Failures in one line."""

from __future__ import annotations

import click
import pytest

from turbo_lab.cli.failures import one_line, print_error


def test_a_message_is_one_printable_line_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_error("a\rb: postgresql://me:secret@host/db")
    found = capsys.readouterr()
    assert found.out == "" and found.err.startswith(r"turbo-lab: a\rb: ")
    assert found.err.count("\n") == 1 and "secret" not in found.err


def test_a_usage_error_names_the_command_and_its_help() -> None:
    parent = click.Context(click.Group("turbo-lab"), info_name="turbo-lab")
    context = click.Context(click.Command("plan"), parent=parent, info_name="plan")
    error = click.UsageError("No such\n option.", context)
    assert one_line(error) == "plan: No such option. See turbo-lab plan --help."
    assert one_line(click.UsageError("No such option.")) == "No such option."

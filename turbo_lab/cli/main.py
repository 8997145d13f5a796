"""The command line's entry point: one command in, one exit code out.

Exit codes: 0 done or pass; 1 regression; 2 wrong input; 3 incomplete, uncovered or
inconclusive; 4 an internal error, or no verdict was possible.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from turbo_lab.cli.arguments import unicode_words
from turbo_lab.cli.commands import turbo_lab
from turbo_lab.cli.failures import one_line, print_error
from turbo_lab.cli.leave import leave
from turbo_lab.cli.start import process_start
from turbo_lab.errors import TurboLabError
from turbo_lab.untrusted.printable import printable_output
from turbo_lab.untrusted.redaction import redact

_INTERRUPTED = "interrupted; finished work is in the store, run the same command again to resume"
_COMPLETE = "_TURBO_LAB_COMPLETE"


def main(arguments: Sequence[str] | None = None, began: float | None = None) -> int:
    """Run one command and return its exit code.

    ``began``: start of the process on the clock of ``time.perf_counter``; ``None``: now.
    """
    began = time.perf_counter() if began is None else began
    if instruction := os.environ.get(_COMPLETE):
        return shell_complete(turbo_lab, {}, "turbo-lab", _COMPLETE, instruction)
    with printable_output():
        return _run(sys.argv[1:] if arguments is None else arguments, began)


def _run(words: Sequence[str], began: float) -> int:
    """Run one command and print its failure; returns its exit code."""
    try:
        # Not turbo_lab.main(): click has other exit codes and messages for these failures.
        with turbo_lab.make_context("turbo-lab", unicode_words(words), obj=began) as context:
            return int(turbo_lab.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        print_error(one_line(error))
        return 2
    except TurboLabError as error:
        print_error(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print_error(_INTERRUPTED)
        return 3
    except BrokenPipeError:  # the reader has gone, for example `| head`
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001  (a crash must never look like a regression)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            print_error(f"{error.filename}: the name is too long; a file name has up to 255 bytes")
            return 2
        print(redact(traceback.format_exc()), end="", file=sys.stderr)
        print("turbo-lab: internal error; please report the lines above", file=sys.stderr)
        return 4


def run() -> NoReturn:
    """Run the command line as a process; the entry point of ``turbo-lab``."""
    leave(main(began=process_start()))


if __name__ == "__main__":
    run()

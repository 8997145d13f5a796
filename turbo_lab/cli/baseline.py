"""``turbo-lab baseline``: keep what a sweep measured, to compare with later."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from turbo_lab.cli.arguments import whole_number
from turbo_lab.cli.commands import Subcommands
from turbo_lab.cli.options import json_option, take_keys, words_argument
from turbo_lab.cli.report import find_sweep, read_sweep
from turbo_lab.compare.baseline import baseline_of, names, own_folder, read_baseline, write_baseline
from turbo_lab.compare.published import refuse_published
from turbo_lab.documents.output import print_document
from turbo_lab.documents.results import BaselineList, BaselineSet, BaselineShown
from turbo_lab.errors import InputError, StoreError
from turbo_lab.store.layout import DEFAULT_STORE
from turbo_lab.store.store import Store
from turbo_lab.untrusted.typed_json import to_plain

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@click.group("baseline", cls=Subcommands)
def command() -> None:
    """Keep what a sweep measured in baselines/, to compare with later."""


@command.command("list")
@json_option
def list_(as_json: bool) -> int:
    """List the baselines of this folder and those that ship."""
    found = names(own_folder())
    if as_json:
        print_document("baseline list", BaselineList(tuple(found)))
    else:
        print("\n".join(found) or "none; make one with turbo-lab baseline set NAME SWEEP")
    return 0


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> int:
    """Show what a baseline was measured on and with."""
    baseline = read_baseline(name, own_folder())
    shown = BaselineShown(
        name=baseline.name,
        digest=baseline.content_digest,
        record_id=baseline.record_id,
        parameters=baseline.parameters,
        images=len(baseline.keys),
        figures={m.name: m.value for m in baseline.measurements},
        fingerprint=baseline.fingerprint.keys,
    )
    if as_json:
        print_document("baseline show", shown)
    else:
        print(json.dumps(to_plain(shown), indent=2, ensure_ascii=False))
    return 0


@command.command("set")
@json_option
@words_argument("NAME SWEEP [cell=N] [store=DIR]")
def set_(words: tuple[str, ...], as_json: bool) -> int:
    """Keep the measurements of one cell of a sweep as baselines/NAME.json."""
    rest, keys = take_keys(words, "store", "cell")
    if len(rest) != 2:
        raise InputError("baseline: usage: baseline set NAME SWEEP [cell=N] [store=DIR]")
    (name, sweep), folder = rest, own_folder()
    refuse_published("baseline set", name, sweep)
    if not _NAME.fullmatch(name):
        raise InputError(f"baseline set {name}: must be a name of letters, digits, - _ and .")
    store = Store.existing(Path(keys.get("store", DEFAULT_STORE)))
    baseline = baseline_of(name, store, _record(store, sweep, keys.get("cell")))
    path = folder / f"{name}.json"
    before = _digest_there(name, folder) if path.exists() else None
    write_baseline(baseline, folder)
    now = baseline.content_digest
    if as_json:
        print_document("baseline set", BaselineSet(path, now, before))
        return 0
    was = "" if before is None else "  unchanged" if before == now else f"  was {before[:12]}"
    print(f"{path}  {now[:12]}{was}")
    return 0


def _digest_there(name: str, folder: Path) -> str:
    try:
        return read_baseline(name, folder).content_digest
    except StoreError:
        return "damaged"  # and replaced by what is written now


def _record(store: Store, sweep: str, cell: str | None) -> str:
    """Return the record id of a sweep's only cell, or of its cell number ``cell``."""
    cells = read_sweep(find_sweep(sweep, str(store.root)), None).cells
    if cell is None and len(cells) > 1:
        lines = (
            f"  cell={index}  {' '.join(f'{key}={value}' for key, value in row.axes.items())}"
            for index, row in enumerate(cells)
        )
        raise InputError("\n".join([f"{sweep}: has {len(cells)} cells; add one of", *lines]))
    index = 0 if cell is None else whole_number(cell, "cell")
    if index >= len(cells):
        raise InputError(f"cell={cell}: must be a number from 0 to {len(cells) - 1}")
    return cells[index].record_id

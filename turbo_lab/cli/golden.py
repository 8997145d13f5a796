"""``turbo-lab golden``: record, check, accept, reject, list, prune, and the trials of them."""

from __future__ import annotations

import dataclasses
import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turbo_lab.cli.arguments import take_flag, take_option, whole_number
from turbo_lab.documents.output import check_writable, print_document
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.golden.document import Accepted, Golden
from turbo_lab.golden.judgement import OTHER_WORK, Observation, if_meant
from turbo_lab.golden.library import (
    GoldenLibrary,
    check_known,
    check_name,
    open_library,
    packaged_root,
    standard_cases,
)
from turbo_lab.golden.thresholds import thresholds_of
from turbo_lab.request.recipe import as_plain

_CODES = {"error": 4, "regression": 1, "uncovered": 3, "pass": 0}


def main(arguments: list[str]) -> int:
    """Run one subcommand; returns its exit code."""
    if not arguments or arguments[0] not in _SUBCOMMANDS:
        if arguments and not arguments[0].startswith("-"):
            raise unknown_name("golden", arguments[0], _SUBCOMMANDS)
        raise InputError(f"golden: write one of {', '.join(_SUBCOMMANDS)} behind it")
    name, *rest = arguments
    return _SUBCOMMANDS[name](rest)


def _record(arguments: list[str]) -> int:
    """``golden record [NAME KEY=VALUE ...] [--processes N] [--reason TEXT]``."""
    from turbo_lab.golden.lifecycle import record, who

    processes = _count(take_option(arguments, "--processes"), "--processes", 3)
    reason = take_option(arguments, "--reason") or "first recording"
    library, as_json = _own_library(), take_flag(arguments, "--json")
    cases = _cases_to_record(library, arguments)
    new = {name: overrides for name, overrides in cases.items() if not library.has(name)}
    if not new:
        known = ", ".join(cases)
        raise InputError(
            f"golden record: only records what is new, and there are goldens of {known}; "
            "`turbo-lab golden accept NAME --reason ...` moves one"
        )
    acceptance = Accepted("", {}, who(), "", reason)
    _say(f"recording {len(new)} goldens; each is drawn in {processes} fresh processes as well")
    golden = record(library, new, thresholds_of(library), processes, acceptance)
    if as_json:
        values = {"processes": processes, "bound95": _bound(processes)}
        print_document("golden record", {"recorded": [g.name for g in golden], **values})
        return 0
    for item in golden:
        print(f"{item.name:32} {item.outcome[:12]}")
    print(
        f"\none outcome a case in this and {processes} fresh processes: at 95% confidence at most "
        f"{_bound(processes):.0%} of processes would give another"
    )
    print(f"\nlook at them    {library.root}/*/image.png\ncheck them      turbo-lab golden check")
    return 0


def _bound(processes: int) -> float:
    """The rule of three: none of so many was another, so at most this share is."""
    return min(1.0, 3 / (processes + 1))


def _cases_to_record(library: GoldenLibrary, arguments: list[str]) -> dict[str, tuple[str, ...]]:
    known = library.cases() if library.has_cases() else {}
    if not arguments:
        return known or standard_cases()
    name, *overrides = arguments
    if "=" in name:
        raise InputError(f"golden record {name}: name the case first, as in record my-case {name}")
    if not overrides:
        cases = known | standard_cases()
        check_known([name], cases)
        return {name: cases[name]}
    check_name(name)
    return {name: tuple(overrides)}


def _check(arguments: list[str]) -> int:
    """``golden check [NAME ...] [--explain] [--json] [--html FILE]``."""
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.golden.lifecycle import check
    from turbo_lab.report.golden_check import check_document, write_page

    as_json, explain = take_flag(arguments, "--json"), take_flag(arguments, "--explain")
    html = take_option(arguments, "--html")
    if html is not None:
        check_writable(Path(html), "--html")
    library = open_library()
    names = _named(library, arguments)
    checked = check(library, names, thresholds_of(library), judge_embed(), explain)
    orphans = [] if arguments else library.orphans()
    values = check_document(checked, orphans)
    if html is not None:
        write_page(Path(html), values, checked)
    if as_json:
        print_document("golden check", values)
    else:
        from turbo_lab.report.text.golden import print_check

        print_check(values, library.root == packaged_root())
        if html is not None:
            print(f"report          {html}")
    return _CODES[values["verdict"]]


def _accept(arguments: list[str]) -> int:
    """``golden accept NAME ... --reason TEXT [--expires DAY] [--processes N] [--json]``."""
    from turbo_lab.golden.lifecycle import record, who

    as_json = take_flag(arguments, "--json")
    reason = take_option(arguments, "--reason")
    expires = _day(take_option(arguments, "--expires"))
    processes = _count(take_option(arguments, "--processes"), "--processes", 3)
    library = _own_library()
    cases = library.cases()
    if not arguments or not reason:
        raise InputError(
            "golden accept: name the cases and say why, as in turbo-lab golden accept "
            'nano-turbo-1-step --reason "new VAE"'
        )
    check_known(arguments, cases)
    named = {name: cases[name] for name in arguments}
    acceptance = Accepted("", {}, who(), "", reason, expires)
    old = {name: library.read(name) for name in arguments if library.has(name)}
    if expires is None:
        moved = record(library, named, thresholds_of(library), processes, acceptance, True)
        outcomes = {golden.name: golden.outcome for golden in moved}
        parents = {golden.name: golden.parent for golden in moved}
    else:
        outcomes = _accept_beside(library, named, acceptance, processes)
        parents = {}
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "outcome": outcome,
            "parent": parents.get(name),
            "expires": expires,
            "was_known_bad": old[name].known_bad.get(outcome) if name in old else None,
        }
        for name, outcome in outcomes.items()
    ]
    if as_json:
        print_document("golden accept", {"accepted": rows})
        return 0
    for row in rows:
        ending = f"until {expires}" if expires else f"parent {(row['parent'] or 'none')[:12]}"
        print(f"{row['name']:32} {row['outcome'][:12]}  {ending}")
        if row["was_known_bad"]:
            print(f"{'':32} was known bad ({row['was_known_bad']}) and is no longer")
    return 0


def _accept_beside(
    library: GoldenLibrary,
    cases: dict[str, tuple[str, ...]],
    acceptance: Accepted,
    processes: int,
) -> dict[str, str]:
    """A temporary acceptance, outcome by name: the anchor stays where it is."""
    from turbo_lab.golden.lifecycle import observe_reproducible

    outcomes = {}
    for name, seen in observe_reproducible(cases, processes).items():
        own = dataclasses.replace(
            acceptance,
            outcome=seen.outcome,
            keys=dict(seen.fingerprint["keys"]),
            at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        library.write_sidecar(_of_same_work(library, name, seen).with_accepted(own))
        outcomes[name] = seen.outcome
    return outcomes


def _of_same_work(library: GoldenLibrary, name: str, seen: Observation) -> Golden:
    """The golden that an outcome is to stand beside; it must be of the same cell."""
    golden = library.read(name)
    if golden.cell_id != seen.cell_id:
        raise InputError(f"golden {name}: {OTHER_WORK}; {if_meant(name)}")
    return golden


def _reject(arguments: list[str]) -> int:
    """``golden reject NAME --reason TEXT [--json]``: what this environment gives is known bad."""
    from turbo_lab.golden.lifecycle import observe_reproducible

    as_json = take_flag(arguments, "--json")
    reason = take_option(arguments, "--reason")
    library = _own_library()
    cases = library.cases()
    if len(arguments) != 1 or not reason:
        raise InputError("golden reject: name one case and say why with --reason TEXT")
    check_known(arguments, cases)
    name = arguments[0]
    seen = observe_reproducible({name: cases[name]}, 0)[name]
    golden = _of_same_work(library, name, seen)
    library.write_sidecar(golden.with_known_bad(seen.outcome, reason))
    if as_json:
        print_document("golden reject", {"name": name, "outcome": seen.outcome, "reason": reason})
        return 0
    print(f"{name:32} {seen.outcome[:12]}  is known bad")
    return 0


def _list(arguments: list[str]) -> int:
    """``golden list [--json]``: the cases, with who accepted them and when."""
    as_json = take_flag(arguments, "--json")
    _no_more("list", arguments)
    library = open_library()
    rows = []
    for name, overrides in library.cases().items():
        golden = library.read(name) if library.has(name) else None
        anchor = golden.accepted[0] if golden else None
        rows.append(
            {
                "name": name,
                "overrides": list(overrides),
                "outcome": golden.outcome if golden else None,
                "accepted_by": anchor.by if anchor else None,
                "accepted_at": anchor.at if anchor else None,
                "reason": anchor.reason if anchor else None,
                "beside": len(golden.accepted) - 1 if golden else 0,
                "known_bad": len(golden.known_bad) if golden else 0,
            }
        )
    if as_json:
        print_document("golden list", {"root": str(library.root.resolve()), "goldens": rows})
        return 0
    from turbo_lab.report.text.golden import print_list

    print_list(rows)
    print(f"\n{library.root}")
    return 0


def _prune(arguments: list[str]) -> int:
    """``golden prune [--json]``: removes goldens that no case names."""
    as_json = take_flag(arguments, "--json")
    _no_more("prune", arguments)
    library = _own_library()
    orphans = library.orphans()
    for name in orphans:
        library.remove(name)
    if as_json:
        print_document("golden prune", {"removed": orphans})
        return 0
    for name in orphans:
        print(f"removed {library.root / name}")
    if not orphans:
        print("no orphans")
    return 0


def _calibrate(arguments: list[str]) -> int:
    """``golden calibrate [--write] [--json]``: thresholds from harmless changes."""
    from turbo_lab.environment import package_version
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.golden.thresholds import RATCHET, SAFETY, thresholds_document
    from turbo_lab.trials.golden_calibration import calibrate, load_cases

    as_json, write = take_flag(arguments, "--json"), take_flag(arguments, "--write")
    _no_more("calibrate", arguments)
    library = _own_library() if write else open_library()
    cases = load_cases(library)
    # What is about to be replaced may be as loose as it likes.
    found = calibrate(cases, judge_embed(), None if write else thresholds_of(library))
    provenance = {
        "safety": SAFETY,
        "ratchet": RATCHET,
        "cases": found.cases,
        "by_change": found.by_change,
        "identical": found.exact,
        "keys": dict(cases[0][0].sweep.fingerprint["keys"]),
        "packages": {name: package_version(name) for name in ("torch", "diffusers")},
    }
    if write:
        library.write_thresholds(
            found.thresholds, thresholds_document(found.thresholds, provenance)
        )
    values = {"loose": list(found.loose), "thresholds": found.thresholds, "provenance": provenance}
    if as_json:
        print_document("golden calibrate", as_plain(values))
    else:
        from turbo_lab.report.text.golden import print_calibration

        print_calibration(found)
    return 1 if found.loose else 0


def _mutate(arguments: list[str]) -> int:
    """``golden mutate [--json]``: which faults the goldens catch, and what alarms falsely."""
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.trials.golden_calibration import load_cases
    from turbo_lab.trials.golden_mutation import mutate

    as_json = take_flag(arguments, "--json")
    _no_more("mutate", arguments)
    library = open_library()
    faults, harmless = mutate(load_cases(library), thresholds_of(library), judge_embed())
    shown = [fault for fault in faults if fault.cases]
    values = {
        "score": sum(fault.caught for fault in shown) / len(shown),
        "faults": as_plain(faults),
        "harmless": as_plain(harmless),
    }
    if as_json:
        print_document("golden mutate", values)
    else:
        from turbo_lab.report.text.golden import print_mutation

        print_mutation(values)
    is_blind = values["score"] < 1 or any(fault.above_noise for fault in faults)
    return 1 if is_blind or any(change.alarm for change in harmless) else 0


def _invariance(arguments: list[str]) -> int:
    """``golden invariance [--json]``: what must not matter, and what was measured."""
    from turbo_lab.golden.embedding import judge_embed
    from turbo_lab.trials.golden_calibration import load_cases
    from turbo_lab.trials.golden_invariance import invariance

    as_json = take_flag(arguments, "--json")
    _no_more("invariance", arguments)
    library = open_library()
    rows = invariance(load_cases(library), thresholds_of(library), judge_embed())
    holds = all(row.holds is not False for row in rows)
    values = {"verdict": "pass" if holds else "regression", "rows": as_plain(rows)}
    if as_json:
        print_document("golden invariance", values)
    else:
        from turbo_lab.report.text.golden import print_invariance

        print_invariance(values["rows"])
    return 0 if holds else 1


def _named(library: GoldenLibrary, names: list[str]) -> list[str]:
    cases = library.cases()
    check_known(names, cases)
    return names or list(cases)


def _no_more(command: str, arguments: list[str]) -> None:
    if arguments:
        raise InputError(f"golden {command} {arguments[0]}: {command} takes no names, only --flags")


def _own_library() -> GoldenLibrary:
    """``goldens`` of the working directory, made where it is absent.

    In a checkout of turbo-lab itself the packaged ones are its own.
    """
    if (Path.cwd() / "turbo_lab" / "data").is_dir():
        return GoldenLibrary(packaged_root())
    return GoldenLibrary(Path.cwd() / "goldens")


def _count(text: str | None, option: str, default: int) -> int:
    if text is None:
        return default
    return whole_number(text, option)


def _day(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--expires={text}: must be a day such as 2027-01-31") from error
    if day < datetime.datetime.now(datetime.UTC).date():
        raise InputError(f"--expires={text}: has passed; give a day to come")
    return day.isoformat()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


_SUBCOMMANDS: dict[str, Callable[[list[str]], int]] = {
    "record": _record,
    "check": _check,
    "accept": _accept,
    "reject": _reject,
    "list": _list,
    "prune": _prune,
    "calibrate": _calibrate,
    "mutate": _mutate,
    "invariance": _invariance,
}

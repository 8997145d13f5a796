"""``turbo-lab golden``: record, check, accept, reject, list, prune, and the trials of them."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from turbo_lab.cli.commands import Subcommands
from turbo_lab.cli.options import html_option, json_option, words_argument
from turbo_lab.documents.golden import (
    AcceptedCase,
    GoldenAccepted,
    GoldenCalibration,
    GoldenInvariance,
    GoldenList,
    GoldenMutation,
    GoldenPruned,
    GoldenRecorded,
    GoldenRejected,
    ListedCase,
    ThresholdProvenance,
)
from turbo_lab.documents.output import check_writable, print_document
from turbo_lab.errors import InputError
from turbo_lab.golden.document import Acceptance, Golden
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
from turbo_lab.verdict import Verdict

reason_option = click.option("--reason", metavar="TEXT", help="Why it is accepted or rejected.")
processes_option = click.option(
    "--processes",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Fresh processes that must draw the same bits.",
)


@click.group("golden", cls=Subcommands)
def command() -> None:
    """Record, check and maintain golden images.

    Goldens are those in goldens/ of the working directory, else those that ship.
    """


@command.command()
@processes_option
@reason_option
@json_option
@words_argument("[NAME [KEY=VALUE]...]")
def record(words: tuple[str, ...], processes: int, reason: str | None, as_json: bool) -> int:
    """Record a case, or every standard case that has no golden yet."""
    from turbo_lab.golden import lifecycle

    library = _own_library()
    cases = _cases_to_record(library, list(words))
    new = {name: overrides for name, overrides in cases.items() if not library.has(name)}
    if not new:
        known = ", ".join(cases)
        raise InputError(
            f"golden record: only records what is new, and there are goldens of {known}; "
            "`turbo-lab golden accept NAME --reason ...` moves one"
        )
    acceptance = Acceptance(reason or "first recording", lifecycle.who())
    _say(f"recording {len(new)} goldens; each is drawn in {processes} fresh processes as well")
    golden = lifecycle.record(library, new, thresholds_of(library), processes, acceptance)
    if as_json:
        names = tuple(item.name for item in golden)
        print_document("golden record", GoldenRecorded(names, processes, _bound(processes)))
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


@command.command()
@click.option("--explain", is_flag=True, help="Name the stage that causes a difference.")
@html_option
@json_option
@words_argument("[NAME]... [KEY=VALUE]...")
def check(words: tuple[str, ...], explain: bool, html: Path | None, as_json: bool) -> int:
    """Draw the cases again and compare them with their goldens.

    KEY=VALUE applies to every case, such as device=cuda or num_threads=4.
    """
    from turbo_lab.golden import lifecycle
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.report.golden_check import golden_check, write_page

    names, overrides = _split_words(words)
    if html is not None:
        check_writable(html, "--html")
    library = open_library()
    checked = lifecycle.check(
        library,
        _named(library, names),
        thresholds_of(library),
        image_embedding(),
        explain,
        overrides,
    )
    orphans = [] if names else library.orphans()
    result = golden_check(checked, orphans)
    if html is not None:
        write_page(html, result, checked)
    if as_json:
        print_document("golden check", result)
    else:
        from turbo_lab.report.text.golden import print_check

        print_check(result, library.root == packaged_root())
        if html is not None:
            print(f"report          {html}")
    return result.verdict.exit_code


@command.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@reason_option
@click.option("--expires", metavar="DAY", help="Accept next to the golden until this day.")
@processes_option
@json_option
def accept(
    names: tuple[str, ...], reason: str | None, expires: str | None, processes: int, as_json: bool
) -> int:
    """Accept what this environment draws, as the golden or, with --expires, next to it."""
    from turbo_lab.golden import lifecycle

    expires = _day(expires)
    library = _own_library()
    cases = library.cases()
    if not names or not reason:
        raise InputError(
            "golden accept: name the cases and say why, as in turbo-lab golden accept "
            'nano-turbo-1-step --reason "new VAE"'
        )
    check_known(names, cases)
    named = {name: cases[name] for name in names}
    acceptance = Acceptance(reason, lifecycle.who(), expires)
    old = {name: library.read(name) for name in names if library.has(name)}
    if expires is None:
        moved = lifecycle.record(
            library, named, thresholds_of(library), processes, acceptance, True
        )
        outcomes = {golden.name: golden.outcome for golden in moved}
        parents = {golden.name: golden.parent for golden in moved}
    else:
        outcomes = _accept_beside(library, named, acceptance, processes)
        parents = {}
    rows = [
        AcceptedCase(
            name=name,
            outcome=outcome,
            parent=parents.get(name),
            expires=expires,
            was_known_bad=old[name].known_bad.get(outcome) if name in old else None,
        )
        for name, outcome in outcomes.items()
    ]
    if as_json:
        print_document("golden accept", GoldenAccepted(tuple(rows)))
        return 0
    for row in rows:
        ending = f"until {expires}" if expires else f"parent {(row.parent or 'none')[:12]}"
        print(f"{row.name:32} {row.outcome[:12]}  {ending}")
        if row.was_known_bad:
            print(f"{'':32} was known bad ({row.was_known_bad}) and is no longer")
    return 0


def _accept_beside(
    library: GoldenLibrary,
    cases: dict[str, tuple[str, ...]],
    acceptance: Acceptance,
    processes: int,
) -> dict[str, str]:
    """Accept outcomes for a while next to the anchors; return them by name."""
    from turbo_lab.golden.lifecycle import observe_reproducible

    outcomes = {}
    for name, seen in observe_reproducible(cases, processes).items():
        own = acceptance.of(seen.outcome, seen.fingerprint.keys)
        library.write_sidecar(_of_same_work(library, name, seen).with_accepted(own))
        outcomes[name] = seen.outcome
    return outcomes


def _of_same_work(library: GoldenLibrary, name: str, seen: Observation) -> Golden:
    """Return the golden that an outcome is accepted next to; it must be of the same cell."""
    golden = library.read(name)
    if golden.cell_id != seen.cell_id:
        raise InputError(f"golden {name}: {OTHER_WORK}; {if_meant(name)}")
    return golden


@command.command()
@click.argument("name")
@reason_option
@json_option
def reject(name: str, reason: str | None, as_json: bool) -> int:
    """Record that what this environment draws is known to be bad."""
    from turbo_lab.golden.lifecycle import observe_reproducible

    library = _own_library()
    cases = library.cases()
    if not reason:
        raise InputError("golden reject: say why with --reason TEXT")
    check_known([name], cases)
    seen = observe_reproducible({name: cases[name]}, 0)[name]
    golden = _of_same_work(library, name, seen)
    library.write_sidecar(golden.with_known_bad(seen.outcome, reason))
    if as_json:
        print_document("golden reject", GoldenRejected(name, seen.outcome, reason))
        return 0
    print(f"{name:32} {seen.outcome[:12]}  is known bad")
    return 0


@command.command("list")
@json_option
def list_(as_json: bool) -> int:
    """List the cases, and who accepted each golden when and why."""
    library = open_library()
    rows = []
    for name, overrides in library.cases().items():
        golden = library.read(name) if library.has(name) else None
        anchor = golden.accepted[0] if golden else None
        rows.append(
            ListedCase(
                name=name,
                overrides=tuple(overrides),
                outcome=golden.outcome if golden else None,
                accepted_by=anchor.by if anchor else None,
                accepted_at=anchor.at if anchor else None,
                reason=anchor.reason if anchor else None,
                beside=len(golden.accepted) - 1 if golden else 0,
                known_bad=len(golden.known_bad) if golden else 0,
            )
        )
    if as_json:
        print_document("golden list", GoldenList(library.root.resolve(), tuple(rows)))
        return 0
    from turbo_lab.report.text.golden import print_list

    print_list(rows)
    print(f"\n{library.root}")
    return 0


@command.command()
@json_option
def prune(as_json: bool) -> int:
    """Remove goldens that no case names."""
    library = _own_library()
    orphans = library.orphans()
    for name in orphans:
        library.remove(name)
    if as_json:
        print_document("golden prune", GoldenPruned(tuple(orphans)))
        return 0
    for name in orphans:
        print(f"removed {library.root / name}")
    if not orphans:
        print("no orphans")
    return 0


@command.command()
@click.option("--write", is_flag=True, help="Keep them as this folder's thresholds.")
@json_option
@words_argument()
def calibrate(words: tuple[str, ...], write: bool, as_json: bool) -> int:
    """Measure thresholds from changes that must not matter."""
    from turbo_lab.environment import package_version
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.golden.thresholds import RATCHET, SAFETY, thresholds_document
    from turbo_lab.trials import golden_calibration

    library = _own_library() if write else open_library()
    cases = golden_calibration.load_cases(library, _overrides(words))
    # Thresholds that are about to be replaced are not checked for looseness.
    found = golden_calibration.calibrate(
        cases, image_embedding(), None if write else thresholds_of(library)
    )
    provenance = ThresholdProvenance(
        safety=SAFETY,
        ratchet=RATCHET,
        cases=found.cases,
        by_change=found.by_change,
        identical=found.exact,
        keys=cases[0][0].sweep.fingerprint.keys,
        packages={name: package_version(name) for name in ("torch", "diffusers")},
    )
    if write:
        library.write_thresholds(
            found.thresholds, thresholds_document(found.thresholds, provenance)
        )
    if as_json:
        result = GoldenCalibration(found.loose, found.thresholds, provenance)
        print_document("golden calibrate", result)
    else:
        from turbo_lab.report.text.golden import print_calibration

        print_calibration(found)
    return 1 if found.loose else 0


@command.command()
@json_option
@words_argument()
def mutate(words: tuple[str, ...], as_json: bool) -> int:
    """Inject faults and harmless changes; exit code 1 if a fault is missed or one alarms."""
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.trials import golden_mutation
    from turbo_lab.trials.golden_calibration import load_cases

    library = open_library()
    cases = load_cases(library, _overrides(words))
    found = golden_mutation.mutate(cases, thresholds_of(library), image_embedding())
    mutation = GoldenMutation(found.score, found.faults, found.harmless)
    if as_json:
        print_document("golden mutate", mutation)
    else:
        from turbo_lab.report.text.golden import print_mutation

        print_mutation(mutation)
    return 0 if found.passes else 1


@command.command()
@json_option
@words_argument()
def invariance(words: tuple[str, ...], as_json: bool) -> int:
    """Check that batch position, prompt order, threads and the like do not matter."""
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.trials import golden_invariance
    from turbo_lab.trials.golden_calibration import load_cases

    library = open_library()
    cases = load_cases(library, _overrides(words))
    rows = golden_invariance.invariance(cases, thresholds_of(library), image_embedding())
    holds = all(row.holds is not False for row in rows)
    if as_json:
        verdict = Verdict.PASS if holds else Verdict.REGRESSION
        print_document("golden invariance", GoldenInvariance(verdict, tuple(rows)))
    else:
        from turbo_lab.report.text.golden import print_invariance

        print_invariance(rows)
    return 0 if holds else 1


def _split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of cases, and the overrides that apply to each."""
    return [w for w in words if "=" not in w], [w for w in words if "=" in w]


def _overrides(words: Sequence[str]) -> list[str]:
    """Return the words as overrides; raises :class:`InputError` for a name."""
    names, overrides = _split_words(words)
    if names:
        raise InputError(f"golden: {names[0]}: unexpected name; this command takes all cases")
    return overrides


def _named(library: GoldenLibrary, names: Sequence[str]) -> list[str]:
    cases = library.cases()
    check_known(names, cases)
    return list(names) or list(cases)


def _own_library() -> GoldenLibrary:
    """``goldens`` of the working directory, made where it is absent.

    In a checkout of turbo-lab itself the packaged ones are its own.
    """
    if (Path.cwd() / "turbo_lab" / "data").is_dir():
        return GoldenLibrary(packaged_root())
    return GoldenLibrary(Path.cwd() / "goldens")


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

"""``turbo-lab gate``: a candidate against its baseline, by a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from turbo_lab import config
from turbo_lab.cli.arguments import take_flag, take_option
from turbo_lab.compare.baseline import Baseline, how_to_make, names, own_folder, read_baseline
from turbo_lab.compare.latency import check_same_calls, check_same_run
from turbo_lab.compare.paired import Row, winners_and_losers
from turbo_lab.compare.published import refuse_published
from turbo_lab.compare.sides import SIDES, compose_side, split_sides
from turbo_lab.documents.output import check_writable, print_document, write_text
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.gate import checks as gate
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run_checks import Overrides, Sides, all_checks, check_cases, draw_side, side_of
from turbo_lab.request.recipe import as_plain
from turbo_lab.verdict import Direction, Verdict

if TYPE_CHECKING:
    from turbo_lab.report.html.pictures import Picture
    from turbo_lab.workflows.sweep import Executed


def main(arguments: list[str]) -> int:
    """``gate gate=NAME [candidate.KEY=...] [baseline.KEY=...]``.

    ``--json``, ``--junit FILE``, ``--markdown FILE`` and ``--html FILE`` write
    the verdict in those forms. ``--fresh``: the candidate is drawn again, whichever batches
    the store holds of the same weights and versions.
    """
    as_json, is_fresh = take_flag(arguments, "--json"), take_flag(arguments, "--fresh")
    files = {kind: take_option(arguments, f"--{kind}") for kind in ("junit", "markdown", "html")}
    refuse_published("gate", *arguments)
    _refuse_policies_of_a_side(arguments)
    overrides = split_sides(arguments)
    has_baseline = any(a.startswith("baseline.") for a in arguments)
    policy = policy_of(overrides["candidate"])
    for kind, path in files.items():
        if path is not None:  # before a minute's work, not after it
            check_writable(Path(path), f"--{kind}")
    check_sides(policy, overrides, has_baseline)
    with TemporaryDirectory(prefix="turbo-lab-gate-") as anew:
        if is_fresh:
            overrides["candidate"].append(f"store={anew}")
        sides = None
        try:
            sides = draw_sides(policy, overrides, has_baseline)
            values = judge(policy, sides)
        except JudgementError as error:
            values = _not_judged(policy, overrides, has_baseline, str(error))
        _write_files(values, files, sides)
    if as_json:
        print_document("gate", values)
    else:
        from turbo_lab.report.text.gate import print_gate

        print_gate(values)
        for kind, path in files.items():
            if path is not None:
                print(f"{kind:15} {path}")
    return Verdict(values["verdict"]).exit_code


def _refuse_policies_of_a_side(arguments: Sequence[str]) -> None:
    for word in arguments:
        side, _, rest = word.partition(".")
        if side in SIDES and rest.split("=")[0].split(".")[0] == "gate":
            raise InputError(
                f"{word.split('=')[0]}: the policy judges both sides; write {rest} with no side"
            )


def policy_of(overrides: Sequence[str]) -> Policy:
    """The policy that a command line names, with every case that it names known."""
    policy = Policy.from_config(config.compose("gate", overrides)[0].values["gate"])
    check_cases(policy)
    return policy


def check_sides(policy: Policy, overrides: Overrides, has_baseline: bool) -> None:
    """What is wrong with either side, or with timing them in one run, before a minute's work."""
    sides = ("candidate", "baseline") if has_baseline else ("candidate",)
    found = [compose_side("gate", side, [*overrides[side], "tracking=none"]) for side in sides]
    if not has_baseline:
        return
    if policy.latency is not None:
        check_same_run("gate", found[1], found[0])
    if policy.latency is not None or policy.memory is not None:
        check_same_calls("gate", found[1], found[0])


def draw_sides(policy: Policy, overrides: Overrides, has_baseline: bool) -> Sides:
    """Draw the candidate, and the baseline too or read the committed one."""
    stored, missing = (None, "") if has_baseline else _stored(policy)
    candidate = draw_side("candidate", overrides["candidate"], policy)
    baseline = draw_side("baseline", overrides["baseline"], policy) if has_baseline else None
    stored = side_of(baseline) if baseline is not None else stored
    return Sides(overrides, candidate, baseline, stored, missing)


def judge(policy: Policy, sides: Sides) -> dict[str, Any]:
    """The ``gate`` document, without its header."""
    verdict, held = gate.decide(list(all_checks(policy, sides)))
    drawn, stored = sides.baseline is not None, sides.stored
    return {
        "verdict": verdict,
        "gate": policy.name,
        "checks": [row_document(row) for row in held],
        "candidate": list(sides.overrides["candidate"]),
        "baseline": list(sides.overrides["baseline"]) if drawn else policy.baseline,
        "baseline_digest": None if stored is None else stored.content_digest,
        "prompts": {} if stored is None else _changed_most(held, side_of(sides.candidate), stored),
        "identical_images": None
        if stored is None
        else _identical(side_of(sides.candidate), stored),
        "from_store": sides.candidate.from_store,
        "fingerprint": dict(sides.candidate.sweep.fingerprint.keys),
        "fingerprint_difference": _differs(sides.candidate, stored),
    }


def _not_judged(
    policy: Policy, overrides: Overrides, has_baseline: bool, why: str
) -> dict[str, Any]:
    """The ``gate`` document of a pipeline that does not run: an ``error``, and why."""
    return {
        "verdict": Verdict.ERROR,
        "gate": policy.name,
        "checks": [row_document(gate.failed_check("drawing", Verdict.ERROR, why))],
        "candidate": list(overrides["candidate"]),
        "baseline": list(overrides["baseline"]) if has_baseline else policy.baseline,
        "baseline_digest": None,
        "prompts": {},
        "identical_images": None,
        "from_store": None,
        "fingerprint": {},
        "fingerprint_difference": [],
    }


def row_document(row: Row) -> dict[str, Any]:
    """A check as the ``gate`` and ``compare`` documents have it."""
    plain: dict[str, Any] = as_plain(row)
    return plain


def _stored(policy: Policy) -> tuple[Baseline | None, str]:
    """The committed baseline of the policy; else why there is none."""
    folder = own_folder()
    if policy.baseline not in names(folder):
        return None, how_to_make(policy.baseline, folder)
    return read_baseline(policy.baseline, folder), ""


def _identical(candidate: Baseline, baseline: Baseline) -> dict[str, int]:
    """Count the images with the baseline's pixels; reported, never judged."""
    there = dict(zip(baseline.keys, baseline.pixel_sha256, strict=True))
    pixels = zip(candidate.keys, candidate.pixel_sha256, strict=True)
    same = sum(there.get(key) == pixel for key, pixel in pixels)
    return {"same": same, "of": len(candidate.keys)}


def _changed_most(
    held: Sequence[Row], candidate: Baseline, baseline: Baseline
) -> dict[str, list[tuple[str, float]]]:
    """By figure that was compared and did not pass: the prompts to look at, the worst first."""
    here, there = ({m.name: m for m in side.measurements} for side in (candidate, baseline))
    found = {}
    for row in held:
        if row.name in here and row.ci95 is not None and row.verdict != Verdict.PASS:
            gains, losses = winners_and_losers(
                here[row.name], there[row.name], candidate.keys, baseline.keys
            )
            better = row.difference is not None and (
                row.difference < 0
                if here[row.name].direction == Direction.LOWER
                else row.difference > 0
            )
            # Of a two-sided figure that gained, the gains are what is suspicious.
            pairs = gains if row.direction == Direction.NONE and better else losses
            found[row.name] = [pair for pair in pairs if pair[1]]
    return found


def _pictures(values: Mapping[str, Any], sides: Sides) -> dict[str, dict[str, Picture]]:
    """Of each side drawn now, the first image of every prompt that the document names."""
    from turbo_lab.report.html.pictures import read_pictures

    named = {prompt for pairs in values["prompts"].values() for prompt, _ in pairs}
    drawn = {"candidate": sides.candidate, "baseline": sides.baseline}
    paths = {
        side: {
            image["prompt"]: Path(image["path"])
            for image in reversed(done.document["cells"][0]["images"])
            if image["prompt"] in named
        }
        for side, done in drawn.items()
        if done is not None
    }
    read = read_pictures([path for images in paths.values() for path in images.values()])
    return {
        side: {prompt: read[str(path)] for prompt, path in images.items() if str(path) in read}
        for side, images in paths.items()
    }


def _differs(candidate: Executed, baseline: Baseline | None) -> list[dict[str, Any]]:
    from turbo_lab.golden.tiers import choose_tier

    if baseline is None:
        return []
    keys = candidate.sweep.fingerprint.keys
    differs = choose_tier(baseline.fingerprint.keys, keys).differs
    return [{"key": key, "baseline": before, "here": now} for key, before, now in differs]


def _write_files(
    values: Mapping[str, Any], files: Mapping[str, str | None], sides: Sides | None
) -> None:
    """What was asked for. ``sides``: ``None`` where nothing was drawn."""
    from turbo_lab.report.html.gate import gate_report
    from turbo_lab.report.markdown import gate_junit, gate_markdown

    writers: dict[str, Callable[[], str]] = {
        "junit": lambda: gate_junit(values),
        "markdown": lambda: gate_markdown(values),
        "html": lambda: gate_report(values, _pictures(values, sides) if sides else {}),
    }
    for kind, name in files.items():
        if name is not None:
            write_text(Path(name), writers[kind](), f"--{kind}")

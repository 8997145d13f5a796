"""``turbo-lab bench A B``: two pipelines against each other."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.api.sides import compose_side, split_sides
from turbo_lab.compare.latency import check_same_run, pair_result, time_sides
from turbo_lab.documents.occasion import occasion_now
from turbo_lab.documents.output import print_document
from turbo_lab.documents.timing import PairResult
from turbo_lab.errors import InputError
from turbo_lab.report.text.bench_pair import print_pair


def is_pair(arguments: Sequence[str]) -> bool:
    """Return whether a command line names sides; :func:`time_pair` refuses other than two."""
    return bool(_models(arguments)) or split_sides(arguments).has_sides


def time_pair(arguments: Sequence[str], as_json: bool) -> PairResult:
    """Time the baseline (A) against the candidate (B), and print the result."""
    models = _models(arguments)
    rest = [word for word in arguments if word not in models]
    if len(models) not in (0, 2):
        raise InputError("bench: name two models, or none, as in bench nano-turbo nano-sdxl")
    if models:
        rest = [f"baseline.model={models[0]}", f"candidate.model={models[1]}", *rest]
    words = split_sides(rest)
    baseline = compose_side("bench", "baseline", words.of("baseline"))
    candidate = compose_side("bench", "candidate", words.of("candidate"))
    check_same_run("bench", baseline, candidate)
    timing = time_sides(baseline, candidate, with_energy=baseline.options.timing == "full")
    first, second = (len(s.cells[0].batches[0].layout.seeds) for s in (baseline, candidate))
    result = pair_result(
        timing,
        (first, second),
        words.of("baseline"),
        candidate_words=words.of("candidate"),
        occasion=occasion_now(rest, candidate.fingerprint),
    )
    if as_json:
        print_document("bench pair", result)
    else:
        print_pair(result)
    return result


def _models(arguments: Sequence[str]) -> list[str]:
    """Return the words that name a model: neither ``KEY=VALUE`` nor an option."""
    return [word for word in arguments if "=" not in word and not word.startswith("-")]

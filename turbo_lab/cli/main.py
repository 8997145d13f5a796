"""The command line: words to calls, outcomes to exit codes.

Owns argument words, messages and exit codes; everything else is below it.
Heavy modules are imported inside the command that needs them, so that
``--help`` and ``plan`` start without torch.

Exit codes: 0 done or pass; 1 regression; 2 wrong input; 3 incomplete,
uncovered or inconclusive; 4 our own bug or no judgement possible.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from turbo_lab import __version__
from turbo_lab.cli.arguments import take_flag, take_option
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError, TurboLabError, unknown_name

_USAGE = f"""turbo-lab {__version__}: sweeps, comparisons and release gates for few-step SDXL models

  turbo-lab generate "a red apple on a blue background" seed=7   draw images
  turbo-lab show     IMAGE.png                 the recipe inside an image
  turbo-lab plan     KEY=VALUE,VALUE ...       what a sweep would run, and what it shares
  turbo-lab sweep    KEY=VALUE,VALUE ...       run it; with no axis, the default sweep
  turbo-lab bench    KEY=VALUE ...             the timing lane only
  turbo-lab bench    MODEL MODEL | candidate.KEY=... baseline.KEY=...   one against the other
  turbo-lab golden   record | check | accept | reject | list | prune
                     calibrate | mutate | invariance
  turbo-lab compare  model=NAME baselines=NAME,NAME ...   on the same prompts and seeds
  turbo-lab gate     gate=release candidate.KEY=... baseline.KEY=... | calibrate | mutate
  turbo-lab baseline set NAME SWEEP | list | show NAME
  turbo-lab reproduce RECORD | IMAGE.png       draw it again here, and say what is identical
  turbo-lab report   SWEEP [--format markdown] one file: figures, plots, images
  turbo-lab reference build FOLDER             what distances are taken to
  turbo-lab models   list | show NAME | verify  what can be run; verify hashes weights again
  turbo-lab store    verify | du | gc          look after the store
  turbo-lab doctor                             what this machine can run, and why not
  turbo-lab sync     [store=DIR]               replay the store into MLflow

Keys: model num_inference_steps guidance_scale resolution batch_size lora seed prompts
      scheduler dtype device num_images share timing metrics store tracking sweep
      (`turbo-lab sweep --help` lists all with their values)
Every command that prints a result takes --json.
Exit codes: 0 done, 1 regression, 2 wrong input, 3 incomplete, 4 internal error.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_USAGE, end="")
        return 0
    if arguments[0] == "--version":
        print(__version__)
        return 0
    command, *rest = arguments
    try:
        if command.split("=")[0] in ("-sc", "--shell-completion"):
            from turbo_lab.cli.completion import complete

            return complete(arguments, list(_COMMANDS))
        if command not in _COMMANDS:
            raise unknown_name("command", command, _COMMANDS)
        if "--help" in rest or "-h" in rest:
            from turbo_lab.cli.help import command_help

            print(command_help(command, _USAGE), end="")
            return 0
        return _COMMANDS[command](rest)
    except TurboLabError as error:
        print(f"turbo-lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "turbo-lab: interrupted: what is in the store stays; "
            "run the same command again to go on",
            file=sys.stderr,
        )
        return 3
    except BrokenPipeError:  # the reader has gone, for example `| head`
        sys.stderr.close()
        return 0
    except Exception:  # noqa: BLE001  (a crash must never look like a regression)
        traceback.print_exc()
        print("turbo-lab: internal error; please report the lines above", file=sys.stderr)
        return 4


def _plan(arguments: list[str]) -> int:
    from turbo_lab import config
    from turbo_lab.cli.plan import plan_points

    as_json = take_flag(arguments, "--json")
    arguments = _with_default_sweep(arguments)
    points = config.compose("plan", arguments)
    return plan_points(points, as_json) if points else 0


def _sweep(arguments: list[str]) -> int:
    return _run_points("sweep", _with_default_sweep(arguments), take_flag(arguments, "--json"))


def _generate(arguments: list[str]) -> int:
    import dataclasses

    from turbo_lab import config
    from turbo_lab.workflows.sweep import run_points

    as_json = take_flag(arguments, "--json")
    prompt = None
    if arguments and not arguments[0].startswith("-") and not config.is_key(arguments[0]):
        prompt, *arguments = arguments
    named = [a for a in arguments if a.startswith(("prompt=", "prompts="))]
    if prompt is None and not named and not any(a.startswith("-") for a in arguments):
        raise InputError(
            'generate: give a prompt, as in turbo-lab generate "a red apple", or prompts=NAME'
        )
    if prompt is not None and named:
        raise InputError(f"generate: {prompt!r} and {named[0]} are two prompts; give one of them")
    if prompt == "":
        raise InputError("generate: the prompt is empty; give at least one word")

    points = config.compose("generate", arguments)
    if prompt is not None:
        # Not through Hydra's grammar, which gives backslashes, braces and equals signs a meaning.
        points = [
            dataclasses.replace(point, values={**point.values, "prompt": prompt})
            for point in points
        ]
    return run_points("generate", points, as_json) if points else 0


def _bench(arguments: list[str]) -> int:
    from turbo_lab import config
    from turbo_lab.compare.latency import bench_cells, bench_pair, is_pair

    as_json, html = take_flag(arguments, "--json"), take_option(arguments, "--html")
    if is_pair(arguments):
        if html is not None:
            raise InputError(f"--html {html}: bench draws the page of a grid, not of a pair")
        return bench_pair(arguments, as_json)
    points = config.compose("bench", arguments)
    return bench_cells(points, as_json, html) if points else 0


def _run_points(command: str, arguments: list[str], as_json: bool) -> int:
    from turbo_lab import config
    from turbo_lab.workflows.sweep import run_points

    arguments = [a for a in arguments if a != "--json"]
    points = config.compose(command, arguments)
    return run_points(command, points, as_json) if points else 0


def _with_default_sweep(arguments: list[str]) -> list[str]:
    from turbo_lab.config import is_grid_named

    asks_hydra = "--hydra-help" in arguments
    return arguments if asks_hydra or is_grid_named(arguments) else [*arguments, "sweep=default"]


def _show(arguments: list[str]) -> int:
    from turbo_lab import images

    as_json = take_flag(arguments, "--json")
    if len(arguments) != 1:
        raise InputError("show: name one PNG file, as in turbo-lab show image.png")
    pixels, text = images.read_png(Path(arguments[0]))
    if "turbo-lab" not in text:
        raise InputError(f"{arguments[0]}: holds no turbo-lab recipe")
    about = json.loads(text["turbo-lab"])
    actual = images.pixel_sha256(pixels)
    about["pixels_intact"] = actual == about["pixel_sha256"]
    if as_json:
        print_document("show", about)
    else:
        print(text["parameters"])
        print(json.dumps(about, indent=2, ensure_ascii=False))
    return 0


def _models(arguments: list[str]) -> int:
    from turbo_lab.cards import catalog
    from turbo_lab.report.text.tables import model_card_text, models_table

    as_json = take_flag(arguments, "--json")
    if arguments == ["list"]:
        rows = catalog.list_models()
        if as_json:
            print_document("models list", {"models": rows})
        else:
            models_table(rows)
        return 0
    if len(arguments) == 2 and arguments[0] == "show":
        card = catalog.show_model(arguments[1])
        if as_json:
            print_document("models show", card)
        else:
            model_card_text(card)
        return 0
    if arguments == ["verify"]:
        return _verify_models(as_json)
    raise InputError(
        "models: write `turbo-lab models list`, `turbo-lab models show NAME` or "
        "`turbo-lab models verify`"
    )


def _verify_models(as_json: bool) -> int:
    """Weights and judges are hashed once a file; here every one that was is hashed again."""
    from turbo_lab.identity import DigestCache

    found = list(DigestCache().verify())
    changed = [path for path, is_same in found if not is_same]
    if as_json:
        paths = [str(path) for path in changed]
        print_document("models verify", {"n": len(found), "changed": paths})
        return 3 if changed else 0
    for path in changed:
        print(f"changed  {path}")
    if changed:
        print("\nWhat was drawn since they changed is in your stores under their former digest;")
        print("take such a store's batches out, or begin another store.")
    print(f"{len(found) - len(changed)} of {len(found)} files hold what they were known by")
    return 3 if changed else 0


def _golden(arguments: list[str]) -> int:
    from turbo_lab.cli.golden import main as golden

    return golden(arguments)


def _reproduce(arguments: list[str]) -> int:
    from turbo_lab.cli.reproduce import main as reproduce

    return reproduce(arguments)


def _store(arguments: list[str]) -> int:
    from turbo_lab.cli.store import main as store

    return store(arguments)


def _compare(arguments: list[str]) -> int:
    from turbo_lab.cli.compare import main as compare

    return compare(arguments)


def _gate(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("calibrate", "mutate"):
        from turbo_lab.cli import gate_trials

        name, *rest = arguments
        return {"calibrate": gate_trials.calibrate, "mutate": gate_trials.mutate}[name](rest)
    from turbo_lab.cli.gate import main as gate

    return gate(arguments)


def _baseline(arguments: list[str]) -> int:
    from turbo_lab.cli.baseline import main as baseline

    return baseline(arguments)


def _report(arguments: list[str]) -> int:
    from turbo_lab.cli.report import main as report

    return report(arguments)


def _reference(arguments: list[str]) -> int:
    from turbo_lab.cli.reference import main as reference

    return reference(arguments)


def _doctor(arguments: list[str]) -> int:
    from turbo_lab.cli.doctor import main as doctor

    return doctor(arguments)


def _sync(arguments: list[str]) -> int:
    from turbo_lab import config
    from turbo_lab.workflows.sweep import sync_store

    as_json = take_flag(arguments, "--json")
    points = config.compose("sync", arguments)
    return sync_store(points[0].values, as_json) if points else 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "generate": _generate,
    "show": _show,
    "plan": _plan,
    "sweep": _sweep,
    "bench": _bench,
    "models": _models,
    "golden": _golden,
    "compare": _compare,
    "gate": _gate,
    "baseline": _baseline,
    "reproduce": _reproduce,
    "report": _report,
    "reference": _reference,
    "store": _store,
    "doctor": _doctor,
    "sync": _sync,
}


if __name__ == "__main__":
    sys.exit(main())

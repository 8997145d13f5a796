"""``turbo-lab doctor``: what this machine can run, and why not.

Reads package metadata, cards and folders. Imports no torch and writes nothing but a probe into
the store's folder, which it removes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import click

from turbo_lab import environment
from turbo_lab.cli.options import json_option, take_keys, words_argument
from turbo_lab.documents.inspection import Diagnosis, Finding
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.store.layout import DEFAULT_STORE, StoreLayout

_FREE_BYTES = 1 << 30
_MARKS = {"ok": "ok", "note": "--", "problem": "!!"}


@click.command("doctor")
@json_option
@words_argument("[store=DIR]")
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Show what this machine can run, and why not; exit code 3 if something must be fixed."""
    rest, keys = take_keys(words, "store")
    if rest:
        raise InputError(f"doctor: {rest[0]}: unexpected; usage: doctor [store=DIR] [--json]")
    store = Path(keys.get("store", DEFAULT_STORE))
    found = [
        *_packages(),
        *_devices(),
        *_models(),
        *_memory(),
        *_goldens(),
        *_baselines(),
        *_disk(store),
    ]
    problems = [row for row in found if row.status == "problem"]
    if as_json:
        verdict: Literal["ok", "problem"] = "problem" if problems else "ok"
        print_document("doctor", Diagnosis(verdict, tuple(found)))
    else:
        width = max(len(row.name) for row in found)
        for row in found:
            print(f"{_MARKS[row.status]}  {row.name:{width}}  {row.detail}")
        print(f"\n{len(problems)} problems" if problems else "\nready")
    return 3 if problems else 0


def _packages() -> Iterator[Finding]:
    """Yield every requirement of turbo-lab and every optional package."""
    from packaging.requirements import Requirement

    try:
        required = metadata.requires("turbo-lab") or []
    except metadata.PackageNotFoundError:
        text = "not installed: run from a checkout, whose requirements are not checked"
        yield Finding("turbo-lab", "note", text)
        required = []
    for text in required:
        requirement = Requirement(text)
        version = environment.package_version(requirement.name)
        if requirement.marker is not None:
            continue  # an extra: reported below, by its purpose
        if version == environment.ABSENT:
            yield Finding(requirement.name, "problem", f"absent; needs {requirement.specifier}")
        elif not requirement.specifier.contains(version, prereleases=True):
            text = f"{version}, outside {requirement.specifier}: goldens and the gate will tell"
            yield Finding(requirement.name, "note", text)
        else:
            yield Finding(requirement.name, "ok", version)
    extras = {"nvidia-ml-py": "the GPU's clocks", "psycopg": "tracking in PostgreSQL"}
    for name, purpose in extras.items():
        version = environment.package_version(name)
        if version == environment.ABSENT:
            yield Finding(name, "note", f"absent; only needed for {purpose}")
        else:
            yield Finding(name, "ok", version)


def _devices() -> Iterator[Finding]:
    cpu, count = environment.read_cpu(), os.cpu_count()
    yield Finding("cpu", "ok", f"{cpu.name}, {count} cores, {cpu.isa}")
    threads = os.environ.get("OMP_NUM_THREADS")
    if count is not None and count < 2:
        text = "one core: num_threads=1 is faster than the default of 2, but gives other bits"
        yield Finding("threads", "note", text)
    elif threads:
        text = f"OMP_NUM_THREADS={threads}; num_threads=2 applies to images regardless"
        yield Finding("threads", "note", text)
    gpu, built = environment.read_gpu(), environment.torch_cuda_version()
    if gpu is None:
        yield Finding("gpu", "note", "nvidia-smi lists no GPU: device=cpu")
    elif built is None:
        yield Finding("gpu", "note", f"{gpu.name}, but this torch is CPU-only: install another")
    else:
        text = f"{gpu.name}, sm_{gpu.compute_capability.replace('.', '')}, driver {gpu.driver}"
        yield Finding("gpu", "ok", f"{text}, torch for CUDA {built}")
    device = environment.resolve_device("auto")
    unread = [
        name
        for name, value in environment.fingerprint(device, 2).keys.items()
        if environment.UNKNOWN in str(value)
    ]
    if unread:
        text = f"{', '.join(unread)} cannot be read: no golden covers this machine"
        yield Finding("fingerprint", "note", text)
    else:
        yield Finding("fingerprint", "ok", f"every key can be read (device={device})")


def _models() -> Iterator[Finding]:
    from turbo_lab.workflows.catalog import list_models, show_model

    for row in list_models():
        name, kind = row.name, "model" if row.kind == "pipeline" else row.kind
        if row.status == "ready":
            yield Finding(f"{kind} {name}", "ok", row.license)
        elif row.status == "missing":
            why = str(show_model(name).missing).partition(": ")[2]
            is_ours = row.source == "packaged"
            yield Finding(f"{kind} {name}", "problem" if is_ours else "note", why)


def _memory() -> Iterator[Finding]:
    """Yield the memory that each model needs at its sizes, next to what is there."""
    from turbo_lab.workflows.memory_needed import memory_needed, memory_there

    device = environment.resolve_device("auto")
    there = memory_there(device)
    for one in memory_needed(device):
        needed = one.bytes_by_call
        sizes = dict.fromkeys(size for size, _ in needed)
        texts = []
        for size in sizes:
            calls = (f"{needed[key] / 2**30:.2g}" for key in needed if key[0] == size)
            texts.append(f"{size}x{size} about {', '.join(calls)} GiB")
        batches = ", ".join(str(batch) for batch in dict.fromkeys(batch for _, batch in needed))
        text = f"{one.dtype}, {batches} images per call: {'; '.join(texts)}"
        text += "" if there is None else f"; {device} has {there / 2**30:.3g}"
        fits = there is None or min(needed.values()) <= there
        yield Finding(f"memory {one.model}", "ok" if fits else "note", text)


def _goldens() -> Iterator[Finding]:
    from turbo_lab.golden.library import open_library
    from turbo_lab.golden.tiers import choose_tier

    here = environment.fingerprint(environment.resolve_device("auto"), 2).keys

    def look() -> Finding:
        library = open_library()
        goldens = library.read_all()
        tiers = [choose_tier(one.fingerprint.keys, here) for one in goldens.values()]
        counts = {choice.tier: 0 for choice in tiers}
        for choice in tiers:
            counts[choice.tier] += 1
        summary = ", ".join(f"{n} at {tier or 'no tier'}" for tier, n in counts.items())
        differs = sorted({name for choice in tiers for name, *_ in choice.differs})
        because = f" (other {', '.join(differs)})" if differs else ""
        return Finding("goldens", "note" if None in counts else "ok", f"{summary}{because}")

    yield _or_problem("goldens", look)


def _baselines() -> Iterator[Finding]:
    from turbo_lab.compare.baseline import names, own_folder, read_baseline

    folder = own_folder()
    for name in names(folder):

        def look(name: str = name) -> Finding:
            baseline = read_baseline(name, folder)
            return Finding(
                f"baseline {name}",
                "ok",
                f"{len(baseline.keys)} images of {baseline.parameters.model}, "
                f"{', '.join(m.name for m in baseline.measurements)}",
            )

        yield _or_problem(f"baseline {name}", look)


def _disk(store: Path) -> Iterator[Finding]:
    """Yield whether the store's folder, or its nearest existing parent, can be written to."""
    parent = next(path for path in (store.resolve(), *store.resolve().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        yield Finding("store", "problem", f"{store}: cannot be written to ({reason})")
        return
    free = shutil.disk_usage(parent).free
    room = f"{free / 2**30:.1f} GiB free"
    state = "exists" if StoreLayout(store).exists else "will be made"
    if free < _FREE_BYTES:
        yield Finding("store", "note", f"{store}: {state}, only {room}")
    else:
        yield Finding("store", "ok", f"{store}: {state}, {room}")


def _or_problem(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except TurboLabError as error:
        return Finding(name, "problem", str(error))


__all__ = ["Finding", "command"]

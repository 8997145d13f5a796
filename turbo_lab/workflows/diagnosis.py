"""Findings of ``turbo-lab doctor``: what this machine can run, and why not.

Reads package metadata, cards and folders. Imports no torch and writes nothing but a probe into
the store's folder, which it removes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from turbo_lab import environment
from turbo_lab.cards import adapter_card, model_card
from turbo_lab.cards.card import Card, vae_card
from turbo_lab.cards.hub import how_to_get
from turbo_lab.cards.packaged import kind_word
from turbo_lab.documents.inspection import Finding, FindingStatus
from turbo_lab.documents.models import ModelRow, ModelStatus
from turbo_lab.errors import TurboLabError
from turbo_lab.golden.library import open_library
from turbo_lab.golden.tiers import choose_tier
from turbo_lab.store.layout import StoreLayout
from turbo_lab.workflows.catalog import list_models, show_model
from turbo_lab.workflows.memory_needed import MemoryNeeded, memory_needed, memory_there

_FREE_BYTES = 1 << 30
_CARDS: Mapping[str, Callable[[str], Card]] = {
    "pipeline": model_card,
    "adapter": adapter_card,
    "vae": vae_card,
}
_EXTRAS = {"nvidia-ml-py": "the GPU's clocks", "psycopg": "tracking in PostgreSQL"}


def diagnose(store: Path) -> Iterator[Finding]:
    """Yield what was found about packages, devices, models, goldens and the store's folder."""
    yield from _packages()
    yield from _devices()
    yield from _models()
    yield from _memory()
    yield _goldens()
    yield _disk(store)


def _packages() -> Iterator[Finding]:
    """Yield every requirement of turbo-lab and every optional package."""
    try:
        required = metadata.requires("turbo-lab") or []
    except metadata.PackageNotFoundError:
        text = "not installed: run from a checkout, whose requirements are not checked"
        yield Finding("turbo-lab", FindingStatus.NOTE, text)
        required = []
    for requirement in map(Requirement, required):
        if requirement.marker is None:  # the others are extras
            yield _package(requirement)
    for name, purpose in _EXTRAS.items():
        version = environment.package_version(name)
        if version == environment.ABSENT:
            text = f"absent; only needed for {purpose}"
            yield Finding(name, FindingStatus.NOTE, text)
        else:
            yield Finding(name, FindingStatus.OK, version)


def _package(requirement: Requirement) -> Finding:
    """Return whether a required package is installed in a version that was tested."""
    name, versions = requirement.name, requirement.specifier
    version = environment.package_version(name)
    if version == environment.ABSENT:
        return Finding(name, FindingStatus.PROBLEM, f"absent; needs {versions}")
    if not versions.contains(version, prereleases=True):
        text = f"{version}, outside {versions}: goldens and the gate will tell"
        return Finding(name, FindingStatus.NOTE, text)
    return Finding(name, FindingStatus.OK, version)


def _devices() -> Iterator[Finding]:
    """Yield the CPU, its threads, the GPU, and whether their fingerprint is complete."""
    cpu, count = environment.read_cpu(), os.cpu_count()
    yield Finding("cpu", FindingStatus.OK, f"{cpu.name}, {count} cores, {cpu.isa}")
    threads = os.environ.get("OMP_NUM_THREADS")
    if count is not None and count < 2:
        text = "one core: num_threads=1 is faster than the default of 2, but gives other bits"
        yield Finding("threads", FindingStatus.NOTE, text)
    elif threads:
        text = f"OMP_NUM_THREADS={threads}; num_threads=2 applies to images regardless"
        yield Finding("threads", FindingStatus.NOTE, text)
    yield _gpu()
    device = environment.resolve_device("auto")
    if unknown := environment.fingerprint(device, 2).unknown_keys:
        text = f"{', '.join(unknown)} cannot be read: no golden covers this machine"
        yield Finding("fingerprint", FindingStatus.NOTE, text)
    else:
        text = f"every key can be read (device={device})"
        yield Finding("fingerprint", FindingStatus.OK, text)


def _gpu() -> Finding:
    """Return whether there is a GPU, and whether this torch can use it."""
    gpu, built = environment.read_gpu(), environment.torch_cuda_version()
    if gpu is None:
        return Finding("gpu", FindingStatus.NOTE, "nvidia-smi lists no GPU: device=cpu")
    if built is None:
        text = f"{gpu.name}, but this torch is CPU-only: install another"
        return Finding("gpu", FindingStatus.NOTE, text)
    named = f"{gpu.name}, sm_{gpu.compute_capability.replace('.', '')}, driver {gpu.driver}"
    if failure := environment.cuda_failure():
        # device=auto takes the GPU, so that every command that draws would fail.
        text = f"{named}: cannot be used: {failure}; repair the driver, or set device=cpu"
        return Finding("gpu", FindingStatus.PROBLEM, text)
    return Finding("gpu", FindingStatus.OK, f"{named}, torch for CUDA {built}")


def _models() -> Iterator[Finding]:
    """Yield whether the files of each model and adapter are on this machine."""
    for row in list_models():
        name = f"{'model' if row.kind == 'pipeline' else kind_word(row.kind)} {row.name}"
        if row.status == ModelStatus.READY:
            yield Finding(name, FindingStatus.OK, row.license)
        elif row.status == ModelStatus.MISSING:
            is_ours = row.source == "packaged"
            status = FindingStatus.PROBLEM if is_ours else FindingStatus.NOTE
            yield Finding(name, status, _why_missing(row))


def _why_missing(row: ModelRow) -> str:
    """Return why a model cannot run, with the command that fetches it and nothing else."""
    if row.source == "hub":
        card = _CARDS[row.kind](row.name)
        return (
            f"not in the local Hugging Face cache; licence: {row.license}; if you accept it: "
            f"{how_to_get(card)}"
        )
    return str(show_model(row.name, row.kind).missing).partition(": ")[2]


def _memory() -> Iterator[Finding]:
    """Yield the memory that each model needs at its sizes, next to what is there."""
    device = environment.resolve_device("auto")
    there = memory_there(device)
    for one in memory_needed(device):
        name, text = f"memory {one.model}", _memory_text(one)
        if there is None:
            yield Finding(name, FindingStatus.OK, text)
            continue
        text += f"; {device} has {there / 2**30:.3g}"
        too_large = _too_large(one, there)
        status = FindingStatus.NOTE if too_large else FindingStatus.OK
        yield Finding(name, status, f"{text}, too little for {too_large}" if too_large else text)


def _too_large(one: MemoryNeeded, there: int) -> str:
    """Return the calls that need more memory than there is; empty if each of them fits."""
    over = [call for call, needed in one.bytes_by_call.items() if needed > there]
    if len(over) == len(one.bytes_by_call):
        return "any of these"
    texts = []
    for size in dict.fromkeys(size for size, _ in over):
        batches = " or ".join(str(batch) for edge, batch in over if edge == size)
        texts.append(f"{size}x{size} with {batches} images")
    return ", ".join(texts)


def _memory_text(one: MemoryNeeded) -> str:
    needed = one.bytes_by_call
    texts = []
    for size in dict.fromkeys(size for size, _ in needed):
        calls = (f"{needed[key] / 2**30:.2g}" for key in needed if key[0] == size)
        texts.append(f"{size}x{size} about {', '.join(calls)} GiB")
    batches = ", ".join(str(batch) for batch in dict.fromkeys(batch for _, batch in needed))
    return f"{one.dtype}, {batches} images per call: {'; '.join(texts)}"


def _goldens() -> Finding:
    """Return how many goldens cover this machine, by tier."""
    here = environment.fingerprint(environment.resolve_device("auto"), 2).keys
    try:
        goldens = open_library().read_all()
    except TurboLabError as error:
        return Finding("goldens", FindingStatus.PROBLEM, str(error))
    choices = [choose_tier(one.fingerprint.keys, here) for one in goldens.values()]
    counts = Counter(choice.tier for choice in choices)
    summary = ", ".join(f"{n} at {tier or 'no tier'}" for tier, n in counts.items())
    differs = sorted({name for choice in choices for name, *_ in choice.differs})
    because = f" (other {', '.join(differs)})" if differs else ""
    status = FindingStatus.NOTE if None in counts else FindingStatus.OK
    return Finding("goldens", status, f"{summary}{because}")


def _disk(store: Path) -> Finding:
    """Return whether the store's folder, or its nearest existing parent, can be written to."""
    parent = next(path for path in (store.resolve(), *store.resolve().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding("store", FindingStatus.PROBLEM, f"{store}: cannot be written to ({reason})")
    free = shutil.disk_usage(parent).free
    room = f"{free / 2**30:.1f} GiB free"
    state = "exists" if StoreLayout(store).exists else "will be made"
    if free < _FREE_BYTES:
        return Finding("store", FindingStatus.NOTE, f"{store}: {state}, only {room}")
    return Finding("store", FindingStatus.OK, f"{store}: {state}, {room}")

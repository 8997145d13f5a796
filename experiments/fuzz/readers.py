"""Which commands read a file of the playground."""

from __future__ import annotations

Words = tuple[str, ...]

_STORE: tuple[Words, ...] = (
    ("store", "verify", "store=store"),
    ("store", "du", "store=store"),
    ("store", "gc", "store=store", "--dry-run"),
    ("store", "gc", "store=store", "--orphans"),
    ("store", "verify", "store=store", "--remove-damaged"),
    ("report", "e4a6e360bbaa6fb9", "store=store"),
    ("report", "580fd4a2249dd557", "store=store", "--format", "markdown"),
    ("plan", "store=store", "num_images=2"),
    ("sync", "store=store", "tracking=none"),
    ("baseline", "set", "new", "e4a6e360bbaa6fb9", "store=store"),
    ("baseline", "set", "new", "580fd4a2249dd557", "store=store", "cell=1"),
)
_GOLDENS: tuple[Words, ...] = (
    ("golden", "list"),
    ("golden", "check"),
    ("golden", "prune"),
    ("golden", "accept", "one-step", "--reason", "because"),
    ("golden", "reject", "one-step", "--reason", "because"),
)
_BASELINE: tuple[Words, ...] = (
    ("baseline", "list"),
    ("baseline", "show", "old"),
    ("gate", "gate=release", "store=store", "tracking=none"),
)


def readers(name: str) -> tuple[Words, ...]:
    """Return the command lines that read a file, by its path in the playground."""
    root = name.partition("/")[0]
    if root == "store":
        records = ()
        if name.startswith("store/records/"):
            records = (("reproduce", name.rpartition("/")[2][:16], "store=store"),)
        shown = ((("show", name),)) if name.endswith(".png") else ()
        return (*_STORE, *records, *shown)
    if root == "goldens":
        return _GOLDENS
    if root == "baselines":
        return _BASELINE
    if root == "model":
        return (
            ("plan", "model=local", "model.path=model"),
            ("plan", "model=local", "model.path=model", "--json"),
        )
    if root == "pictures":
        return (("reference", "build", "pictures"),)
    single: dict[str, tuple[Words, ...]] = {
        "image.png": (("show", name), ("show", name, "--json"), ("reproduce", name)),
        "plain.png": (("show", name), ("reproduce", name)),
        "prompts.txt": (("plan", "prompts=file", f"prompts.path={name}"),),
        "prompts.jsonl": (("plan", "prompts=file", f"prompts.path={name}"),),
        "lora.safetensors": (("plan", f"lora={name}@0.5"), ("plan", f"lora={name}", "--json")),
    }
    return single.get(name, ())

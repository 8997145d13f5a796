"""Random command lines: real commands, options and keys, with values that people mistype."""

from __future__ import annotations

from collections.abc import Iterator

import click
from hypothesis import strategies as st

from turbo_lab.cards import choices_of
from turbo_lab.cli.commands import COMMANDS, turbo_lab
from turbo_lab.cli.keys import groups, key_names

NESTED_KEYS = (
    "model.path",
    "model.recommended.resolution",
    "model.scheduler",
    "prompts.path",
    "tracking.uri",
    "tracking.images",
    "tracking.timeout_s",
    "metrics.names",
    "metrics.extractor",
    "candidate.lora",
    "candidate.num_inference_steps",
    "baseline.model",
    "gate.checks",
    "hydra.job.name",
    "cell",
)

# Text that some parser between the shell and the recipe may stumble over.
ODD = (
    "",
    " ",
    "0",
    "-0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "0x10",
    "1_000",
    "9" * 25,
    "9" * 5000,
    "null",
    "???",
    "true",
    "[1,2",
    "[1,[2,[3]]]",
    "[" * 500,
    "{a: 1}",
    "${oc.env:HOME}",
    "${model}",
    "${",
    "range(1,4)",
    "range(0,1000000000)",
    "range(0,1,0)",
    "choice(1,2)",
    "glob(*)",
    "interval(0,1)",
    "shuffle(1,2)",
    "sort(2,1)",
    "1,2,",
    ",",
    "=",
    "a=b=c",
    "'",
    '"a',
    "\\",
    "a red apple, on a table",
    "ä漢字🙂",
    "\x1b[31mred\x1b[0m",
    "\udc80\udcff",
    "a\x00b",
    "a\nb",
    "\u2028",
    "\u202eabc",
    "x" * 300,
    "../" * 20 + "etc/passwd",
    "/dev/null",
    "/dev/zero",
    "/proc/self/mem",
    "~",
    ".",
    "/",
    "http://user:secret@localhost:1/?token=abc",
    "sqlite:////nonexistent/x.db",
    "file:///etc",
    "s3://bucket",
    "flat@0.8",
    "flat@",
    "@",
    "flat@1+ink@nan",
    "flat+flat",
    "64x64",
    "64x",
    "0x64",
    "100000x100000",
    "65",
    "none",
    "auto",
    "cuda",
    "cuda:99",
    "float8",
)
FILES = (
    "image.png",
    "plain.png",
    "prompts.txt",
    "prompts.jsonl",
    "lora.safetensors",
    "model",
    "pictures",
    "store",
    "goldens",
    "baselines/old.json",
    "store/store.json",
    "missing",
    "old",
    "one-step",
    "guided",
    "e4a6e360bbaa6fb9",
    "580fd4a2249dd557",
    "56d5d40d1f04aa4b",
)


def command_lines() -> st.SearchStrategy[list[str]]:
    """Return a strategy for the words after ``turbo-lab``."""
    paths = list(_command_paths())
    words = st.one_of(_keys(), _keys(), _options(), _values())
    start = st.one_of(
        st.sampled_from(paths),
        st.sampled_from(paths),
        st.sampled_from(paths),
        st.builds(_misspell, st.sampled_from(paths), st.integers(0, 20)),
        st.builds(lambda word: (word,), _values()),
    )
    return st.builds(
        lambda path, rest, extra: [*path, *extra, *rest],
        start,
        st.lists(words, max_size=6),
        st.sampled_from(((), ("--json",), ("store=store",), ("tracking=none", "store=store"))),
    )


def _command_paths() -> Iterator[tuple[str, ...]]:
    """Yield the words of each command and subcommand."""
    for name in COMMANDS:
        yield (name,)
        for sub in _command(name).commands if isinstance(_command(name), click.Group) else ():
            yield (name, sub)


def _command(name: str) -> click.Command:
    """Return the click command of a name in the table."""
    found = turbo_lab.get_command(click.Context(turbo_lab), name)
    assert found is not None
    return found


def _option_names() -> list[str]:
    """Return every option of every command, sorted."""
    commands = [_command(name) for name in COMMANDS]
    for group in list(commands):
        if isinstance(group, click.Group):
            commands += group.commands.values()
    return sorted({name for found in commands for p in found.params for name in p.opts})


def _misspell(path: tuple[str, ...], at: int) -> tuple[str, ...]:
    """Drop one letter of a command."""
    word = path[0]
    return (word[: at % len(word)] + word[at % len(word) + 1 :], *path[1:])


def _values() -> st.SearchStrategy[str]:
    """Return a strategy for values: names that exist, odd text, any text of an argument."""
    names = [name for group in groups() for name in choices_of(group)]
    # What a shell can pass: any character but NUL, with undecodable bytes as surrogates.
    anything = st.text(st.characters(exclude_characters="\x00"), max_size=12)
    lists = st.lists(st.sampled_from((*names, "1", "2", "64", "0.5")), min_size=2, max_size=4)
    return st.one_of(
        st.sampled_from(names),
        st.sampled_from(FILES),
        st.sampled_from(ODD).filter(lambda text: "\x00" not in text),
        st.integers(-(2**70), 2**70).map(str),
        st.floats().map(repr),
        lists.map(",".join),
        anything,
    )


def _keys() -> st.SearchStrategy[str]:
    """Return a strategy for ``KEY=VALUE`` words, with Hydra's prefixes now and then."""
    keys = st.sampled_from((*key_names(), *NESTED_KEYS))
    prefix = st.sampled_from(("", "", "", "", "", "", "+", "++", "~", "candidate.", "baseline."))
    return st.builds(lambda p, key, value: f"{p}{key}={value}", prefix, keys, _values())


def _options() -> st.SearchStrategy[str]:
    """Return a strategy for options, with a value now and then."""
    return st.one_of(
        st.sampled_from(_option_names()),
        st.builds(
            lambda name, value: f"{name}={value}", st.sampled_from(_option_names()), _values()
        ),
    )

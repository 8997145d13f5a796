"""The training loop every stage shares: seeded, resumable, with progress and curves.

A stage is a ``Stage``: it owns modules and optimizers and knows one step. The
loop owns when to step, log, evaluate and save. Every step draws from a fresh
generator seeded by (seed, step), so a resumed run sees the very numbers an
uninterrupted one would; on one machine's CPU the two end in equal bits.

Under ``torchrun`` the processes draw different batches and share their
gradients: two of one thread each are faster than one of two threads.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from experiments.nano.device import seeded


@dataclass(frozen=True)
class LoopConfig:
    """When to stop, log, evaluate and save."""

    steps: int
    """Optimiser steps in all; a finished run is not trained further."""
    seed: int
    """Every draw of the stage derives from it."""
    warmup_steps: int
    """Steps over which the learning rate rises linearly."""
    log_every: int
    """Steps between two progress lines."""
    evaluate_every: int
    """Steps between two evaluations; 0 evaluates only at the end."""
    save_every_s: float
    """Seconds between two checkpoints."""


class Stage(Protocol):
    """What a stage brings to the loop."""

    modules: dict[str, nn.Module]
    """Everything with weights that a resumed run needs, averages included."""
    optimizers: dict[str, torch.optim.Optimizer]
    """By name; their learning rates are scaled by the schedule."""

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update; returns the figures to log."""

    def evaluate(self, step: int) -> dict[str, float]:
        """Figures on held-out material; draws from generators of its own."""


def schedule(step: int, cfg: LoopConfig) -> float:
    """Linear warm-up, then a cosine to 2% of the learning rate."""
    if step < cfg.warmup_steps:
        return (step + 1) / cfg.warmup_steps
    done = (step - cfg.warmup_steps) / max(1, cfg.steps - cfg.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """The only source of randomness of one step, on the default device.

    torch's CPU generator reads the low 32 bits of a seed only: both must reach them.
    """
    mixed = 1_000_003 * seed + 500_009 * rank + step
    return seeded(mixed % 2**32)


def join_processes(stage: Stage) -> int:
    """This process's rank; where there are several, their gradients are averaged."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        return 0
    dist.init_process_group("gloo")

    def average(optimizer: torch.optim.Optimizer, *_: object) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = (flat / processes).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    for optimizer in stage.optimizers.values():
        optimizer.register_step_pre_hook(average)
    return dist.get_rank()


def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights, in place."""
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)


def save_checkpoint(path: Path, stage: Stage, step: int) -> None:
    """Write modules and optimiser moments after ``step`` steps, by one rename."""
    tensors: dict[str, torch.Tensor] = {}
    for name, module in stage.modules.items():
        for key, value in module.state_dict().items():
            tensors[f"module/{name}/{key}"] = value.detach().cpu().contiguous().clone()
    for name, optimizer in stage.optimizers.items():
        for index, group in enumerate(optimizer.param_groups):
            # pytorch_optimizer counts steps a group, torch a parameter.
            if "step" in group:
                tensors[f"counter/{name}/{index}"] = torch.tensor(group["step"])
        for index, moments in optimizer.state_dict()["state"].items():
            for key, value in moments.items():
                tensors[f"optimizer/{name}/{index}/{key}"] = (
                    torch.as_tensor(value).detach().cpu().contiguous().clone()
                )
    partial = path.with_suffix(".partial")
    save_file(tensors, str(partial), metadata={"step": str(step)})
    os.replace(partial, path)


def load_checkpoint(path: Path, stage: Stage) -> int:
    """Restore what :func:`save_checkpoint` wrote; returns the steps done (0 if none)."""
    if not path.exists():
        return 0
    with safe_open(str(path), "pt") as file:
        step = int(file.metadata()["step"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for name, module in stage.modules.items():
        prefix = f"module/{name}/"
        state = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        module.load_state_dict(state)
    for name, optimizer in stage.optimizers.items():
        state = optimizer.state_dict()
        for key, value in tensors.items():
            if key.startswith(f"optimizer/{name}/"):
                index, moment = key.split("/")[2:]
                state["state"].setdefault(int(index), {})[moment] = value
        for index, group in enumerate(state["param_groups"]):
            if f"counter/{name}/{index}" in tensors:
                group["step"] = int(tensors[f"counter/{name}/{index}"])
        optimizer.load_state_dict(state)
    return step


def train(stage: Stage, cfg: LoopConfig, folder: Path) -> dict[str, float]:
    """Run ``stage`` to ``cfg.steps``, from its checkpoint if there is one.

    Writes ``checkpoint.safetensors``, ``log.jsonl`` and ``curves.png`` into
    ``folder``; returns the last evaluation's figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log_path = folder / "checkpoint.safetensors", folder / "log.jsonl"
    start, rank = load_checkpoint(checkpoint, stage), join_processes(stage)
    rows = _read_log(log_path, start)
    if rank == 0:
        log_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base_lr = {n: [g["lr"] for g in o.param_groups] for n, o in stage.optimizers.items()}
    began = saved = time.monotonic()
    latest: dict[str, float] = {}
    for step in range(start, cfg.steps):
        scale = schedule(step, cfg)
        for name, optimizer in stage.optimizers.items():
            for group, lr in zip(optimizer.param_groups, base_lr[name], strict=True):
                group["lr"] = lr * scale
        figures = stage.step(step, step_generator(cfg.seed, step, rank))
        done = step + 1
        if rank:  # the first process logs, evaluates and saves
            continue
        last = done == cfg.steps
        evaluates = last or (cfg.evaluate_every and done % cfg.evaluate_every == 0)
        if evaluates:
            latest = stage.evaluate(done)
            figures |= latest
        if evaluates or done % cfg.log_every == 0:
            rate = (time.monotonic() - began) / (done - start)
            rows.append({"step": done, **figures})
            with log_path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            text = "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
            left_min = (cfg.steps - done) * rate / 60
            print(
                f"{done}/{cfg.steps}  {rate:.2f} s/step  {left_min:.0f} min left  {text}",
                flush=True,
            )
        if time.monotonic() - saved > cfg.save_every_s or last:
            save_checkpoint(checkpoint, stage, done)
            saved = time.monotonic()
    if rank:
        return {}
    draw_curves(rows, folder / "curves.png")
    return latest or stage.evaluate(start)


def _read_log(path: Path, until: int) -> list[dict[str, float]]:
    """Logged rows up to the checkpoint's step: later ones will be made again."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if row["step"] <= until]


def draw_curves(rows: list[dict[str, float]], path: Path) -> None:
    """One small panel a logged figure, against steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = sorted({key for row in rows for key in row} - {"step"})
    if not names:
        return
    columns = min(3, len(names))
    height = math.ceil(len(names) / columns)
    figure, axes = pyplot.subplots(
        height, columns, figsize=(4 * columns, 2.6 * height), squeeze=False
    )
    for axis, name in zip(axes.flat, names, strict=False):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axis.plot(*zip(*points, strict=True))
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(names) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)

"""Draw rows of several batches in one forward pass: ``share=batched``.

Owns the order in which a group's batches go through the UNet together: all of
them take their k-th step in one call, each row with its own timestep, and
equal rows of the first evaluation are one row. A row's bits depend on how many
rows are in its call, so that these images are within a tolerance of the stock
call's (``tests/runtime/test_batched.py`` states it), never equal by right: they
are kept apart by their exactness and refused for goldens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from turbo_lab.planning.work import first_rows
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.finite import refuse_non_finite
from turbo_lab.runtime.sampler import Run, Sampler, SharedWork, to_uint8
from turbo_lab.runtime.seams import pass_on

if TYPE_CHECKING:
    from turbo_lab.runtime.seams import Observer

# Rows of a UNet call: a guided batch of 16, which is where a CPU's cost of a row stops falling
# (nano-turbo at 64x64; 64 and 128 rows cost the same a row).
MAX_UNET_ROWS = 32
# Images of a VAE call: beyond these a row costs more again (measured at 64x64 on a CPU).
MAX_VAE_ROWS = 16


@dataclass
class _Rows:
    """Rows of one round of UNet evaluations; equal ones are kept once."""

    inputs: list[torch.Tensor] = field(default_factory=list)
    """(C, h, w), scaled."""
    timesteps: list[float] = field(default_factory=list)
    """Training timestep of each row."""
    owners: list[tuple[Run, int]] = field(default_factory=list)
    """Run that a row's conditioning comes from, and the row's index in it."""
    places: dict[Hashable, int] = field(default_factory=dict)
    """Index by name, for rows that other rows may be equal to."""

    def add(self, run: Run, timestep: torch.Tensor, names: Sequence[Hashable] | None) -> list[int]:
        """Add a run's rows, unconditional ones first; return their indices.

        ``names``: see ``first_rows``.
        """
        model_input, time = run.model_input(timestep), float(timestep)
        if names is None or not self._are_equal(names, model_input, time):
            names = [(id(run), row) for row in range(len(model_input))]
        for row, name in enumerate(names):
            if name not in self.places:
                self.places[name] = len(self.inputs)
                self.inputs.append(model_input[row])
                self.timesteps.append(time)
                self.owners.append((run, row))
        return [self.places[name] for name in names]

    def _are_equal(self, names: Sequence[Hashable], model_input: torch.Tensor, time: float) -> bool:
        """Check that rows of equal names are equal; the names alone are never trusted."""
        first = {name: (self.inputs[p], self.timesteps[p]) for name, p in self.places.items()}
        mine, theirs, times = [], [], []
        for row, name in enumerate(names):
            latents, there = first.setdefault(name, (model_input[row], time))
            mine.append(model_input[row])
            theirs.append(latents)
            times.append(there)
        return set(times) == {time} and torch.equal(torch.stack(mine), torch.stack(theirs))

    def chunk(self, first: int, last: int) -> tuple[Run, torch.Tensor, torch.Tensor]:
        """Return rows ``first`` to ``last`` as one call: conditioning, input and timesteps."""
        owners = self.owners[first:last]
        some = owners[0][0]
        conds = [run.timestep_cond[row] for run, row in owners if run.timestep_cond is not None]
        together = replace(
            some,
            prompt_embeds=torch.stack([run.prompt_embeds[row] for run, row in owners]),
            pooled_prompt_embeds=torch.stack(
                [run.pooled_prompt_embeds[row] for run, row in owners]
            ),
            time_ids=torch.stack([run.time_ids[row] for run, row in owners]),
            timestep_cond=torch.stack(conds) if conds else None,
        )
        return (
            together,
            torch.stack(self.inputs[first:last]),
            torch.tensor(self.timesteps[first:last], device=some.latents.device),
        )


@dataclass
class BatchedGroup:
    """The batches of one group, drawn together when the first of them is asked for."""

    sampler: Sampler
    """Sampler on the resident pipeline."""
    work: Sequence[tuple[Batch, str | None]]
    """Batches of the group, each with its negative prompt."""
    max_unet_rows: int = MAX_UNET_ROWS
    """Largest number of rows in a UNet call."""
    max_vae_rows: int = MAX_VAE_ROWS
    """Largest number of images in a VAE call."""
    _latents: dict[str, torch.Tensor] | None = None
    _decoded: dict[str, torch.Tensor] = field(default_factory=dict)

    def holds(self, batch: Batch) -> bool:
        """Return whether a batch is one of the group's."""
        return any(batch.batch_id == own.batch_id for own, _ in self.work)

    def shrink(self) -> bool:
        """Halve both limits after running out of memory; return ``False`` if both are 1."""
        if self.max_unet_rows == 1:
            return False
        self.max_unet_rows //= 2
        self.max_vae_rows = max(1, self.max_vae_rows // 2)
        return True

    @torch.inference_mode()
    def images(self, batch: Batch, observe: Observer = pass_on) -> np.ndarray:
        """Return a batch's images, (N, H, W, 3) uint8 RGB in [0, 255]; call once per batch.

        ``observe`` sees only the decoded images: the other stages hold rows of several batches.
        Raises :class:`NonFiniteError` for NaN or infinity in this batch's rows.
        """
        if self._latents is None:
            self._latents = self._denoise()
        if batch.batch_id not in self._decoded:
            self._decode_from(batch)
        decoded = observe("vae", self._decoded.pop(batch.batch_id))
        images, is_finite = to_uint8(decoded)
        if not is_finite:
            self._refuse(batch, decoded)
        return images

    def _refuse(self, batch: Batch, decoded: torch.Tensor) -> None:
        """Raise for a batch that is not finite; drawn alone, it shows which stage is the first."""
        negative = next(text for own, text in self.work if own.batch_id == batch.batch_id)
        self.sampler.run(batch, negative, SharedWork())
        refuse_non_finite({"vae": decoded}, self.sampler.pipeline, batch.recipe)

    def _denoise(self) -> dict[str, torch.Tensor]:
        """Return the final latents by batch id."""
        runs = [self.sampler.begin(batch, negative, None) for batch, negative in self.work]
        for index in range(max(len(run.timesteps) for run in runs)):
            rows = _Rows()
            waiting = []
            for run in runs:
                if index < len(run.timesteps):
                    names = first_rows(run.batch) if index == 0 else None
                    timestep = run.timesteps[index]
                    waiting.append((run, timestep, rows.add(run, timestep, names)))
            predictions = self._evaluate(rows)
            for run, timestep, places in waiting:
                run.step(predictions[places], timestep)
        return {run.batch.batch_id: run.latents for run in runs}

    def _evaluate(self, rows: _Rows) -> torch.Tensor:
        """Predict the noise, (rows, C, h, w), in the fewest calls allowed, of nearly equal size."""
        total = len(rows.inputs)
        calls = -(-total // self.max_unet_rows)
        edges = [total * call // calls for call in range(calls + 1)]
        return torch.cat(
            [self.sampler.evaluate(*rows.chunk(first, last)) for first, last in pairwise(edges)]
        )

    def _decode_from(self, batch: Batch) -> None:
        """Decode a batch, and as many of the next ones as fit into one call."""
        assert self._latents is not None
        waiting = [own.batch_id for own, _ in self.work if own.batch_id in self._latents]
        waiting = waiting[waiting.index(batch.batch_id) :]
        taken, total = waiting[:1], len(self._latents[waiting[0]])
        for name in waiting[1:]:
            total += len(self._latents[name])
            if total > self.max_vae_rows:
                break
            taken.append(name)
        latents = [self._latents[name] for name in taken]
        decoded = torch.cat(
            [self.sampler.decode(rows) for rows in torch.cat(latents).split(self.max_vae_rows)]
        )
        for name, rows in zip(taken, decoded.split([len(own) for own in latents]), strict=True):
            del self._latents[name]
            self._decoded[name] = rows

"""Facts about a cell that its run shows and its result does not hold.

They are read from the store: the environment and the recipe from its record, values per image
from its measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.documents.sweep import CellResult
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import StoreError
from turbo_lab.identity import digest
from turbo_lab.request.recipe import Recipe
from turbo_lab.store.layout import StoreLayout
from turbo_lab.store.record import Record, read_measurement, read_object, read_record
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import read_regular

_AGAIN = "run the same sweep again"
# Facts about the environment that people filter runs by.
_KEYS = ("diffusers", "torch", "transformers", "tokenizers", "peft", "cuda", "num_threads")


@dataclass(frozen=True)
class CellFacts:
    """Record of a cell, and what the store measured of it."""

    record: Record
    """Its record."""
    content: bytes
    """Content of the record's file."""
    written_by: str
    """Version of turbo-lab that wrote the record."""
    per_image: Mapping[str, tuple[float, ...]]
    """Values per image, in image order, by metric."""

    @classmethod
    def of(cls, cell: CellResult, store: Path) -> CellFacts:
        """Read the facts of a cell. Raises :class:`StoreError` for a damaged record."""
        content = read_regular(cell.record, error=StoreError)
        where = str(cell.record)
        try:
            values = parse_json(content)
            record = read_record(values if isinstance(values, dict) else {}, where)
        except ValueError as error:
            raise StoreError(f"{where}: is damaged ({error}); {_AGAIN}") from error
        return cls(
            record, content, str(values.get("turbo_lab", "unknown")), _per_image(cell, store)
        )

    @property
    def recipe(self) -> Recipe:
        """Recipe that was run."""
        return self.record.recipe

    @property
    def scheduler(self) -> str:
        """Class of the scheduler that really ran."""
        config = parse_json(self.recipe.scheduler)
        return str(config.get("_class_name")) if isinstance(config, dict) else "unknown"

    @property
    def environment(self) -> dict[str, object]:
        """Versions, device and threads, by the name of their parameter."""
        fingerprint = self.record.fingerprint
        known = {key: fingerprint.keys[key] for key in _KEYS if key in fingerprint.keys}
        options = {"python": fingerprint.options["python"]} if fingerprint.options else {}
        return {
            **known,
            **options,
            "device": device_name(fingerprint),
            "turbo_lab": self.written_by,
        }

    @property
    def pipeline_digest(self) -> str:
        """Digest of all that decides speed and quality, except prompts, seeds and image count."""
        parameters = self.record.parameters
        environment = dict(self.record.fingerprint.keys)
        exactness = str(self.record.exactness)
        return digest([self.recipe.plain(), parameters.batch_size, exactness, environment])


def _per_image(cell: CellResult, store: Path) -> dict[str, tuple[float, ...]]:
    """Return the values per image of the cell's metrics, as far as the store has them."""
    folder = StoreLayout(store).measurements(cell.record_id)
    paths = sorted(folder.glob("*.json")) if cell.metrics else []
    measured = [read_measurement(read_object(path, _AGAIN), str(path)) for path in paths]
    fingerprints = {metric.fingerprint for metric in cell.metrics.values()}
    return {
        one.name: one.per_image
        for one in measured
        if one.per_image is not None
        and one.fingerprint in fingerprints
        and len(one.per_image) == len(cell.images)
    }


def device_name(fingerprint: Fingerprint) -> str:
    """Return the name of the device for people."""
    keys, options = fingerprint.keys, fingerprint.options
    is_cpu = str(keys.get("device_class", "")).startswith("cpu")
    name = options.get("cpu_name") if is_cpu else None
    return str(name or keys.get("device_model", "unknown"))

"""``turbo-lab sync``: the sweeps of a store replayed into MLflow."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError, StoreError, TurboLabError
from turbo_lab.planning.options import TrackingOptions
from turbo_lab.store.store import Store
from turbo_lab.tracking import Tracker, TrackingSettings
from turbo_lab.untrusted.paths import refuse_links
from turbo_lab.workflows import results


def sync_store(values: Mapping[str, Any], as_json: bool) -> int:
    """Replay every sweep of a store into MLflow; returns 3 where one could not be."""
    settings = TrackingSettings.from_options(TrackingOptions.from_config(values["tracking"]))
    if settings is None:
        raise InputError(
            "tracking=none: name where to replay to: tracking=local or tracking=server"
        )
    store = Store.existing(Path(values["store"]))
    replay = _Replay(Tracker(settings), store, as_json)
    for path in sorted((store.root / "sweeps").glob("*/sweep.json")):
        replay.whole(path)
    with store.claims.alone() as is_alone:
        begun_sweeps = store.cut_off_sweeps()
    if begun_sweeps and not is_alone:
        # One of them may be what the other process is at.
        print(f"{store.root}: another process has it open; sweeps without an end are left for "
              "later", file=sys.stderr)  # fmt: skip
        begun_sweeps = []
    for begun in begun_sweeps:
        replay.cut_off(begun)
    if as_json:
        print_document("sync", {"tracking_uri": settings.public_uri, **replay.found})
    elif not any(replay.found.values()):
        print(f"{store.root}: holds no sweep")
    return 3 if replay.found["failed"] else 0


class _Replay:
    """The sweeps of a store on their way into MLflow, one after the other."""

    def __init__(self, tracker: Tracker, store: Store, as_json: bool) -> None:
        self._tracker = tracker
        self._store = store
        self._as_json = as_json
        self.found: dict[str, list[Any]] = {"sweeps": [], "cut_off": [], "failed": []}
        """Ids of whole sweeps and of those cut off; id and error of those that failed."""

    def whole(self, path: Path) -> None:
        """Replay a sweep by its document."""
        sweep_id = path.parent.name
        with self._reported(sweep_id):
            sheet = path.with_name("sheet.png")
            for file in (path, sheet):
                refuse_links(self._store.root, file, StoreError)
            values = self._store.read_sweep(path)
            results.move_paths(values, self._store.root)  # it may have been made elsewhere
            self._tracker.project(values, sheet)
            self._add("sweeps", sweep_id)

    def cut_off(self, begun: Mapping[str, Any]) -> None:
        """Replay what is there of a sweep without an end."""
        with self._reported(begun["sweep_id"]):
            values = results.cut_off_sweep(begun, self._store)
            self._tracker.project(values, None)
            there = f"{len(values['cells'])} of {len(begun['cells'])} cells"
            self._add("cut_off", begun["sweep_id"], f"  cut off: {there}; its command resumes it")

    def _add(self, kind: str, sweep_id: str, note: str = "") -> None:
        self.found[kind].append(sweep_id)
        if not self._as_json:
            print(f"{sweep_id}  {self._tracker.settings.public_uri}{note}")

    @contextmanager
    def _reported(self, sweep_id: str) -> Iterator[None]:
        """Report a sweep that cannot be projected, and go on unless none can be."""
        try:
            yield
        except TurboLabError as error:
            if self._tracker.is_lost:
                raise
            self.found["failed"].append({"sweep_id": sweep_id, "error": str(error)})
            print(f"{sweep_id}  {error}", file=sys.stderr)

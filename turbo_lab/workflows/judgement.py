"""Keeping a comparison or a gate in its store, and bringing it into MLflow. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from turbo_lab.errors import IncompleteError
from turbo_lab.planning.options import RunOptions
from turbo_lab.progress import waiting
from turbo_lab.store.judgement import Judgement
from turbo_lab.store.record import document
from turbo_lab.store.store import Store
from turbo_lab.tracking import Tracker


def keep_judgement(
    judgement: Judgement,
    page: Callable[[], str],
    options: RunOptions,
    note: Callable[[str], None],
) -> None:
    """Keep a judgement and its page in the store, and bring it into MLflow if it is tracked.

    ``note`` gets a line if MLflow failed: that never changes a verdict. A store that cannot be
    written to keeps nothing.
    """
    store, content = Store(options.store, for_reading=True), page()
    if not store.is_read_only:
        _keep(store, judgement, content)
    tracker = Tracker.from_options(options.tracking)
    if tracker is None:
        return
    try:
        with waiting("writing the verdict to MLflow"):
            tracker.project_judgement(judgement, lambda: content)
    except IncompleteError as error:
        note(str(error))


def _keep(store: Store, judgement: Judgement, page: str) -> None:
    """Write the page, and then the summary that names it."""
    files = store.layout.judgement(judgement.judgement_id)
    if not files.document.exists():  # equal content is equal: the first moment is kept
        store.write_file(files.page, page.encode())
        store.write_document(files.document, document("judgement", judgement))


def replay_judgement(judgement_id: str, store: Store, tracker: Tracker) -> None:
    """Bring a judgement of a store into MLflow, unless it is there."""
    judgement = Judgement.read(store, judgement_id)
    page: Path = store.layout.judgement(judgement_id).page
    tracker.project_judgement(judgement, lambda: store.read_text(page))

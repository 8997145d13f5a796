"""``turbo-lab report --follow``: the page of a running sweep, until Ctrl-C."""

from __future__ import annotations

from turbo_lab.errors import InputError


def follow(names: list[str], store: str | None, port: int, images: int | None, writes: bool) -> int:
    """Serve the page of a sweep on this machine, and return 0 when the user ends it.

    ``names``: the sweep, or nothing for the newest one of the store. ``writes``: ``True`` if an
    option says what to write.
    """
    from turbo_lab.workflows.follow import FollowedSweep, PageServer, find_followed

    if writes:
        raise InputError("report --follow: writes no file; leave out --format, --output and --json")
    if len(names) > 1:
        raise InputError("report --follow: name one sweep, or none for the newest one")
    opened, files = find_followed(names[0] if names else None, store)
    with PageServer(FollowedSweep(opened, files, images), port) as server:
        print(f"sweep {files.sweep_id[:12]} at {server.address} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0

"""When and where something was measured."""

from __future__ import annotations

import datetime

from turbo_lab.documents.occasion import occasion_now
from turbo_lab.environment import Fingerprint


def test_it_says_when_and_where_without_passwords() -> None:
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    words = ["model=a", "tracking.uri=http://me:secret@host/"]
    found = occasion_now(words, Fingerprint({"torch": "2.11"}, {"host": "pool"}))
    assert found.command == ("model=a", "tracking.uri=http://host/")
    assert (found.keys, found.options) == ({"torch": "2.11"}, {"host": "pool"})
    date = datetime.datetime.fromisoformat(found.date)
    assert before <= date <= datetime.datetime.now(datetime.UTC)
    assert date.utcoffset() == datetime.timedelta(0)

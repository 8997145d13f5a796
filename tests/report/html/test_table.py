"""Table of a sweep's page: sorting and marks, in a real browser."""

from __future__ import annotations

from tests.report.pages import in_page


def test_values_sort_as_numbers_and_the_best_is_marked(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
        """
        const heads = all("table.metrics th button");
        found.heads = heads.map((b) => b.textContent);
        found.best = all("td.best").map((c) => c.querySelector(".v").textContent);
        found.level = all("td.level").map((c) => c.querySelector(".v").textContent);
        heads[3].click();
        found.descending = column(3);
        found.order = heads[3].closest("th").getAttribute("aria-sort");
        heads[3].click();
        found.ascending = column(3);
        heads[5].click();
        found.latency = column(5);
        found.errors_shown = $(".errors").textContent;
        """,
    )
    assert found["heads"] == [
        "steps",
        "guidance",
        "status",
        "clip_score ↑",
        "fd/nano-clip ↓",
        "p50 ms ↓",
        "images/s ↑",
        "peak MiB",
    ]
    assert sorted(found["best"]) == ["0.800", "10.00", "100", "6.000"]
    # The best interval starts at 0.75 and the next one ends at 0.65, so none is level.
    assert found["level"] == []
    assert found["descending"] == ["0.8000.750-0.850", "0.6000.550-0.650", "0.5000.450-0.550", "-"]
    assert found["ascending"] == [*found["descending"][2::-1], "-"]
    # 100 before 200 and 400, and the failed cell last.
    assert [text[:3] for text in found["latency"][:3]] == ["100", "200", "400"]
    assert found["order"] == "descending"
    assert "steps 2 · guidance 0: out of memory" in found["errors_shown"]

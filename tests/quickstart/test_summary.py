"""The summary of the named tests, on scores worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from figclip.data_sources import DataSource
from figclip.quickstart.summary import TestScores as Scores
from figclip.quickstart.summary import mean_difference, summarise
from figclip.world.named_tests import NamedTest


def scores(
    name: str,
    base: list[float],
    adapted: list[float],
    *,
    wording: str | None = "natural",
    new: list[bool] | None = None,
    groups: list[str] | None = None,
) -> Scores:
    face = "kept" if wording is None else "detail"
    source = DataSource(name="pairs", path=Path(f"{name}.jsonl"), videos=Path("videos"))
    return Scores(
        test=NamedTest(name=name, face=face, wording=wording, source=source, metrics=("accuracy",)),
        base_N=np.array(base, np.float64),
        adapted_N=np.array(adapted, np.float64),
        groups=tuple(groups or [f"{name} {i}" for i in range(len(base))]),
        is_new_N=np.array(new or [i % 2 == 0 for i in range(len(base))]),
        controls={"text_only": 0.5} if wording else {},
    )


ALL = [
    # base 1/4, adapted 3/4; new: 0, 1/2; small
    scores("role swap", [0, 1, 0, 0], [1, 1, 0, 1]),
    # base 1/2, adapted 1/2, twice as many items: counts alike
    scores("verb", [1, 0, 1, 0, 1, 0, 1, 0], [0, 1, 1, 0, 1, 0, 1, 0]),
    scores("role swap", [0, 0, 0, 0], [1, 1, 1, 1], wording="template"),
    scores("kinds", [1, 1, 1, 1], [1, 1, 1, 0], wording=None),
]


def test_every_test_counts_alike():
    summary = summarise(ALL, seed=0)
    detail = summary["detail"]
    assert detail["base"] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert detail["adapted"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert detail["difference"] == pytest.approx(1 / 4)
    assert detail["items"] == 12
    assert detail["interval"][0] <= detail["difference"] <= detail["interval"][1]
    assert summary["detail_template"]["adapted"] == 1.0
    assert summary["semantic"]["difference"] == pytest.approx(-1 / 4)


def test_held_out_combinations_are_told_apart():
    detail = summarise(ALL, seed=0)["detail"]["held_out"]
    # role swap: items 0 and 2: 0, 0 -> 1, 0; verb: items 0, 2, 4, 6: all right -> three right
    assert detail["items"] == 6
    assert detail["base"] == pytest.approx((0 + 1) / 2)
    assert detail["adapted"] == pytest.approx((1 / 2 + 3 / 4) / 2)


def test_a_row_a_test():
    rows = summarise(ALL, seed=0)["tests"]
    assert [(row["name"], row["group"], row["wording"]) for row in rows] == [
        ("role swap", "detail", "natural"),
        ("verb", "detail", "natural"),
        ("role swap", "detail", "template"),
        ("kinds", "kept", None),
    ]
    assert rows[0]["text_only"] == 0.5 and "text_only" not in rows[3]
    assert rows[0]["difference"] == pytest.approx(1 / 2)


def test_items_of_one_group_are_drawn_together():
    """With one group for both tests, nothing varies within a draw of it; two such groups do."""
    together = [
        scores("a", [0, 0, 1, 1], [1, 1, 1, 1], groups=["x", "x", "y", "y"]),
        scores("b", [0, 0, 1, 1], [1, 1, 1, 1], groups=["x", "x", "y", "y"]),
    ]
    interval = mean_difference(together, seed=0)
    # Only "x" twice, "x" and "y", or "y" twice can be drawn: 1, 1/2 or 0.
    assert (interval.low, interval.difference, interval.high) == (0.0, 0.5, 1.0)

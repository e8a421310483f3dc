"""The summary of the named tests, on scores worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from figclip.errors import DataError
from figclip.evaluation.results import DataInfo, EvaluationResult, ModelColumn, TaskResult
from figclip.evaluation.sources import DataSource
from figclip.miniworld.named_tests import NamedTest
from figclip.miniworld.summary import TestScores as Scores
from figclip.miniworld.summary import mean_difference, read_scores, summarise
from figclip.tasks.base import ItemScores


def scores(
    name: str,
    base: list[float],
    adapted: list[float],
    *,
    wording: str | None = "natural",
    new: list[bool] | None = None,
    groups: list[str] | None = None,
) -> Scores:
    source = DataSource(name="pairs", path=Path(f"{name}.jsonl"), videos=Path("videos"))
    return Scores(
        test=NamedTest(name=name, wording=wording, source=source, metrics=("accuracy",)),
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


def block(name: str, ids: list[str], values: list[float], groups: list[str]) -> ItemScores:
    return ItemScores(
        block=name,
        item_ids=tuple(ids),
        group_ids=tuple(groups),
        values={f"{name} R@1": np.array(values, np.float64)},
    )


def read(*blocks: ItemScores) -> Scores:
    """The scores of one seed in retrieval; base and adapted are equal."""
    source = DataSource(name="retrieval", path=Path("r.jsonl"), videos=Path("videos"))
    test = NamedTest(
        name="retrieval",
        wording="natural",
        source=source,
        metrics=("t2v R@1", "v2t R@1"),
    )
    column = ModelColumn(name="m", hash="h", alpha=0.0)
    result = TaskResult(
        task="retrieval",
        face="detail",
        data=DataInfo(
            name="retrieval", source="r.jsonl", split=None, hash="", pipeline="pil", coverage={}
        ),
        settings={},
        counts={},
        left_out=(),
        base=column,
        adapted=column,
        metrics={},
        base_items=blocks,
        adapted_items=blocks,
        notices=(),
        seed=0,
    )
    [found] = read_scores([test], [EvaluationResult(tasks=(result,), files=(), notices=())])
    return found


def test_two_directions_are_averaged_item_by_item():
    texts = block("t2v", ["new/a#0", "known/b#0", "known/c#0"], [1, 0, 0], ["a", "b", "b"])
    videos = block("v2t", ["new/a", "known/b", "known/c"], [1, 1, 0], ["a", "b", "b"])
    found = read(texts, videos)
    assert found.base_N.tolist() == [1.0, 0.5, 0.0]
    assert found.groups == ("a", "b", "b")
    assert found.is_new_N.tolist() == [True, False, False]


def test_two_captions_a_video_are_refused():
    """The mean over directions would not be a mean over items."""
    texts = block("t2v", ["a#0", "a#1", "b#0"], [1, 0, 0], ["a", "a", "b"])
    videos = block("v2t", ["a", "b"], [1, 1], ["a", "b"])
    with pytest.raises(DataError, match="r.jsonl: t2v R@1 and v2t R@1 are not of the same items"):
        read(texts, videos)


def test_items_of_one_group_are_drawn_together():
    """With one group for both tests, nothing varies within a draw of it; two such groups do."""
    together = [
        scores("a", [0, 0, 1, 1], [1, 1, 1, 1], groups=["x", "x", "y", "y"]),
        scores("b", [0, 0, 1, 1], [1, 1, 1, 1], groups=["x", "x", "y", "y"]),
    ]
    interval = mean_difference(together, seed=0)
    # Only "x" twice, "x" and "y", or "y" twice can be drawn: 1, 1/2 or 0.
    assert (interval.low, interval.difference, interval.high) == (0.0, 0.5, 1.0)

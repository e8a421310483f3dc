"""Results of several seeds as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from figclip.errors import DataError
from figclip.evaluation.results import (
    Comparison,
    DataInfo,
    ModelColumn,
    TaskResult,
    check_item_means,
)
from figclip.evaluation.seeds import over_seeds
from figclip.metrics.intervals import nested_bootstrap
from figclip.tasks.base import ItemScores, Score

GROUPS = ("a", "a", "b", "c")


def result(base: list[float], adapted: list[float], *, head: str = "h", **changes) -> TaskResult:
    """A task with one metric over four items, and one that is no mean over items."""
    blocks = [
        ItemScores(
            block="events",
            item_ids=("1", "2", "3", "4"),
            group_ids=GROUPS,
            values={"right": np.array(values, np.float64)},
            labels={"true": ("x", "y", "x", "y"), "said": (head,) * 4},
        )
        for values in (base, adapted)
    ]
    model = ModelColumn(name="m", hash="1", alpha=1.0)
    content = TaskResult(
        task="situations",
        face="detail",
        data=DataInfo(name="events", source="e", split=None, hash="d", pipeline="p", coverage={}),
        settings={"features": "frames", "head": head},
        counts={"events": 4},
        left_out=(),
        base=model,
        adapted=model,
        metrics={
            "right": Comparison(
                base=Score(official=float(np.mean(base))),
                adapted=Score(official=float(np.mean(adapted))),
                interval=None,
            ),
            "corpus": Comparison(
                base=Score(official=0.5),
                adapted=Score(official=adapted[0], corrected=adapted[1]),
                interval=None,
            ),
        },
        base_items=(blocks[0],),
        adapted_items=(blocks[1],),
        notices=("said by all", f"said of {head}"),
        seed=7,
    )
    return dataclasses.replace(content, **changes)


FIRST = result([0, 0, 1, 0], [1, 0, 1, 0], head="h0")
SECOND = result([0, 1, 1, 0], [1, 1, 1, 1], head="h1")


def test_scores_and_items_are_means_over_seeds():
    found = over_seeds([FIRST, SECOND], [3, 4])
    right = found.metrics["right"]
    assert right.base is not None and (right.base.value, right.adapted.value) == (0.375, 0.75)
    assert found.adapted_items[0].values["right"].tolist() == [1, 0.5, 1, 0.5]
    corpus = found.metrics["corpus"].adapted
    assert (corpus.official, corpus.corrected) == (1.0, 0.5)
    summary = {name: one.adapted for name, one in found.metrics.items()}
    check_item_means(summary, found.adapted_items)


def test_intervals_are_nested_where_a_score_is_a_mean_over_items():
    found = over_seeds([FIRST, SECOND], [3, 4])
    (expected,) = nested_bootstrap(
        np.array([[0, 0, 1, 0], [0, 1, 1, 0.0]])[..., None],
        np.array([[1, 0, 1, 0], [1, 1, 1, 1.0]])[..., None],
        group_of_item=GROUPS,
        seed=7,
    )
    assert found.metrics["right"].interval == expected
    assert found.metrics["corpus"].interval is None


def test_what_differs_between_seeds_is_joined_or_left_out():
    found = over_seeds([FIRST, SECOND], [3, 4])
    assert found.settings == {"features": "frames", "head": "h0, h1", "seeds": "3, 4"}
    assert list(found.adapted_items[0].labels) == ["true"]
    assert found.notices == ("said by all", "said of h0", "said of h1")


def test_a_metric_that_a_seed_lacks_is_named():
    lacking = dataclasses.replace(SECOND, metrics={"right": SECOND.metrics["right"]})
    found = over_seeds([FIRST, lacking], [3, 4])
    assert list(found.metrics) == ["right"]
    assert found.notices[-1] == "Not every seed has corpus."


def test_one_model_has_means_and_no_intervals():
    alone = [
        dataclasses.replace(
            one,
            base=None,
            base_items=None,
            metrics={
                name: dataclasses.replace(metric, base=None) for name, metric in one.metrics.items()
            },
        )
        for one in (FIRST, SECOND)
    ]
    found = over_seeds(alone, [3, 4])
    assert found.metrics["right"] == Comparison(
        base=None, adapted=Score(official=0.75), interval=None
    )
    assert found.base_items is None


def test_seeds_on_other_items_are_refused():
    (block,) = SECOND.adapted_items
    other = dataclasses.replace(block, item_ids=("1", "2", "3", "5"))
    changed = dataclasses.replace(SECOND, adapted_items=(other,))
    with pytest.raises(DataError, match="not scored on the same items"):
        over_seeds([FIRST, changed], [3, 4])

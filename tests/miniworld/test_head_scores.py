from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from figclip.evaluation.results import (
    Comparison,
    DataInfo,
    EvaluationResult,
    ModelColumn,
    TaskResult,
)
from figclip.miniworld.summary import summarise_heads
from figclip.tasks.base import ItemScores, Score


def items(values: list[float], groups: str) -> tuple[ItemScores, ...]:
    return (
        ItemScores(
            block="verbs",
            item_ids=tuple(f"i{n}" for n in range(len(values))),
            group_ids=tuple(groups),
            values={"verbs Acc@1": np.array(values, np.float64)},
        ),
    )


def result(base: list[float], adapted: list[float], *, macro: tuple[float, float]):
    model = ModelColumn(name="m", hash="h", alpha=1.0)
    scores = [Score(official=float(np.mean(values))) for values in (base, adapted)]
    macros = [Score(official=value) for value in macro]
    task = TaskResult(
        task="situations",
        face="detail",
        data=DataInfo(
            name="vidsitu", source="s", split=None, hash="h", pipeline="pil", coverage={}
        ),
        settings={},
        counts={},
        left_out=(),
        base=model,
        adapted=model,
        metrics={
            "verbs Acc@1": Comparison(base=scores[0], adapted=scores[1], interval=None),
            "roles Lea": Comparison(base=macros[0], adapted=macros[1], interval=None),
        },
        base_items=items(base, "aabb"),
        adapted_items=items(adapted, "aabb"),
        notices=(),
        seed=0,
    )
    return EvaluationResult(tasks=(task,), files=(), notices=())


def test_one_seed_is_as_its_result_says():
    one = result([0, 0, 0, 0], [1, 1, 1, 1], macro=(0.25, 0.5))
    found = summarise_heads([one], names=["verbs Acc@1", "roles Lea"], seeds=[0], interval_seed=0)
    assert found == {
        "situations": {
            "verbs Acc@1": {"base": 0.0, "adapted": 1.0, "difference": 1.0, "interval": [1.0, 1.0]},
            "roles Lea": {"base": 0.25, "adapted": 0.5, "difference": 0.25, "interval": None},
        }
    }


def test_seeds_are_averaged_and_told_one_by_one():
    results = [
        result([0, 1, 0, 1], [1, 1, 1, 1], macro=(0.2, 0.4)),
        result([1, 0, 1, 0], [1, 1, 0, 0], macro=(0.4, 0.4)),
    ]
    found = summarise_heads(
        results, names=["verbs Acc@1", "roles Lea"], seeds=[3, 4], interval_seed=0
    )["situations"]
    assert found["seeds"] == [3, 4]
    assert found["roles Lea"]["difference"] == pytest.approx(0.1)
    mean = found["verbs Acc@1"]
    assert (mean["base"], mean["adapted"]) == (0.5, 0.75)
    # Group a gains 0.5 with both seeds, group b 0.5 and -0.5. Furthest out is b twice with one seed
    # twice: 0.5 from the mean of the seeds, widened by the square root of 2.
    assert mean["interval"] == pytest.approx([-(0.5**0.5), 0.5**0.5])
    assert [one["verbs Acc@1"]["difference"] for one in found["by_seed"]] == [0.5, 0.0]


def test_videos_of_one_group_give_no_interval():
    one = result([0, 0, 0, 1], [1, 1, 1, 1], macro=(0.25, 0.5))
    (task,) = one.tasks
    assert task.base_items is not None
    base, adapted = (
        tuple(replace(block, group_ids=("a",) * 4) for block in blocks)
        for blocks in (task.base_items, task.adapted_items)
    )
    alone = replace(task, base_items=base, adapted_items=adapted)
    found = summarise_heads(
        [replace(one, tasks=(alone,))], names=["verbs Acc@1"], seeds=[0], interval_seed=0
    )
    assert found["situations"]["verbs Acc@1"]["interval"] is None

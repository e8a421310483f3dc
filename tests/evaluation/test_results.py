from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from figclip.datasets.records import LeftOut
from figclip.errors import DataError
from figclip.evaluation.results import (
    Comparison,
    DataInfo,
    EvaluationResult,
    ModelColumn,
    TaskResult,
    compare,
    format_table,
    write_result,
)
from figclip.metrics.intervals import Interval
from figclip.runtime.checked_json import load_checked
from figclip.tasks.base import ItemScores, Score


def block(*values: float, groups: str = "aabb") -> ItemScores:
    return ItemScores(
        block="events t2v",
        item_ids=("e0", "e1", "e2", "e3"),
        group_ids=tuple(groups),
        values={"R@1": np.array(values, np.float64)},
    )


def result(data_hash: str = "d1") -> TaskResult:
    base, adapted = block(0, 0, 1, 0), block(1, 0, 1, 0)
    return TaskResult(
        task="dense_retrieval",
        face="detail",
        data=DataInfo(
            name="events",
            source="a.store",
            split="valid",
            hash=data_hash,
            pipeline="pil",
            coverage={"listed": 5, "stored": 2},
        ),
        settings={"frames_per_event": 4},
        counts={"videos": 2, "events": 1234},
        left_out=(
            LeftOut(item="x", reason="no events"),
            LeftOut(item="y", reason="damaged"),
            LeftOut(item="z", reason="no events"),
        ),
        base=ModelColumn(name="openai/clip", hash="h0", alpha=0.0, precision="fp32"),
        adapted=ModelColumn(name="mine", hash="h1", alpha=0.5, precision="bf16"),
        metrics={
            "R@1": Comparison(
                base=Score(official=0.25),
                adapted=Score(official=0.5),
                interval=Interval(0.25, 0.0, 0.5),
            ),
            "median rank": Comparison(
                base=Score(official=12.5, unit="rank"),
                adapted=Score(official=9.0, unit="rank"),
                interval=None,
            ),
        },
        base_items=(base,),
        adapted_items=(adapted,),
        notices=("5 items are odd",),
        trained_on=("w",),
        knows_training=False,
        seed=7,
    )


def test_metrics_with_item_values_get_an_interval() -> None:
    median = Score(official=2.0, unit="rank")
    base, adapted = block(0, 0, 1, 0), block(1, 1, 1, 0)
    summaries = (
        {"R@1": Score(official=0.25), "median rank": median},
        {"R@1": Score(official=0.75), "median rank": median},
    )
    found = compare(summaries, ([base], [adapted]), seed=0)
    # Groups gain 1 and 0; resamples of two groups give 0, 0.5 or 1.
    assert found["R@1"].interval == Interval(0.5, 0.0, 1.0)
    assert found["median rank"].interval is None
    assert found["median rank"].difference == 0.0


def test_a_score_that_is_not_the_mean_of_its_items_is_our_mistake() -> None:
    right, wrong = {"R@1": Score(official=0.5, corrected=0.25)}, {"R@1": Score(official=0.25)}
    base, adapted = [block(0, 0, 1, 0)], [block(1, 1, 1, 0)]
    for summaries, items in (((right, wrong), (base, adapted)), ((None, wrong), (None, adapted))):
        with pytest.raises(AssertionError, match=r"R@1: 0\.25, 0\.75"):
            compare(summaries, items, seed=0)
    with pytest.raises(AssertionError, match="two blocks"):
        compare((right, right), ([*base, *base], [*base, *base]), seed=0)
    weighted = dataclasses.replace(adapted[0], weights=np.array([1.0, 1.0, 1.0, 9.0]))
    assert compare((None, wrong), (None, [weighted]), seed=0)["R@1"].adapted.value == 0.25


def test_one_group_gives_no_interval() -> None:
    one = block(0, 0, 1, 0, groups="aaaa")
    found = compare(({"R@1": Score(official=0.25)},) * 2, ([one], [one]), seed=0)
    assert found["R@1"] == Comparison(
        base=Score(official=0.25), adapted=Score(official=0.25), interval=None
    )


def test_one_model_has_no_difference() -> None:
    found = compare((None, {"R@1": Score(official=0.25)}), (None, [block(0, 0, 1, 0)]), seed=0)
    assert found["R@1"].base is None and found["R@1"].difference is None


def test_the_difference_is_of_corrected_scores_where_there_are_any() -> None:
    one = Comparison(
        base=Score(official=0.5, corrected=0.25),
        adapted=Score(official=0.5, corrected=0.75),
        interval=None,
    )
    assert one.difference == 0.5


def test_other_items_are_refused() -> None:
    other = dataclasses.replace(block(0, 0, 1, 0), item_ids=("e0", "e1", "e2", "e4"))
    summary = {"R@1": Score(official=0.25)}
    with pytest.raises(DataError, match="same items"):
        compare((summary, summary), ([block(0, 0, 1, 0)], [other]), seed=0)


def test_the_file_holds_everything(tmp_path: Path) -> None:
    file = write_result(result(), tmp_path, taken=[], versions={"figclip": "0"})
    assert file == tmp_path / "dense_retrieval-a.json"
    content = load_checked(file.read_text())
    assert content == {
        "format": 1,
        "task": "dense_retrieval",
        "face": "detail",
        "data": {
            "name": "events",
            "source": "a.store",
            "split": "valid",
            "hash": "d1",
            "pipeline": "pil",
            "coverage": {"listed": 5, "stored": 2},
        },
        "settings": {"frames_per_event": 4},
        "counts": {"videos": 2, "events": 1234},
        "left_out": [
            {"reason": "no events", "count": 2, "items": ["x", "z"]},
            {"reason": "damaged", "count": 1, "items": ["y"]},
        ],
        "trained_on": {"count": 1, "is_whole": False, "items": ["w"]},
        "models": {
            "base": {"name": "openai/clip", "hash": "h0", "alpha": 0.0, "precision": "fp32"},
            "adapted": {"name": "mine", "hash": "h1", "alpha": 0.5, "precision": "bf16"},
        },
        "notices": ["5 items are odd"],
        "metrics": {
            "R@1": {
                "unit": "fraction",
                "chance": None,
                "headline": False,
                "in_table": True,
                "base": {"official": 0.25, "corrected": None},
                "adapted": {"official": 0.5, "corrected": None},
                "difference": 0.25,
                "interval_95": [0.0, 0.5],
            },
            "median rank": {
                "unit": "rank",
                "chance": None,
                "headline": False,
                "in_table": True,
                "base": {"official": 12.5, "corrected": None},
                "adapted": {"official": 9.0, "corrected": None},
                "difference": -3.5,
                "interval_95": None,
            },
        },
        "interval": {
            "method": "paired percentile bootstrap over groups, gallery fixed",
            "resamples": 2000,
            "seed": 7,
        },
        "versions": {"figclip": "0"},
    }
    lines = (tmp_path / "dense_retrieval-a.items.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert load_checked(lines[0]) == {
        "block": "events t2v",
        "item": "e0",
        "group": "a",
        "base": {"R@1": 0.0},
        "adapted": {"R@1": 1.0},
    }


def test_files_of_other_data_are_never_replaced(tmp_path: Path) -> None:
    names = []
    for data_hash in ("d1", "d2", "d1", "d2", "d3"):
        names.append(write_result(result(data_hash), tmp_path, taken=[], versions={}).name)
    first, second, third = (f"dense_retrieval-a{n}.json" for n in ("", "-2", "-3"))
    assert names == [first, second, first, second, third]
    assert load_checked((tmp_path / first).read_text())["data"]["hash"] == "d1"
    taken = [tmp_path / first]
    assert write_result(result("d1"), tmp_path, taken=taken, versions={}).name == (
        "dense_retrieval-a-4.json"
    )
    (tmp_path / first).write_text("notes of mine")
    assert write_result(result("d5"), tmp_path, taken=[], versions={}).name == (
        "dense_retrieval-a-5.json"
    )
    assert (tmp_path / first).read_text() == "notes of mine"


def test_own_files_of_one_name_are_told_apart_by_their_names(tmp_path: Path) -> None:
    swaps, verbs = (
        dataclasses.replace(
            result(source), task="composition", data=dataclasses.replace(result(source).data, **new)
        )
        for source in ("role_swap", "verb")
        for new in [{"name": "pairs", "source": f"{source}.jsonl", "split": None}]
    )
    files = [
        [write_result(one, tmp_path, taken=[], versions={}).name for one in order]
        for order in ((swaps, verbs), (verbs, swaps))
    ]
    assert files[0] == ["composition-role_swap.json", "composition-verb.json"]
    assert files[1] == files[0][::-1]
    table = format_table(EvaluationResult(tasks=(swaps, verbs), files=(), notices=()))
    headings = [line for line in table.splitlines() if line.startswith("composition")]
    assert [line.partition(":")[2][:20] for line in headings] == [
        "role_swap.jsonl: 2 v",
        "verb.jsonl: 2 videos",
    ]
    published = dataclasses.replace(
        swaps, data=dataclasses.replace(swaps.data, name="aro", source="my_aro")
    )
    assert write_result(published, tmp_path, taken=[], versions={}).name == "composition-aro.json"


def test_another_model_or_setting_gets_a_file_of_its_own(tmp_path: Path) -> None:
    one = result("d1")
    stronger = dataclasses.replace(one, adapted=dataclasses.replace(one.adapted, alpha=0.25))
    denser = dataclasses.replace(one, settings={"frames_per_event": 8})
    files = [write_result(r, tmp_path, taken=[], versions={}) for r in (one, stronger, denser, one)]
    assert len(set(files)) == 3
    assert files[0] == files[3]


def test_the_table_reads_like_this(tmp_path: Path) -> None:
    evaluation = EvaluationResult(tasks=(result(),), files=(), notices=("Mind the gap.",))
    assert format_table(evaluation).splitlines() == [
        "test           base  adapted  difference  95 % interval",
        "",
        "DETAIL: what adaptation should teach",
        "dense_retrieval on events:a.store (valid): 2 videos, 1,234 events; "
        "2 of the 5 files listed are ready; 3 left out; 1 TRAINED ON",
        "  R@1 (%)      25.0     50.0       +25.0  [+0.0, +50.0]",
        "  median rank  12.5      9.0        -3.5              -",
        "",
        "Note: Mind the gap.",
    ]


def test_official_scores_that_are_wrong_are_marked_by_the_corrected_ones() -> None:
    tied = Comparison(
        base=Score(official=0.9, corrected=0.5),
        adapted=Score(official=0.7, corrected=0.75),
        interval=Interval(0.25, 0.0, 0.5),
    )
    agreed = Comparison(
        base=Score(official=0.9, corrected=0.9 + 1e-16),
        adapted=Score(official=0.9),
        interval=None,
    )
    both = dataclasses.replace(result(), metrics={"R@1": tied, "R@5": agreed})
    table = format_table(EvaluationResult(tasks=(both,), files=(), notices=()))
    assert table.splitlines()[4:] == [
        "  R@1 (%)      90.0     70.0       -20.0              -",
        "    corrected  50.0     75.0       +25.0  [+0.0, +50.0]",
        "  R@5 (%)      90.0     90.0        +0.0              -",
    ]


def test_details_are_not_in_the_table_and_kept_tests_come_last() -> None:
    score = Score(official=0.5, is_detail=True)
    hidden = Comparison(base=score, adapted=score, interval=None)
    kept = dataclasses.replace(result(), task="retrieval", face="kept", metrics={"R@1": hidden})
    table = format_table(EvaluationResult(tasks=(kept, result()), files=(), notices=()))
    lines = table.splitlines()
    assert lines.index("KEPT: what adaptation must not cost") == len(lines) - 2
    assert lines[-1].startswith("retrieval on events:a.store")


def test_the_table_of_one_model_has_dashes_and_no_negative_zero() -> None:
    alone = dataclasses.replace(
        result(),
        base=None,
        base_items=None,
        left_out=(),
        metrics={"R@1": Comparison(base=None, adapted=Score(official=0.5), interval=None)},
    )
    table = format_table(EvaluationResult(tasks=(alone,), files=(), notices=()))
    assert table.splitlines()[-1].split() == ["R@1", "(%)", "50.0"]
    assert table.splitlines()[0].split() == ["test", "score"]
    tiny = Comparison(
        base=Score(official=0.5), adapted=Score(official=0.49999), interval=Interval(0, -1e-9, 0)
    )
    table = format_table(
        EvaluationResult(
            tasks=(dataclasses.replace(alone, metrics={"R@1": tiny}),), files=(), notices=()
        )
    )
    assert table.splitlines()[-1].split()[2:] == ["50.0", "50.0", "+0.0", "[+0.0,", "+0.0]"]

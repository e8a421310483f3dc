from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from figclip.annotations.counterfactuals import CounterfeitPools, Kind, build_counterfeit_pools
from figclip.records import Annotation, VideoRecord
from figclip.tasks.dense_events import Counterfeits, DenseEvents, draw_counterfeits, list_events
from figclip.tasks.srl_swap import text_only_accuracy
from tests.dense_sets import dense_caption, make_event, without_frames


def videos(names: Sequence[tuple[str, str]]) -> DenseEvents:
    """A video with one event for each pair of who and whom."""
    records = [
        VideoRecord(
            id=f"v{i}",
            video=f"v{i}",
            split="valid",
            group=f"g{i}",
            annotations=(Annotation(events=(make_event("push", who, whom),)),),
        )
        for i, (who, whom) in enumerate(names)
    ]
    return list_events(without_frames(records), wording=dense_caption)[0]


def draw(events: DenseEvents, kind: Kind, pools: Sequence[CounterfeitPools]) -> Counterfeits:
    return draw_counterfeits(events, kind, pools=pools, num_negatives=2, seed=0)


def accuracy_of(events: DenseEvents, kind: Kind, tested: Counterfeits | None = None):
    everything = build_counterfeit_pools(events.videos.records)
    if tested is None:
        tested = draw(events, kind, [everything] * len(events.videos.records))
    return text_only_accuracy(events, {kind: tested}, lambda *args: draw(events, *args))


def test_a_leak_is_found_and_indifferent_items_are_half_won() -> None:
    events = videos([("man", "box")] * 8)
    assert accuracy_of(events, "role swap")["role swap"].tolist() == [1.0] * 8
    # One event that lacks a counterfeit has no value, one whose counterfeit is itself is a tie.
    tested = draw(events, "role swap", [build_counterfeit_pools([])] * 8)
    odd = [(None,), (events.events[1].event,), *tested[2:]]
    values_N = accuracy_of(events, "role swap", odd)["role swap"]
    assert values_N.tolist() == [0.5, *[1.0] * 6]


def test_counterfeits_to_fit_on_are_made_within_each_fold() -> None:
    events = videos([(f"man{i}", f"box{i}") for i in range(10)])
    asked: list[list[set[str]]] = []

    def spy(kind: Kind, pools: Sequence[CounterfeitPools]) -> Counterfeits:
        asked.append(
            [{t for fillers in pool.fillers.values() for t in fillers.texts} for pool in pools]
        )
        return draw(events, kind, pools)

    tested = draw(events, "filler", [build_counterfeit_pools(events.videos.records)] * 10)
    text_only_accuracy(events, {"filler": tested}, spy)
    (words_of_video,) = asked
    # Five folds of two videos each: a video's own words, and those of one other.
    for i, words in enumerate(words_of_video):
        assert len(words) == 4
        assert {f"man{i}", f"box{i}"} <= words


def test_words_that_only_held_out_videos_use_do_not_count_as_false() -> None:
    # Every video has words of its own. Fitted on the tested counterfeits, each video's words would
    # be known from the others, as counterfeits only, and be taken for false.
    events = videos([(f"man{i}", f"box{i}") for i in range(40)])
    values_N = accuracy_of(events, "filler")["filler"]
    assert np.mean(values_N) == pytest.approx(0.5, abs=0.15)


def test_too_few_groups_give_nothing() -> None:
    assert accuracy_of(videos([("man", "box")] * 3), "role swap") == {}
    assert set(accuracy_of(videos([("man", "box")] * 4), "role swap")) == {"role swap"}
    # Two folds, but within these there is no other filler.
    assert (
        accuracy_of(
            videos([("man", "box"), ("dog", "cart"), ("man", "box"), ("dog", "cart")]), "scene"
        )
        == {}
    )

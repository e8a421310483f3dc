"""Verbs, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.errors import MetricError
from figclip.metrics.situations import all_events_hit, judge_verbs

WALK, RUN, SIT = "walk.01", "run.02", "sit.01"


def test_hits_of_any_annotator_among_the_first_k():
    judged = judge_verbs(
        [[WALK, RUN], ["a", "b", "c", "d", SIT], ["a", "b", "c", "d", "e", SIT], []],
        [[RUN, SIT], [SIT] * 3, [SIT] * 3, [SIT]],
    )
    assert judged.hit_NK.tolist() == [
        [False, True, True, True, True],
        [False, False, False, False, True],
        [False] * 5,  # the sixth does not count
        [False] * 5,
    ]


def test_recall_is_of_verbs_that_two_annotators_chose():
    judged = judge_verbs(
        [[WALK, RUN], [WALK], [SIT]],
        [[WALK, WALK, RUN], [RUN, RUN, WALK, WALK], [WALK, WALK]],
    )
    # walk.01 is agreed on in all three events and found in two, run.02 in one and not found.
    assert judged.verb_A == (WALK, RUN, WALK, WALK)
    assert judged.event_A.tolist() == [0, 1, 1, 2]
    assert judged.found_A.tolist() == [True, False, True, False]
    assert judged.macro_recall(0) == pytest.approx((2 / 3 + 0) / 2)
    assert judged.macro_recall(2) == pytest.approx(2 / 3)
    assert judged.frequent(2) == {WALK: [0, 2, 3]}
    assert judged.macro_recall() == 0  # no verb of more than nine events


def test_frequent_verbs_are_those_of_the_split_whichever_events_are_scored():
    agreed = [[WALK, WALK]] * 10 + [[RUN, RUN]] * 9
    judged = judge_verbs([[WALK], [SIT], [RUN]], [agreed[0], agreed[1], agreed[10]], split=agreed)
    assert judged.frequent() == {WALK: [0, 1]}
    assert judged.macro_recall() == 0.5
    assert judged.macro_recall(8) == 0.75


def test_a_single_annotator_agrees_with_himself_when_asked():
    judged = judge_verbs([[WALK], [RUN]], [[WALK], [SIT]], min_agreeing=1)
    assert judged.macro_recall(0) == 0.5
    assert judge_verbs([[WALK]], [[WALK]]).verb_A == ()


def test_videos_of_which_all_events_are_hit():
    hit_NK = np.array([[False, True], [True, True], [True, True]])[:, [0, 0, 0, 1, 1]]
    found = all_events_hit(hit_NK, np.array([7, 7, 9]))
    assert found[:, [0, 4]].tolist() == [[False, True], [True, True]]


def test_no_event_is_an_error():
    with pytest.raises(MetricError, match="no event"):
        judge_verbs([], [])


VERB = st.sampled_from("abcdefg")


@given(st.lists(st.tuples(st.lists(VERB, max_size=8), st.lists(VERB, max_size=10)), min_size=1))
def test_against_the_definition(events: list[tuple[list[str], list[str]]]):
    judged = judge_verbs([one for one, _ in events], [one for _, one in events])
    for event, (ranked, votes) in enumerate(events):
        for k in range(1, 6):
            assert judged.hit_NK[event, k - 1] == bool(set(ranked[:k]) & set(votes))
    agreed = [
        (verb, verb in ranked[:5])
        for ranked, votes in events
        for verb in dict.fromkeys(votes)
        if votes.count(verb) >= 2
    ]
    assert agreed == list(zip(judged.verb_A, judged.found_A.tolist(), strict=True))

"""Relations, worked by hand."""

from __future__ import annotations

import pytest

from figclip.errors import MetricError
from figclip.metrics.situations import judge_relations

CAUSES, ENABLES, NONE = "Causes", "Enables", "NoRel"


def test_scored_are_the_annotators_who_gave_the_label():
    judged = judge_relations(
        [[CAUSES, NONE, CAUSES], [NONE] * 3, [ENABLES] * 3],
        [[CAUSES, CAUSES, NONE], [NONE] * 3, [CAUSES, CAUSES, ENABLES]],
        num_agreeing=2,
    )
    assert judged.event_S.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert judged.annotator_S.tolist() == [0, 1, 0, 1, 2, 0, 1]
    assert judged.label_S == (CAUSES, CAUSES, NONE, NONE, NONE, CAUSES, CAUSES)
    assert judged.right_S.tolist() == [True, False, True, True, True, False, False]
    assert judged.accuracy == pytest.approx(4 / 7)
    assert judged.accuracy_of_labels() == {CAUSES: 0.25, NONE: 1.0}
    assert judged.macro_accuracy == pytest.approx(0.625)
    assert judged.unscored_labels == frozenset()


def test_events_without_agreement_are_not_scored():
    judged = judge_relations(
        [[CAUSES] * 3, [NONE] * 3], [[ENABLES, CAUSES, NONE], [NONE] * 3], num_agreeing=2
    )
    assert judged.event_S.tolist() == [1, 1, 1]
    # Its nominal label is the first of those that are equally frequent.
    assert judged.unscored_labels == {ENABLES}


def test_a_single_annotator_agrees_with_himself_when_asked():
    judged = judge_relations([[CAUSES], [NONE]], [[CAUSES], [CAUSES]], num_agreeing=1)
    assert judged.accuracy == 0.5


def test_no_agreement_at_all_is_an_error():
    with pytest.raises(MetricError, match="of no event"):
        judge_relations([[CAUSES] * 2], [[CAUSES, NONE]], num_agreeing=2)

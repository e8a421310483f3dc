from __future__ import annotations

import numpy as np
import pytest

from figclip.annotations.captions import caption_event
from figclip.annotations.counterfactuals import build_counterfeit_pools
from figclip.errors import MetricError
from figclip.tasks.dense_events import (
    ContrastEmbeddings,
    Contrasts,
    draw_counterfeits,
    list_events,
    word_counterfeits,
)
from tests.dense_sets import TEMPLATE, KnowingEmbedder, dense_caption, direction, without_frames
from tests.small_runs import make_records

RECORDS = make_records([2, 1, 2])
EVENTS, _ = list_events(without_frames(RECORDS), wording=dense_caption)


def contrasts_of(*rows: tuple[str, tuple[str | None, ...]]) -> Contrasts:
    return Contrasts(
        event_idxs=tuple(range(len(rows))),
        true=tuple(true for true, _ in rows),
        negatives=tuple(negatives for _, negatives in rows),
        num_same=0,
    )


def test_each_video_draws_from_its_own_pools() -> None:
    # Only the first video has something to draw from.
    pools = [build_counterfeit_pools(RECORDS), *[build_counterfeit_pools([])] * 2]
    drawn = draw_counterfeits(EVENTS, "verb", pools=pools, num_negatives=2, seed=0)
    assert [any(row) for row in drawn] == [True, True, False, False, False]
    again = draw_counterfeits(EVENTS, "verb", pools=pools, num_negatives=2, seed=0)
    assert again == drawn


def test_events_and_counterfeits_are_put_into_words() -> None:
    true = [event.event for event in EVENTS.events]
    none = (None, None)
    counterfeits = [(true[1], None), none, (true[3], true[4]), (None, true[0]), none]
    words = {event: caption_event(event, template=TEMPLATE) for event in true}
    contrasts = word_counterfeits(EVENTS, counterfeits, words.__getitem__)
    assert contrasts.event_idxs == (0, 2, 3)
    assert contrasts.true == tuple(words[true[i]] for i in (0, 2, 3))
    assert contrasts.negatives == (
        (words[true[1]], None),
        (words[true[3]], words[true[4]]),
        (None, words[true[0]]),
    )
    assert contrasts.present.tolist() == [[True, False], [True, True], [False, True]]


def test_texts_that_differ_in_case_and_spaces_only_are_the_same() -> None:
    true = [event.event for event in EVENTS.events]
    counterfeits = [(true[1], true[3]), *[(None, None)] * 4]
    texts = {true[0]: "a  Man walks", true[1]: "A man walks", true[3]: "a dog walks"}
    contrasts = word_counterfeits(EVENTS, counterfeits, texts.__getitem__)
    assert contrasts.negatives == ((None, "a dog walks"),)
    assert contrasts.num_same == 1
    contrasts = word_counterfeits(EVENTS, [(true[1],), *[(None,)] * 4], texts.__getitem__)
    assert contrasts.event_idxs == ()
    assert contrasts.num_same == 1


def test_choices_by_hand() -> None:
    contrasts = contrasts_of(("a", ("b", "a", None)), ("b", ("a", "c", "d")))
    embedder = KnowingEmbedder()
    texts = ContrastEmbeddings(embedder, contrasts)
    assert embedder.num_texts == 4
    lead_NK = texts._leads(np.stack([direction("a"), direction("a")]))
    expected = direction("a") @ direction("b") - 1
    assert lead_NK[0] == pytest.approx([expected, 0.0, 0.0], abs=1e-6)
    choices = texts.choose(np.stack([direction("a"), direction("b")]))
    assert choices.accuracy_N.tolist() == [0.5, 1.0]
    assert choices.ties_N.tolist() == [0.5, 0.0]
    with pytest.raises(MetricError, match="not finite"):
        texts.choose(np.full((2, 256), np.nan, np.float32))

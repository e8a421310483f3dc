from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu, cider_d, rouge_l
from figclip.metrics.dense_captions import UNMATCHED_REFERENCE, CaptionedSpanLists, caption_scores
from figclip.metrics.localisation import OFFICIAL_EPSILON, TIOUS
from tests.metrics.test_localisation import slow_iou, span_lists

Events = list[tuple[float, float, str]]

WORDS = st.lists(st.sampled_from("a dog bites man ball".split()), max_size=5).map(" ".join)
TIMES = st.integers(0, 8).map(float)
EVENTS = st.lists(st.tuples(TIMES, TIMES, WORDS), max_size=4)
VIDEOS = st.lists(st.tuples(EVENTS, EVENTS, EVENTS), min_size=1, max_size=3)


def captioned(videos: list[Events]) -> CaptionedSpanLists:
    spans = span_lists([[(start, end) for start, end, _ in events] for events in videos])
    return CaptionedSpanLists(spans, tuple(text for events in videos for _, _, text in events))


def slow_pairs(predicted: Events, references: list[Events], tiou: float) -> list[tuple[str, str]]:
    """Prediction and reference of one video, as the official evaluator collects them."""
    pairs: list[tuple[str, str]] = []
    for *span, sentence in predicted:
        found = [
            (sentence, gold)
            for events in references
            for *other, gold in events
            if slow_iou((span[0], span[1]), (other[0], other[1]), OFFICIAL_EPSILON) >= tiou
        ]
        pairs.extend(found or [(sentence, UNMATCHED_REFERENCE)])
    return pairs


def slow_scores(pairs: list[tuple[str, str]]) -> list[float]:
    """CIDEr, BLEU-4 and ROUGE-L of one video as a corpus."""
    if not pairs:
        return [0, 0, 0]
    corpus = CaptionCorpus([pair[0] for pair in pairs], [[pair[1]] for pair in pairs])
    has_words = any(pair[1] for pair in pairs)
    cider = cider_d(corpus).mean() if has_words else 0.0
    return [float(cider), float(bleu(corpus).corpus_N[3]), float(rouge_l(corpus).mean())]


@given(VIDEOS)
def test_as_each_video_by_itself(videos: list[tuple[Events, Events, Events]]) -> None:
    predicted = [video[0] for video in videos]
    if not any(predicted):
        return
    references = [[video[part] for video in videos] for part in (1, 2)]
    found = caption_scores(
        captioned(predicted), [captioned(each) for each in references], meteor={}
    )
    for row, tiou in enumerate(TIOUS):
        expected = [slow_scores(slow_pairs(one, [*rest], tiou)) for one, *rest in videos]
        got = np.stack([found[name][row] for name in ("CIDEr", "BLEU-4", "ROUGE-L")], axis=1)
        np.testing.assert_allclose(got, expected, atol=1e-9)


def test_hand_worked() -> None:
    predicted = [[(0.0, 10.0, "a dog bites a man"), (90.0, 95.0, "a ball")], [], []]
    annotated = [[(0.0, 12.0, "a dog bites a man"), (0.0, 30.0, "a man")], [(0.0, 1.0, "a")], []]
    scores = caption_scores(captioned(predicted), [captioned(annotated)], meteor={})
    # IoU 0.83 with the first event, 0.33 with the second; nothing meets the ball.
    half_matched = 2 * 1.0 * 0.4  # ROUGE-L of the second: recall 1, precision 2 of 5 words
    second = (1 + 1.2**2) * half_matched / 2 / (1 + 1.2**2 * 0.4)
    expected = [(1 + second + 0) / 3, (1 + 0) / 2, (1 + 0) / 2, 0]
    np.testing.assert_allclose(scores["ROUGE-L"][:, 0], expected)
    for score_TB in scores.values():
        assert score_TB.shape == (4, 3)
        assert not score_TB[:, 1:].any()


def test_given_scores_get_every_group_once() -> None:
    seen: list[tuple[str, int]] = []

    def lengths(corpus: CaptionCorpus, group_M: np.ndarray) -> np.ndarray:
        seen.extend(zip((corpus.sentences[i] for i in corpus.candidate_M), group_M, strict=True))
        return np.bincount(group_M).astype(np.float64)

    predicted = [[(0.0, 10.0, "one"), (0.0, 5.0, "two")], [], [(5.0, 9.0, "three")]]
    annotated = [[(0.0, 10.0, "x"), (0.0, 10.0, "y")], [(0.0, 1.0, "z")], [(0.0, 1.0, "z")]]
    scores = caption_scores(
        captioned(predicted), [captioned(annotated)], meteor={"pairs": lengths}, tious=(0.3, 0.9)
    )
    assert scores["pairs"].tolist() == [[4, 0, 1], [3, 0, 1]]
    assert sorted(seen)[0] == ("one", 0) and len(seen) == 9


def test_references_without_words_score_0_in_cider() -> None:
    silent, spoken = [(0.0, 9.0, "")], [(0.0, 9.0, "a dog"), (0.0, 9.0, "a man")]
    both = captioned([silent, spoken])
    scores = caption_scores(both, [both], meteor={})
    assert scores["CIDEr"][0, 0] == 0
    assert scores["CIDEr"][0, 1] > 0
    assert not caption_scores(captioned([silent]), [captioned([silent])], meteor={})["CIDEr"].any()


def test_the_order_of_videos_does_not_matter() -> None:
    videos = [[(0.0, 9.0, "a dog"), (5.0, 9.0, "a man bites")], [(0.0, 3.0, "a ball")], []]
    others = [[(0.0, 8.0, "a dog bites")], [(0.0, 3.0, "the ball")], [(0.0, 1.0, "x")]]
    forward = caption_scores(captioned(videos), [captioned(others)], meteor={})
    backward = caption_scores(captioned(videos[::-1]), [captioned(others[::-1])], meteor={})
    for name, score_TB in forward.items():
        np.testing.assert_array_equal(score_TB, backward[name][:, ::-1])


def test_sentences_are_counted() -> None:
    with pytest.raises(MetricError, match="1 sentences for 2 spans"):
        CaptionedSpanLists(span_lists([[(0, 1), (1, 2)]]), ("a",))

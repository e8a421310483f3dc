"""Scores of dense captions, from files' records to the common record of scores."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figclip.datasets.dense_captions import (
    CaptionedSpan,
    DenseCaptionPredictions,
    DenseCaptionReferences,
    ReferenceVideo,
)
from figclip.datasets.records import LeftOut
from figclip.errors import DataError
from figclip.scoring.dense_captions import score_dense_captions
from figclip.scoring.scores import PredictionScores
from tests.dense_caption_checks import check_made_up, read_case, score_files
from tests.golden_checks import Case, close, load_cases

GOLDENS = Path(__file__).parents[1] / "goldens" / "dense_captions.json"
PARAGRAPHS = GOLDENS.with_name("dense_paragraphs.json")
Event = tuple[float, float, str]

SENTENCES = (
    "A man throws a ball to the dog.",
    "The dog brings the ball back, twice!",
    "A woman in a red hat claps her hands",
    "Two children build a tower of wooden blocks.",
    "Somebody pours water into a tall glass.",
)


def spans(events: Sequence[Event]) -> tuple[CaptionedSpan, ...]:
    return tuple(CaptionedSpan(start_s=a, end_s=b, sentence=text) for a, b, text in events)


def references(
    events: Mapping[str, Sequence[Event]], *, name: str = "val_1.json", duration_s: float = 100.0
) -> DenseCaptionReferences:
    videos = tuple(
        ReferenceVideo(id=video, duration_s=duration_s, events=spans(of_video))
        for video, of_video in events.items()
    )
    return DenseCaptionReferences(name=name, videos=videos)


def predictions(events: Mapping[str, Sequence[Event]]) -> DenseCaptionPredictions:
    by_video = {video: spans(of_video) for video, of_video in events.items()}
    return DenseCaptionPredictions(name="mine.json", events_by_video=by_video)


def score(
    predicted: DenseCaptionPredictions, *annotated: DenseCaptionReferences, **options: int
) -> PredictionScores:
    return score_dense_captions(
        predicted, annotated, name="activitynet", source="captions", split=None, **options
    )


def official(scores: PredictionScores) -> dict[str, float]:
    return {name: one.official for name, one in scores.scores.items()}


def random_events(seed: int, *, videos: int = 6) -> dict[str, list[Event]]:
    rng = random.Random(seed)
    return {
        f"v_{video}": [
            (start, start + rng.choice([5.0, 10.0, 40.0]), rng.choice(SENTENCES))
            for start in rng.choices([0.0, 5.0, 10.0, 50.0], k=rng.randint(1, 4))
        ]
        for video in range(videos)
    }


STORY: dict[str, list[Event]] = {
    "v_a": [(0, 10, SENTENCES[0]), (10, 20, SENTENCES[1]), (30, 60, SENTENCES[2])],
    "v_b": [(0, 50, SENTENCES[3]), (50, 90, SENTENCES[4])],
}


@pytest.mark.parametrize("case", load_cases(GOLDENS), ids=lambda case: case["name"])
def test_official_numbers(case: Case, tmp_path: Path) -> None:
    check_made_up(case, tmp_path)


@pytest.mark.parametrize("case", load_cases(PARAGRAPHS), ids=lambda case: case["name"])
def test_official_numbers_of_paragraphs(case: Case, tmp_path: Path) -> None:
    found = score_files(*read_case(case, tmp_path), max_proposals=1000).scores
    close(found["paragraph CIDEr"].official, case["expected"]["CIDEr"])
    for n in (1, 2, 3, 4):
        close(found[f"paragraph BLEU-{n}"].official, case["expected"][f"Bleu_{n}"])


def test_a_copy_scores_1_but_for_the_epsilon() -> None:
    found = score(predictions(STORY), references(STORY), references(STORY))
    one = pytest.approx(1, abs=1e-7)
    for name in ("meteor_exact", "soda_meteor_exact", "BLEU-4", "ROUGE-L", "recall", "precision"):
        assert found.scores[name].official == one, name
    assert found.scores["F1"].official == one
    assert found.scores["CIDEr"].official == pytest.approx(10)
    corrected = found.scores["soda_meteor_exact"].corrected
    assert corrected == pytest.approx(1, abs=1e-15)
    assert found.notices == ()
    assert found.counts == {"videos": 2, "annotated events": 10, "predicted events": 5}


def test_hand_worked_localisation() -> None:
    predicted = {"v_a": [(0.0, 10.0, "a dog"), (0.0, 3.0, "a dog"), (70.0, 80.0, "a dog")]}
    annotated = {"v_a": [(0.0, 10.0, "a dog"), (30.0, 60.0, "a man")], "v_b": [(0.0, 1.0, "a man")]}
    found = score(predictions(predicted), references(annotated))
    # Of three predictions one is exact, one has IoU 0.3: official not, corrected yes.
    assert found.scores["precision, tIoU 0.3"].official == pytest.approx(1 / 6)
    assert found.scores["precision, tIoU 0.3"].corrected == pytest.approx(2 / 6)
    assert found.scores["precision"].corrected == pytest.approx((2 + 1 + 1 + 1) / 3 / 2 / 4)
    assert found.scores["recall"].official == found.scores["recall"].corrected == 1 / 4
    precision, recall = 1 / 6, 1 / 4
    f1 = 2 * precision * recall / (precision + recall)
    assert found.scores["F1"].official == pytest.approx(f1)


def test_videos_without_predictions() -> None:
    half = {"v_a": STORY["v_a"], "v_b": []}
    for predicted in (half, {"v_a": STORY["v_a"]}):
        found = score(predictions(predicted), references(STORY))
        soda = found.scores["soda_meteor_exact"]
        # The official mean leaves them out, the corrected one counts 0.
        assert soda.official == pytest.approx(1)
        assert soda.corrected == pytest.approx(0.5)
        assert found.scores["BLEU-1"].official == pytest.approx(0.5)
        assert found.scores["recall"].official == pytest.approx(0.5)
        assert found.notices == (
            "1 video without predictions: 0, and not in the official mean of SODA",
        )


def test_soda_is_the_mean_over_annotations_and_captions_are_pooled() -> None:
    other = {"v_a": [(0.0, 10.0, SENTENCES[4])]}
    each = [score(predictions(STORY), references(one)) for one in (STORY, other)]
    both = score(predictions(STORY), references(STORY), references(other, name="val_2.json"))
    soda = "soda_meteor_exact"
    mean = np.mean([one.scores[soda].official for one in each])
    assert both.scores[soda].official == pytest.approx(float(mean))
    # The first event meets both sentences, of which it equals one: ROUGE-L falls below 1.
    assert 0.8 < both.scores["ROUGE-L"].official < 1
    # `v_b` is not in the second annotation: no 0 for that.
    assert both.scores["recall"].official == pytest.approx(1)


def test_the_order_of_videos_and_of_files_does_not_matter() -> None:
    predicted, first, second = (random_events(seed) for seed in range(3))
    expected = official(score(predictions(predicted), references(first), references(second)))
    backward = [dict(reversed(one.items())) for one in (predicted, second, first)]
    found = official(score(predictions(backward[0]), *map(references, backward[1:])))
    assert found == pytest.approx(expected, abs=1e-12)


def test_values_of_videos_are_those_of_the_video_alone() -> None:
    predicted, annotated = random_events(3), random_events(4)
    del predicted["v_2"]
    found = score(predictions(predicted), references(annotated))
    (block,) = found.items
    assert block.item_ids == tuple(annotated)
    for index, video in enumerate(block.item_ids):
        if video == "v_2":
            assert not any(values[index] for values in block.values.values())
            continue
        alone = score(predictions({video: predicted[video]}), references({video: annotated[video]}))
        values = {name: values[index] for name, values in block.values.items()}
        # How rare words are in a paragraph is counted over all videos: alone, all are in each.
        del values["paragraph CIDEr"]
        assert alone.scores["paragraph CIDEr"].value == 0
        assert values == pytest.approx(
            {name: alone.scores[name].value for name in values}, abs=1e-12
        )
    for name in ("CIDEr", "recall", "soda_meteor_exact", "paragraph CIDEr"):
        assert found.scores[name].value == pytest.approx(block.values[name].mean())


def test_only_the_first_proposals_count_but_in_soda() -> None:
    wrong: list[Event] = [(80.0, 90.0, SENTENCES[4])]
    late = {"v_a": wrong + STORY["v_a"]}
    annotated = references({"v_a": STORY["v_a"]})
    found = score(predictions(late), annotated, max_proposals=1)
    assert found.scores["recall"].official == 0
    assert found.scores["soda_meteor_exact"].official == pytest.approx(6 / 7)
    assert found.notices == (
        "1 video with more than 1 predictions: the first ones count, all in SODA",
    )


def test_unknown_videos_are_left_out_and_named() -> None:
    predicted = {**STORY, "v_c": STORY["v_a"], "v_d": []}
    found = score(predictions(predicted), references(STORY))
    assert found.left_out == tuple(
        LeftOut(item=video, reason="not in the references") for video in ("v_c", "v_d")
    )
    assert official(found) == official(score(predictions(STORY), references(STORY)))


def test_nothing_to_score() -> None:
    for predicted in ({"a": STORY["v_a"]}, {"v_a": []}, {}):
        with pytest.raises(DataError, match="no event of a video of captions is predicted"):
            score(predictions(predicted), references(STORY))
    with pytest.raises(DataError, match="Videos are named as 'v_a' there, as 'a' here"):
        score(predictions({"a": STORY["v_a"]}), references(STORY))


def test_odd_events_are_scored_by_rule() -> None:
    odd: dict[str, list[Event]] = {
        "v_a": [(10, 0, SENTENCES[0]), (5, 5, SENTENCES[0]), (0, 10, ""), (-5, 999, SENTENCES[1])]
    }
    found = score(predictions(odd), references({"v_a": STORY["v_a"]}))
    # The third alone meets an event; it says nothing.
    assert found.scores["precision, tIoU 0.9"].official == pytest.approx(1 / 4)
    assert found.scores["meteor_exact, tIoU 0.9"].official == 0
    assert found.notices == (
        "mine.json: 1 prediction not wholly inside the video: scored as written",
    )


def test_notices_of_files_are_passed_on() -> None:
    predicted = replace(predictions(STORY), notices=("1 key ignored: 'x'",))
    annotated = replace(references(STORY), notices=("2 odd ones",))
    found = score(predicted, annotated)
    assert found.notices == ("val_1.json: 2 odd ones", "mine.json: 1 key ignored: 'x'")


def test_a_sentence_is_tokenised_by_itself() -> None:
    # Whether the full stop belongs to the letter depends on the next word, if there is one.
    events: list[Event] = [(0.0, 9.0, "She cuts a capital T."), (50.0, 60.0, "The end")]
    found = score(predictions({"v_a": events[:1]}), references({"v_a": events}))
    assert found.scores["BLEU-4"].official == pytest.approx(1)


def test_paragraphs_are_in_file_order() -> None:
    forward = {"v_a": STORY["v_a"], "v_b": STORY["v_b"]}
    backward = {video: events[::-1] for video, events in STORY.items()}
    both_ways = [
        score(predictions(predicted), references(annotated)).scores["paragraph BLEU-4"].official
        for predicted, annotated in ((forward, STORY), (backward, backward), (backward, STORY))
    ]
    assert both_ways[:2] == [pytest.approx(1)] * 2
    # Of 36 words 4-grams across sentences are lost.
    assert 0.7 < both_ways[2] < 0.9


def test_paragraphs_may_have_two_references() -> None:
    second = {"v_a": STORY["v_b"], "v_b": STORY["v_b"]}
    found = score(predictions(STORY), references(second), references(STORY, name="val_2.json"))
    assert found.scores["paragraph BLEU-1"].official == pytest.approx(1)
    assert "paragraph METEOR" not in found.scores, "which takes the official one"


def test_letters_beyond_ascii_are_spaces_as_official() -> None:
    plain, accented = {"v_a": [(0.0, 9.0, "a caf  bar")]}, {"v_a": [(0.0, 9.0, "a café bar")]}
    found = score(predictions(plain), references(accented))
    assert found.scores["ROUGE-L"].official == pytest.approx(1)


def test_the_hash_is_of_what_was_read() -> None:
    found = score(predictions(STORY), references(STORY))
    again = score(predictions({"v_a": STORY["v_b"]}), references(STORY, name="renamed.json"))
    changed = {**STORY, "v_b": [(0.0, 50.0, "Another.")]}
    other = score(predictions(STORY), references(changed))
    assert found.data.hash == again.data.hash != other.data.hash
    assert (found.data.name, found.data.source, found.data.split) == (
        *("activitynet", "captions"),
        None,
    )


@pytest.mark.slow
def test_thousands_of_events_in_one_video() -> None:
    events = [(float(i), i + 1.5, SENTENCES[i % 5]) for i in range(2000)]
    found = score(predictions({"v_a": events}), references({"v_a": events}, duration_s=3000.0))
    assert found.scores["soda_meteor_exact"].official == pytest.approx(1, abs=1e-7)

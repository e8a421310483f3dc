from __future__ import annotations

import dataclasses

import pytest

from figclip.data.sense_pool import build_sense_pool
from figclip.records import Annotation, Event, VideoRecord
from figclip.tasks.base import FrameTextEmbedder, ItemScores, LeftOut, Task
from figclip.tasks.dense_choice import ROLES, VERB, DenseChoice
from tests.dense_sets import TEMPLATE, BlindEmbedder, KnowingEmbedder, make_event, without_frames
from tests.small_runs import make_records

TASK = DenseChoice(template=TEMPLATE, frames_per_event=2, num_negatives=4, seed=0)
RECORDS = make_records([3, 3, 3, 3])


def scores_of(
    embedder: FrameTextEmbedder, records: list[VideoRecord], task: DenseChoice = TASK
) -> dict[str, ItemScores]:
    scores = task.score(embedder, task.load(without_frames(records)))
    return {one.block: one for one in scores}


def one_video(*events: Event, name: str = "v0") -> VideoRecord:
    return dataclasses.replace(
        RECORDS[0], id=name, group=name, annotations=(Annotation(events=events),)
    )


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)


@pytest.mark.parametrize(
    ("embedder", "accuracy", "ties"),
    [
        (KnowingEmbedder(), 1.0, 0.0),
        (KnowingEmbedder(truth=-1.0), 0.0, 0.0),
        (BlindEmbedder(), 0.0, 1.0),
    ],
)
def test_perfect_worst_and_tied(embedder: FrameTextEmbedder, accuracy: float, ties: float) -> None:
    scores = scores_of(embedder, RECORDS)
    summary = TASK.summarise(list(scores.values()))
    for kind in (VERB, ROLES):
        assert len(scores[kind].item_ids) == 12
        assert summary[f"{kind} accuracy"].official == accuracy
        assert summary[f"{kind} accuracy"].chance == 0.5
        assert summary[f"{kind} ties"].official == ties
        assert summary[f"{kind} ties"].chance is None


def test_counterfeits_are_those_of_the_rules() -> None:
    data = TASK.load(without_frames(RECORDS))
    swaps = data.items.contrasts[ROLES].negatives
    true = "In this photo, the action is pull, the mover is red ball, the thing moved is box 0 1"
    assert data.items.events.events[1].caption == true
    assert swaps[1] == (
        true.replace("red ball", "X").replace("box 0 1", "red ball").replace("X", "box 0 1"),
    )
    verbs_of_v0 = {"push", "pull", "lift"}
    # Three other senses with these roles: three draws, the fourth place stays empty.
    *drawn, masked = data.items.contrasts[VERB].negatives[1]
    assert masked is None
    for text in drawn:
        assert text is not None
        verb = text.removeprefix("In this photo, the action is ").split(",")[0]
        assert verb not in verbs_of_v0
        assert text == true.replace("pull", verb)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    videos = without_frames(RECORDS)
    drawn = TASK.load(videos).items.contrasts[VERB].negatives
    assert TASK.load(videos).items.contrasts[VERB].negatives == drawn
    other = dataclasses.replace(TASK, seed=1)
    assert other.load(videos).items.contrasts[VERB].negatives != drawn


def test_masked_negatives_are_counted_and_not_scored() -> None:
    # The only other sense of the set: one negative of four can be drawn for either video.
    records = [
        one_video(make_event("push", "man", "box"), name="a"),
        one_video(make_event("pull", "woman", "cart"), name="b"),
    ]
    data = TASK.load(without_frames(records))
    assert [row[1:] for row in data.items.contrasts[VERB].negatives] == [(None,) * 3] * 2
    assert data.counts["verb choice negatives"] == 2
    assert data.counts["verb choice negatives masked"] == 6
    accuracy = scores_of(KnowingEmbedder(), records)[VERB].values[f"{VERB} accuracy"]
    assert accuracy.tolist() == [1.0, 1.0]
    # A masked place holding the true caption would tie with it.
    assert scores_of(KnowingEmbedder(), records)[VERB].values[f"{VERB} ties"].tolist() == [0.0] * 2


def test_events_without_a_counterfeit_are_left_out_with_the_reason() -> None:
    records = [
        one_video(
            make_event("push", "man", "box"),
            make_event("walk", "man", "", start_s=2.0),
        )
    ]
    data = TASK.load(without_frames(records))
    verb = "verb choice: no other verb of the set takes the event's roles"
    assert data.left_out == (
        LeftOut(item="v0#0/0", reason=verb),
        LeftOut(item="v0#0/1", reason=verb),
        LeftOut(
            item="v0#0/1",
            reason="role swap: no two roles to exchange that say different things",
        ),
    )
    assert data.counts["role swap events"] == 1
    scores = scores_of(KnowingEmbedder(), records)
    assert list(scores) == [ROLES]
    assert scores[ROLES].item_ids == ("v0#0/0",)


def test_nothing_to_choose_gives_no_scores() -> None:
    records = [one_video(make_event("walk", "man", ""))]
    assert scores_of(KnowingEmbedder(), records) == {}
    assert TASK.summarise([]) == {}


def test_a_given_pool_is_drawn_from() -> None:
    pool = build_sense_pool(RECORDS)
    task = dataclasses.replace(TASK, pool=pool)
    video = one_video(make_event("push", "man", "box"))
    data = task.load(without_frames([video]))
    assert data.counts["verb choice negatives"] == 4
    assert task.settings["sense_pool"] == "given"

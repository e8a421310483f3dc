from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from figclip.records import Annotation, Event, VideoRecord
from figclip.tasks.base import FrameTextEmbedder, ItemScores, Score, Task
from figclip.tasks.role_grounding import RoleGrounding
from tests.dense_sets import TEMPLATE, BlindEmbedder, direction, make_event, without_frames

TASK = RoleGrounding(template=TEMPLATE, frames_per_event=2, seed=0)


def video(name: str, *events: Event) -> VideoRecord:
    return VideoRecord(
        id=name,
        video=f"{name}.mp4",
        split="valid",
        group=name,
        annotations=(Annotation(events=events),),
    )


RECORDS = [
    video(
        "a",
        make_event("push", "cat", "dog"),
        make_event("chase", "dog", "cat", start_s=2),
        make_event("sleep", "Cat ", "", start_s=4),
    ),
    video("b", make_event("greet", "bear", "fox"), make_event("lift", "bear", "hen", start_s=2)),
    video("c", make_event("sing", "owl", "")),
]


class Agents:
    """Embeds a frame as the sentence that tells the event with its agent only."""

    def embed_texts(self, texts):
        return np.stack([direction(text) for text in texts])

    def embed_frames(self, videos, frames):
        return np.stack([self._frame(videos.records[v], time_s) for v, time_s in frames])

    def _frame(self, record: VideoRecord, time_s: float):
        event = next(e for e in record.annotations[0].events if e.start_s <= time_s < e.end_s)
        agent = " ".join(event.roles[0].text.split()).lower()
        return direction(f"In this photo, the action is {event.verb}, the agent is {agent}")


def scores_of(embedder: FrameTextEmbedder) -> tuple[dict[str, ItemScores], dict[str, Score]]:
    scores = TASK.score(embedder, TASK.load(without_frames(RECORDS)))
    return {block.block: block for block in scores}, TASK.summarise(scores)


def test_it_is_a_task():
    assert isinstance(TASK, Task)


def test_questions_by_hand():
    data = TASK.load(without_frames(RECORDS))
    agents, others = data.items.questions["agent"], data.items.questions["other roles"]
    assert [one.event_idx for one in agents] == [0, 1, 2, 3, 4]
    assert [one.event_idx for one in others] == [0, 1, 3, 4]
    assert agents[1].texts == (
        "In this photo, the action is chase, the agent is dog",
        "In this photo, the action is chase, the agent is cat",
    )
    # "Cat " is the cat of the other events.
    assert [len(one.texts) for one in agents] == [2, 2, 2, 3, 3]
    assert others[3].texts[0] == "In this photo, the action is lift, the patient is hen"
    assert [(one.item, one.reason) for one in data.left_out] == [
        ("c", "the video names one entity only")
    ]
    assert data.counts == {"events": 6, "agent questions": 5, "other roles questions": 4}
    assert len(data.texts) == sum(len(one.texts) for one in (*agents, *others))


def test_a_model_that_sees_the_agent_is_right_and_gains_over_blind():
    blocks, summary = scores_of(Agents())
    assert summary["agent accuracy"].official == 1.0
    assert summary["agent accuracy"].is_headline
    assert summary["agent accuracy"].chance == pytest.approx((3 / 2 + 2 / 3) / 5)
    assert blocks["agent"].item_ids[3] == "b#0/0/Arg0"
    assert blocks["agent"].group_ids == ("a", "a", "a", "b", "b")
    blind = blocks["agent"].values["agent blind"]
    assert np.allclose(
        blocks["agent"].values["agent over blind"],
        blocks["agent"].values["agent accuracy"] - blind,
    )
    assert blind.min() >= 0 and blind.max() <= 1


def test_ties_are_wrong():
    _, summary = scores_of(BlindEmbedder())
    assert summary["agent accuracy"].official == summary["agent blind"].official == 0.0


def test_one_group_has_no_blind_control():
    one = [dataclasses.replace(record, group="film") for record in RECORDS]
    scores = TASK.score(Agents(), TASK.load(without_frames(one)))
    assert set(TASK.summarise(scores)) == {"agent accuracy", "other roles accuracy"}


def test_nothing_to_ask_gives_nothing():
    data = TASK.load(without_frames(RECORDS[2:]))
    assert TASK.score(BlindEmbedder(), data) == ()

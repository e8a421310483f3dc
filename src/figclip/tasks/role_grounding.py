"""Which of a video's entities fills a role: ranking its fillers by CLIP similarity, zero-shot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64, Int64

from figclip.annotations.captions import Template, caption_event, text_hash
from figclip.annotations.roles import clean_filler, says_nothing
from figclip.datasets.records import LeftOut
from figclip.metrics.controls import BlindControl, draw_foreign_items
from figclip.records import Event, Role
from figclip.tasks.base import (
    Face,
    FrameTextEmbedder,
    ItemScores,
    Score,
    Setting,
    TaskData,
    TextKind,
)
from figclip.tasks.dense_events import NUM_FOREIGN, DenseEvents, embed_events, list_events
from figclip.video.stored import StoredVideos

AGENT_SLOT = "Arg0"
_ONE_ENTITY = "the video names one entity only"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleQuestion:
    """Which of these entities is it? The annotated one comes first.

    `texts` tell the event with its verb and this one role, filled by each entity of the video.
    """

    event_idx: int
    slot: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingItems:
    """All questions by block: `agent` (Arg0) and `other roles` (further numbered roles).

    `blind`: Foreign events each question is also asked under; None with one group of videos.
    """

    events: DenseEvents
    questions: Mapping[str, tuple[RoleQuestion, ...]]
    blind: Mapping[str, BlindControl | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleGrounding:
    """Ranks the entities of a video as fillers of a role of an event; a `tasks.base.Task`.

    The entities are the different fillers of numbered roles of all events of the video. A question
    is right when the annotated one scores above all others: a tie is wrong. Blind is the same
    question under events of other videos: words alone tell something (people act more than
    tables), so only the gain over it comes from looking.
    """

    name: ClassVar[str] = "role_grounding"
    face: ClassVar[Face] = "detail"
    texts_are: ClassVar[TextKind] = "sentences"

    template: Template
    frames_per_event: int
    seed: int

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What changes the scores."""
        return {
            "template": self.template.name,
            "frames_per_event": self.frames_per_event,
            "annotation": "first with events",
            "entities": "fillers of numbered roles of the video",
            "ties": "count against the annotated entity",
            "blind_videos": NUM_FOREIGN,
            "seed": self.seed,
        }

    def load(self, source: StoredVideos) -> TaskData[GroundingItems]:
        """A question for each numbered role of each event of a video with several entities."""
        events, left_out = list_events(
            source, wording=partial(caption_event, template=self.template)
        )
        blocks: dict[str, list[RoleQuestion]] = {"agent": [], "other roles": []}
        alone: list[LeftOut] = []
        for first, last in events.spans():
            entities = _entities([one.event for one in events.events[first:last]])
            if len(entities) < 2:
                record = events.videos.records[events.events[first].video_idx]
                alone.append(LeftOut(item=record.id, reason=_ONE_ENTITY))
                continue
            for event_idx in range(first, last):
                for question in self._questions(events, event_idx, entities):
                    block = "agent" if question.slot == AGENT_SLOT else "other roles"
                    blocks[block].append(question)
        questions = {name: tuple(asked) for name, asked in blocks.items() if asked}
        return TaskData(
            items=GroundingItems(
                events=events,
                questions=questions,
                blind={name: self._blind(events, asked) for name, asked in questions.items()},
            ),
            counts={
                "events": len(events.events),
                **{f"{name} questions": len(asked) for name, asked in questions.items()},
            },
            left_out=(*left_out, *alone),
            texts=tuple(t for asked in questions.values() for one in asked for t in one.texts),
        )

    def score(
        self, embedder: FrameTextEmbedder, data: TaskData[GroundingItems]
    ) -> tuple[ItemScores, ...]:
        """Whether each question is answered right, under its own and under foreign events."""
        items = data.items
        if not items.questions:
            return ()
        visual = embed_events(embedder, items.events, frames_per_event=self.frames_per_event)
        return tuple(
            _score_block(name, asked, items, visual.event_ND, embedder)
            for name, asked in items.questions.items()
        )

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Accuracy of each block, blind and over blind."""
        return {
            metric: Score(
                official=float(values.mean()),
                chance=block.chance.get(metric),
                is_headline=metric == f"{block.block} accuracy",
            )
            for block in scores
            for metric, values in block.values.items()
        }

    def _questions(
        self, events: DenseEvents, event_idx: int, entities: Mapping[int, str]
    ) -> list[RoleQuestion]:
        event = events.events[event_idx].event
        questions: list[RoleQuestion] = []
        for role in _filled(event):
            own = text_hash(clean_filler(role.text))
            order = [own, *(one for one in entities if one != own)]
            texts = [self._sentence(event, role, entities[one]) for one in order]
            questions.append(RoleQuestion(event_idx=event_idx, slot=role.slot, texts=tuple(texts)))
        return questions

    def _sentence(self, event: Event, role: Role, entity: str) -> str:
        told = replace(event, roles=(replace(role, text=entity),), scene="")
        return caption_event(told, template=self.template)

    def _blind(self, events: DenseEvents, questions: Sequence[RoleQuestion]) -> BlindControl | None:
        groups = events.group_ids
        return draw_foreign_items(
            [_item_id(events, one) for one in questions],
            [groups[one.event_idx] for one in questions],
            mirrored=(),
            num_foreign=NUM_FOREIGN,
            seed=self.seed,
        )


def _item_id(events: DenseEvents, question: RoleQuestion) -> str:
    return f"{events.events[question.event_idx].key}/{question.slot}"


def _filled(event: Event) -> list[Role]:
    """Numbered roles that say something."""
    return [one for one in event.roles if not one.is_modifier and not says_nothing(one.text)]


def _entities(events: Sequence[Event]) -> dict[int, str]:
    """The different fillers of numbered roles, by the hash by which texts count as equal."""
    entities: dict[int, str] = {}
    for event in events:
        for role in _filled(event):
            text = clean_filler(role.text)
            entities.setdefault(text_hash(text), text)
    return entities


def _score_block(
    name: str,
    questions: Sequence[RoleQuestion],
    items: GroundingItems,
    event_ND: Float32[np.ndarray, "N D"],
    embedder: FrameTextEmbedder,
) -> ItemScores:
    texts = dict.fromkeys(text for one in questions for text in one.texts)
    row_of = {text: row for row, text in enumerate(texts)}
    text_MD = embedder.embed_texts(list(texts))
    rows = [np.array([row_of[text] for text in one.texts]) for one in questions]
    own_Q = np.array([one.event_idx for one in questions], np.int64)
    values = {f"{name} accuracy": _right(event_ND[own_Q][:, None], text_MD, rows)[:, 0]}
    blind = items.blind[name]
    if blind is not None:
        foreign_QF = np.where(blind.foreign_NF >= 0, own_Q[blind.foreign_NF], -1)
        right_QF = _right(event_ND[foreign_QF], text_MD, rows)
        seen_QF = foreign_QF >= 0
        blind_Q = (right_QF * seen_QF).sum(axis=1) / seen_QF.sum(axis=1)
        values[f"{name} over blind"] = values[f"{name} accuracy"] - blind_Q
        values[f"{name} blind"] = blind_Q
    chance = float(np.mean([1 / len(one.texts) for one in questions]))
    events = items.events
    return ItemScores(
        block=name,
        item_ids=tuple(_item_id(events, one) for one in questions),
        group_ids=tuple(events.group_ids[one.event_idx] for one in questions),
        values=values,
        chance={f"{name} accuracy": chance, f"{name} over blind": 0.0},
    )


def _right(
    event_QFD: Float32[np.ndarray, "Q F D"],
    text_MD: Float32[np.ndarray, "M D"],
    rows: Sequence[Int64[np.ndarray, " _"]],
) -> Float64[np.ndarray, "Q F"]:
    """Whether the first text of each question scores above its others, under each event."""
    right_QF = np.zeros(event_QFD.shape[:2])
    for question, (event_FD, row_K) in enumerate(zip(event_QFD, rows, strict=True)):
        sim_FK = event_FD.astype(np.float64) @ text_MD[row_K].T.astype(np.float64)
        right_QF[question] = sim_FK[:, 0] > sim_FK[:, 1:].max(axis=1)
    return right_QF

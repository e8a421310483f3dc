from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, get_args

import numpy as np
import pytest

from figclip.annotations import texts
from figclip.annotations.captions import TEMPLATES, caption_event, caption_video_hash, text_hash
from figclip.annotations.counterfactuals import build_counterfeit_pools
from figclip.annotations.texts import MASKED, TextTable, build_text_table
from figclip.annotations.verb_negatives import build_sense_pool, negative_events
from figclip.config import NegativePolicy
from figclip.records import Annotation, Event, Role, VideoRecord, event_key
from tests.small_runs import make_records

TEMPLATE = TEMPLATES["default"]


def video(name: str, *annotations: str) -> VideoRecord:
    """A video whose events have these verbs, `run sit` for two events."""
    return VideoRecord(
        id=name,
        video=f"{name}.mp4",
        split="train",
        group=name,
        annotations=tuple(
            Annotation(
                events=tuple(
                    Event(start_s=idx, end_s=idx + 1, verb=verb)
                    for idx, verb in enumerate(verbs.split())
                )
            )
            for verbs in annotations
        ),
    )


def table_of(records: list[VideoRecord], *, num_negatives: int = 2) -> TextTable:
    """Captions are verbs; negatives `not` the verb, the last of `sit` masked."""

    def negatives(event: Event, record: VideoRecord, key: str) -> list[str | None]:
        texts: list[str | None] = [f"not {event.verb} {i}" for i in range(num_negatives)]
        if event.verb == "sit" and texts:
            texts[-1] = None
        return texts

    return TextTable(records, caption=lambda event: event.verb, negatives=negatives)


def build(
    records: list[VideoRecord],
    *,
    policy: NegativePolicy = "matched",
    verbs: int = 3,
    fillers: int = 0,
    seed: int = 0,
) -> TextTable:
    return build_text_table(
        records,
        template=TEMPLATE,
        policy=policy,
        verb_negatives=verbs,
        filler_negatives_per_event=fillers,
        seed=seed,
    )


def negatives_of(table: TextTable, video_idx: int, annotation_idx: int = 0) -> list[list[str]]:
    """Texts of the hard negatives; empty where masked."""
    rows = table.event_texts(video_idx, annotation_idx).negative_PK
    return [["" if row == MASKED else table.texts[row] for row in event] for event in rows]


def test_each_text_has_one_row_and_each_event_its_rows() -> None:
    table = table_of([video("a", "run sit", "sit"), video("b", "run walk run")])
    assert len(table.texts) == len(set(table.texts))
    assert set(table.texts) == {
        *("run", "sit", "walk", "not run 0", "not run 1", "not sit 0", "not walk 0", "not walk 1")
    }
    for place, captions in {(0, 0): ["run", "sit"], (0, 1): ["sit"]}.items():
        rows = table.event_texts(*place).caption_P
        assert [table.texts[row] for row in rows] == captions
    rows = table.event_texts(1, 0).caption_P
    assert [table.texts[row] for row in rows] == ["run", "walk", "run"]
    assert rows[0] == rows[2] == table.event_texts(0, 0).caption_P[0]
    assert negatives_of(table, 0) == [["not run 0", "not run 1"], ["not sit 0", ""]]
    assert negatives_of(table, 0, 1) == [["not sit 0", ""]]
    assert table.event_texts(1, 0).negative_PK.shape == (3, 2)


def test_phrases_of_events_are_padded_to_the_longest() -> None:
    phrases = {"run": ["runs", "man"], "sit": ["sits"], "fly": []}
    table = TextTable(
        [video("a", "run sit fly"), video("b", "sit")],
        caption=lambda event: event.verb,
        negatives=lambda *_: [],
        concepts=lambda event: phrases[event.verb],
    )
    rows = [row.tolist() for at in (0, 1) for row in table.event_texts(at, 0).concept_PC]
    told = [[table.texts[row] for row in each if row != MASKED] for each in rows]
    assert told == [["runs", "man"], ["sits"], [], ["sits"]]
    assert {len(row) for row in rows} == {2}
    assert table_of([video("a", "run sit")]).event_texts(0, 0).concept_PC.shape == (2, 0)


def test_concepts_add_to_the_texts_and_change_no_other() -> None:
    records = make_records((2, 1))
    plain = build(records)
    options = {"policy": "matched", "verb_negatives": 3, "filler_negatives_per_event": 0}
    more = build_text_table(
        records,
        template=TEMPLATE,
        seed=0,
        with_concepts=True,
        **options,  # pyright: ignore
    )
    for video_idx in range(2):
        before, after = (table.event_texts(video_idx, 0) for table in (plain, more))
        assert [plain.texts[row] for row in before.caption_P] == [
            more.texts[row] for row in after.caption_P
        ]
        assert negatives_of(plain, video_idx) == negatives_of(more, video_idx)
    first = more.event_texts(0, 0).concept_PC[0]
    assert [more.texts[row] for row in first] == ["pushes box", "red ball", "box"]


def test_hashes_tell_equal_texts_as_captions_do() -> None:
    table = table_of([video("a", "run sit", "RUN sit"), video("b", "sit run", "run sit run")])
    first, shouted = table.event_texts(0, 0), table.event_texts(0, 1)
    assert first.hash_P.tolist() == [text_hash("run"), text_hash("sit")]
    assert first.hash_P.tolist() == shouted.hash_P.tolist()
    assert first.caption_P[0] != shouted.caption_P[0]
    assert first.video_hash == caption_video_hash(["run", "sit"]) == shouted.video_hash
    assert table.event_texts(1, 0).hash_P.tolist() == first.hash_P.tolist()[::-1]
    # A video's text is the mean of its captions, in whatever order.
    assert table.event_texts(1, 0).video_hash == first.video_hash
    assert table.event_texts(1, 1).video_hash != first.video_hash


def test_masked_fraction() -> None:
    # Four events of two columns each, two of them with one masked.
    assert table_of([video("a", "run sit"), video("b", "sit run")]).masked_fraction == 2 / 8
    assert table_of([video("a", "run")]).masked_fraction == 0.0
    assert table_of([video("a", "sit")], num_negatives=1).masked_fraction == 1.0
    assert table_of([video("a", "sit")], num_negatives=0).masked_fraction == 0.0
    assert table_of([]).masked_fraction == 0.0


def test_no_negatives_are_columns_of_width_zero() -> None:
    texts = table_of([video("a", "run sit")], num_negatives=0).event_texts(0, 0)
    assert texts.negative_PK.shape == (2, 0)
    assert texts.negative_PK.dtype == np.int64


@pytest.mark.parametrize("policy", get_args(NegativePolicy))
@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_captions_under_other_verbs_are_those_of_negative_events(
    policy: NegativePolicy, name: str
) -> None:
    def event(verb: str, *roles: tuple[str, str, str], scene: str = "") -> Event:
        made = tuple(Role(slot=slot, name=called, text=text) for slot, called, text in roles)
        return Event(start_s=0, end_s=1, verb=verb, gloss=f"to {verb}", roles=made, scene=scene)

    man, dog = ("Arg0", "walker (who)", "old  man"), ("Arg1", "thing", "dog")
    events = [
        event("walk", man, dog, ("ArgM", "manner (how)", "slowly"), scene=" park"),
        event("chase", ("Arg0", "chaser", "cat"), ("ArgM", "manner (how)", "fast"), scene="yard"),
        event("hit", ("Arg0", "hitter", "boy"), ("Arg1", "", "ball"), ("Arg2", "with", "bat")),
        event("kick", ("Arg0", "", "girl"), ("Arg1", "kicked", "can"), ("Arg2", "by", "-")),
        event("see  it", ("Arg0", "seer", "<none>"), ("ArgM", "", "from afar"), scene="-"),
        event("hear", ("Arg0", "hearer", "unknown"), ("ArgM", "", "\u00e9t\u00e9"), scene="N/A"),
    ]
    records = [
        VideoRecord(
            id=f"v{i}",
            video="",
            split="train",
            group="",
            annotations=(Annotation(events=(one,)), Annotation(events=(events[i % 2], one))),
        )
        for i, one in enumerate(events * 2)
    ]
    template, pool = TEMPLATES[name], build_sense_pool(records)

    def negatives(event: Event, record: VideoRecord, key: str) -> list[str | None]:
        drawn = negative_events(
            event, video=record, pool=pool, policy=policy, num_negatives=3, seed=5, key=key
        )
        return [None if one is None else caption_event(one, template=template) for one in drawn]

    slow = TextTable(
        records, caption=lambda event: caption_event(event, template=template), negatives=negatives
    )
    table = build_text_table(
        records,
        template=template,
        policy=policy,
        verb_negatives=3,
        filler_negatives_per_event=0,
        seed=5,
    )
    assert table.texts == slow.texts
    assert np.array_equal(table.rows.negative_NK, slow.rows.negative_NK)
    assert (table.rows.negative_NK != MASKED).any()


def test_a_table_knows_its_events_and_annotations() -> None:
    table = table_of([video("a", "run sit", "sit"), video("b", "run walk run")])
    assert table.num_annotations.tolist() == [2, 1]
    assert table.most_events.tolist() == [2, 3]
    assert table.num_events == 6


def test_each_event_is_worded_once_and_pools_are_not_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As often as there are events, so that a table takes twice as long for twice as many."""
    calls: Counter[str] = Counter()

    def counted(name: str) -> None:
        real = getattr(texts, name)

        def call(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(texts, name, call)

    for name in ("build_sense_pool", "caption_event", "negative_senses", "text_hash"):
        counted(name)
    records = make_records([2, 3, 1, 2, 2])
    build(records)
    once = {"caption_event": 10, "negative_senses": 10, "text_hash": 10}
    assert calls == {"build_sense_pool": 1, **once}
    calls.clear()
    texts.masked_negatives(records)
    assert calls == {"build_sense_pool": 1, "negative_senses": 10}
    calls.clear()
    build_text_table(
        records,
        template=TEMPLATE,
        policy="matched",
        verb_negatives=3,
        filler_negatives_per_event=1,
        seed=0,
        pools=build_counterfeit_pools(records),
    )
    assert calls["build_sense_pool"] == 0


def test_a_built_table_holds_captions_and_drawn_negatives() -> None:
    records = make_records([2, 3, 1, 2, 2])
    table = build(records, seed=7)
    pool = build_sense_pool(records)
    for video_idx, record in enumerate(records):
        events = record.annotations[0].events
        texts = table.event_texts(video_idx, 0)
        captions = [caption_event(event, template=TEMPLATE) for event in events]
        assert [table.texts[row] for row in texts.caption_P] == captions
        for event_idx, event in enumerate(events):
            expected = negative_events(
                event,
                video=record,
                pool=pool,
                policy="matched",
                num_negatives=3,
                seed=7,
                key=event_key(record.id, annotation_idx=0, event_idx=event_idx),
            )
            found = negatives_of(table, video_idx)[event_idx]
            assert found == [
                "" if one is None else caption_event(one, template=TEMPLATE) for one in expected
            ]
            assert captions[event_idx] not in found


def test_filler_negatives_come_after_those_of_verbs() -> None:
    records = make_records([2, 3, 1, 2])
    verbs, both = build(records, verbs=2), build(records, verbs=2, fillers=2)
    for video_idx, record in enumerate(records):
        assert [row[:2] for row in negatives_of(both, video_idx)] == negatives_of(verbs, video_idx)
        for event, row in zip(
            record.annotations[0].events, negatives_of(both, video_idx), strict=True
        ):
            assert len(row) == 4
            assert all(f"action is {event.verb}" in text for text in row[2:] if text)
    assert any(text for row in negatives_of(both, 0) for text in row[2:])


@pytest.mark.parametrize("policy", ["matched", "uniform"])
def test_a_table_is_pure_and_an_event_keeps_its_negatives_wherever_its_video_stands(
    policy: NegativePolicy,
) -> None:
    records = make_records([2, 3, 1, 2, 2, 1])
    table, again = build(records, policy=policy), build(records, policy=policy)
    assert table.texts == again.texts
    turned = build(records[::-1], policy=policy)
    for video_idx in range(len(records)):
        other_idx = len(records) - 1 - video_idx
        assert negatives_of(table, video_idx) == negatives_of(again, video_idx)
        assert negatives_of(table, video_idx) == negatives_of(turned, other_idx)
    other_seed = build(records, policy=policy, seed=1)
    assert any(negatives_of(table, i) != negatives_of(other_seed, i) for i in range(len(records)))


def test_each_annotator_has_negatives_of_her_own() -> None:
    records = make_records([1, 1, 1, 1, 1, 1, 1])
    annotation = records[0].annotations[0]
    records[0] = dataclasses.replace(records[0], annotations=(annotation,) * 6)
    table = build(records, verbs=3)
    assert len({str(negatives_of(table, 0, idx)) for idx in range(6)}) > 1

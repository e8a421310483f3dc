from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32

from figclip.annotations.archive import pack_source
from figclip.annotations.captions import caption_event, plain_sentence
from figclip.annotations.counterfactuals import KINDS
from figclip.annotations.own_files import load_annotations
from figclip.datasets.records import LeftOut
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.tasks.base import FrameTextEmbedder, ItemScores, Score, Task, TaskData
from figclip.tasks.srl_swap import PLAIN, SrlSwap, SwapItems
from figclip.video.store import FrameStore, FrameStoreWriter
from figclip.video.stored import StoredVideos, open_stored_videos
from tests.dense_sets import (
    TEMPLATE,
    BlindEmbedder,
    KnowingEmbedder,
    direction,
    make_event,
    without_frames,
    write_store,
)
from tests.small_runs import IMAGE_SIZE

TASK = SrlSwap(template=TEMPLATE, frames_per_event=2, num_negatives=4, seed=0)
BLOCKS = [kind + ending for ending in ("", PLAIN) for kind in KINDS]
VERBS = ("push", "pull", "lift", "hit", "kick", "drag")


def full_event(number: int, *, who: str, whom: str, verb: str, start_s: float = 0.0) -> Event:
    """An event with everything that can be changed, all but the verb in words of its own."""
    roles = (
        Role(name="agent", text=who, slot="Arg0"),
        Role(name="patient", text=whom, slot="Arg1"),
        Role(name="direction", text=f"past tree{number}", slot="ArgM"),
        Role(name="manner", text=f"like hero{number}", slot="ArgM"),
    )
    return Event(start_s=start_s, end_s=start_s + 2, verb=verb, roles=roles, scene=f"hut{number}")


def video(name: str, *events: Event) -> VideoRecord:
    return VideoRecord(
        id=name, video=name, split="valid", group=name, annotations=(Annotation(events=events),)
    )


def full_videos(num_videos: int) -> list[VideoRecord]:
    """Videos of two events, each of which can be asked about in every way."""
    return [
        video(
            f"v{v}",
            *(
                full_event(
                    2 * v + e,
                    who=f"man{2 * v + e}",
                    whom=f"box{2 * v + e}",
                    verb=VERBS[v % len(VERBS)],
                    start_s=2.0 * e,
                )
                for e in range(2)
            ),
        )
        for v in range(num_videos)
    ]


def mirrored_videos(num_pairs: int) -> list[VideoRecord]:
    """For each video one in which who and whom are exchanged, both of one group."""
    events = [
        [make_event("push", f"man{i}", f"dog{i}"), make_event("push", f"dog{i}", f"man{i}")]
        for i in range(num_pairs)
    ]
    return [
        dataclasses.replace(video(f"v{i}{which}", one), group=f"g{i}")
        for i, both in enumerate(events)
        for which, one in enumerate(both)
    ]


RECORDS = full_videos(6)


def reads_both_wordings(records: Sequence[VideoRecord]) -> Callable[[str], str]:
    """Takes the plain sentence of an annotated event for its caption."""
    caption_of = {
        plain_sentence(event): caption_event(event, template=TEMPLATE)
        for record in records
        for event in record.annotations[0].events
    }
    return lambda text: caption_of.get(text, text)


class TextPriorEmbedder(KnowingEmbedder):
    """Prefers some texts to others, whatever the video."""

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[tuple[int, float]]
    ) -> Float32[np.ndarray, "N D"]:
        return np.stack([direction("any video")] * len(frames))


class RandomEmbedder(KnowingEmbedder):
    """Every frame and every text has a direction of its own."""

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[tuple[int, float]]
    ) -> Float32[np.ndarray, "N D"]:
        return np.stack([direction(f"{videos.records[v].id}/{t}") for v, t in frames])


@cache
def load(records: tuple[VideoRecord, ...]) -> TaskData[SwapItems]:
    return TASK.load(without_frames(records))


def run(
    embedder: FrameTextEmbedder, records: Sequence[VideoRecord]
) -> tuple[dict[str, ItemScores], dict[str, Score]]:
    scores = TASK.score(embedder, load(tuple(records)))
    return {one.block: one for one in scores}, TASK.summarise(scores)


def over_blind(block: str) -> str:
    kind = block.removesuffix(PLAIN)
    return f"{kind} over blind{block[len(kind) :]}"


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)
    assert TASK.face == "detail"


@pytest.mark.parametrize(
    ("truth", "accuracy", "ties"), [(1.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)]
)
def test_perfect_worst_and_tied(truth: float, accuracy: float, ties: float) -> None:
    reads = reads_both_wordings(RECORDS)
    embedder = KnowingEmbedder(truth=truth, reads=reads) if truth else BlindEmbedder()
    blocks, summary = run(embedder, RECORDS)
    assert list(blocks) == BLOCKS
    for block in BLOCKS:
        kind = block.removesuffix(PLAIN)
        assert len(blocks[block].item_ids) == 12
        assert summary[block].official == accuracy
        assert summary[block].chance == 0.5
        assert summary[f"{kind} ties{block[len(kind) :]}"].official == ties
        # Who sees knows nothing of other videos: about half of the blind choices are right.
        gain = summary[over_blind(block)].official
        if truth:
            assert gain == pytest.approx(truth / 2, abs=0.3)
        else:
            assert gain == 0.0


def test_guessing_is_at_chance() -> None:
    blocks, summary = run(RandomEmbedder(), full_videos(40))
    for block in BLOCKS:
        # Standard deviation of an item with K independent counterfeits: sqrt((K + 2) / 12 K).
        num_negatives = 1 if block.startswith("role swap") else 4
        sigma = ((num_negatives + 2) / (12 * num_negatives) / len(blocks[block].item_ids)) ** 0.5
        assert summary[block].official == pytest.approx(0.5, abs=3 * sigma)
        assert summary[over_blind(block)].official == pytest.approx(0.0, abs=4 * sigma)


def test_a_prior_of_texts_gains_exactly_nothing() -> None:
    blocks, summary = run(TextPriorEmbedder(), RECORDS)
    for block in BLOCKS:
        assert 0.0 < summary[block].official < 1.0
        assert (blocks[block].values[over_blind(block)] == 0.0).all()
    assert summary["all kinds over blind"].official == 0.0
    assert summary["all kinds over blind, plain"].official == 0.0


def test_mirrored_items_are_at_one_half_without_looking() -> None:
    records = mirrored_videos(5)
    assert load(tuple(records)).counts["role swap mirrored events"] == 10
    for embedder in (RandomEmbedder(), TextPriorEmbedder(), KnowingEmbedder(), BlindEmbedder()):
        blocks, summary = run(embedder, records)
        for ending in ("", PLAIN):
            assert summary[f"role swap blind, mirrored items{ending}"].official == 0.5
            assert blocks[f"role swap{ending}"].labels == {"mirrored": ("yes",) * 10}
    _, summary = run(KnowingEmbedder(), records)
    assert summary["role swap"].official == 1.0
    assert summary["role swap over blind"].official == 0.5


def test_blind_scores_are_those_of_the_slow_way() -> None:
    records = full_videos(4)
    embedder = RandomEmbedder()
    data = load(tuple(records))
    scores = {one.block: one for one in TASK.score(embedder, data)}
    contrasts, control = data.items.contrasts["scene"], data.items.blind["scene"]
    for item, (true, row) in enumerate(zip(contrasts.true, contrasts.negatives, strict=True)):
        accuracies = []
        for other in control.foreign_NF[item]:
            if other < 0:
                continue
            event = data.items.events.events[contrasts.event_idxs[other]]
            assert event.video_idx != data.items.events.events[item].video_idx
            frames = [(event.video_idx, event.event.start_s + s) for s in (0.5, 1.5)]
            seen_D = embedder.embed_frames(data.items.events.videos, frames).sum(axis=0)
            true_score = direction(true) @ seen_D
            wins = [true_score > direction(text) @ seen_D for text in row if text is not None]
            accuracies.append(np.mean(wins))
        assert len(accuracies) == 6  # two events of each of the three other videos
        assert scores["scene"].values["scene blind"][item] == pytest.approx(np.mean(accuracies))


def test_counterfeits_in_both_wordings() -> None:
    records = [
        video("a", full_event(0, who="man", whom="box", verb="push")),
        video("b", full_event(1, who="dog", whom="cart", verb="carry")),
    ]
    contrasts = load(tuple(records)).items.contrasts
    plain = "man pushes box past tree0 like hero0 in hut0"
    assert {block: one.true[0] for block, one in contrasts.items() if block.endswith(PLAIN)} == {
        kind + PLAIN: plain for kind in KINDS
    }
    expected = {
        "role swap": {"box pushes man past tree0 like hero0 in hut0"},
        "verb": {"man carries box past tree0 like hero0 in hut0"},
        "filler": {plain.replace("man", "dog"), plain.replace("box", "cart")},
        "direction": {plain.replace("tree0", "tree1")},
        "manner": {plain.replace("hero0", "hero1")},
        "scene": {plain.replace("hut0", "hut1")},
    }
    for kind, texts in expected.items():
        assert set(contrasts[kind + PLAIN].negatives[0]) - {None} == texts
    template = (
        "In this photo, the action is push, the agent is man, the patient is box, "
        "direction is past tree0, manner is like hero0, scene is hut0"
    )
    assert contrasts["scene"].true[0] == template
    assert contrasts["scene"].negatives[0] == (template.replace("hut0", "hut1"), *[None] * 3)
    swapped = template.replace("man,", "X,").replace("box", "man").replace("X,", "box,")
    assert contrasts["role swap"].negatives[0] == (swapped,)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    videos = without_frames(RECORDS)
    first, again, other = (
        dataclasses.replace(TASK, seed=seed).load(videos).items for seed in (0, 0, 1)
    )
    for block in BLOCKS:
        assert first.contrasts[block] == again.contrasts[block]
        assert (first.blind[block].foreign_NF == again.blind[block].foreign_NF).all()
        assert (first.blind[block].foreign_NF != other.blind[block].foreign_NF).any()
    assert first.contrasts["manner"] != other.contrasts["manner"]
    assert first.contrasts["role swap"] == other.contrasts["role swap"]


def test_masked_counterfeits_are_counted_and_not_scored() -> None:
    # Three push and one pulls: as many negatives pull as there are true ones that do.
    people = ("man", "dog", "cat")
    records = [video(who, make_event("push", who, "box")) for who in people]
    records.append(video("b", make_event("pull", "woman", "cart")))
    data = load(tuple(records))
    *pushed, pulled = (len([t for t in row if t]) for row in data.items.contrasts["verb"].negatives)
    assert pulled == 4 and 1 <= sum(pushed) < 12
    num_masked = sum(4 - n for n in pushed)
    assert data.counts["verb negatives masked"] == num_masked > 0
    assert data.counts["verb negatives"] == 4 * (len(pushed) + 1) - num_masked
    blocks, _ = run(KnowingEmbedder(), records)
    assert set(blocks["verb"].values["verb"].tolist()) == {1.0}
    # A masked place holding the true caption would tie with it.
    assert set(blocks["verb"].values["verb ties"].tolist()) == {0.0}


def test_events_without_a_counterfeit_are_left_out_with_the_reason() -> None:
    records = [
        video("v0", make_event("push", "man", "box"), make_event("walk", "man", "", start_s=2.0))
    ]
    data = load(tuple(records))
    swap = "role swap: no two roles to exchange that say different things"
    assert [one for one in data.left_out if one.reason == swap] == [
        LeftOut(item="v0#0/1", reason=swap)
    ]
    for kind, reason in {
        "verb": "no other verb to exchange with: too few take the event's roles and modifiers",
        "filler": "no numbered role that could say something else of the set",
        "direction": "no direction, or the set has no other",
        "manner": "no manner, or the set has no other",
        "scene": "no scene, or the set has no other",
    }.items():
        left = [one.item for one in data.left_out if one.reason == f"{kind}: {reason}"]
        assert left == ["v0#0/0", "v0#0/1"]
    assert data.counts["role swap events"] == data.counts["role swap, plain events"] == 1
    blocks, _ = run(KnowingEmbedder(), records)
    assert list(blocks) == ["role swap", "role swap, plain"]
    assert blocks["role swap"].item_ids == ("v0#0/0",)


def test_controls_that_cannot_be_made_are_left_out_with_the_reason() -> None:
    one_group = [dataclasses.replace(record, group="film") for record in full_videos(3)]
    data = load(tuple(one_group))
    blind = "blind control: all items are of one group of videos"
    text = "text-only control: too few groups of videos"
    assert [one.item for one in data.left_out if one.reason == blind] == [
        block for kind in KINDS for block in (kind, kind + PLAIN)
    ]
    assert [one.item for one in data.left_out if one.reason == text] == list(KINDS)
    _, summary = run(RandomEmbedder(), one_group)
    assert not [metric for metric in summary if "blind" in metric or "text only" in metric]
    # Three groups have a blind control, and are too few for folds.
    data = load(tuple(full_videos(3)))
    assert {one.reason for one in data.left_out} == {text}
    assert not load(tuple(RECORDS)).left_out


def test_counterfeits_that_read_as_the_true_text_are_dropped_and_counted() -> None:
    # Two verbs that are one in the third person.
    alike = [
        video("a", make_event("do", "man", "cup")),
        video("b", make_event("doe", "dog", "mud")),
    ]
    data = load(tuple(alike))
    assert data.counts["verb events"] == 2
    assert data.counts["verb negatives that read as the true text"] == 0
    assert data.counts["verb, plain events"] == 0
    assert data.counts["verb, plain negatives that read as the true text"] == 8
    reason = "verb, plain: every counterfeit reads as the true text"
    assert [one.item for one in data.left_out if one.reason == reason] == ["a#0/0", "b#0/0"]
    assert "verb, plain" not in run(KnowingEmbedder(), alike)[0]


def test_nothing_to_choose_gives_no_scores() -> None:
    records = [video("a", make_event("walk", "man", ""))]
    assert run(KnowingEmbedder(), records) == ({}, {})


def test_text_only_finds_a_planted_leak() -> None:
    # Men push boxes, boxes never push men.
    records = [
        video(f"v{i}", make_event("push", f"man in coat{i}", f"box of wood{i}")) for i in range(20)
    ]
    _, summary = run(RandomEmbedder(), records)
    assert summary["role swap text only"].official == 1.0
    assert summary["role swap text only"].is_detail


def test_text_only_is_at_chance_where_words_do_not_tell() -> None:
    rng = random.Random(0)
    names = ["man", "dog", "cat", "girl", "cow", "boy"]
    records = [video(f"v{i}", make_event("push", *rng.sample(names, 2))) for i in range(150)]
    _, summary = run(RandomEmbedder(), records)
    # Standard deviation 0.04.
    assert summary["role swap text only"].official == pytest.approx(0.5, abs=0.12)


def test_text_only_is_the_same_for_every_model() -> None:
    texts = [
        {metric: one.official for metric, one in summary.items() if "text only" in metric}
        for _, summary in (run(RandomEmbedder(), RECORDS), run(BlindEmbedder(), RECORDS))
    ]
    assert texts[0] == texts[1]
    assert set(texts[0]) == {f"{kind} text only" for kind in KINDS}


def test_the_table_is_short_and_the_headlines_are_the_accuracies() -> None:
    _, summary = run(RandomEmbedder(), RECORDS)
    assert [metric for metric, one in summary.items() if one.is_headline] == BLOCKS
    shown = {metric for metric, one in summary.items() if not one.is_detail}
    gains = {over_blind(kind) for kind in KINDS}
    assert shown == {*BLOCKS, *gains, "all kinds over blind", "all kinds over blind, plain"}
    for metric, one in summary.items():
        assert one.chance == (0.0 if "over blind" in metric else None if "ties" in metric else 0.5)


def test_per_item_values_average_to_the_metrics() -> None:
    blocks, summary = run(RandomEmbedder(), RECORDS)
    for block in blocks.values():
        for metric, values_N in block.values.items():
            assert summary[metric].official == pytest.approx(values_N.mean())


def test_settings_name_what_changes_scores() -> None:
    settings = TASK.settings
    assert settings["seed"] == 0
    assert settings["negatives"] == 4
    assert dataclasses.replace(TASK, seed=1).settings != settings


def prepared(folder: Path, videos: Sequence[VideoRecord], there: Sequence[str]) -> StoredVideos:
    """Some of the annotated videos in a store that knows of all."""
    lines = [
        {
            "id": one.id,
            "video": one.video,
            "split": one.split,
            "group": one.group,
            "events": [
                {
                    "start_s": event.start_s,
                    "end_s": event.end_s,
                    "verb": event.verb,
                    "roles": {role.name: role.text for role in event.roles},
                    "scene": event.scene,
                }
                for event in one.annotations[0].events
            ],
        }
        for one in videos
    ]
    source = folder / "own.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = [one for one in load_annotations(source).records if one.id in there]
    store = write_store(folder / "some.store", records)
    with FrameStoreWriter(store, spec=FrameStore.open(store).spec) as writer:
        writer.set_source(pack_source(source))
    return open_stored_videos([store], size=IMAGE_SIZE)


@pytest.mark.slow
def test_an_event_is_asked_the_same_whichever_videos_are_there(tmp_path: Path):
    videos = full_videos(12)
    names = [one.id for one in videos]
    embedder = BlindEmbedder()
    asked: list[dict[str, tuple]] = []
    for number, there in enumerate((names, names[::2], names[-5:])):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = TASK.load(prepared(folder, videos, there))
        assert data.counts["videos"] == len(there)
        assert data.counts["videos whose words are put in"] == 12
        scores = {one.block: one for one in TASK.score(embedder, data)}
        found: dict[str, tuple] = {}
        for block, one in data.items.contrasts.items():
            text_only = scores[block].values[f"{block} text only"] if block in KINDS else one.true
            rows = zip(scores[block].item_ids, one.negatives, text_only, strict=True)
            found |= {f"{block}/{item}": values for item, *values in rows}
        asked.append(found)
    whole, *parts = asked
    for part in parts:
        assert part == {item: whole[item] for item in part}
    assert len(parts[0]) == len(whole) / 2

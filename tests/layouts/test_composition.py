"""SugarCrepe, ARO, VELOCITI and pairs of one's own: what is true of one is false of its mirror."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import Box, CompositionSet, Contrast
from figclip.metrics.composition import SYMMETRIC_RELATIONS
from figclip.miniworld.named_tests import ClipPair, write_pairs
from figclip.miniworld.situations import VERBS, EditKind, actors_of, is_held_out, sample_pair
from figclip.miniworld.wording import (
    EVALUATION_STYLES,
    evaluation_sentence,
    facts_to_tell,
    natural_sentence,
    template_sentence,
)
from tests.layouts.aro import write_aro
from tests.layouts.plain_painter import PAINTER, digests, still_at, video_at
from tests.layouts.story_pairs import StoryTest, sample_story_pair
from tests.layouts.sugarcrepe import SUBSET_OF_KIND, write_sugarcrepe
from tests.layouts.velociti import write_velociti
from tests.layouts.writing import both_ways

NUM_EACH = 12
RNG = random.Random("layouts")
PAIRS = [
    sample_pair(RNG, kind, held_out=None) for kind in get_args(EditKind) for _ in range(NUM_EACH)
]
SUGARCREPE_PAIRS = [pair for pair in PAIRS if pair.kind in SUBSET_OF_KIND]
ROLE_SWAPS = [pair for pair in PAIRS if pair.kind == "role_swap"]
COLOUR_SWAPS = [pair for pair in PAIRS if pair.kind == "attribute_swap"]
STORY_PAIRS = [
    sample_story_pair(RNG, test, held_out=None)
    for test in get_args(StoryTest)
    for _ in range(NUM_EACH)
]


def composition(name: str, path: Path, split: str | None = None) -> CompositionSet:
    loaded = load_benchmark(name, path, split=split)
    assert isinstance(loaded, CompositionSet)
    return loaded


def assert_mirrored(items: tuple[Contrast, ...], seen: Callable[[str], object]) -> None:
    """Items two by two exchange their captions, are of two media, and look alike otherwise."""
    assert len(items) % 2 == 0
    for one, other in zip(items[::2], items[1::2], strict=True):
        assert one.subset == other.subset
        assert one.positives == other.negatives
        assert one.negatives == other.positives
        assert one.positives != one.negatives
        assert one.media != other.media
        assert seen(one.media[0].name) == seen(other.media[0].name)
    media = [item.media[0].name for item in items]
    assert len(set(media)) == len(media)


def test_sugarcrepe(tmp_path: Path):
    write_sugarcrepe(tmp_path, SUGARCREPE_PAIRS, painter=PAINTER, seed=0)
    loaded = composition("sugarcrepe", tmp_path)
    assert loaded.notices == ("2 subsets not there: add_att, add_obj",)
    counts = Counter(item.subset for item in loaded.items)
    assert counts == dict.fromkeys(SUBSET_OF_KIND.values(), 2 * NUM_EACH)
    images = tmp_path / "images"
    assert_mirrored(loaded.items, lambda name: still_at(images / name)[0])
    kind_of = {subset: kind for kind, subset in SUBSET_OF_KIND.items()}
    for item in loaded.items:
        _, shown = still_at(images / item.media[0].name)
        tells = facts_to_tell(kind_of[item.subset])
        told = {natural_sentence(shown, style, tells=tells) for style in EVALUATION_STYLES}
        assert item.positives[0] in told and item.negatives[0] not in told


def test_aro(tmp_path: Path):
    write_aro(tmp_path, relations=ROLE_SWAPS, attributions=COLOUR_SWAPS, painter=PAINTER, seed=0)
    relations = composition("aro", tmp_path, "vg_relation")
    attributions = composition("aro", tmp_path, "vg_attribution")
    images = tmp_path / "images"
    for loaded in (relations, attributions):
        assert loaded.notices == () and len(loaded.items) == 2 * NUM_EACH
        whole = Box(left=0, top=0, width=56, height=56)
        assert {item.media[0].box for item in loaded.items} == {whole}
    assert_mirrored(relations.items, lambda name: still_at(images / name)[0])
    for item in relations.items:
        _, shown = still_at(images / item.media[0].name)
        agent, patient = (f"the {actor.kind}" for actor in actors_of(shown))
        doing = VERBS[shown.verb].doing
        assert item.subset == doing
        assert item.positives == (f"{agent} is {doing} {patient}",)
        assert item.negatives == (f"{patient} is {doing} {agent}",)
    for one, other in zip(attributions.items[::2], attributions.items[1::2], strict=True):
        assert one.positives == other.negatives and one.negatives == other.positives
        assert one.subset.split("_") == other.subset.split("_")[::-1]
        _, shown = still_at(images / one.media[0].name)
        for actor in actors_of(shown):
            looks = (f"the {actor.colour} {actor.kind}", f"the {actor.kind} in {actor.colour}")
            assert any(look in one.positives[0] for look in looks)
            assert not any(look in one.negatives[0] for look in looks)
        colours = {actor.colour for actor in actors_of(shown)}
        assert set(one.subset.split("_")) == colours


def test_aro_colours_are_named_in_the_order_of_the_true_caption(tmp_path: Path):
    write_aro(tmp_path, relations=ROLE_SWAPS, attributions=COLOUR_SWAPS, painter=PAINTER, seed=0)
    agent_first = []
    for item in composition("aro", tmp_path, "vg_attribution").items:
        first, second = item.subset.split("_")
        assert item.positives[0].index(first) < item.positives[0].index(second)
        _, shown = still_at(tmp_path / "images" / item.media[0].name)
        agent_first.append(shown.agent.colour == first)
    assert {*agent_first} == {True, False}


def test_no_relation_counts_as_symmetric_for_aro():
    assert not {forms.doing for forms in VERBS.values()} & SYMMETRIC_RELATIONS


def test_aro_refuses_other_pairs(tmp_path: Path):
    with pytest.raises(AssertionError, match="role_swap, not attribute_swap"):
        write_aro(tmp_path, relations=COLOUR_SWAPS, attributions=[], painter=PAINTER, seed=0)


def test_velociti(tmp_path: Path):
    write_velociti(tmp_path, STORY_PAIRS, painter=PAINTER, seed=0)
    loaded = composition("velociti", tmp_path)
    assert loaded.notices == ()
    counts = Counter(item.subset for item in loaded.items)
    assert counts == dict.fromkeys(get_args(StoryTest), 2 * NUM_EACH)
    assert_mirrored(loaded.items, lambda name: video_at(tmp_path / "videos", name)[0])
    for item in loaded.items:
        _, shown = video_at(tmp_path / "videos", item.media[0].name)
        assert len(shown) == 5
        if item.subset != "chrono":
            told = {natural_sentence(one, s) for one in shown for s in EVALUATION_STYLES}
            assert item.positives[0] in told and item.negatives[0] not in told


def test_velociti_tells_two_events_in_the_order_of_the_video(tmp_path: Path):
    pairs = [pair for pair in STORY_PAIRS if pair.test == "chrono"]
    write_velociti(tmp_path, pairs, painter=PAINTER, seed=0)
    verb_of = {forms.does: verb for verb, forms in VERBS.items()}
    for item in composition("velociti", tmp_path).items:
        _, shown = video_at(tmp_path / "videos", item.media[0].name)
        place_of = {event.verb: place for place, event in enumerate(shown)}
        for sentence, is_in_order in ((item.positives[0], True), (item.negatives[0], False)):
            words = sentence.replace(",", "").split()
            early, late = (place_of[verb_of[word]] for word in words if word in verb_of)
            assert (early < late) == is_in_order


def test_velociti_names_the_event(tmp_path: Path):
    write_velociti(tmp_path, STORY_PAIRS[:1], painter=PAINTER, seed=0)
    header, *rows = (tmp_path / "agent_bind.csv").read_text().splitlines()
    assert header == "video_id,event,pos,neg"
    (event_idx,) = STORY_PAIRS[0].event_idxs
    assert [row.split(",")[1] for row in rows] == [f"Ev{event_idx + 1}"] * 2


@pytest.mark.parametrize("kind", get_args(EditKind))
def test_own_pairs(tmp_path: Path, kind: EditKind):
    pairs = [
        ClipPair(pair=pair, clip=f"clip {idx:04d}")
        for idx, pair in enumerate(pair for pair in PAIRS if pair.kind == kind)
    ]
    wordings = {"natural": evaluation_sentence, "template": template_sentence}
    write_pairs(tmp_path, pairs, name=kind, wordings=wordings, painter=PAINTER, seed=0)
    for wording in wordings:
        loaded = composition("pairs", tmp_path / f"{kind}-{wording}.jsonl")
        assert loaded.notices == ()
        assert_mirrored(loaded.items, lambda name: video_at(tmp_path / "videos", name)[0])
        assert set(Counter(item.group for item in loaded.items).values()) == {2}
        sides = [side for one in pairs for side in one.shown]
        for item, side in zip(loaded.items, sides, strict=True):
            assert (side.file, side.group) == (item.media[0].name, item.group)
            assert video_at(tmp_path / "videos", side.file)[1] == (side.situation,)
        for item in loaded.items:
            _, (shown,) = video_at(tmp_path / "videos", item.media[0].name)
            assert f"/{'new' if is_held_out(shown) else 'known'}/" in item.media[0].name
            told = evaluation_sentence if wording == "natural" else template_sentence
            assert any(
                told(shown, facts_to_tell(kind), random.Random(chance)) == item.positives[0]
                for chance in range(100)
            )


def test_same_seed_same_files_other_seed_other(tmp_path: Path):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        out = tmp_path / name
        write_sugarcrepe(out / "sugarcrepe", SUGARCREPE_PAIRS, painter=PAINTER, seed=seed)
        write_aro(
            out / "aro",
            relations=ROLE_SWAPS,
            attributions=COLOUR_SWAPS,
            painter=PAINTER,
            seed=seed,
        )
        write_velociti(out / "velociti", STORY_PAIRS, painter=PAINTER, seed=seed)
        wordings = {"natural": evaluation_sentence}
        pairs = [ClipPair(pair=pair, clip=f"p {idx:04d}") for idx, pair in enumerate(PAIRS)]
        write_pairs(out / "pairs", pairs, name="p", wordings=wordings, painter=PAINTER, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert digests(tmp_path / "one") != digests(tmp_path / "other")


def test_a_sentence_of_both_sides_is_no_pair():
    with pytest.raises(AssertionError, match="one sentence"):
        both_ways(("seen", "other"), ("a cat", "a cat"))

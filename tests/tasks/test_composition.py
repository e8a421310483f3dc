from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from figclip.datasets.records import CompositionSet, Contrast, LeftOut
from figclip.tasks.base import ClipTextEmbedder, Score, Task
from figclip.tasks.composition import NO_FOREIGN, TOO_FEW, Composition
from figclip.tasks.media import MediaSet
from tests.media_sets import MISSING, Blind, Guessing, TextOracle, clips_of, video

TASK = Composition()


def contrast(
    number: int, *, subset: str = "", positives: int = 1, negatives: int = 1, media: int = 1
) -> Contrast:
    return Contrast(
        id=f"c{number}",
        subset=subset,
        media=tuple(video(f"v{number}.{i}") for i in range(media)),
        positives=tuple(f"true {number} {i}" for i in range(positives)),
        negatives=tuple(f"false {number} {i}" for i in range(negatives)),
        group=f"g{number // 2}",
    )


def media_set(
    *items: Contrast, protocol: str = "sugarcrepe", missing: tuple[str, ...] = ()
) -> MediaSet[CompositionSet]:
    media = [medium for one in items for medium in one.media]
    clips = clips_of(media, missing=[video(name) for name in missing])
    benchmark = CompositionSet(protocol=protocol, split=None, items=items)
    return MediaSet(benchmark=benchmark, clips=clips)


def oracle(source: MediaSet[CompositionSet], *, truth: float = 1.0) -> TextOracle:
    texts: dict[str, list[str]] = defaultdict(list)
    for one in source.benchmark.items:
        for medium, captions in zip(one.media, (one.positives, one.negatives), strict=False):
            texts[medium.name] += captions
    return TextOracle(texts, truth=truth)


def summary(source: MediaSet[CompositionSet], embedder: ClipTextEmbedder) -> dict[str, Score]:
    return TASK.summarise(TASK.score(embedder, TASK.load(source)))


SUGARCREPE = media_set(*(contrast(i, subset=f"part{i % 3}") for i in range(12)))
PLUS = media_set(*(contrast(i, positives=2) for i in range(6)), protocol="sugarcrepe_pp")
WINOGROUND = media_set(*(contrast(i, media=2) for i in range(6)), protocol="winoground")
OWN = media_set(*(contrast(i, positives=1 + i % 2, negatives=1 + i % 3) for i in range(6)))
ALL_SETS = [SUGARCREPE, PLUS, WINOGROUND, OWN]


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)


@pytest.mark.parametrize("source", ALL_SETS)
def test_perfect_worst_and_tied(source: MediaSet[CompositionSet]) -> None:
    def scores(embedder: ClipTextEmbedder) -> dict[str, float]:
        found = summary(source, embedder)
        return {m: s.official for m, s in found.items() if m != "text tower alone"}

    for metric, value in scores(oracle(source)).items():
        assert value == (0.0 if metric.startswith("ties") else 1.0), metric
    for metric, value in scores(oracle(source, truth=-1.0)).items():
        assert value == 0.0, metric
    for metric, value in scores(Blind()).items():
        assert value == (1.0 if metric.startswith("ties") else 0.0), metric


def test_guessing_is_within_three_sigma_of_chance() -> None:
    for source, items in ((SUGARCREPE, 12), (PLUS, 6), (WINOGROUND, 6), (OWN, 6)):
        drawn = [summary(source, Guessing(seed)) for seed in range(100)]
        for metric, score in drawn[0].items():
            if score.is_headline:
                assert score.chance is not None
                mean = np.mean([one[metric].official for one in drawn])
                sigma = np.sqrt(score.chance * (1 - score.chance) / (100 * items))
                assert abs(mean - score.chance) < 3 * sigma, metric


def test_each_part_has_an_accuracy_and_one_part_alone_none() -> None:
    right = {f"v{i}.0": [f"true {i} 0" if i < 4 else f"false {i} 0"] for i in range(12)}
    scores = summary(SUGARCREPE, TextOracle(right))
    assert scores["accuracy"].official == pytest.approx(4 / 12)
    parts = {m: s.official for m, s in scores.items() if m.startswith("accuracy, part")}
    assert parts == {"accuracy, part0": 0.5, "accuracy, part1": 0.25, "accuracy, part2": 0.25}
    assert "accuracy" in summary(PLUS, Blind()) and len(summary(PLUS, Blind())) == 4


def told(right: Sequence[float]) -> TextOracle:
    """Shows the true caption of an item that is to be right, else the false one."""
    return TextOracle(
        {f"v{i}.0": [f"{'true' if one else 'false'} {i} 0"] for i, one in enumerate(right)}
    )


def test_relations_count_alike_and_symmetric_ones_not_at_all() -> None:
    relations = ["on", "on", "on", "riding", "near"]
    items = [contrast(i, subset=one) for i, one in enumerate(relations)]
    found = summary(media_set(*items, protocol="vg_relation"), told([1, 1, 0, 1, 1]))
    assert found["mean over parts"].official == pytest.approx((2 / 3 + 1) / 2)
    assert found["mean over parts"].is_headline
    symmetric = [contrast(i, subset="near") for i in range(3)]
    assert "mean over parts" not in summary(
        media_set(*symmetric, protocol="vg_relation"), told([1, 1, 0])
    )


def test_pairs_of_attributes_need_25_items() -> None:
    pairs = ["old_small"] * 25 + ["red_blue"] * 30 + ["small_old"] * 24
    right = [1] * 10 + [0] * 15 + [1] * 24 + [0] * 6 + [1] * 24
    items = [contrast(i, subset=one) for i, one in enumerate(pairs)]
    found = summary(media_set(*items, protocol="vg_attribution"), told(right))
    assert found["mean over parts"].official == pytest.approx((0.4 + 0.8) / 2)
    few = media_set(
        *(contrast(i, subset="small_old") for i in range(24)), protocol="vg_attribution"
    )
    assert "mean over parts" not in summary(few, told([1] * 24))


def test_the_same_pairs_of_attributes_count_whichever_images_are_there() -> None:
    pairs = ["old_small"] * 25 + ["red_blue"] * 30 + ["small_old"] * 24
    items = [contrast(i, subset=one) for i, one in enumerate(pairs)]
    missing = tuple(f"v{i}.0" for i in range(20))
    found = summary(
        media_set(*items, protocol="vg_attribution", missing=missing),
        told([1] * 25 + [0] * 30 + [1] * 24),
    )
    assert found["mean over parts"].official == pytest.approx(0.5)
    assert found["accuracy, old_small"].official == 1
    assert "accuracy, small_old (not in the mean)" in found


def test_no_mean_where_no_part_counts_and_no_control_in_velocitis() -> None:
    only_symmetric = media_set(contrast(0, subset="near"), protocol="vg_relation")
    assert "mean over parts" not in summary(only_symmetric, Blind())
    tests = ["agent_bind", "control", "control"]
    velociti = media_set(
        *(contrast(i, subset=one) for i, one in enumerate(tests)), protocol="velociti"
    )
    texts = {"v0.0": ["true 0 0"], "v1.0": ["false 1 0"], "v2.0": ["false 2 0"]}
    scores = summary(velociti, TextOracle(texts))
    assert scores["mean over parts"].official == 1.0
    assert scores["accuracy"].official == pytest.approx(1 / 3)
    assert not scores["accuracy"].is_headline
    assert scores["accuracy, agent_bind"].official == 1.0
    assert scores["accuracy, control (not in the mean)"].official == 0.0


def test_many_parts_are_in_the_result_file_only() -> None:
    many = media_set(*(contrast(i, subset=f"r{i}") for i in range(21)), protocol="vg_relation")
    scores = summary(many, Blind())
    assert scores["accuracy, r3"].is_detail and not scores["accuracy"].is_detail


def test_items_without_a_part_are_one_too() -> None:
    some = media_set(contrast(0), contrast(1, subset="x"), protocol="pairs")
    assert {"accuracy, (none)", "accuracy, x"} <= set(summary(some, Blind()))


@pytest.mark.parametrize("name", ["ties", "activities", "accuracy", "mean over parts", "all"])
def test_a_part_may_have_any_name(name: str) -> None:
    some = media_set(contrast(0, subset=name), contrast(1, subset="x"), protocol="pairs")
    scores = summary(some, TextOracle({"v0.0": ["true 0 0"], "v1.0": ["false 1 0"]}))
    assert scores["accuracy"].official == 0.5
    assert scores["ties, accuracy"].official == 0.0
    assert scores[f"accuracy, {name}"].official == 1.0
    assert not scores[f"accuracy, {name}"].is_detail


def test_chance_counts_every_text_once() -> None:
    one = replace(contrast(0), negatives=("b", "b", "b"))
    assert summary(media_set(one), Blind())["accuracy"].chance == 0.5


def test_the_text_tower_alone() -> None:
    # The true captions read alike and the false one does not.
    alike = TextOracle({f"v{i}.0": ["true"] for i in range(6)}, reads=lambda text: text.split()[0])
    assert summary(PLUS, alike)["text tower alone"].official == 1.0
    opposite = TextOracle({f"v{i}.0": ["x"] for i in range(6)}, reads=lambda text: "same")
    assert summary(PLUS, opposite)["text tower alone"].official == 0.0


def test_an_item_needs_all_its_media() -> None:
    some = media_set(
        *(contrast(i, media=2) for i in range(3)), protocol="winoground", missing=("v1.1",)
    )
    data = TASK.load(some)
    assert data.left_out == (LeftOut(item="c1", reason=MISSING),)
    assert data.counts == {"items": 2}
    (block,) = TASK.score(oracle(some), data)
    assert block.item_ids == ("c0", "c2")


WITH_CONTROLS = Composition(controls_seed=0)


def mirrored_set(num_groups: int) -> MediaSet[CompositionSet]:
    """Groups of two videos that exchange a true and a false caption."""
    items = [
        replace(contrast(2 * i + side), positives=(f"{side} {i}",), negatives=(f"{other} {i}",))
        for i in range(num_groups)
        for side, other in ((0, 1), (1, 0))
    ]
    return media_set(*items, protocol="pairs")


def with_controls(source: MediaSet[CompositionSet], embedder: ClipTextEmbedder) -> dict[str, Score]:
    data = WITH_CONTROLS.load(source)
    return WITH_CONTROLS.summarise(WITH_CONTROLS.score(embedder, data))


def test_the_blind_control_of_a_mirrored_set_is_at_50_percent() -> None:
    mirrored = mirrored_set(20)
    for embedder, accuracy in (
        (oracle(mirrored), 1.0),
        (oracle(mirrored, truth=-1.0), 0.0),
        (Blind(), 0.0),
    ):
        scores = with_controls(mirrored, embedder)
        assert scores["accuracy"].official == accuracy
        assert scores["blind accuracy"] == Score(official=0.5, chance=0.5)
        assert scores["text-only accuracy"] == Score(official=0.5, chance=0.5)
        assert [name for name, score in scores.items() if score.is_headline] == ["accuracy"]
    assert WITH_CONTROLS.load(mirrored).counts == {"items": 40, "mirrored items": 40}


def test_the_blind_control_sees_another_groups_medium() -> None:
    # Every video looks like the true captions of all items: nothing needs to be looked at.
    own = media_set(*(contrast(i) for i in range(8)), protocol="pairs")
    trues = [f"true {i} 0" for i in range(8)]
    known = with_controls(own, TextOracle({f"v{i}.0": trues for i in range(8)}))
    assert known["accuracy"].official == known["blind accuracy"].official == 1.0
    # Only its own captions show in a video: another's says nothing.
    seen = oracle(own)
    tasks = [Composition(controls_seed=seed) for seed in range(40)]
    blind = [
        task.summarise(task.score(seen, task.load(own)))["blind accuracy"].official
        for task in tasks
    ]
    # Eight items under six videos each.
    assert abs(np.mean(blind) - 0.5) < 3 * np.sqrt(0.25 / 48)
    assert len(set(blind)) > 1


def test_the_text_only_control_is_the_same_for_every_model() -> None:
    own = media_set(*(contrast(i) for i in range(8)), protocol="pairs")
    for embedder in (oracle(own), Blind(), Guessing(3)):
        assert with_controls(own, embedder)["text-only accuracy"].official == 1.0


def test_controls_that_cannot_be_made_are_missing_and_say_why() -> None:
    one_group = media_set(*(replace(contrast(i), group="g") for i in range(4)), protocol="pairs")
    data = WITH_CONTROLS.load(one_group)
    assert data.left_out == (
        LeftOut(item="blind accuracy", reason=NO_FOREIGN),
        LeftOut(item="text-only accuracy", reason=TOO_FEW),
    )
    scores = with_controls(one_group, oracle(one_group))
    assert set(scores) == {"accuracy", "ties, accuracy"}
    nothing = media_set(contrast(0), protocol="pairs", missing=("v0.0",))
    assert WITH_CONTROLS.load(nothing).left_out == (LeftOut(item="c0", reason=MISSING),)


def test_published_sets_have_no_controls() -> None:
    assert not {"blind accuracy", "text-only accuracy"} & set(summary(SUGARCREPE, Blind()))
    assert TASK.settings == {"ties": "wrong"}
    assert WITH_CONTROLS.settings["seed"] == 0

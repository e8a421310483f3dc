from __future__ import annotations

import numpy as np
import pytest

from figclip.datasets.records import ActionSet, LabelledMedium, LeftOut
from figclip.errors import ConfigError
from figclip.tasks.actions import Actions
from figclip.tasks.base import ClipTextEmbedder, Score, Task
from figclip.tasks.media import MediaSet
from tests.media_sets import MISSING, Blind, Guessing, TextOracle, clips_of, video

TASK = Actions(prompts="photo")
CLASSES = tuple(f"Class{i}" for i in range(8))
NAMES = tuple(f"class {i}" for i in range(8))


def media_set(
    class_of: dict[str, list[int]], *, missing: tuple[str, ...] = ()
) -> MediaSet[ActionSet]:
    """Videos by split: their classes in turn; a video of the same place is the same in all."""
    items = tuple(
        LabelledMedium(
            id=f"v{i}", medium=video(f"v{i}"), class_idx=class_idx, split=split, group=f"g{i // 2}"
        )
        for split, classes in class_of.items()
        for i, class_idx in enumerate(classes)
    )
    clips = clips_of([one.medium for one in items], missing=[video(name) for name in missing])
    benchmark = ActionSet(split=None, classes=CLASSES, class_names=NAMES, items=items)
    return MediaSet(benchmark=benchmark, clips=clips)


ONE_SPLIT = media_set({"": [i % 8 for i in range(16)]})


def oracle(source: MediaSet[ActionSet], *, truth: float = 1.0) -> TextOracle:
    texts = {
        one.medium.name: [f"a photo of a {NAMES[one.class_idx]}."] for one in source.benchmark.items
    }
    return TextOracle(texts, truth=truth)


def summary(
    source: MediaSet[ActionSet], embedder: ClipTextEmbedder, task: Actions = TASK
) -> dict[str, Score]:
    return task.summarise(task.score(embedder, task.load(source)))


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)


def test_a_perfect_model_is_always_right_and_the_worst_never() -> None:
    best, worst = (summary(ONE_SPLIT, oracle(ONE_SPLIT, truth=t)) for t in (1.0, -1.0))
    assert {score.value for score in best.values()} == {1.0}
    assert {score.value for score in worst.values()} == {0.0}
    assert best["top-1"].chance == 1 / 8 and best["top-5"].chance == 5 / 8
    assert [metric for metric, score in best.items() if score.is_headline] == ["top-1"]
    assert sum(metric.startswith("top-1 of class") for metric in best) == 8


def test_all_tied_is_the_first_class_officially_and_wrong_when_corrected() -> None:
    scores = summary(ONE_SPLIT, Blind())
    assert scores["top-1"] == Score(official=1 / 8, corrected=0.0, chance=1 / 8, is_headline=True)
    assert (scores["top-5"].official, scores["top-5"].corrected) == (5 / 8, 0.0)
    assert scores["top-1 of class Class0"].official == 1.0


def test_guessing_is_within_three_sigma_of_chance() -> None:
    hits = [summary(ONE_SPLIT, Guessing(seed))["top-1"].official for seed in range(40)]
    assert abs(np.mean(hits) - 1 / 8) < 3 * np.sqrt(1 / 8 * 7 / 8 / (40 * 16))


def test_mean_and_spread_over_splits_worked_by_hand() -> None:
    # Right are v0 and v1 wherever they are: 2 of 4, 2 of 2, and 1 of 1.
    splits = media_set({"1": [0, 1, 2, 3], "2": [0, 1], "3": [0]})
    sees = TextOracle({f"v{i}": [f"a photo of a {NAMES[i if i < 2 else 7]}."] for i in range(4)})
    data = TASK.load(splits)
    assert data.counts == {
        "videos": 4,
        "classes": 8,
        "classes with a video": 4,
        "in split 1": 4,
        "in split 2": 2,
        "in split 3": 1,
    }
    blocks = TASK.score(sees, data)
    scores = TASK.summarise(blocks)
    assert scores["top-1"].official == pytest.approx((0.5 + 1 + 1) / 3)
    assert scores["top-1, std over splits"].official == pytest.approx(np.std([0.5, 1, 1]))
    assert scores["top-1, split 1"].official == 0.5 and scores["top-1, split 1"].is_detail
    # The weighted mean of the per-item values is the metric, so that its interval is.
    everything = blocks[0]
    assert everything.weights is not None
    weighted = np.average(everything.values["top-1"], weights=everything.weights)
    assert weighted == pytest.approx(scores["top-1"].value)
    assert everything.item_ids[:2] == ("1/v0", "1/v1")
    assert everything.labels["true"][3] == "Class3"
    assert everything.labels["predicted"][3] == "Class7"


def test_top_5_of_five_classes_is_left_out() -> None:
    items = tuple(
        LabelledMedium(id=f"v{i}", medium=video(f"v{i}"), class_idx=i, split="", group=f"g{i}")
        for i in range(5)
    )
    benchmark = ActionSet(split=None, classes=CLASSES[:5], class_names=NAMES[:5], items=items)
    five = MediaSet(benchmark=benchmark, clips=clips_of([one.medium for one in items]))
    assert "top-5" not in summary(five, Guessing(0))


def test_prompts_are_averaged_and_named() -> None:
    ensemble = Actions(prompts="kinetics")
    data = ensemble.load(ONE_SPLIT)
    assert len(data.items.prompts[0]) == 28 and len(data.texts) == 8 * 28
    assert ensemble.settings["prompts"] == "kinetics"
    # Half of a class's prompts are near to the mean of all.
    texts = {
        one.medium.name: data.items.prompts[one.class_idx][::2] for one in ONE_SPLIT.benchmark.items
    }
    assert summary(ONE_SPLIT, TextOracle(texts), ensemble)["top-1"].official == 1.0
    with pytest.raises(ConfigError, match="nonsense"):
        Actions(prompts="nonsense").load(ONE_SPLIT)


def test_classes_are_named_in_words_or_as_the_benchmark_writes_them() -> None:
    labelled = Actions(prompts="bare", class_names="labels")
    assert labelled.load(ONE_SPLIT).items.prompts == tuple((name,) for name in CLASSES)
    assert labelled.settings["class_names"] == "labels"
    assert Actions(prompts="bare").load(ONE_SPLIT).items.prompts == tuple((n,) for n in NAMES)
    assert TASK.settings["class_names"] == "words"


def test_missing_videos_are_left_out_and_their_classes_still_compete() -> None:
    some = media_set({"": list(range(8))}, missing=("v3",))
    data = TASK.load(some)
    assert data.left_out == (LeftOut(item="v3", reason=MISSING),)
    assert data.counts == {"videos": 7, "classes": 8, "classes with a video": 7}
    assert len(data.items.prompts) == 8

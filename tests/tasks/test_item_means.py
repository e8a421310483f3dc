"""The contract of scores and items: a score with an interval is the weighted mean of its items.

Every task and every head is scored on a small set that is as uneven as real ones: splits of other
sizes, several captions, parts that do not count, videos that one annotator of two has seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from figclip.datasets.catalogue import BENCHMARKS
from figclip.datasets.records import ActionSet, CaptionedMedium, LabelledMedium, RetrievalSet
from figclip.datasets.situations import SituationTruth, situation_truth_of
from figclip.evaluation.plan import TASKS_OF
from figclip.evaluation.results import compare
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.scoring.scores import PredictionScores
from figclip.scoring.situation_files import (
    PredictedEvent,
    Predictions,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
)
from figclip.scoring.situations import score_relations, score_roles, score_verbs
from figclip.tasks.actions import Actions
from figclip.tasks.base import ItemScores, Score, Task
from figclip.tasks.composition import Composition
from figclip.tasks.dense_retrieval import DenseRetrieval
from figclip.tasks.media import MediaSet
from figclip.tasks.retrieval import Retrieval
from figclip.tasks.role_grounding import RoleGrounding
from figclip.tasks.srl_swap import SrlSwap
from figclip.video.stored import StoredVideos
from tests.dense_sets import TEMPLATE, direction, without_frames
from tests.media_sets import Guessing, clips_of, video
from tests.scoring.test_dense_captions import predictions, random_events, references, score
from tests.tasks.test_composition import contrast, media_set
from tests.tasks.test_srl_swap import full_videos, mirrored_videos

Scored = tuple[Mapping[str, Score], Sequence[ItemScores]]


class GuessingEvents(Guessing):
    """Embeds frames by chance, too."""

    def embed_frames(self, videos: StoredVideos, frames: Sequence[tuple[int, float]]) -> np.ndarray:
        names = [(videos.records[v].id, time_s) for v, time_s in frames]
        return np.stack([direction(f"{self._seed} frame {name}") for name in names])


@dataclass(frozen=True)
class Tried:
    """A task or head on some data.

    Attributes:
        scored: Scores and items of a model, by a seed.
        no_means: Pattern of the scores that are no means over items, and so have no interval.
    """

    scored: Callable[[int], Scored]
    no_means: str = "nothing"


def of_task(task: Task, source: object, *, no_means: str = "nothing") -> Tried:
    def scored(seed: int) -> Scored:
        items = task.score(GuessingEvents(seed), task.load(source))
        return task.summarise(items), items

    return Tried(scored, no_means)


def of_predictions(found: Callable[[int], PredictionScores], *, no_means: str) -> Tried:
    def scored(seed: int) -> Scored:
        one = found(seed)
        return one.scores, one.items

    return Tried(scored, no_means)


def captioned() -> MediaSet[RetrievalSet]:
    """One to three captions a video, two of them equal."""
    items = tuple(
        CaptionedMedium(
            id=f"v{i}",
            medium=video(f"v{i}"),
            captions=tuple(f"caption {max(i, 1)} {j}" for j in range(1 + i % 3)),
            group=f"g{i // 2}",
        )
        for i in range(14)
    )
    clips = clips_of([one.medium for one in items])
    return MediaSet(benchmark=RetrievalSet(split=None, items=items), clips=clips)


def classified() -> MediaSet[ActionSet]:
    """Three splits of 3, 7 and 12 videos."""
    items = tuple(
        LabelledMedium(
            id=f"v{i}", medium=video(f"v{i}"), class_idx=i % 4, split=split, group=f"g{i // 2}"
        )
        for split, size in (("1", 3), ("2", 7), ("3", 12))
        for i in range(size)
    )
    names = tuple(f"class {i}" for i in range(8))
    benchmark = ActionSet(split=None, classes=names, class_names=names, items=items)
    return MediaSet(benchmark=benchmark, clips=clips_of([one.medium for one in items]))


def parts(protocol: str, *names: str, positives: int = 1, num_media: int = 1) -> object:
    """Items of parts of unequal sizes: the first has four items, each other one more."""
    subsets = [name for extra, name in enumerate(names) for _ in range(4 + extra)]
    items = [
        contrast(i, subset=subset, positives=positives, media=num_media)
        for i, subset in enumerate(subsets)
    ]
    return media_set(*items, protocol=protocol)


def dense_captions(seed: int) -> PredictionScores:
    """Two annotations that share some of their videos; one video is not predicted."""
    predicted, first, second = random_events(seed), random_events(10), random_events(11, videos=8)
    del predicted["v_3"], second["v_1"], second["v_2"], second["v_3"]
    return score(predictions(predicted), references(first), references(second, name="val_2.json"))


WORDS = ("red bread", "old rope", "a dog", "the red hat of a man", "bread and butter")
VERBS = ("cut", "eat", "throw")
LABELS = ("Causes", "Enables", "Reaction To")


def situations() -> SituationTruth:
    """Videos of one to three annotators who do not always agree."""
    rng = random.Random(0)

    def event(start_s: float) -> Event:
        roles = [Role(name="cutter", text=rng.choice(WORDS), slot="Arg0")]
        roles += [Role(name="thing", text=rng.choice(WORDS), slot="Arg1")]
        return Event(
            start_s=start_s,
            end_s=start_s + 1,
            verb=rng.choices(VERBS, weights=(12, 3, 1))[0],
            roles=tuple(roles),
            relation=rng.choice(LABELS) if start_s == 0 else "",
        )

    records = [
        VideoRecord(
            id=f"v{i}",
            video=f"v{i}.mp4",
            split="valid",
            group=f"g{i // 2}",
            annotations=tuple(
                Annotation(events=(event(0.0), event(1.0))) for _ in range(1 + i % 3)
            ),
        )
        for i in range(24)
    ]
    return situation_truth_of(records)


TRUTH = situations()


def verbs(seed: int) -> PredictionScores:
    rng = random.Random(seed)
    found = [
        VerbPrediction(
            video_idx=i,
            verb_ids=tuple(tuple(rng.sample((*VERBS, "sit", "run", "hop"), 5)) for _ in range(2)),
        )
        for i in range(len(TRUTH.videos))
    ]
    return score_verbs(TRUTH, Predictions(videos=tuple(found)))


def roles(seed: int) -> PredictionScores:
    rng = random.Random(seed)

    def event() -> PredictedEvent:
        texts = {slot: rng.choice(WORDS) for slot in ("Arg0", "Arg1")}
        return PredictedEvent(verb_id="cut", texts=texts)

    found = [
        RolePrediction(video_idx=i, events=(event(), event())) for i in range(len(TRUTH.videos))
    ]
    return score_roles(TRUTH, Predictions(videos=tuple(found)))


def relations(seed: int) -> PredictionScores:
    rng = random.Random(seed)
    found = [
        RelationPrediction(video_idx=i, labels=((rng.choice(LABELS),),))
        for i in range(len(TRUTH.videos))
    ]
    return score_relations(TRUTH, Predictions(videos=tuple(found)))


EVENTS = without_frames([*full_videos(7)[:-1], *mirrored_videos(4)])
ATTRIBUTES = [
    contrast(i, subset=one)
    for i, one in enumerate(["white_black"] * 25 + ["red_blue"] * 30 + ["rare_pair"] * 4)
]
TESTED = {
    "dense_retrieval": of_task(
        DenseRetrieval(template=TEMPLATE, frames_per_event=2), EVENTS, no_means="median rank$"
    ),
    "srl_swap": of_task(
        SrlSwap(template=TEMPLATE, frames_per_event=2, num_negatives=4, seed=0),
        EVENTS,
        no_means="^all kinds over blind|, mirrored items",
    ),
    "role_grounding": of_task(RoleGrounding(template=TEMPLATE, frames_per_event=2, seed=0), EVENTS),
    "retrieval": of_task(Retrieval(), captioned(), no_means="median rank$"),
    "actions": of_task(
        Actions(prompts="photo"),
        classified(),
        no_means="std over splits$|mean over classes$|^top-1 of class ",
    ),
    "composition sugarcrepe": of_task(Composition(), parts("sugarcrepe", "a", "b", "c")),
    "composition sugarcrepe_pp": of_task(
        Composition(), parts("sugarcrepe_pp", "a", "b", positives=2)
    ),
    "composition aro": of_task(Composition(), parts("vg_relation", "on", "near", "eating", "in")),
    "composition aro, attributes": of_task(
        Composition(), media_set(*ATTRIBUTES, protocol="vg_attribution")
    ),
    "composition winoground": of_task(Composition(), parts("winoground", "", num_media=2)),
    "composition velociti": of_task(
        Composition(), parts("velociti", "control", "chrono", "coref", "agent_bind")
    ),
    "composition pairs": of_task(Composition(controls_seed=0), parts("pairs", "a", "b", "c")),
    "head dense_captioning": of_predictions(
        dense_captions, no_means="^F1$|, tIoU |^paragraph BLEU"
    ),
    "head verbs": of_predictions(
        verbs, no_means="^Acc@[234]$|of all events of a video$|of verbs of over"
    ),
    "head roles": of_predictions(
        roles,
        no_means="^BLEU|^ROUGE-L-|^ROUGE-L of |^CIDEr of |^Lea|^mentions$|^MUC$|^B-cubed$|^CEAF-e$",
    ),
    "head relations": of_predictions(relations, no_means="^Top-1 of "),
}


def test_every_task_and_every_set_of_pairs_is_here() -> None:
    assert {name.split()[0] for name in TESTED if not name.startswith("head")} == {
        task for tasks in TASKS_OF.values() for task in tasks
    }
    assert {name.split()[1] for name in TESTED if name.startswith("composition")} >= {
        name for name, about in BENCHMARKS.items() if about.family == "composition"
    }


@pytest.mark.parametrize("name", TESTED)
def test_a_score_with_an_interval_is_the_mean_of_its_items(name: str) -> None:
    summaries, items = zip(*(TESTED[name].scored(seed) for seed in (1, 2)), strict=True)
    assert [block.item_ids for block in items[0]] == [block.item_ids for block in items[1]]
    metrics = compare(summaries, items, seed=0)
    with_items: set[str] = set()
    for base, adapted in zip(*items, strict=True):
        for metric in base.values.keys() & metrics.keys():
            with_items.add(metric)
            values = [
                np.average(one.values[metric], weights=one.weights) for one in (base, adapted)
            ]
            found = metrics[metric]
            assert found.base is not None
            assert [found.base.value, found.adapted.value] == pytest.approx(values)
            assert found.interval is not None
            assert found.interval.difference == pytest.approx(found.difference), metric
    if not name.startswith("head"):  # a strength is chosen by the items of headlines
        assert {metric for metric, one in metrics.items() if one.adapted.is_headline} <= with_items
    without = {metric for metric in metrics if metric not in with_items}
    assert without == {one for one in metrics if re.search(TESTED[name].no_means, one)}


def test_soda_counts_a_video_once_whoever_annotated_it() -> None:
    """`a` is annotated twice and told exactly, `b` once and not told."""
    a = [(0.0, 10.0, "a dog runs in the park")]
    b = [(0.0, 10.0, "a cat sleeps on a chair")]
    found = score(
        predictions({"a": a, "b": [(50.0, 60.0, "nothing of it")]}),
        references({"a": a, "b": b}),
        references({"a": a}, name="val_2.json"),
    )
    soda = found.scores["soda_meteor_exact"]
    assert soda.corrected == pytest.approx(0.5)
    assert soda.official == pytest.approx(0.75)
    (block,) = found.items
    np.testing.assert_allclose(block.values["soda_meteor_exact"], [1.0, 0.0])

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from figclip.datasets.records import CaptionedMedium, LeftOut, Medium, RetrievalSet
from figclip.metrics.retrieval import one_caption_scores, retrieve, several_captions_scores
from figclip.tasks.base import ClipTextEmbedder, Score, Task
from figclip.tasks.media import MediaSet
from figclip.tasks.retrieval import Retrieval
from tests.media_sets import MISSING, Blind, Guessing, TextOracle, clips_of, video

TASK = Retrieval()


def item(name: str, *captions: str) -> CaptionedMedium:
    return CaptionedMedium(id=name, medium=video(name), captions=captions, group=name)


def media_set(*items: CaptionedMedium, missing: tuple[str, ...] = ()) -> MediaSet[RetrievalSet]:
    clips = clips_of([one.medium for one in items], missing=[video(name) for name in missing])
    return MediaSet(benchmark=RetrievalSet(split=None, items=items), clips=clips)


ONE_EACH = media_set(*(item(f"v{i}", f"caption {i}") for i in range(20)))
SEVERAL = media_set(
    *(item(f"v{i}", *(f"caption {i} {j}" for j in range(1 + i % 3))) for i in range(12))
)


def oracle(source: MediaSet[RetrievalSet], *, truth: float = 1.0) -> TextOracle:
    texts = {one.medium.name: one.captions for one in source.benchmark.items}
    return TextOracle(texts, truth=truth)


def summary(source: MediaSet[RetrievalSet], embedder: ClipTextEmbedder) -> dict[str, Score]:
    return TASK.summarise(TASK.score(embedder, TASK.load(source)))


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)


@pytest.mark.parametrize("source", [ONE_EACH, SEVERAL], ids=["one", "several"])
def test_a_perfect_model_finds_everything(source: MediaSet[RetrievalSet]) -> None:
    scores = summary(source, oracle(source))
    for metric, score in scores.items():
        assert score.official == score.value == 1.0, metric
    assert [m for m, score in scores.items() if score.is_headline] == ["t2v R@1", "v2t R@1"]
    bounds = {m for m, score in scores.items() if score.is_bound}
    assert bounds == {"t2v R@1 of 10", "v2t R@1 of 10"}
    assert {m for m, score in scores.items() if score.is_detail} == {
        *bounds,
        *(m for m in scores if m.startswith("dual softmax ")),
    }


@pytest.mark.parametrize("source", [ONE_EACH, SEVERAL], ids=["one", "several"])
def test_the_worst_model_comes_last(source: MediaSet[RetrievalSet]) -> None:
    scores = summary(source, oracle(source, truth=-1.0))
    num = len(source.benchmark.items)
    for k in (1, 5, 10):
        assert scores[f"t2v R@{k}"].value == 0.0
    assert scores["t2v mean rank"].value == num
    assert scores["v2t R@1"].value == 0.0


def test_all_tied_is_last_but_official_counts_every_position() -> None:
    scores = summary(ONE_EACH, Blind())
    for direction in ("t2v", "v2t"):
        assert scores[f"{direction} R@1"].corrected == 0.0
        assert scores[f"{direction} mean rank"].corrected == 20.0
        # CLIP4Clip counts each of 20 tied positions once a query: 1 in 20 of them is the first.
        assert scores[f"{direction} R@1"].official == pytest.approx(1 / 20)
        assert scores[f"{direction} R@10"].official == pytest.approx(10 / 20)
        assert scores[f"{direction} mean rank"].official == pytest.approx(10.5)


def test_guessing_is_within_three_sigma_of_chance() -> None:
    for k in (1, 5, 10):
        drawn = [summary(ONE_EACH, Guessing(seed))[f"t2v R@{k}"] for seed in range(30)]
        assert {score.chance for score in drawn} == {k / 20}
        mean = np.mean([score.official for score in drawn])
        sigma = np.sqrt(k / 20 * (1 - k / 20) / (30 * 20))
        assert abs(mean - k / 20) < 3 * sigma


def test_official_scores_are_those_of_the_metric_on_both_kinds_of_sets() -> None:
    for source, t2v_scores in ((ONE_EACH, one_caption_scores), (SEVERAL, several_captions_scores)):
        embedder = Guessing(7)
        data = TASK.load(source)
        scores = TASK.summarise(TASK.score(embedder, data))
        captions = data.items.captions
        expected = retrieve(
            embedder.embed_texts(captions),
            embedder.embed_clips(source.clips, range(len(data.items.items))),
            video_of_text_N=data.items.item_of_caption_N,
            text_label_N=np.arange(len(captions)),
        )
        for direction, found in (
            ("t2v", t2v_scores(expected.t2v.places)),
            ("v2t", one_caption_scores(expected.v2t.places)),
        ):
            assert scores[f"{direction} R@1"].official == found.recall_1
            assert scores[f"{direction} R@10"].official == found.recall_10
            assert scores[f"{direction} median rank"].official == found.median_rank
            assert scores[f"{direction} mean rank"].official == found.mean_rank


def test_equal_captions_answer_each_other_only_when_corrected() -> None:
    twins = media_set(
        item("a", "a man plays"), item("b", " A man  plays"), item("c", "a dog"), item("d", "a cat")
    )
    # Of the two videos that a man plays in, it only recognises b.
    embedder = TextOracle(
        {"a": ["x"], "b": ["a man plays"], "c": ["a dog"], "d": ["a cat"]},
        reads=lambda text: " ".join(text.lower().split()),
    )
    data = TASK.load(twins)
    assert data.counts["captions that repeat another"] == 1
    scores = TASK.summarise(TASK.score(embedder, data))
    assert scores["t2v R@1"].corrected == 1.0
    assert scores["t2v R@1"].official == 0.75


def test_missing_videos_are_left_out_of_the_gallery_and_named() -> None:
    some = media_set(*ONE_EACH.benchmark.items, missing=("v3", "v4"))
    data = TASK.load(some)
    assert data.left_out == tuple(LeftOut(item=one, reason=MISSING) for one in ("v3", "v4"))
    assert data.counts == {"videos": 18, "captions": 18}
    (t2v, *_) = TASK.score(oracle(some), data)
    assert len(t2v.item_ids) == 18 and "v3#0" not in t2v.item_ids
    none = media_set(item("a", "b"), missing=("a",))
    assert TASK.score(Blind(), TASK.load(none)) == ()
    assert TASK.summarise(()) == {}


def test_images_and_videos_are_counted_apart() -> None:
    picture = CaptionedMedium(
        id="p", medium=Medium(kind="image", name="p.jpg"), captions=("a",), group="p"
    )
    data = TASK.load(media_set(item("v", "b"), picture))
    assert data.counts == {"videos": 1, "images": 1, "captions": 2}


def test_captions_of_a_video_share_its_group() -> None:
    grouped = tuple(
        dataclasses.replace(one, group=f"g{i % 2}") for i, one in enumerate(SEVERAL.benchmark.items)
    )
    source = media_set(*grouped)
    t2v, v2t, *_ = TASK.score(oracle(source), TASK.load(source))
    assert t2v.item_ids[:4] == ("v0#0", "v1#0", "v1#1", "v2#0")
    assert t2v.group_ids[:4] == ("g0", "g1", "g1", "g0")
    assert set(v2t.group_ids) == {"g0", "g1"}
    # Chance is only simple with one caption each.
    assert v2t.chance == {}

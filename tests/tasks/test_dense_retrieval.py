from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import figclip.tasks.dense_events as dense_events
from figclip.datasets.records import LeftOut
from figclip.errors import MetricError
from figclip.records import Annotation, VideoRecord
from figclip.tasks.base import FrameTextEmbedder, ItemScores, Score, Task
from figclip.tasks.dense_retrieval import DenseRetrieval
from tests.dense_sets import TEMPLATE, BlindEmbedder, KnowingEmbedder, make_event, without_frames
from tests.small_runs import make_records

TASK = DenseRetrieval(template=TEMPLATE, frames_per_event=2)
# 12 events of 4 videos; v0 and v1 begin with the same caption.
RECORDS = make_records([3, 3, 3, 3])


def scores_of(
    embedder: FrameTextEmbedder, records: list[VideoRecord]
) -> tuple[tuple[ItemScores, ...], dict[str, Score]]:
    scores = TASK.score(embedder, TASK.load(without_frames(records)))
    return scores, TASK.summarise(scores)


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)


def test_a_model_that_knows_finds_everything_first() -> None:
    scores, summary = scores_of(KnowingEmbedder(), RECORDS)
    assert list(summary) == [
        *(f"events t2v {name}" for name in ("R@1", "R@5", "R@10", "mean rank", "median rank")),
        *(f"events v2t {name}" for name in ("R@1", "R@5", "R@10", "mean rank", "median rank")),
        *(f"videos t2v {name}" for name in ("R@1", "mean rank", "median rank")),
        *(f"videos v2t {name}" for name in ("R@1", "mean rank", "median rank")),
    ]
    assert all(score.official == 1.0 for score in summary.values())
    assert {name for name, score in summary.items() if score.unit == "rank"} == {
        name for name in summary if name.endswith("rank")
    }
    assert scores[0].item_ids[:4] == ("v0#0/0", "v0#0/1", "v0#0/2", "v1#0/0")
    assert scores[0].group_ids[:4] == ("g0", "g0", "g0", "g1")
    assert scores[2].item_ids == ("v0", "v1", "v2", "v3")


def test_a_model_that_turns_everything_round_comes_last() -> None:
    _, summary = scores_of(KnowingEmbedder(truth=-1.0), RECORDS)
    # 10 events have 11 wrong rivals, the 2 with one caption have 10 and come last among 11.
    assert summary["events t2v mean rank"].official == pytest.approx((10 * 12 + 2 * 11) / 12)
    assert summary["events t2v R@1"].official == summary["videos v2t R@1"].official == 0.0
    assert summary["videos t2v median rank"].official == 4.0


def test_a_model_that_ties_everything_comes_last_too() -> None:
    _, summary = scores_of(BlindEmbedder(), RECORDS)
    assert summary["events t2v R@10"].official == summary["videos t2v R@1"].official == 0.0
    assert summary["events v2t mean rank"].official == pytest.approx((10 * 12 + 2 * 11) / 12)
    assert summary["videos v2t median rank"].official == 4.0


def test_videos_with_equal_sets_of_captions_answer_each_other() -> None:
    events = RECORDS[0].annotations[0].events
    times = [(event.start_s, event.end_s) for event in events]
    turned = tuple(
        dataclasses.replace(event, start_s=start, end_s=end)
        for event, (start, end) in zip(reversed(events), times, strict=True)
    )
    twin = dataclasses.replace(RECORDS[0], id="twin", annotations=(Annotation(events=turned),))
    _, summary = scores_of(BlindEmbedder(), [RECORDS[0], twin])
    assert summary["videos t2v R@1"].official == summary["videos v2t R@1"].official == 1.0
    assert summary["events t2v R@1"].official == 0.0


def test_the_mean_of_normalised_frames_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a slow oracle on random embeddings, in chunks that do not fit."""
    rng = np.random.default_rng(0)
    frames = {}

    class RandomEmbedder(KnowingEmbedder):
        def embed_frames(self, videos, frames_asked):  # noqa: ANN001, ANN202
            rows = []
            for video, time_s in frames_asked:
                row = frames.setdefault(
                    (videos.records[video].id, time_s), rng.normal(size=256).astype(np.float32)
                )
                rows.append(row / np.linalg.norm(row))
            return np.stack(rows).astype(np.float32)

    monkeypatch.setattr(dense_events, "_FRAMES_AT_ONCE", 10)
    embedder = RandomEmbedder()
    data = TASK.load(without_frames(RECORDS))
    visual = dense_events.embed_events(embedder, data.items, frames_per_event=2)
    for i, event in enumerate(data.items.events):
        video_id = RECORDS[event.video_idx].id
        middle = [event.event.start_s + 0.5, event.event.start_s + 1.5]
        rows = [frames[video_id, time_s] for time_s in middle]
        mean = np.mean([row / np.linalg.norm(row) for row in rows], axis=0)
        np.testing.assert_allclose(visual.event_ND[i], mean / np.linalg.norm(mean), atol=1e-6)
    for video, record in enumerate(RECORDS):
        rows = [row for (video_id, _), row in frames.items() if video_id == record.id]
        assert len(rows) == 6
        mean = np.mean([row / np.linalg.norm(row) for row in rows], axis=0)
        np.testing.assert_allclose(visual.video_BD[video], mean / np.linalg.norm(mean), atol=1e-6)


def test_the_first_annotation_with_events_counts_and_the_rest_is_left_out() -> None:
    plain = Annotation(captions=("a ball rolls",))
    late = dataclasses.replace(RECORDS[2], annotations=(plain, *RECORDS[2].annotations))
    none = dataclasses.replace(RECORDS[3], annotations=(plain,))
    data = TASK.load(without_frames([RECORDS[0], none, late]))
    assert [event.key for event in data.items.events][2:4] == ["v0#0/2", "v2#1/0"]
    assert data.left_out == (LeftOut(item="v3", reason="the video has no annotated events"),)
    assert data.counts == {"videos": 2, "events": 6, "different captions": 6}
    _, summary = scores_of(KnowingEmbedder(), [RECORDS[0], none, late])
    assert summary["events t2v R@1"].official == 1.0


def test_without_events_there_are_no_scores() -> None:
    plain = dataclasses.replace(RECORDS[0], annotations=(Annotation(captions=("a",)),))
    scores, summary = scores_of(KnowingEmbedder(), [plain])
    assert (scores, summary) == ((), {})


def test_one_event_is_found_without_a_rival() -> None:
    event = make_event("push", "man", "box")
    record = dataclasses.replace(RECORDS[0], annotations=(Annotation(events=(event,)),))
    _, summary = scores_of(KnowingEmbedder(), [record])
    assert list(summary)[:3] == ["events t2v R@1", "events t2v mean rank", "events t2v median rank"]


def test_equal_captions_are_embedded_once() -> None:
    embedder = KnowingEmbedder()
    scores_of(embedder, RECORDS)
    assert (embedder.num_texts, embedder.num_frames) == (11, 24)


def test_a_model_of_nan_is_refused() -> None:
    class BrokenEmbedder(KnowingEmbedder):
        def embed_texts(self, texts):  # noqa: ANN001, ANN202
            return super().embed_texts(texts) * np.float32(np.nan)

    with pytest.raises(MetricError, match="not finite"):
        scores_of(BrokenEmbedder(), RECORDS)

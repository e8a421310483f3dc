"""Heads for dense captioning learn from features what is in them, and nothing else."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from figclip.config import (
    CaptioningConfig,
    CaptioningLoss,
    EventQueries,
    HeadTrainConfig,
    TransformerConfig,
)
from figclip.config.parsing import apply_overrides
from figclip.datasets.dense_captions import (
    CaptionedSpan,
    DenseCaptionPredictions,
    DenseCaptionReferences,
    ReferenceVideo,
)
from figclip.heads.captioning import parts, training
from figclip.heads.captioning.head import edges, generalised_iou, sentence_memory
from figclip.heads.captioning.predict import predict_captions
from figclip.heads.captioning.task import TASK
from figclip.heads.captioning.training import (
    CaptioningTrainee,
    build_caption_targets,
    build_caption_vocabulary,
    match_events,
    span_within,
)
from figclip.heads.captioning.videos import CaptionedVideo, VideoFeatures
from figclip.heads.run import ItemBatches
from figclip.heads.text_decoder import beam_search
from figclip.heads.vocabulary import END, UNKNOWN
from figclip.scoring.dense_captions import score_dense_captions
from figclip.training.batches import BatchItem, BatchPlan
from figclip.training.loop import LoopSettings, TrainingLoop
from figclip.training.run_folder import RunFolder

ACTIONS = ("runs", "jumps", "sleeps", "sings")
DIM = 16
CONFIG = CaptioningConfig(
    recipe="test",
    head=TransformerConfig(
        width=32, heads=4, encoder_layers=1, decoder_layers=1, dropout=0.0, max_words=8,
        min_word_count=1, beam=2,
    ),
    queries=EventQueries(num=5),
    train=HeadTrainConfig(epochs=120, videos_per_batch=8, lr=5e-3, val_fraction=0.0),
)  # fmt: skip


def make_video(idx: int, rng: random.Random) -> CaptionedVideo:
    """Two or three events of 2 to 4 s with gaps of 1 s, in a video of 14 s."""
    start_s, events = 1.0, []
    for _ in range(rng.randint(2, 3)):
        end_s = start_s + rng.choice([2.0, 3.0, 4.0])
        sentence = f"A dog {rng.choice(ACTIONS)}."
        events.append(CaptionedSpan(start_s=start_s, end_s=min(end_s, 14.0), sentence=sentence))
        start_s = end_s + 1.0
    annotation = ReferenceVideo(id=f"v{idx}", duration_s=14.0, events=tuple(events))
    return CaptionedVideo(id=f"v{idx}", annotations=(annotation,), clip_idx=idx)


def telling_features(videos: list[CaptionedVideo]) -> VideoFeatures:
    """Three frames a second that show what happens, or nothing."""
    times_s = tuple((i + 0.5) / 3 for i in range(42))
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0]

    def shown(video: CaptionedVideo, time_s: float) -> np.ndarray:
        for event in video.annotations[0].events:
            if event.start_s <= time_s < event.end_s:
                return basis[ACTIONS.index(event.sentence.strip(".").split()[-1])]
        return basis[-1]

    rows = [np.array([shown(video, t) for t in times_s]) for video in videos]
    return VideoFeatures(
        tuple(torch.tensor(row, dtype=torch.float32) for row in rows), (times_s,) * len(videos)
    )


def trainee_of(
    videos: list[CaptionedVideo], features: VideoFeatures, config: CaptioningConfig = CONFIG
) -> CaptioningTrainee:
    vocabulary = build_caption_vocabulary(videos, min_word_count=1)
    return CaptioningTrainee(
        TASK.fresh_head(config, vocabulary, feature_dim=DIM),
        features,
        videos,
        vocabulary=vocabulary,
        config=config,
    )


def train(
    videos: list[CaptionedVideo],
    features: VideoFeatures,
    run: Path,
    *,
    epochs: int = CONFIG.train.epochs,
) -> CaptioningTrainee:
    """A head trained to the end."""
    trainee = trainee_of(videos, features)
    plan = BatchPlan(videos, videos_per_batch=CONFIG.train.videos_per_batch, seed=0)
    steps = plan.steps_per_epoch * epochs
    loop_settings = LoopSettings(
        num_steps=steps, warmup_steps=10, schedule="cosine", clip_norm=1.0, precision="fp32",
        validate_every=steps, checkpoint_every=steps, keep_checkpoints=1, seed=0,
    )  # fmt: skip
    accelerator = Accelerator(cpu=True)
    loop = TrainingLoop(trainee, loop_settings, run=RunFolder(run), accelerator=accelerator)
    loop.run(ItemBatches(plan, steps), resume=False)
    return trainee


def scores_of(
    trainee: CaptioningTrainee, features: VideoFeatures, videos: list[CaptionedVideo]
) -> dict[str, float]:
    """What its predictions score, and `recall@0.9`."""
    vocabulary = build_caption_vocabulary(videos, min_word_count=1)
    found = predict_captions(trainee.head, features, range(len(videos)), vocabulary=vocabulary)
    events = {video.id: one for video, one in zip(videos, found, strict=True)}
    scored = score_dense_captions(
        DenseCaptionPredictions(name="p", events_by_video=events),
        [DenseCaptionReferences(name="r", videos=tuple(v.annotations[0] for v in videos))],
        name="activitynet",
        source="r",
        split=None,
    )
    details = {name: score.value for name, score in scored.scores.items()}
    strict = [
        any(overlap(event, one) >= 0.9 for one in events[video.id])
        for video in videos
        for event in video.annotations[0].events
    ]
    return {**details, "recall@0.9": float(np.mean(strict))}


def overlap(first: CaptionedSpan, second: CaptionedSpan) -> float:
    shared = min(first.end_s, second.end_s) - max(first.start_s, second.start_s)
    return shared / (max(first.end_s, second.end_s) - min(first.start_s, second.start_s))


@pytest.fixture(scope="module")
def eight() -> list[CaptionedVideo]:
    rng = random.Random(0)
    return [make_video(i, rng) for i in range(8)]


@pytest.fixture(scope="module")
def trained(
    eight: list[CaptionedVideo], tmp_path_factory: pytest.TempPathFactory
) -> CaptioningTrainee:
    return train(eight, telling_features(eight), tmp_path_factory.mktemp("run"))


def test_a_head_says_of_its_training_videos_what_is_annotated(
    eight: list[CaptionedVideo], trained: CaptioningTrainee
):
    scores = scores_of(trained, telling_features(eight), eight)
    assert scores["recall@0.9"] == 1.0
    # The sentences are right, word by word: SODA falls short by the overlap of the spans only.
    assert scores["soda_meteor_exact"] > 0.9
    assert scores["precision"] > 0.95, "as many events as there are"


@pytest.mark.slow
def test_without_telling_features_it_knows_no_more_than_fixed_spans(tmp_path: Path):
    rng = random.Random(1)
    videos = [make_video(i, rng) for i in range(80)]
    told = telling_features(videos)
    found: dict[str, float] = {}
    for name, features in {"told": told, "shuffled": told.subset([*range(1, 80), 0])}.items():
        trainee = train(videos[:60], features.subset(range(60)), tmp_path / name, epochs=25)
        found[name] = scores_of(trainee, features.subset(range(60, 80)), videos[60:])["F1"]
    fixed = best_fixed_f1([video.annotations[0].events for video in videos[60:]])
    assert found["shuffled"] <= fixed + 0.05
    assert found["told"] > fixed + 0.2, "with telling features the same training finds the events"


def best_fixed_f1(annotated: list[tuple[CaptionedSpan, ...]]) -> float:
    """F1 of the best one to three spans of a grid that are the same for all videos."""
    grid = [(float(a), float(a + n)) for a in range(13) for n in (2, 3, 4) if a + n <= 14]
    spans = [CaptionedSpan(start_s=a, end_s=b, sentence="") for a, b in grid]
    events = [event for one in annotated for event in one]
    iou_CE = np.array([[overlap(span, event) for event in events] for span in spans])
    first_B = np.cumsum([0, *(len(one) for one in annotated[:-1])])
    met = [iou_CE >= tiou for tiou in (0.3, 0.5, 0.7, 0.9)]
    any_of_video = [np.logical_or.reduceat(one, first_B, axis=1) for one in met]

    def f1(chosen: tuple[int, ...]) -> float:
        rows = list(chosen)
        recall = np.mean([
            np.mean([part.mean() for part in np.split(one[rows].any(0), first_B[1:])])
            for one in met
        ])  # fmt: skip
        precision = np.mean([one[rows].mean() for one in any_of_video])
        return float(2 * recall * precision / (recall + precision)) if recall else 0.0

    # A set of three is not better than its best pair by much: three are made of the best pairs.
    pairs = sorted(itertools.combinations(range(len(grid)), 2), key=f1, reverse=True)
    triples = [(*pair, c) for pair in pairs[:20] for c in range(len(grid)) if c not in pair]
    return max(map(f1, [*((c,) for c in range(len(grid))), *pairs[:1], *triples]))


def test_a_checkpoint_is_chosen_by_spans_and_words(
    eight: list[CaptionedVideo], trained: CaptioningTrainee
):
    judged = trained.validate(range(8))
    assert judged["score"] == (judged["spans"] + judged["words"]) / 2
    assert judged["words"] == 1.0 and judged["spans"] > 0.95
    fresh = trainee_of(eight, telling_features(eight)).validate(range(8))
    assert fresh["spans"] < 0.8 and fresh["words"] < 0.5


def test_videos_of_other_lengths_beside_it_change_nothing(
    eight: list[CaptionedVideo], trained: CaptioningTrainee
):
    features = telling_features(eight)
    long = VideoFeatures(
        (*features.rows, features.rows[0].repeat(5, 1)),
        (*features.times_s, tuple((i + 0.5) / 3 for i in range(210))),
    )
    vocabulary = build_caption_vocabulary(eight, min_word_count=1)
    alone = predict_captions(trained.head, features, [3], vocabulary=vocabulary)[0]
    beside = predict_captions(trained.head, long, [8, 3], vocabulary=vocabulary)[1]
    assert [e.sentence for e in alone] == [e.sentence for e in beside]
    for one, other in zip(alone, beside, strict=True):
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=2e-3)


def test_found_events_are_in_order_within_the_video_and_the_surest(
    eight: list[CaptionedVideo], trained: CaptioningTrainee
):
    vocabulary = build_caption_vocabulary(eight, min_word_count=1)
    for events in predict_captions(
        trained.head, telling_features(eight), range(8), vocabulary=vocabulary
    ):
        starts = [event.start_s for event in events]
        assert starts == sorted(starts)
        assert all(0 <= e.start_s < e.end_s <= 14.0 for e in events)
        assert all(e.score is not None and e.score > 0.5 for e in events)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(4, 6))
def test_matching_is_the_cheapest_of_all_assignments(seed: int, num_events: int, num_queries: int):
    generator = torch.Generator().manual_seed(seed)
    spans = torch.rand(num_queries, 2, generator=generator)
    confidence = torch.randn(num_queries, generator=generator)
    targets = edges(torch.rand(num_events, 2, generator=generator) + 0.01)
    loss = CaptioningLoss(confidence=1.5, spans=2.5)

    def cost(queries: tuple[int, ...]) -> float:
        return sum(
            float(
                -2.5 * generalised_iou(edges(spans[q]), targets[e]) - 1.5 * confidence[q].sigmoid()
            )
            for e, q in enumerate(queries)
        )

    query_G, event_G = match_events(spans, confidence, targets, loss=loss)
    chosen = tuple(int(query_G[event_G == e]) for e in range(num_events))
    best = min(map(cost, itertools.permutations(range(num_queries), num_events)))
    assert cost(chosen) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (1.0, 3.0, (0.1, 0.3)),
        (-1.0, 5.0, (0.0, 0.5)),
        (9.0, 12.0, (0.9, 1.0)),
        (3.0, 3.0, None),
        (5.0, 2.0, None),
        (11.0, 12.0, None),
    ],
)
def test_spans_are_cut_at_the_ends_and_empty_ones_are_not_learnt(
    start_s: float, end_s: float, expected: tuple[float, float] | None
):
    event = CaptionedSpan(start_s=start_s, end_s=end_s, sentence="")
    found = span_within(event, 10.0)
    assert found == (None if expected is None else pytest.approx(expected))


def test_targets_by_hand(eight: list[CaptionedVideo]):
    vocabulary = build_caption_vocabulary(eight, min_word_count=1)
    events = (
        CaptionedSpan(start_s=2.0, end_s=1.0, sentence="never learnt"),
        CaptionedSpan(start_s=0.0, end_s=5.0, sentence="A dog runs, quickly."),
        CaptionedSpan(start_s=5.0, end_s=10.0, sentence=""),
        CaptionedSpan(start_s=6.0, end_s=8.0, sentence="one too many"),
    )
    annotation = ReferenceVideo(id="v", duration_s=11.0, events=events)
    targets = build_caption_targets(
        annotation, vocabulary, duration_s=10.0, max_tokens=4, max_events=2
    )
    assert targets.edge_G2.tolist() == [[0.0, 0.5], [0.5, 1.0]]
    a_dog_runs = vocabulary.word_ids("a dog runs")
    assert UNKNOWN not in a_dog_runs
    assert targets.sentences == ((*a_dog_runs, UNKNOWN), (END,))


def gradients(trainee: CaptioningTrainee, items: tuple[BatchItem, ...]) -> dict[str, Tensor]:
    """The losses, and the gradients they left."""
    trainee.head.zero_grad(set_to_none=True)
    losses = trainee.accumulate_gradients(items, loss_scale=1.0)
    named = {
        name: weights.grad
        for name, weights in trainee.head.named_parameters()
        if weights.grad is not None
    }
    return {**losses, **named}


@pytest.mark.parametrize("frames_at_once", [150, 50, 10])
def test_a_batch_of_long_videos_goes_in_parts_to_the_same_gradients(
    eight: list[CaptionedVideo], monkeypatch: pytest.MonkeyPatch, frames_at_once: int
):
    """Several videos at a time, one by one, and sentence by sentence."""
    lengths = (10, 42, 25, 42, 3, 42, 42, 30)
    whole = telling_features(eight)
    features = VideoFeatures(
        tuple(row[:length] for row, length in zip(whole.rows, lengths, strict=True)),
        tuple(tuple((i + 0.5) * 14 / n for i in range(n)) for n in lengths),
    )
    trainee = trainee_of(eight, features)
    items = tuple(BatchItem(i, 0) for i in (3, 0, 7, 1, 2))
    expected = gradients(trainee, items)
    monkeypatch.setattr(parts, "FRAMES_AT_ONCE", frames_at_once)
    monkeypatch.setattr(training, "FRAMES_AT_ONCE", frames_at_once)
    found = gradients(trainee, items)
    assert found.keys() == expected.keys()
    for name, one in found.items():
        torch.testing.assert_close(one, expected[name], atol=1e-6, rtol=1e-4, msg=name)
    judged = trainee.validate(range(8))
    monkeypatch.undo()
    assert judged == pytest.approx(trainee.validate(range(8)))


def test_sentences_are_taught_at_every_layer_where_that_is_asked_for(eight: list[CaptionedVideo]):
    """Of two layers the loss is the mean of that of the first, as if it were alone, and the last's.

    All these heads have the same weights.
    """
    features, item = telling_features(eight), (BatchItem(0, 0),)

    def loss(layers: str, *, num_layers: int) -> Tensor:
        config = apply_overrides(CONFIG, [f"sentences.layers={layers}"])
        trainee = trainee_of(eight, features, config)
        trainee.head.queries.layers = trainee.head.queries.layers[:num_layers]
        return gradients(trainee, item)["loss/captions"]

    first, last = loss("last", num_layers=1), loss("last", num_layers=2)
    assert not torch.isclose(first, last)
    torch.testing.assert_close(loss("all", num_layers=2), (first + last) / 2)


def test_events_whose_sentences_are_surest_are_chosen_where_that_is_asked_for(
    eight: list[CaptionedVideo],
):
    features = telling_features(eight)
    trainee = trainee_of(eight, features)
    head, vocabulary = trainee.head, build_caption_vocabulary(eight, min_word_count=1)
    everything = predict_captions(head, features, [0], vocabulary=vocabulary)[0]
    head.rerank = 100.0
    with torch.no_grad():
        head.count.weight.zero_()
        head.count.bias.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0]))  # two events
        frames = head.encode(features.padded([0], head.device))
        found, _ = head.find(frames)
    memory = sentence_memory(
        frames,
        found.query_LBQD[-1],
        video_N=torch.zeros(5, dtype=torch.long),
        query_N=torch.arange(5),
        edge_N2=edges(found.span_LBQ2[-1, 0]).clamp(0, 1),
    )
    means = [one.mean_log_probability for one in beam_search(head.decoder, memory, beam=head.beam)]
    chosen = predict_captions(head, features, [0], vocabulary=vocabulary)[0]
    surest = sorted(range(5), key=means.__getitem__)[-2:]
    sure_Q = found.confidence_LBQ[-1, 0].sigmoid()
    assert {one.score for one in chosen} == {sure_Q[query].item() for query in surest}
    assert everything != chosen


def test_a_video_whose_events_cannot_be_learnt_still_counts(eight: list[CaptionedVideo]):
    reversed_event = CaptionedSpan(start_s=5.0, end_s=1.0, sentence="A dog runs.")
    annotation = ReferenceVideo(id="odd", duration_s=14.0, events=(reversed_event,))
    odd = CaptionedVideo(id="odd", annotations=(annotation,), clip_idx=0)
    features = telling_features(eight)
    trainee = trainee_of([odd], features.subset([0]))
    plan = BatchPlan([odd], videos_per_batch=1, seed=0)
    losses = trainee.accumulate_gradients(plan.batch(1), loss_scale=1.0)
    assert losses["loss/spans"] == 0.0 and losses["loss/captions"] == 0.0
    assert losses["loss/confidence"] > 0.0
    gradients = [p.grad for p in trainee.head.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)

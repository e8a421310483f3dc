"""Heads learn from features what is in them, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from figclip.annotations.roles import told_roles
from figclip.config import HeadTrainConfig, SituationConfig, SituationLoss, TransformerConfig
from figclip.heads.features import EventFeatures, list_annotations
from figclip.heads.frozen_models import contextualise
from figclip.heads.run import ItemBatches
from figclip.heads.situations.head import (
    SituationPredictions,
    SituationVocabulary,
    build_situation_vocabulary,
    predict_situations,
)
from figclip.heads.situations.task import TASK
from figclip.heads.situations.training import SituationTrainee, build_targets
from figclip.model.contextualizer import VideoContextualizer
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.training.batches import BatchItem, BatchPlan
from figclip.training.loop import LoopSettings, TrainingLoop
from figclip.training.run_folder import RunFolder
from tests.dense_sets import without_frames

VERBS = ("push", "chase", "greet", "lift")
KINDS = ("cat", "dog", "fox", "owl")
DIM = 32
CONFIG = SituationConfig(
    recipe="test",
    head=TransformerConfig(
        width=32, heads=2, encoder_layers=1, decoder_layers=1, dropout=0.0, max_words=12,
        min_word_count=1,
    ),
    train=HeadTrainConfig(epochs=60, videos_per_batch=8, lr=5e-3, val_fraction=0.0),
)  # fmt: skip


def make_video(name: str, rng: random.Random, *, num_events: int = 3) -> VideoRecord:
    events = tuple(
        Event(
            start_s=2.0 * p,
            end_s=2.0 * p + 2,
            verb=verb,
            sense=f"{verb}.01",
            roles=(
                Role(name="agent", text=f"a {rng.choice(KINDS)}", slot="Arg0"),
                Role(name="patient", text=f"the {rng.choice(KINDS)}", slot="Arg1"),
            ),
            relation="" if p == num_events // 2 else rng.choice(("Causes", "NoRel")),
        )
        for p, verb in enumerate(rng.choices(VERBS, k=num_events))
    )
    return VideoRecord(
        id=name, video=name, split="train", group=name, annotations=(Annotation(events=events),)
    )


def telling_features(records: list[VideoRecord]) -> EventFeatures:
    """Every word of an event has a direction of its own, and its features are their sum."""
    words = (*VERBS, *(f"a {k}" for k in KINDS), *(f"the {k}" for k in KINDS), "Causes", "NoRel")
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0][: len(words)]
    rows = {}
    for idx, record in enumerate(records):
        told = [
            [e.verb, *(role.text for role in e.roles), e.relation]
            for e in record.annotations[0].events
        ]
        sums = [sum(basis[words.index(w)] for w in one if w) for one in told]
        frames = torch.tensor(np.array(sums), dtype=torch.float32)[:, None].expand(-1, 2, -1)
        rows[BatchItem(idx, 0)] = torch.nn.functional.normalize(frames, dim=-1).contiguous()
    return EventFeatures(rows, DIM)


def shuffled(features: EventFeatures) -> EventFeatures:
    """Each video with the features of another."""
    items = list(features.rows)
    return EventFeatures(
        {a: features.rows[b] for a, b in zip(items, items[1:] + items[:1], strict=True)}, DIM
    )


def train(records, features, run, *, config=CONFIG) -> tuple[SituationTrainee, SituationVocabulary]:
    """A head trained to the end."""
    vocabulary = build_situation_vocabulary(records, min_word_count=1)
    trainee = SituationTrainee(
        TASK.fresh_head(config, vocabulary, feature_dim=DIM),
        features,
        records,
        vocabulary=vocabulary,
        config=config,
    )
    plan = BatchPlan(records, videos_per_batch=config.train.videos_per_batch, seed=0)
    steps = plan.steps_per_epoch * config.train.epochs
    settings = LoopSettings(
        num_steps=steps, warmup_steps=5, schedule="cosine", clip_norm=1.0, precision="fp32",
        validate_every=steps, checkpoint_every=steps, keep_checkpoints=1, seed=0,
    )  # fmt: skip
    loop = TrainingLoop(trainee, settings, run=RunFolder(run), accelerator=Accelerator(cpu=True))
    loop.run(ItemBatches(plan, steps), resume=False)
    return trainee, vocabulary


def right_verbs(predictions: SituationPredictions, records: list[VideoRecord]) -> float:
    pairs = [
        (names[0], event.sense)
        for one in predictions.verbs
        for names, event in zip(
            one.verb_ids, records[one.video_idx].annotations[0].events, strict=True
        )
    ]
    return float(np.mean([found == true for found, true in pairs]))


def test_a_head_says_of_its_training_videos_what_is_annotated(tmp_path):
    rng = random.Random(0)
    records = [make_video(f"v{i}", rng, num_events=2 + i % 2) for i in range(8)]
    features = telling_features(records)
    trainee, vocabulary = train(records, features, tmp_path)
    found = predict_situations(trainee.head, features, records, vocabulary=vocabulary)
    assert right_verbs(found, records) == 1.0
    for roles in (found.roles, found.roles_of_predicted_verbs):
        for one in roles:
            events = records[one.video_idx].annotations[0].events
            assert [e.texts for e in one.events] == [told_roles(e) for e in events]
            assert [e.verb_id for e in one.events] == [e.sense for e in events]
    for one in found.relations:
        events = records[one.video_idx].annotations[0].events
        assert [labels[0] for labels in one.labels] == [e.relation for e in events if e.relation]
    assert trainee.validate(list(features.rows))["score"] == 1.0


@pytest.mark.parametrize("known", ["all", "some", "none"])
def test_even_a_fresh_head_writes_the_roles_of_known_verbs_each_once_in_order(known: str):
    rng = random.Random(0)
    records = [make_video(f"v{i}", rng) for i in range(6)]
    vocabulary = build_situation_vocabulary(records, min_word_count=1)
    assert set(vocabulary.frames) == {("Arg0", "Arg1")}
    backwards = tuple(frame[::-1] for frame in vocabulary.frames)
    num_known = {"all": 4, "some": 2, "none": 0}[known]
    told = replace(vocabulary, frames=backwards[:num_known])
    head = TASK.fresh_head(CONFIG, vocabulary, feature_dim=DIM)
    features = telling_features(records)
    found = predict_situations(head, features, records, vocabulary=told)
    free = predict_situations(head, features, records, vocabulary=replace(vocabulary, frames=()))
    for one, other in zip(found.roles, free.roles, strict=True):
        for event, freely in zip(one.events, other.events, strict=True):
            if event.verb_id in told.frame_of:
                # What does not fit into 12 words is cut, from the end.
                assert list(event.texts) == ["Arg1", "Arg0"][: len(event.texts)] != []
            else:
                assert event == freely


@pytest.mark.slow
def test_features_of_other_videos_teach_nothing_of_held_out_ones(tmp_path):
    rng = random.Random(1)
    records = [make_video(f"v{i}", rng) for i in range(120)]
    features = telling_features(records)
    first, held_out = records[:80], records[80:]
    unseen = EventFeatures(
        {BatchItem(i, 0): features.rows[BatchItem(80 + i, 0)] for i in range(40)}, DIM
    )
    seen = EventFeatures({BatchItem(i, 0): features.rows[BatchItem(i, 0)] for i in range(80)}, DIM)
    accuracy = {}
    for name, given in {"own": seen, "other": shuffled(seen)}.items():
        trainee, vocabulary = train(first, given, tmp_path / name)
        found = predict_situations(trainee.head, unseen, held_out, vocabulary=vocabulary)
        accuracy[name] = right_verbs(found, held_out)
    senses = [e.sense for r in held_out for e in r.annotations[0].events]
    majority = max(senses.count(sense) for sense in set(senses)) / len(senses)
    spread = 3 * (majority * (1 - majority) / len(senses)) ** 0.5
    assert accuracy["own"] > 0.9
    assert accuracy["other"] < majority + spread


def test_targets_by_hand():
    event = Event(
        start_s=0, end_s=2, verb="push", roles=(Role(name="agent", text="a cat", slot="Arg0"),),
        relation="Causes",
    )  # fmt: skip
    other = Event(start_s=2, end_s=4, verb="sing", sense="sing.01", scene="park")
    record = VideoRecord(
        id="v", video="v", split="train", group="v",
        annotations=(Annotation(events=(event, other)),),
    )  # fmt: skip
    vocabulary = build_situation_vocabulary([record], min_word_count=1)
    assert vocabulary.verbs == ("push", "sing.01")
    assert vocabulary.relations == ("Causes",)
    targets = build_targets(record.annotations[0], vocabulary, max_tokens=2)
    assert targets.verb_P == (0, 1)
    assert targets.relation_P[0] == 0 and targets.relation_P[1] < 0
    assert [len(tokens) for tokens in targets.roles] == [2, 2]
    unseen = Annotation(events=(Event(start_s=0, end_s=2, verb="fly"),))
    assert build_targets(unseen, vocabulary, max_tokens=9).verb_P == (2,)


def test_weights_leave_parts_out(tmp_path):
    rng = random.Random(2)
    records = [make_video(f"v{i}", rng) for i in range(4)]
    features = telling_features(records)
    vocabulary = build_situation_vocabulary(records, min_word_count=1)
    for loss, named in (
        (SituationLoss(roles=0, relations=0), {"loss", "loss/verbs"}),
        (SituationLoss(verbs=0), {"loss", "loss/roles", "loss/relations"}),
    ):
        trainee = SituationTrainee(
            TASK.fresh_head(CONFIG, vocabulary, feature_dim=DIM),
            features,
            records,
            vocabulary=vocabulary,
            config=replace(CONFIG, loss=loss),
        )
        batch = next(iter(_batches(records)))
        found = trainee.accumulate_gradients(batch, loss_scale=1.0)
        losses = {name: loss.item() for name, loss in found.items()}
        assert set(losses) == named
        assert losses["loss"] == pytest.approx(sum(v for k, v in losses.items() if k != "loss"))
        judged = trainee.validate(list(features.rows))
        parts = {name.removeprefix("loss/") for name in named - {"loss"}}
        assert set(judged) == {*parts, "score"}, "the checkpoint is chosen by what is trained"
        assert judged["score"] == pytest.approx(np.mean([judged[part] for part in parts]))


def _batches(records):
    plan = BatchPlan(records, videos_per_batch=4, seed=0)
    with ItemBatches(plan, 3).iterate(0) as stream:
        yield from stream


def test_batches_go_on_where_they_stopped():
    records = [make_video(f"v{i}", random.Random(3)) for i in range(10)]
    batches = ItemBatches(BatchPlan(records, videos_per_batch=4, seed=5), 9)
    with batches.iterate(0) as stream:
        whole = list(stream)
    with batches.iterate(4) as stream:
        assert list(stream) == whole[4:]
    assert len(whole) == 9


def test_contextualised_events_are_the_contextualizers_own_outputs():
    rng = random.Random(4)
    records = [make_video(f"v{i}", rng, num_events=1 + i % 3) for i in range(5)]
    features = telling_features(records)
    torch.manual_seed(0)
    contextualizer = VideoContextualizer(DIM, num_layers=1, head_dim=16).eval()
    found = contextualise(features, contextualizer)
    assert found.dim == DIM
    for item in list_annotations(without_frames(records)):
        frames = features.rows[item][None]
        alone = contextualizer(frames, frame_mask_BPT=torch.ones(frames.shape[:3]).bool())
        torch.testing.assert_close(
            found.rows[item][:, 0], alone.event_BPD[0].detach(), atol=1e-6, rtol=0
        )

"""Gradients of the trainee: micro-batches against one shot, and against plain formulas."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from figclip.annotations.texts import MASKED, EventTexts
from figclip.config import (
    Adaptation,
    KeepConfig,
    LossConfig,
    ModelConfig,
    RunConfig,
    TextConfig,
    TrainConfig,
)
from figclip.model.backbone import Backbone, load_backbone
from figclip.training.clip_trainee import ClipTrainee, held_frames, held_texts
from figclip.training.gradient_cache import Held
from tests.small_runs import (
    KEPT_TEXTS,
    SmallRun,
    assert_close,
    gradients,
    make_run,
    step_losses,
    with_micro_batch,
    write_tiny_clip,
)

CONFIG = RunConfig(
    recipe="test",
    text=TextConfig(verb_negatives=2),
    model=ModelConfig(
        lora_rank=4, lora_alpha=8, contextualizer_layers=2, contextualizer_head_dim=16
    ),
    train=TrainConfig(micro_batch=1000),
)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_text", "lora_both", "full"])
@pytest.mark.parametrize("micro_batch", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_micro_batches_give_the_one_shot_gradient(clip_folder: Path, adaptation, micro_batch):
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, adaptation=adaptation),
        loss=LossConfig(learn_logit_scale=True, concept=0.5),
        keep=KeepConfig(weight=0.5),
    )
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        one_shot, loss = gradients(make_run(clip_folder, config, dtype=dtype))
        small = make_run(clip_folder, with_micro_batch(config, micro_batch), dtype=dtype)
        found, small_loss = gradients(small)
        assert small_loss == pytest.approx(loss, rel=tolerance)
        assert_close(found, one_shot, tolerance=tolerance)


def test_loss_scale_scales_gradients_but_not_losses(clip_folder: Path):
    plain, loss = gradients(make_run(clip_folder, CONFIG, dtype=torch.float64))
    scaled, same_loss = gradients(
        make_run(clip_folder, CONFIG, dtype=torch.float64), loss_scale=1024.0
    )
    assert same_loss == loss
    assert_close(scaled, {n: g * 1024 for n, g in plain.items()}, tolerance=1e-12)


def oracle_loss(run: SmallRun, config: RunConfig) -> Tensor:
    """The losses of docs/method.md, event by event and video by video, in plain loops."""
    trainee, batch = run.trainee, run.batch
    backbone, context = trainee.backbone, trainee.contextualizer
    scale = backbone.clip.logit_scale.exp()
    table = normalize(backbone.encode_tokens(backbone.tokenize(run.texts.texts)), dim=-1)
    rows = [run.texts.event_texts(i.video_idx, i.annotation_idx) for i in batch.items]
    T = config.data.frames_per_event
    x = normalize(backbone.encode_frames(batch.frames_NHWC), dim=-1)
    events, contexts, owners, captions, negatives, hashes = [], [], [], [], [], []
    videos, video_contexts, video_texts = [], [], []
    cursor = 0
    for b, row in enumerate(rows):
        P = len(row.caption_P)
        frames = x[cursor : cursor + P * T].view(P, T, -1)
        cursor += P * T
        videos.append(normalize(frames.mean(dim=(0, 1)), dim=0))
        out = context(frames[None], frame_mask_BPT=torch.ones(1, P, T, dtype=torch.bool))
        video_contexts.append(out.video_BD[0])
        video_texts.append(normalize(sum(table[r] for r in row.caption_P) / P, dim=0))
        for p in range(P):
            events.append(normalize(frames[p].mean(dim=0), dim=0))
            contexts.append(out.event_BPD[0, p])
            owners.append(b)
            captions.append(table[row.caption_P[p]])
            negatives.append([table[r] for r in row.negative_PK[p] if r >= 0])
            hashes.append(run.texts.texts[row.caption_P[p]].lower())
    N = len(events)

    def event_loss(visual: list[Tensor]) -> Tensor:
        total = torch.zeros((), dtype=x.dtype)
        for i in range(N):
            keep = [
                j
                for j in range(N)
                if j == i
                or (
                    (hashes[i] != hashes[j] or not config.text.mask_equal_texts)
                    and (config.text.video_negatives or owners[i] != owners[j])
                )
            ]
            hard = [torch.exp(scale * visual[i] @ n) for n in negatives[i]]
            to_text = sum([torch.exp(scale * visual[i] @ captions[j]) for j in keep] + hard)
            to_video = sum(torch.exp(scale * visual[j] @ captions[i]) for j in keep)
            own = scale * visual[i] @ captions[i]
            total = total + (torch.log(to_text) - own + torch.log(to_video) - own) / 2
        return total / N

    def video_loss(visual: list[Tensor]) -> Tensor:
        total = torch.zeros((), dtype=x.dtype)
        told = [
            sorted(h for h, owner in zip(hashes, owners, strict=True) if owner == b)
            for b in range(len(visual))
        ]
        for i in range(len(visual)):
            keep = [
                j
                for j in range(len(visual))
                if j == i or told[i] != told[j] or not config.text.mask_equal_texts
            ]
            to_text = sum(torch.exp(scale * visual[i] @ video_texts[j]) for j in keep)
            to_video = sum(torch.exp(scale * visual[j] @ video_texts[i]) for j in keep)
            own = scale * visual[i] @ video_texts[i]
            total = total + (torch.log(to_text) - own + torch.log(to_video) - own) / 2
        return total / len(visual)

    weights = config.loss
    return (
        weights.event * event_loss(events)
        + weights.event_context * event_loss(contexts)
        + weights.video * video_loss(videos)
        + weights.video_context * video_loss(video_contexts)
        + (weights.concept and weights.concept * concept_oracle(run, rows, events, table, scale))
        + config.keep.weight * keep_oracle(run, trains_texts=config.model.trains_text_tower)
    )


def concept_oracle(
    run: SmallRun, rows: list[EventTexts], events: list[Tensor], table: Tensor, scale: Tensor
) -> Tensor:
    """Each event's phrases against those of others, and each phrase's events, one by one."""
    embedded: dict[str, Tensor] = {}
    said: list[set[str]] = []  # phrases of each event, as the hash of texts sees them
    for row in rows:
        for own in row.concept_PC:
            texts = [run.texts.texts[r] for r in own if r >= 0]
            said.append({text.casefold() for text in texts})
            embedded |= {t.casefold(): table[r] for t, r in zip(texts, own, strict=False)}
    total = torch.zeros((), dtype=table.dtype)

    def cross_entropy(own: Tensor, others: list[Tensor]) -> Tensor:
        return torch.log(torch.exp(own) + sum(torch.exp(one) for one in others)) - own

    for event, phrases in zip(events, said, strict=True):
        false = [scale * event @ embedded[other] for other in embedded if other not in phrases]
        each = [cross_entropy(scale * event @ embedded[one], false) for one in phrases]
        total = total + sum(each) / len(each) / len(events) / 2
    for phrase, text in embedded.items():
        false = [scale * e @ text for e, of in zip(events, said, strict=True) if phrase not in of]
        true = [scale * e @ text for e, of in zip(events, said, strict=True) if phrase in of]
        each = [cross_entropy(one, false) for one in true]
        total = total + sum(each) / len(each) / len(embedded) / 2
    return total


def keep_oracle(run: SmallRun, *, trains_texts: bool) -> Tensor:
    """Mean over pictures of what the adapted distribution over texts lacks of the base's."""
    trainee, pictures, softened = run.trainee, run.batch.pictures, CONFIG.keep.temperature
    backbone = trainee.backbone
    if pictures is None:
        return torch.zeros((), dtype=torch.float64)
    teacher = trainee.teacher
    assert teacher is not None
    scale = backbone.clip.logit_scale.detach().exp()
    texts = teacher.text_MD
    if trains_texts:
        texts = normalize(backbone.encode_tokens(backbone.tokenize(KEPT_TEXTS)), dim=-1)
    total = torch.zeros((), dtype=torch.float64)
    for number, idx in enumerate(pictures.picture_idxs):
        frame = pictures.frames_NHWC[number : number + 1]
        picture = normalize(backbone.encode_frames(frame)[0], dim=0)
        base = torch.softmax(scale / softened * (teacher.text_MD @ teacher.picture_ND[idx]), dim=0)
        adapted = torch.softmax(scale / softened * (texts @ picture), dim=0)
        for p, q in zip(base.unbind(), adapted.unbind(), strict=True):
            total = total + p * (torch.log(p) - torch.log(q))
    return softened**2 * total / len(pictures.picture_idxs)


@pytest.mark.parametrize("events_per_video", [(3, 1, 2, 3), (1, 1, 2)])
@pytest.mark.parametrize("mask_equal_texts", [True, False])
@pytest.mark.parametrize("video_negatives", [True, False])
def test_loss_and_gradients_equal_the_formulas(
    clip_folder: Path,
    events_per_video: tuple[int, ...],
    mask_equal_texts: bool,
    video_negatives: bool,
):
    """The first events of the first two videos have equal captions: of (1, 1, 2) whole videos."""
    text = dataclasses.replace(
        CONFIG.text, video_negatives=video_negatives, mask_equal_texts=mask_equal_texts
    )
    # With pictures to keep in half of the cases.
    keep = KeepConfig(weight=0.7 if mask_equal_texts else 0.0)
    # And with phrases in the other half.
    loss = LossConfig(concept=0.0 if mask_equal_texts else 0.6)
    config = dataclasses.replace(CONFIG, text=text, keep=keep, loss=loss)
    options = {"events_per_video": events_per_video, "dtype": torch.float64}
    found, loss = gradients(make_run(clip_folder, config, **options))
    run = make_run(clip_folder, config, **options)
    expected = oracle_loss(run, config)
    expected.backward()
    named = {n: p for g in run.trainee.parameter_groups() for n, p in g.parameters.items()}
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert_close(found, {n: p.grad for n, p in named.items() if p.grad is not None}, tolerance=1e-9)


@pytest.mark.parametrize("adaptation", ["lora_both", "lora_text"])
def test_texts_of_a_trained_tower_are_embedded_to_keep(clip_folder: Path, adaptation: Adaptation):
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, adaptation=adaptation),
        keep=KeepConfig(weight=0.7),
    )
    found, loss = gradients(make_run(clip_folder, config, dtype=torch.float64))
    run = make_run(clip_folder, config, dtype=torch.float64)
    expected = oracle_loss(run, config)
    expected.backward()
    named = {n: p for g in run.trainee.parameter_groups() for n, p in g.parameters.items()}
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert_close(found, {n: p.grad for n, p in named.items() if p.grad is not None}, tolerance=1e-9)


def test_what_is_kept_is_told_beside_the_other_losses_and_nothing_without(clip_folder: Path):
    kept = dataclasses.replace(CONFIG, keep=KeepConfig(weight=2.0))
    losses = [step_losses(make_run(clip_folder, config)) for config in (CONFIG, kept)]
    assert "loss/keep" not in losses[0] and losses[1]["loss/keep"] > 0
    assert losses[1]["loss"] == pytest.approx(losses[0]["loss"] + 2 * losses[1]["loss/keep"])


@pytest.mark.parametrize(
    ("loss", "layers"),
    [
        (LossConfig(event=1, event_context=0, video=0, video_context=0), 0),
        (LossConfig(event=0, event_context=1, video=0, video_context=0), 2),
        (LossConfig(event=0, event_context=0, video=1, video_context=0), 0),
        (LossConfig(event=0, event_context=0, video=0, video_context=1), 2),
        (LossConfig(event=0, event_context=0, video=0, video_context=0, concept=1), 0),
    ],
)
def test_each_loss_can_stand_alone(clip_folder: Path, loss: LossConfig, layers: int):
    config = dataclasses.replace(
        CONFIG, loss=loss, model=dataclasses.replace(CONFIG.model, contextualizer_layers=layers)
    )
    run = make_run(clip_folder, config)
    losses = step_losses(run)
    names = ("event", "event_context", "video", "video_context", "concept")
    active = [name for name in names if getattr(loss, name)]
    assert set(losses) == {"loss", f"loss/{active[0]}"}
    assert losses["loss"] == pytest.approx(losses[f"loss/{active[0]}"])


def test_rates_and_decay_by_hand(clip_folder: Path):
    """Matrices decay; vectors, tables of types and positions, and the temperature do not."""
    train = TrainConfig(lr=0.1, contextualizer_lr=0.2, weight_decay=0.3)
    config = dataclasses.replace(CONFIG, loss=LossConfig(learn_logit_scale=True), train=train)
    groups = make_run(clip_folder, config).trainee.parameter_groups()
    assert [(group.name, group.lr, group.weight_decay) for group in groups] == [
        ("towers", 0.1, 0.3),
        ("contextualizer", 0.2, 0.3),
        ("contextualizer_no_decay", 0.2, 0.0),
        ("logit_scale", 0.1, 0.0),
    ]
    towers, matrices, others, scale = (group.parameters for group in groups)
    assert len(towers) == 2 * 3 * 2 and all(".lora_" in name for name in towers)
    # Of each layer in- and out-projection and two matrices of the feed-forward network.
    assert len(matrices) == 2 * 4 and all(p.ndim == 2 for p in matrices.values())
    tables = {f"contextualizer.{kind}_embedding.weight" for kind in ("type", "event", "frame")}
    assert {name for name, p in others.items() if p.ndim == 2} == tables
    assert list(scale) == ["clip.logit_scale"]
    full = dataclasses.replace(config, model=dataclasses.replace(CONFIG.model, adaptation="full"))
    groups = make_run(clip_folder, full).trainee.parameter_groups()
    names = [name for group in groups for name in group.parameters]
    assert len(names) == len(set(names)), "the temperature is in a group of its own"
    assert groups[1].name == "towers_no_decay" and groups[1].weight_decay == 0.0


@pytest.mark.parametrize("learns", [True, False])
def test_a_learnt_temperature_stays_within_clips_bound(clip_folder: Path, learns: bool):
    config = dataclasses.replace(CONFIG, loss=LossConfig(learn_logit_scale=learns))
    trainee = make_run(clip_folder, config).trainee
    scale = trainee.backbone.clip.logit_scale
    assert scale.requires_grad == learns
    for before, after in ((5.0, math.log(100) if learns else 5.0), (4.5, 4.5)):
        scale.data.fill_(before)
        trainee.after_step()
        assert scale.item() == pytest.approx(after)


def test_items_are_named_with_their_annotation(clip_folder: Path):
    run = make_run(clip_folder, CONFIG)
    assert run.trainee.name_items(run.batch) == ["v0#0", "v1#0", "v2#0", "v3#0"]


def test_dropout_is_off_however_the_backbone_comes(clip_folder: Path):
    trainee = make_run(clip_folder, CONFIG).trainee
    ClipTrainee(
        trainee.backbone.train(),
        trainee.contextualizer,
        config=CONFIG,
        texts=trainee._texts,
        text_embeddings_MD=trainee._text_embeddings_MD,
        video_ids=trainee._video_ids,
        accelerator=trainee._accelerator,
    )
    assert not any(module.training for module in trainee.backbone.modules())


@pytest.mark.parametrize(
    ("whole", "lean", "num_encoded"), [(0, 0, 7), (1, 0, 7), (1, 2, 5), (1, 3, 4), (4, 0, 4)]
)
def test_what_fits_is_encoded_once_and_the_rest_twice(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch, whole: int, lean: int, num_encoded: int
):
    """36 frames in four parts; one is always held."""
    config = with_micro_batch(CONFIG, 9)
    backbone = make_run(clip_folder, config).trainee.backbone
    room = 9 * whole * backbone.frame_activation_bytes()
    room += 9 * lean * backbone.frame_activation_bytes(lean=True)
    run = make_run(clip_folder, config, activation_bytes=room)
    encoded: list[bool] = []
    encode = Backbone.encode_frames

    def counted(backbone: Backbone, frames_NHWC: Tensor, **options: Any) -> Tensor:
        assert len(frames_NHWC) == 9
        encoded.append(options["lean"])
        return encode(backbone, frames_NHWC, **options)

    monkeypatch.setattr(Backbone, "encode_frames", counted)
    run.trainee.accumulate_gradients(run.batch, loss_scale=1.0)
    assert (len(encoded), sum(encoded)) == (num_encoded, lean)


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_both", "full"])
def test_memory_changes_no_bit_of_the_gradients(clip_folder: Path, adaptation):
    """A run goes on elsewhere, with more memory or less, as if nothing had happened."""
    model = dataclasses.replace(CONFIG.model, adaptation=adaptation)
    config = with_micro_batch(dataclasses.replace(CONFIG, model=model), 5)
    backbone = make_run(clip_folder, config).trainee.backbone
    lean = 2 * 36 * backbone.frame_activation_bytes(lean=True)
    small, *others = (
        gradients(make_run(clip_folder, config, activation_bytes=room))[0]
        for room in (0, lean, 2**30)
    )
    for other in others:
        assert small.keys() == other.keys()
        assert all(torch.equal(small[name], other[name]) for name in small)


def test_two_trained_towers_share_the_memory(clip_folder: Path):
    backbone = load_backbone(str(clip_folder))
    image = with_micro_batch(CONFIG, 4)
    both = dataclasses.replace(image, model=dataclasses.replace(CONFIG.model, adaptation="full"))
    room = 10 * 4 * backbone.text_activation_bytes()
    assert held_texts(both, backbone, 1000, activation_bytes=room).whole == 5
    room = 10 * 4 * backbone.frame_activation_bytes()
    found = [held_frames(one, backbone, 40, activation_bytes=room) for one in (image, both)]
    assert found[0] == Held(10) and found[1].whole < 5


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_products_are_of_the_precision_that_was_set(clip_folder: Path, precision: str, dtype):
    train = dataclasses.replace(CONFIG.train, precision=precision)
    trainee = make_run(clip_folder, dataclasses.replace(CONFIG, train=train)).trainee
    assert trainee.backbone.compute_dtype == dtype


def test_masked_negatives_are_no_text(clip_folder: Path):
    text = dataclasses.replace(CONFIG.text, verb_negatives=50)
    run = make_run(clip_folder, dataclasses.replace(CONFIG, text=text))
    rows = [run.texts.event_texts(i.video_idx, i.annotation_idx) for i in run.batch.items]
    assert any((row.negative_PK == MASKED).any() for row in rows), "nothing is tested"
    _, embeddings_MD, row_of = run.trainee._embed_texts(run.batch, np.arange(0))
    assert MASKED not in row_of and len(row_of) == len(embeddings_MD)

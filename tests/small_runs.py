"""Small models, texts and batches that tests of training share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from figclip.annotations.captions import TEMPLATES, caption_event, concept_phrases
from figclip.annotations.texts import TextTable, no_concepts
from figclip.config import RunConfig
from figclip.model.backbone import Backbone, load_backbone
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.lora import add_adaptation, lora_layers
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.training.batches import BatchItem, ClipBatch, PictureBatch, rank_slice
from figclip.training.clip_trainee import ClipTrainee, Teacher
from tests.small_clip import write_small_clip

IMAGE_SIZE = 16


def write_tiny_clip(path: Path, *, seed: int = 0) -> Path:
    """The smallest CLIP that still has heads, layers and patches."""
    write_small_clip(path, seed=seed, image_size=IMAGE_SIZE, patch_size=8, width=32, layers=2)
    return path


def make_records(events_per_video: Sequence[int]) -> list[VideoRecord]:
    """Videos with distinct captions, except that the first two videos share their first event."""
    verbs = ["push", "pull", "lift", "follow", "hit", "turn", "jump"]
    records = []
    for video, num_events in enumerate(events_per_video):
        events = tuple(
            Event(
                start_s=2.0 * e,
                end_s=2.0 * e + 2,
                verb=verbs[0] if e == 0 and video < 2 else verbs[(video + e) % len(verbs)],
                roles=(
                    Role(name="mover", text="red ball", slot="Arg0"),
                    Role(
                        name="thing moved",
                        text="box" if e == 0 and video < 2 else f"box {video} {e}",
                        slot="Arg1",
                    ),
                ),
            )
            for e in range(num_events)
        )
        records.append(
            VideoRecord(
                id=f"v{video}",
                video=f"v{video}.mp4",
                split="train",
                group=f"g{video}",
                annotations=(Annotation(events=events),),
            )
        )
    return records


def make_texts(
    records: Sequence[VideoRecord], *, num_negatives: int, with_concepts: bool = False
) -> TextTable:
    """Captions with invented negatives; the last negative of every first event is masked."""

    def negatives(event: Event, record: VideoRecord, key: str) -> list[str | None]:
        texts: list[str | None] = [f"no {i} {key} {event.verb}" for i in range(num_negatives)]
        if num_negatives and key.endswith("/0"):
            texts[-1] = None
        return texts

    template = TEMPLATES["default"]
    return TextTable(
        records,
        caption=lambda e: caption_event(e, template=template),
        negatives=negatives,
        concepts=concept_phrases if with_concepts else no_concepts,
    )


@dataclass
class SmallRun:
    """A trainee with one batch."""

    trainee: ClipTrainee
    batch: ClipBatch
    texts: TextTable


KEPT_TEXTS = ("a red cat", "a dog", "a park", "a dog in the park")


def _keep(
    backbone: Backbone, config: RunConfig, *, rank: int, num_ranks: int, dtype: torch.dtype
) -> tuple[Teacher, PictureBatch]:
    """A base's view of seven pictures, and this process's part of a batch of some of them."""
    size = backbone.preprocessing.image_size
    frames = torch.from_numpy(
        np.random.default_rng(5).integers(0, 256, (7, size, size, 3), dtype=np.uint8)
    )
    backbone.to(dtype)
    with torch.no_grad():
        picture_ND = torch.nn.functional.normalize(backbone.encode_frames(frames), dim=-1)
        tokens = backbone.tokenize(KEPT_TEXTS)
        text_MD = torch.nn.functional.normalize(backbone.encode_tokens(tokens), dim=-1)
    backbone.float()
    drawn = (6, 0, 3, 1, 2)[: config.keep.pictures]
    first, last = rank_slice(len(drawn), rank=rank, num_ranks=num_ranks)
    teacher = Teacher(picture_ND=picture_ND, texts=KEPT_TEXTS, text_MD=text_MD)
    return teacher, PictureBatch(drawn, first, frames[list(drawn[first:last])])


def make_run(
    clip_folder: Path,
    config: RunConfig,
    *,
    events_per_video: Sequence[int] = (3, 1, 2, 3),
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    rank: int = 0,
    num_ranks: int = 1,
    accelerator: Accelerator | None = None,
    activation_bytes: int = 0,
) -> SmallRun:
    """A trainee whose LoRA B is not zero, and this process's part of one batch of all videos."""
    torch.manual_seed(seed)
    backbone = load_backbone(str(clip_folder), precision=config.train.precision)
    teacher, pictures = None, None
    if config.keep.weight:
        teacher, pictures = _keep(backbone, config, rank=rank, num_ranks=num_ranks, dtype=dtype)
    model = config.model
    add_adaptation(
        backbone, model.adaptation, rank=model.lora_rank, lora_alpha=model.lora_alpha, seed=seed
    )
    for layer in lora_layers(backbone.clip).values():
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.05)
    contextualizer = None
    if model.contextualizer_layers:
        contextualizer = VideoContextualizer(
            backbone.dim,
            num_layers=model.contextualizer_layers,
            head_dim=model.contextualizer_head_dim,
        ).to(dtype)
    backbone.to(dtype)
    records = make_records(events_per_video)
    texts = make_texts(
        records,
        num_negatives=config.text.verb_negatives,
        with_concepts=config.loss.concept > 0,
    )
    table = None
    if not model.trains_text_tower:
        with torch.no_grad():
            table = torch.nn.functional.normalize(
                backbone.encode_tokens(backbone.tokenize(texts.texts)), dim=-1
            )
    per_event, size = config.data.frames_per_event, backbone.preprocessing.image_size
    frames = np.random.default_rng(seed).integers(
        0, 256, (sum(events_per_video) * per_event, size, size, 3), dtype=np.uint8
    )
    bounds = [r * len(records) // num_ranks for r in range(num_ranks + 1)]
    first, last = bounds[rank], bounds[rank + 1]
    start, stop = (sum(events_per_video[:i]) * per_event for i in (first, last))
    batch = ClipBatch(
        step=1,
        items=tuple(BatchItem(i, 0) for i in range(len(records))),
        first=first,
        num_local=last - first,
        frames_NHWC=torch.from_numpy(frames[start:stop]),
        pictures=pictures,
    )
    trainee = ClipTrainee(
        backbone,
        contextualizer,
        config=config,
        texts=texts,
        text_embeddings_MD=table,
        video_ids=[r.id for r in records],
        accelerator=accelerator or Accelerator(cpu=True),
        teacher=teacher,
        activation_bytes=activation_bytes,
    )
    return SmallRun(trainee, batch, texts)


def step_losses(run: SmallRun, *, loss_scale: float = 1.0) -> dict[str, float]:
    found = run.trainee.accumulate_gradients(run.batch, loss_scale=loss_scale)
    return {name: loss.item() for name, loss in found.items()}


def gradients(run: SmallRun, *, loss_scale: float = 1.0) -> tuple[dict[str, Tensor], float]:
    losses = step_losses(run, loss_scale=loss_scale)
    named = {n: p for g in run.trainee.parameter_groups() for n, p in g.parameters.items()}
    found = {n: p.grad for n, p in named.items()}
    assert all(g is not None for g in found.values())
    return {n: g.clone() for n, g in found.items() if g is not None}, losses["loss"]


def with_micro_batch(config: RunConfig, size: int) -> RunConfig:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, micro_batch=size))


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], *, tolerance: float):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        if name.endswith("k_proj.bias"):
            # Softmax does not see a shift of all keys: this gradient is zero but for rounding.
            assert gradient.norm() < 1e-6 * max(g.norm() for g in expected.values())
            continue
        assert gradient.norm() > 0, f"{name} has no gradient: nothing is tested"
        error = (found[name] - gradient).norm() / gradient.norm()
        assert error <= tolerance, f"{name}: {error:.2e}"

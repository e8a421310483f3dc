"""One optimiser step of the main job, as figclip does it and as a plain loop would.

Weights are random, frames too; texts are unit vectors. All use `figclip.training.losses`, start
from the same weights, and come to the same gradients.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from figclip.annotations.texts import TextTable
from figclip.config import RunConfig
from figclip.config.recipes import build_recipe
from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD, build_mini_clip
from figclip.model.backbone import Backbone, Preprocessing
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.lora import TOWER_PATTERNS, add_adaptation
from figclip.records import Annotation, Event, VideoRecord
from figclip.training.batches import BatchItem, ClipBatch, PictureBatch, segment_index
from figclip.training.clip_trainee import ClipTrainee, Teacher
from figclip.training.losses import equal_mask, info_nce, mean_of_segments
from machine import Product

NUM_EVENTS = 5

Step = tuple[dict[str, nn.Parameter], Callable[[], float]]
"""Trained parameters by name, and what sets their gradients and returns the loss."""


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """Weights and data, the same in every process; of the batch, `figclip` leaves the pictures."""

    clip: CLIPModel
    contextualizer: VideoContextualizer
    batch: ClipBatch
    texts: TextTable
    config: RunConfig


def step_products(job: Job) -> Counter[Product]:
    """Matrix products that a step cannot do without, and how many of each.

    Of the last layer only the class token is read, and what goes into the first has no gradient.
    """
    vision, micro_batch = job.clip.vision_model.config, job.config.train.micro_batch
    width, patches = vision.hidden_size, (vision.image_size // vision.patch_size) ** 2
    found = Counter({Product(micro_batch * patches, 3 * vision.patch_size**2, width): 1})
    for layer in range(vision.num_hidden_layers):
        num_read = 1 if layer == vision.num_hidden_layers - 1 else patches + 1
        found += _layer_products(job, num_tokens=patches + 1, num_read=num_read)
        if layer == 0:
            found[Product(micro_batch * (patches + 1), 3 * width, width)] -= 1
    parts = len(job.batch.frames_NHWC) // micro_batch
    return Counter({product: parts * count for product, count in found.items()})


def _layer_products(job: Job, *, num_tokens: int, num_read: int) -> Counter[Product]:
    """Of one layer and micro-batch, forward and backward."""
    vision, rank = job.clip.vision_model.config, job.config.model.lora_rank
    width, inner = vision.hidden_size, vision.intermediate_size
    micro_batch = job.config.train.micro_batch
    rows, read, heads = micro_batch * num_tokens, micro_batch * num_read, vision.num_attention_heads
    whole = num_read == num_tokens
    projected = [(rows, 3 * width)] if whole else [(read, width), (rows, 2 * width)]
    found: Counter[Product] = Counter()
    for num, out in projected:  # queries, keys, values: forth and back
        found[Product(num, width, out)] += 1
        found[Product(num, out, width)] += 1
    each = {"batch": micro_batch * heads}
    found[Product(num_read, width // heads, num_tokens, **each)] += 1 + 1  # scores; to mixtures
    found[Product(num_read, num_tokens, width // heads, **each)] += 1 + 1  # mixtures; to queries
    found[Product(num_tokens, num_read, width // heads, **each)] += 2  # to keys and values
    found[Product(read, width, width)] += 2
    found[Product(read, width, inner)] += 2  # and back from the second
    found[Product(read, inner, width)] += 2
    found[Product(rows, width, 3 * rank)] += 1  # LoRA: A's output, its gradient, A's and B's
    found[Product(rows, width, rank)] += 3
    found[Product(3 * rank, rows, width)] += 1
    found[Product(width, rows, rank)] += 3
    return found


def build_clip(recipe: str = "default", **vision: int) -> CLIPModel:
    """ViT-B/32 of random weights, or with another image tower; of the recipe `mini` its own."""
    torch.manual_seed(0)
    if recipe == "mini":
        return build_mini_clip(seed=0).clip
    return CLIPModel(CLIPConfig(vision_config=vision))


def build_job(clip: CLIPModel, recipe: str, num_videos: int, *, micro_batch: int) -> Job:
    """Random frames; LoRA is added by each variant, and then filled by `fill_lora`."""
    torch.manual_seed(1)
    config = build_recipe(recipe)
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, micro_batch=micro_batch)
    )
    clip = clip.eval().requires_grad_(False)
    contextualizer = VideoContextualizer(
        clip.visual_projection.out_features,
        num_layers=config.model.contextualizer_layers,
        head_dim=config.model.contextualizer_head_dim,
    ).to(clip.device)
    num_frames = num_videos * NUM_EVENTS * config.data.frames_per_event
    size = image_size(clip)
    frames = torch.randint(256, (num_frames, size, size, 3), dtype=torch.uint8)
    shown = torch.randint(256, (config.keep.pictures, size, size, 3), dtype=torch.uint8)
    batch = ClipBatch(
        step=1,
        items=tuple(BatchItem(i, 0) for i in range(num_videos)),
        first=0,
        num_local=num_videos,
        frames_NHWC=frames,
        pictures=PictureBatch(tuple(range(config.keep.pictures)), 0, shown),
    )
    return Job(clip, contextualizer, batch, build_texts(config, num_videos), config)


def build_texts(config: RunConfig, num_videos: int) -> TextTable:
    """Rows of texts that are all different."""
    records = [
        VideoRecord(
            id=f"v{video}",
            video=f"v{video}.mp4",
            split="train",
            group="",
            annotations=(
                Annotation(
                    events=tuple(
                        Event(start_s=2.0 * i, end_s=2.0 * i + 2, verb=f"verb {video} {i}")
                        for i in range(NUM_EVENTS)
                    )
                ),
            ),
        )
        for video in range(num_videos)
    ]
    return TextTable(
        records,
        caption=lambda event: event.verb,
        negatives=lambda event, _record, _key: [
            f"not {event.verb} {k}" for k in range(config.text.verb_negatives)
        ],
    )


def random_texts(job: Job) -> Tensor:
    """A unit vector for every text."""
    return random_rows(len(job.texts.texts), job)


def random_rows(num: int, job: Job) -> Tensor:
    """So many unit vectors."""
    rows = torch.randn(num, job.clip.visual_projection.out_features)
    return normalize(rows, dim=-1).to(job.clip.device)


def build_backbone(clip: CLIPModel) -> Backbone:
    """The CLIP as figclip sees it; nothing here reads texts as strings, so without a tokenizer."""
    preprocessing = Preprocessing(image_size=image_size(clip), mean=CLIP_MEAN, std=CLIP_STD)
    return Backbone(clip, tokenizer=cast(CLIPTokenizer, None), preprocessing=preprocessing, name="")


def image_size(clip: CLIPModel) -> int:
    """Edge of the pictures that a CLIP takes, in pixels."""
    return cast(int, clip.vision_model.embeddings.image_size)


def fill_lora(model: nn.Module) -> dict[str, nn.Parameter]:
    """Give A and B the same values in both variants; B not zero, or A would have no gradient.

    Returns:
        The trained parameters, by their names in the image tower.
    """
    generator = torch.Generator().manual_seed(1)
    found: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            nn.init.normal_(parameter, std=0.02, generator=generator)
            found[name.partition("encoder.")[2]] = parameter
    return found


def context_parameters(job: Job) -> dict[str, nn.Parameter]:
    """The contextualizer's, by name."""
    return {f"contextualizer.{n}": p for n, p in job.contextualizer.named_parameters()}


def ours(
    job: Job,
    table_MD: Tensor,
    *,
    teacher: Teacher | None = None,
    activations_gib: float = 1e6,
    accelerator: Accelerator | None = None,
) -> Step:
    """What `figclip adapt` does in a step."""
    backbone = build_backbone(job.clip)
    backbone.precision = job.config.train.precision
    model = job.config.model
    add_adaptation(
        backbone, model.adaptation, rank=model.lora_rank, lora_alpha=model.lora_alpha, seed=0
    )
    named = fill_lora(backbone.clip) | context_parameters(job)
    trainee = ClipTrainee(
        backbone,
        job.contextualizer,
        config=job.config,
        texts=job.texts,
        text_embeddings_MD=table_MD,
        video_ids=[],
        accelerator=accelerator or Accelerator(cpu=True),
        teacher=teacher,
        activation_bytes=int(activations_gib * 2**30),
    )
    batch = job.batch if teacher else dataclasses.replace(job.batch, pictures=None)
    return named, lambda: trainee.accumulate_gradients(batch, loss_scale=1.0)["loss"].item()


def plain_loop(
    job: Job, table_MD: Tensor, *, chunk: int, dtype: torch.dtype = torch.float32
) -> Step:
    """Transformers and PEFT alone; in chunks, embeddings first and then each chunk's gradient."""
    device = job.clip.device
    model = job.config.model
    lora = LoraConfig(
        r=model.lora_rank,
        lora_alpha=int(model.lora_alpha),
        target_modules=TOWER_PATTERNS["lora_image"].removeprefix(r"vision_model\."),
    )
    tower = get_peft_model(job.clip.vision_model, lora)
    named = fill_lora(tower) | context_parameters(job)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))

    def embed(frames_NHWC: Tensor) -> Tensor:
        pixels = (frames_NHWC.to(device).permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            embedded = job.clip.visual_projection(tower(pixel_values=pixels).pooler_output)
        return embedded.float()

    def accumulate() -> float:
        chunks = job.batch.frames_NHWC.split(chunk)
        if len(chunks) == 1:
            loss = plain_loss(job, embed(chunks[0]), table_MD)
            loss.backward()
            return loss.item()
        with torch.no_grad():
            embedded = torch.cat([embed(one) for one in chunks])
        loss = plain_loss(job, embedded.requires_grad_(), table_MD)
        loss.backward()
        assert embedded.grad is not None
        for one, gradient in zip(chunks, embedded.grad.split(chunk), strict=True):
            embed(one).backward(gradient)
        return loss.item()

    return named, accumulate


def plain_loss(job: Job, embeddings_ND: Tensor, table_MD: Tensor) -> Tensor:
    """The losses of the main job; every video has the same number of events, nothing is masked."""
    num_videos, scale = job.batch.num_local, job.clip.logit_scale.exp()
    frames = normalize(embeddings_ND, dim=-1).unflatten(0, (num_videos, NUM_EVENTS, -1))
    rows = [job.texts.event_texts(i, 0) for i in range(num_videos)]
    captions = table_MD[np.concatenate([r.caption_P for r in rows])]
    negatives = table_MD[np.concatenate([r.negative_PK for r in rows])]
    device = frames.device
    hashes = torch.from_numpy(np.concatenate([r.hash_P for r in rows])).to(device)
    video_of = segment_index([NUM_EVENTS] * num_videos).to(device)
    contexts = job.contextualizer(
        frames, frame_mask_BPT=torch.ones(frames.shape[:3], dtype=torch.bool, device=device)
    )

    def by_event(visual: Tensor) -> Tensor:
        return info_nce(
            visual,
            captions,
            logit_scale=scale,
            excluded_NN=equal_mask(hashes),
            negatives_NKD=negatives,
            negative_present_NK=torch.ones(negatives.shape[:2], dtype=torch.bool, device=device),
        )

    def by_video(visual: Tensor) -> Tensor:
        text = normalize(mean_of_segments(captions, video_of, num_segments=num_videos), dim=-1)
        excluded = torch.zeros(num_videos, num_videos, dtype=torch.bool, device=device)
        return info_nce(visual, text, logit_scale=scale, excluded_NN=excluded)

    weights = job.config.loss
    return (
        weights.event * by_event(normalize(frames.mean(dim=2).flatten(0, 1), dim=-1))
        + weights.event_context * by_event(contexts.event_BPD.flatten(0, 1))
        + weights.video * by_video(normalize(frames.mean(dim=(1, 2)), dim=-1))
        + weights.video_context * by_video(contexts.video_BD)
    )

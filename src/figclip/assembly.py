"""The parts of a run: base, data, adaptation, texts, loaded and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel

from figclip.config import RunConfig
from figclip.data.captions import TEMPLATES
from figclip.data.seen_media import SeenMedia
from figclip.data.splits import split_training
from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.data.texts import TextTable, build_text_table
from figclip.embedding import Embedder
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.folder import read_info, resolve_model
from figclip.model.lora import add_adaptation
from figclip.process_group import ALONE, Processes


@dataclass(frozen=True, slots=True)
class RunParts:
    """Everything that a run is made of.

    Attributes:
        backbone: The base with its adaptation added, on its device.
        adapter: PEFT's view of it; None for full fine-tuning.
        contextualizer: None when no loss needs one.
        base_hash: `weights_hash` of the base.
        base_seen: What the base was adapted on before, if it was.
        videos: All videos of the stores.
        train: Those that are trained on.
        val: Those held back to choose the checkpoint.
        texts: Captions and negatives of `train`.
        text_embedder: Embeds texts with the base, through the cache.
    """

    backbone: Backbone
    adapter: PeftModel | None
    contextualizer: VideoContextualizer | None
    base_hash: str
    base_seen: SeenMedia
    videos: StoredVideos
    train: StoredVideos
    val: StoredVideos
    texts: TextTable
    text_embedder: Embedder


def assemble(
    config: RunConfig,
    data: Sequence[Path],
    *,
    cache: Path | None,
    on_texts: Callable[[int, int], None] | None,
    device: torch.device,
    processes: Processes = ALONE,
) -> RunParts:
    """Load base and data, add the adaptation, write the texts.

    Args:
        config: The run's configuration.
        data: Frame stores.
        cache: Folder of the cache of text embeddings; None keeps none.
        on_texts: Told how many texts of how many are embedded, while they are.
        device: Where the model goes.
        processes: Of the run, which share the embedding of texts.

    Raises:
        ModelError, StoreError, DataError: the base, a store, or its videos cannot be used.
    """
    seed = config.train.seed
    base = resolve_model(config.model.base)
    backbone = load_backbone(base).to(device)
    videos = open_stored_videos(data, size=backbone.preprocessing.image_size)
    videos.require_frames(config.data.frames_per_event)
    split = split_training(videos.records, val_fraction=config.data.val_fraction)
    train = videos.subset(split.train)
    texts = build_text_table(
        train.records,
        template=TEMPLATES[config.text.template],
        policy=config.text.negative_policy,
        verb_negatives=config.text.verb_negatives,
        filler_negatives_per_event=config.text.filler_negatives,
        seed=seed,
    )
    # Both hash and cache belong to the plain base: taken before LoRA renames its weights.
    base_hash = weights_hash(backbone.clip)
    text_embedder = Embedder(
        backbone,
        micro_batch=config.train.micro_batch,
        cache_file=None if cache is None else cache / "embeddings.sqlite",
        on_progress=on_texts,
        processes=processes,
    )
    adapter = add_adaptation(
        backbone,
        config.model.adaptation,
        rank=config.model.lora_rank,
        lora_alpha=config.model.lora_alpha,
        seed=seed,
    )
    contextualizer = _build_contextualizer(config, backbone.dim)
    return RunParts(
        backbone=backbone.to(device),
        adapter=adapter,
        contextualizer=None if contextualizer is None else contextualizer.to(device),
        base_hash=base_hash,
        base_seen=_seen_by(Path(base)),
        videos=videos,
        train=train,
        val=videos.subset(split.val),
        texts=texts,
        text_embedder=text_embedder,
    )


def _seen_by(base: Path) -> SeenMedia:
    """What a base has seen that is itself an adapted model; nothing known of a plain CLIP."""
    info = read_info(base) if base.is_dir() else None
    return SeenMedia() if info is None else info.seen


def _build_contextualizer(config: RunConfig, dim: int) -> VideoContextualizer | None:
    """A contextualizer with seeded weights, if the recipe has one."""
    if config.model.contextualizer_layers == 0:
        return None
    with torch.random.fork_rng():
        torch.manual_seed(config.train.seed)
        return VideoContextualizer(
            dim,
            num_layers=config.model.contextualizer_layers,
            head_dim=config.model.contextualizer_head_dim,
        )

"""What adapt is about to do, in numbers, with an estimate of its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelerate import Accelerator
from torch import nn

from figclip.adaptation import KEPT_MICRO_BATCHES
from figclip.assembly import RunParts
from figclip.config import RunConfig
from figclip.data.splits import why_none_held_back
from figclip.loop import LoopSettings
from figclip.model.backbone import text_config, vision_config
from figclip.preparation import MASKED_WARNING, masked_warning
from figclip.strength import KeptTest, unproven


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationPlan:
    """What adapt is about to do; shown before it starts.

    Attributes:
        num_videos: Videos that are trained on.
        num_val_videos: Videos held back to choose the checkpoint; 0: last step kept.
        num_events: Events of the training videos, all annotations.
        num_texts: Different captions and negatives.
        masked_negatives: Share of hard negatives that could not be drawn.
        num_steps: Optimiser steps.
        batch_videos: Most videos of a global batch.
        batch_frames: Most frames of a global batch.
        num_processes: Processes that share it.
        tower_parameters: Trained parameters of the towers.
        contextualizer_parameters: Trained parameters of the contextualizer.
        memory_bytes: About the peak memory of one process, batches of frames included.
        device: Where it runs.
        kept: Names of the tests by which the strength is chosen; empty: it is 1.
        warnings: What the user should know first.
    """

    num_videos: int
    num_val_videos: int
    num_events: int
    num_texts: int
    masked_negatives: float
    num_steps: int
    batch_videos: int
    batch_frames: int
    num_processes: int
    tower_parameters: int
    contextualizer_parameters: int
    memory_bytes: int
    device: str
    kept: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def _choosers(self) -> str:
        """What the strength is chosen by, in words."""
        return ("val and " if self.num_val_videos else "") + ", ".join(self.kept)

    def sentences(self) -> list[str]:
        """The plan for people, warnings last."""
        val = f", {self.num_val_videos:,} held back to choose the checkpoint"
        return [
            f"{self.num_videos:,} videos, {self.num_events:,} events, {self.num_texts:,} texts"
            f"{val if self.num_val_videos else ''}",
            f"{self.num_steps:,} steps; a global batch holds at most {self.batch_videos} videos, "
            f"{self.batch_frames:,} frames, over {self.num_processes} process"
            f"{'es' if self.num_processes > 1 else ''} on {self.device}",
            f"{self.tower_parameters:,} parameters of the towers are trained, "
            f"{self.contextualizer_parameters:,} of the contextualizer",
            *([f"the strength is chosen by {self._choosers}"] if self.kept else []),
            f"about {self.memory_bytes / 2**30:.1f} GiB of memory a process",
            *(f"Warning: {warning}" for warning in self.warnings),
        ]


def describe_run(
    config: RunConfig,
    parts: RunParts,
    settings: LoopSettings,
    accelerator: Accelerator,
    *,
    kept: Sequence[KeptTest],
) -> AdaptationPlan:
    """The plan in numbers, with warnings."""
    annotations = [a for record in parts.train.records for a in record.annotations]
    batch_videos = min(config.data.videos_per_batch, len(parts.train.records))
    largest = sorted(
        max(len(a.events) for a in record.annotations) for record in parts.train.records
    )[-batch_videos:]
    batch_frames = sum(largest) * config.data.frames_per_event
    trained = [p for p in parts.backbone.parameters() if p.requires_grad]
    return AdaptationPlan(
        num_videos=len(parts.train.records),
        num_val_videos=len(parts.val.records),
        num_events=sum(len(annotation.events) for annotation in annotations),
        num_texts=len(parts.texts.texts),
        masked_negatives=parts.texts.masked_fraction,
        num_steps=settings.num_steps,
        batch_videos=batch_videos,
        batch_frames=batch_frames,
        num_processes=accelerator.num_processes,
        tower_parameters=sum(p.numel() for p in trained),
        contextualizer_parameters=_num_parameters(parts.contextualizer),
        memory_bytes=_memory_estimate(config, parts, batch_frames),
        device=accelerator.device.type,
        kept=tuple(test.name for test in kept),
        warnings=tuple(_warnings(config, parts, kept)),
    )


def _warnings(config: RunConfig, parts: RunParts, kept: Sequence[KeptTest]) -> list[str]:
    """What the user should know first."""
    masked = parts.texts.masked_fraction
    warnings: list[str] = []
    if masked > MASKED_WARNING:
        warnings.append(masked_warning(masked))
    fraction = config.data.val_fraction
    if fraction and not parts.val.records:
        groups = {record.group for record in parts.train.records}
        warnings.append(
            why_none_held_back(len(groups), val_fraction=fraction, setting="data.val_fraction")
        )
    small = (unproven(test.name, num_selecting=test.num_selecting) for test in kept)
    warnings += (warning for warning in small if warning is not None)
    warnings += [f"{test.name}: {notice}" for test in kept for notice in test.notices]
    if not parts.base_seen.is_whole:
        warnings.append(
            "It is not known which images and videos the base learnt from, as an earlier version "
            "wrote its folder: nor will it be of the result."
        )
    cut = parts.backbone.count_cut(parts.texts.texts)
    if cut:
        warnings.append(
            f"{cut:,} of {len(parts.texts.texts):,} texts are longer than the text tower's "
            f"{parts.backbone.context_length} tokens and are cut; `figclip caption` shows which."
        )
    return warnings


def _num_parameters(module: nn.Module | None) -> int:
    """Number of parameters; 0 for none."""
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def _memory_estimate(config: RunConfig, parts: RunParts, batch_frames: int) -> int:
    """Peak memory: weights, gradients, AdamW's two moments, kept micro-batches, the batch's frames.

    Activations: 15 floats a token, layer and unit of width, measured on ViT-B/32 (LOG.md).
    """
    vision = vision_config(parts.backbone.clip.config)
    size = parts.backbone.preprocessing.image_size
    tokens = parts.backbone.clip.vision_model.embeddings.num_positions
    activations = 15 * 4 * tokens * vision.num_hidden_layers * vision.hidden_size
    weights = _num_parameters(parts.backbone) + _num_parameters(parts.contextualizer)
    trained = sum(p.numel() for p in parts.backbone.parameters() if p.requires_grad)
    trained += _num_parameters(parts.contextualizer)
    frames = batch_frames * size**2 * 3 * (1 + 2 * config.data.loader_workers)
    kept = KEPT_MICRO_BATCHES * config.train.micro_batch
    held = min(kept, batch_frames) * activations
    if config.model.trains_text_tower:  # texts are then held beside the frames
        text = text_config(parts.backbone.clip.config)
        tokens = parts.backbone.context_length
        held += kept * 15 * 4 * tokens * text.num_hidden_layers * text.hidden_size
    return 4 * weights + 12 * trained + held + frames

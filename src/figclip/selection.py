"""`figclip.adapt`: data, model, losses and loop put together; the best weights become `model/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float32

from figclip.adaptation import ClipTrainee
from figclip.assembly import RunParts, assemble
from figclip.checkpoint import RunFolder
from figclip.config import RunConfig
from figclip.data.batches import BatchLoader, BatchPlan
from figclip.data.captions import TEMPLATES
from figclip.data.sense_pool import build_sense_pool
from figclip.data.stored_videos import StoredVideos
from figclip.embedding import Embedder, FrameRef
from figclip.loop import LoopSettings, Outcome, StepReport, TrainingLoop
from figclip.model.folder import ContextualizerShape, ModelInfo, write_adapted
from figclip.run_files import check_run, package_versions, write_run_files
from figclip.run_plan import AdaptationPlan, describe_run
from figclip.tasks.dense_validation import validation_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationResult:
    """How adapt ended.

    Attributes:
        outcome: Of the training loop.
        model: The model folder; None when interrupted.
        kept_step: Step whose weights it holds; None when interrupted.
    """

    outcome: Outcome
    model: Path | None
    kept_step: int | None


def adapt(
    config: RunConfig,
    *,
    data: Sequence[Path],
    out: Path,
    resume: bool = False,
    cache: Path | None = None,
    cpu: bool = False,
    on_plan: Callable[[AdaptationPlan], None] | None = None,
    on_texts: Callable[[int, int], None] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> AdaptationResult:
    """Adapt a CLIP to densely annotated videos.

    Interrupted by SIGINT or SIGTERM it saves a checkpoint and returns; called again with `resume`
    it goes on, and ends bit-identical to an undisturbed run (on the CPU, same threads).

    Args:
        config: From a recipe.
        data: Frame stores that `prepare` wrote.
        out: Run folder.
        resume: Go on with the run in `out`.
        cache: Folder of the cache of text embeddings; None keeps none.
        cpu: Use the CPU even where there is a GPU.
        on_plan: Told once what is about to be done.
        on_texts: Told how many texts of how many are embedded, while they are.
        on_step: Told about every step.

    Raises:
        CheckpointError: `out` holds another run, or none to resume.
        ModelError, StoreError, DataError: the base, a store, or its videos cannot be used.
        TrainingError: a loss is not finite.
    """
    accelerator = Accelerator(cpu=cpu)
    run = RunFolder(out)
    check_run(run, config, resume=resume)
    accelerator.wait_for_everyone()  # before the main process writes what the others check
    parts = assemble(config, data, cache=cache, on_texts=on_texts, device=accelerator.device)
    plan = BatchPlan(
        parts.train.records,
        videos_per_batch=config.data.videos_per_batch,
        seed=config.train.seed,
    )
    settings = _loop_settings(config, plan.steps_per_epoch)
    if accelerator.is_main_process:
        write_run_files(run, config, parts, data)
    if on_plan is not None and accelerator.is_main_process:
        on_plan(describe_run(config, parts, settings, accelerator))
    loop = TrainingLoop(
        _build_trainee(config, parts, accelerator),
        settings,
        run=run,
        accelerator=accelerator,
        validator=_validator(config, parts) if parts.val.records else None,
        on_step=on_step,
    )
    batches = BatchLoader(
        plan=plan,
        frames=parts.train,
        records=parts.train.records,
        num_steps=settings.num_steps,
        frames_per_event=config.data.frames_per_event,
        workers=config.data.loader_workers,
        rank=accelerator.process_index,
        num_ranks=accelerator.num_processes,
    )
    outcome = loop.run(batches, resume=resume)
    if outcome.interrupted_by is not None:
        return AdaptationResult(outcome=outcome, model=None, kept_step=None)
    kept_step = outcome.step
    if config.train.keep == "best" and outcome.best_step is not None:
        kept_step = outcome.best_step
    if accelerator.is_main_process:
        loop.load_weights(kept_step)
        _write_model(run, config, parts, kept_step)
    accelerator.wait_for_everyone()
    return AdaptationResult(outcome=outcome, model=run.model, kept_step=kept_step)


def _build_trainee(config: RunConfig, parts: RunParts, accelerator: Accelerator) -> ClipTrainee:
    """What the loop trains."""
    return ClipTrainee(
        parts.backbone,
        parts.contextualizer,
        config=config,
        texts=parts.texts,
        text_embeddings_MD=_text_embeddings(config, parts, accelerator),
        video_ids=[record.id for record in parts.train.records],
        accelerator=accelerator,
    )


def _write_model(run: RunFolder, config: RunConfig, parts: RunParts, step: int) -> None:
    """The model folder, with the weights that the parts hold now."""
    write_adapted(
        run.model,
        parts.backbone,
        adapter=parts.adapter,
        contextualizer=parts.contextualizer,
        info=_model_info(config, parts, step),
    )


def _text_embeddings(
    config: RunConfig, parts: RunParts, accelerator: Accelerator
) -> torch.Tensor | None:
    """Embeddings of all texts, when the text tower is frozen."""
    if config.model.adaptation != "lora_image":
        return None
    with accelerator.main_process_first():
        return torch.from_numpy(parts.text_embedder.embed_texts(parts.texts.texts))


@dataclass(frozen=True, slots=True)
class _ValidationEmbedder:
    """Frames by the model as it is now; texts by the cache where their tower is frozen."""

    frames: Embedder
    texts: Embedder

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of texts."""
        return self.texts.embed_texts(texts)

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[FrameRef]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of stored frames."""
        return self.frames.embed_frames(videos, frames)


def _validator(config: RunConfig, parts: RunParts) -> Callable[[], dict[str, float]]:
    """Scores on val: retrieval of its events, telling true captions from negatives.

    Called before the first step, when LoRA's B is zero, it scores the base.
    """
    now = Embedder(parts.backbone, micro_batch=config.train.micro_batch)
    frozen_text = config.model.adaptation == "lora_image"
    embedder = _ValidationEmbedder(now, parts.text_embedder if frozen_text else now)
    pool = build_sense_pool(parts.train.records)

    def validate() -> dict[str, float]:
        return validation_scores(
            embedder,
            parts.val,
            template=TEMPLATES[config.text.template],
            frames_per_event=config.data.frames_per_event,
            num_negatives=config.text.verb_negatives,
            seed=config.train.seed,
            pool=pool,
        )

    return validate


def _loop_settings(config: RunConfig, steps_per_epoch: int) -> LoopSettings:
    """The loop's part of the config, in steps."""
    train = config.train
    num_steps = train.epochs * steps_per_epoch
    return LoopSettings(
        num_steps=num_steps,
        warmup_steps=round(train.warmup_fraction * num_steps),
        schedule=train.schedule,
        clip_norm=train.clip_norm,
        precision=train.precision,
        validate_every=train.validate_every or steps_per_epoch,
        checkpoint_every=train.checkpoint_every or steps_per_epoch,
        keep_checkpoints=train.keep_checkpoints,
        seed=train.seed,
    )


def _model_info(config: RunConfig, parts: RunParts, step: int) -> ModelInfo:
    """The content of the model folder's figclip.json."""
    model, settings = config.model, asdict(config)
    shape = None
    if parts.contextualizer is not None:
        shape = ContextualizerShape(
            layers=model.contextualizer_layers,
            head_dim=model.contextualizer_head_dim,
            frames_per_event=config.data.frames_per_event,
        )
    return ModelInfo(
        activation=parts.backbone.activation,
        adaptation=model.adaptation,
        alpha=1.0,
        lora_scale=0.0 if model.adaptation == "full" else model.lora_alpha / model.lora_rank,
        pixel_pipeline=parts.videos.stores[0].spec.pipeline,
        pooling="mean",
        base=parts.backbone.name,
        base_hash=parts.base_hash,
        contextualizer=shape,
        provenance={
            "recipe": config.recipe,
            # Others get this file: a local base's path is none of their business.
            "config": {**settings, "model": {**settings["model"], "base": parts.backbone.name}},
            "step": step,
            "data": parts.videos.content_hash,
            "packages": package_versions(),
        },
    )

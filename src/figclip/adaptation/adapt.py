"""`figclip adapt`: plan a run, train it, choose its checkpoint and strength, write `model/`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float32
from torch import nn

from figclip.adaptation.assembly import RunParts, assemble, check_parts, write_run_files
from figclip.adaptation.keeping import Keeping, KeepingPlan, open_keeping, plan_keeping
from figclip.adaptation.pooling import measure_text_pooling
from figclip.adaptation.run_texts import RunTexts, read_run_texts, write_run_texts
from figclip.adaptation.strength import (
    KeptPlan,
    KeptTest,
    StrengthChoice,
    choose_strength,
    open_kept,
    plan_kept,
    unproven,
    write_choice,
)
from figclip.annotations.captions import TEMPLATES
from figclip.annotations.counterfactuals import CounterfeitPools, build_counterfeit_pools
from figclip.annotations.splits import why_none_held_back
from figclip.annotations.texts import MASKED_WARNING, masked_warning
from figclip.config import RunConfig
from figclip.evaluation.seen_items import media_in
from figclip.evaluation.sources import DataSource
from figclip.model.backbone import state_hash
from figclip.model.card import CardFacts, build_card, data_names
from figclip.model.embedder import Embedder, FrameRef
from figclip.model.folder import ContextualizerShape, ModelInfo, SeenMedia, write_adapted
from figclip.model.lora import plain_copy, plain_state
from figclip.model.pooling import TextPooling
from figclip.runtime.launcher import num_processes
from figclip.runtime.locks import one_writer
from figclip.runtime.process_group import Processes, processes_of, start_accelerator
from figclip.runtime.progress import CountProgress, Progress, no_progress
from figclip.runtime.tracking import Tracker, require_tracker, tracked
from figclip.runtime.versions import package_versions
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_retrieval import DenseValidation, build_validation
from figclip.training.batches import (
    BatchLoader,
    BatchPlan,
    ClipBatch,
    PicturePlan,
    PlannedVideo,
)
from figclip.training.clip_trainee import ClipTrainee, held_frames, held_texts
from figclip.training.loop import LoopSettings, Outcome, StepReport, TrainingLoop
from figclip.training.run_folder import RunFolder, check_run
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredVideos


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationPlan:
    """What adapt is about to do; shown before it starts.

    Attributes:
        num_videos: Videos that are trained on.
        num_val_videos: Videos held back to choose the checkpoint; 0: last step kept.
        num_events: Events of the training videos, all annotations.
        num_texts: Different captions and negatives.
        masked_negatives: Share of hard negatives that could not be drawn.
        batch_videos: Most videos of a global batch; likewise `batch_frames`.
        tower_parameters: Those that are trained; likewise `contextualizer_parameters`.
        memory_bytes: About the peak memory of one process, batches of frames included.
        held_on: What the model is held to its base on; None where it is not.
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
    held_on: str | None
    kept: tuple[str, ...]
    warnings: tuple[str, ...]

    def sentences(self) -> list[str]:
        """The plan for people, warnings last."""
        choosers = ("val and " if self.num_val_videos else "") + ", ".join(self.kept)
        val = f", {self.num_val_videos:,} held back to choose the checkpoint"
        return [
            f"{self.num_videos:,} videos, {self.num_events:,} events, {self.num_texts:,} texts"
            f"{val if self.num_val_videos else ''}",
            f"{self.num_steps:,} step{'' if self.num_steps == 1 else 's'}; a global batch holds at "
            f"most {self.batch_videos} videos, {self.batch_frames:,} frames, over "
            f"{self.num_processes} process"
            f"{'es' if self.num_processes > 1 else ''} on {self.device}",
            f"{self.tower_parameters:,} parameters of the towers are trained, "
            f"{self.contextualizer_parameters:,} of the contextualizer",
            *([f"held to its base on {self.held_on}"] if self.held_on else []),
            *([f"the strength is chosen by {choosers}"] if self.kept else []),
            f"about {self.memory_bytes / 2**30:.1f} GiB of memory per process",
            *(f"Warning: {warning}" for warning in self.warnings),
        ]


def describe_run(
    config: RunConfig,
    parts: RunParts,
    settings: LoopSettings,
    *,
    keeping: Keeping | None,
    kept: Sequence[KeptTest],
) -> AdaptationPlan:
    """The plan in numbers, with warnings."""
    batch_videos = min(config.data.videos_per_batch, len(parts.train.records))
    largest = np.sort(parts.texts.most_events)[-batch_videos:]
    batch_frames = int(largest.sum()) * config.data.frames_per_event
    trained = [p for p in parts.backbone.parameters() if p.requires_grad]
    return AdaptationPlan(
        num_videos=len(parts.train.records),
        num_val_videos=len(parts.val.records),
        num_events=parts.texts.num_events,
        num_texts=len(parts.texts.texts),
        masked_negatives=parts.texts.masked_fraction,
        num_steps=settings.num_steps,
        batch_videos=batch_videos,
        batch_frames=batch_frames,
        num_processes=num_processes(),
        tower_parameters=sum(p.numel() for p in trained),
        contextualizer_parameters=_num_parameters(parts.contextualizer),
        memory_bytes=_memory_estimate(config, parts, batch_frames),
        device=parts.backbone.device.type,
        held_on=keeping and f"{keeping.pictures.name}, by {len(keeping.texts):,} texts",
        kept=tuple(test.name for test in kept),
        warnings=(
            *_warnings(config, parts, kept),
            *(keeping.notices(parts.backbone) if keeping is not None else ()),
        ),
    )


def _warnings(config: RunConfig, parts: RunParts, kept: Sequence[KeptTest]) -> list[str]:
    """What the user should know first."""
    masked = parts.texts.masked_fraction
    warnings: list[str] = []
    if masked > MASKED_WARNING:
        warnings.append(masked_warning(masked))
    fraction = config.data.val_fraction
    if fraction and not parts.val.records:
        groups = {head.group for head in parts.train.heads}
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
    if parts.num_cut:
        warnings.append(
            f"{parts.num_cut:,} of {len(parts.texts.texts):,} texts are longer than the text "
            f"tower's {parts.backbone.context_length} tokens and are cut; `figclip preview` shows "
            "which."
        )
    return warnings


def _num_parameters(module: nn.Module | None) -> int:
    """Number of parameters; 0 for none."""
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def _memory_estimate(config: RunConfig, parts: RunParts, batch_frames: int) -> int:
    """Peak memory: weights, gradients, AdamW's two moments, activations, the batch's frames."""
    size = parts.backbone.preprocessing.image_size
    weights = _num_parameters(parts.backbone) + _num_parameters(parts.contextualizer)
    trained = sum(p.numel() for p in parts.backbone.parameters() if p.requires_grad)
    trained += _num_parameters(parts.contextualizer)
    events = batch_frames // config.data.frames_per_event
    rows = parts.texts.rows
    texts = events * (1 + rows.negative_NK.shape[1] + rows.concept_NC.shape[1])
    batch_frames += config.keep.pictures if config.keep.weight else 0
    frames = batch_frames * size**2 * 3 * (1 + 2 * config.data.loader_workers)

    room, micro_batch = parts.activation_bytes, config.train.micro_batch
    of_frames = held_frames(config, parts.backbone, batch_frames, activation_bytes=room)
    whole, lean = (parts.backbone.frame_activation_bytes(lean=lean) for lean in (False, True))
    held = min(of_frames.whole * micro_batch, batch_frames) * whole
    held += of_frames.lean * micro_batch * lean
    if config.model.trains_text_tower:
        of_texts = held_texts(config, parts.backbone, texts, activation_bytes=room)
        held += min(of_texts.whole * micro_batch, texts) * parts.backbone.text_activation_bytes()
    return 4 * weights + 12 * trained + held + frames


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationResult:
    """How adapt ended.

    Attributes:
        outcome: The training loop's outcome.
        model: The model folder; None when interrupted.
        kept_step: Step whose weights it holds; None when interrupted.
        strength: How its strength was chosen; None without `keep`, or when interrupted.
        text_pooling: Which pooling fits which texts; None where that was not measured.
    """

    outcome: Outcome
    model: Path | None
    kept_step: int | None
    strength: StrengthChoice | None = None
    text_pooling: TextPooling | None = None


@one_writer
def adapt(
    config: RunConfig,
    *,
    data: Sequence[Path],
    out: Path,
    keep: Sequence[DataSource] = (),
    keep_images: Sequence[Path] = (),
    keep_texts: Path | None = None,
    resume: bool = False,
    cache: Path | None = None,
    cpu: bool = False,
    track: Tracker | None = None,
    on_plan: Callable[[AdaptationPlan], None] | None = None,
    on_texts: CountProgress | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    on_progress: Progress | None = None,
) -> AdaptationResult:
    """Adapt a CLIP to densely annotated videos.

    Processes of torchrun call it alike, on the same folders; the main one writes and reports.
    Interrupted by SIGINT or SIGTERM it saves a checkpoint and returns; called again with `resume`
    it goes on, and ends bit-identical to an undisturbed run (on the CPU, same threads).

    Args:
        config: From a recipe.
        data: Frame stores that `prepare` wrote.
        out: Run folder.
        keep: Tests that must not suffer, by half of which the strength is chosen; none: strength 1.
        keep_images: Unlabelled images, videos, or folders of them, on which the model is held to
            its base where `config.keep.weight` is above 0; none: the training videos' own frames.
        keep_texts: Texts to compare these with, one a line; None: what annotations name.
        resume: Go on with the run in `out`.
        cache: Folder of embeddings and decoded pictures; None: only pictures, in `out`.
        cpu: Use the CPU even where there is a GPU.
        track: What is told losses and scores besides, see `runtime.tracking`.
        on_plan: Told once what is about to be done.
        on_texts: Told how many texts or pictures of how many are embedded.
        on_step: Told about every step. A loss that is not finite raises a `TrainingError`.
        on_progress: Told what is decoded or scored to keep.

    Raises:
        ConfigError: settings that contradict each other, too many processes, no such tracker.
        CheckpointError: `out` holds another run, one of another base, or none to resume.
        ModelError, StoreError, DataError: the base, a store, or what is to keep cannot be used.
        OutputError: no room in `out`, or another process writes into it.
    """
    require_tracker(track)
    accelerator = start_accelerator(cpu=cpu)
    processes = processes_of(accelerator)
    if not processes.is_main:
        on_plan = on_texts = on_progress = None
    run = RunFolder(out)
    check_run(run, config, resume=resume, device=accelerator.device)
    planned = plan_kept(keep, config, cache=cache)
    to_keep = plan_keeping(keep_images, keep_texts, config.keep, out=out)
    parts = _assemble(run, config, data, cache, on_texts, accelerator)
    check_parts(run, parts, num_kept=0 if planned is None else planned.num_tests)
    accelerator.wait_for_everyone()  # before the main process writes what the others check
    keeping = _open_keeping(to_keep, config, parts, cache or out, processes, on_progress)
    batches = _plan_batches(config, parts, keeping, processes)
    settings = _loop_settings(config, batches.plan.steps_per_epoch)
    tests = _open_tests(planned, parts, keeping, processes, on_progress)
    if processes.is_main:
        held = {"kept": [test.hash for test in tests], **(keeping.facts if keeping else {})}
        write_run_files(run, config, parts, data=data, held=held, num_processes=processes.num)
        _write_texts(run, parts, to_keep, keeping)
    if on_plan is not None:
        on_plan(describe_run(config, parts, settings, keeping=keeping, kept=tests))
    loop = _build_loop(config, parts, keeping, settings, accelerator, run=run, on_step=on_step)
    # What follows looks at few of them: memory does not grow with their number.
    parts = replace(parts, records=parts.train.records, pools=None)
    with tracked(accelerator, track, out=out, config=asdict(config)):
        outcome = loop.run(batches, resume=resume)
    if outcome.interrupted_by is not None:
        return AdaptationResult(outcome=outcome, model=None, kept_step=None)
    loop.load_weights(_kept_step(config, outcome))
    done = _finish(run, config, parts, keeping, tests, on_progress, processes, outcome)
    accelerator.wait_for_everyone()
    return done


def _assemble(
    run: RunFolder,
    config: RunConfig,
    data: Sequence[Path],
    cache: Path | None,
    on_texts: CountProgress | None,
    accelerator: Accelerator,
) -> RunParts:
    """The parts of a run, with the texts that it began with if it has begun."""
    return assemble(
        config,
        data,
        cache=cache,
        on_texts=on_texts,
        device=accelerator.device,
        processes=processes_of(accelerator),
        before=read_run_texts(run),
    )


def _build_loop(
    config: RunConfig,
    parts: RunParts,
    keeping: Keeping | None,
    settings: LoopSettings,
    accelerator: Accelerator,
    *,
    run: RunFolder,
    on_step: Callable[[StepReport], None] | None,
) -> TrainingLoop[ClipBatch]:
    """The loop; it checks that the disk has room, also for the model folder."""
    validator = _validator(config, parts, processes_of(accelerator)) if parts.val.records else None
    return TrainingLoop(
        _build_trainee(config, parts, keeping, accelerator),
        settings,
        run=run,
        accelerator=accelerator,
        validator=validator,
        on_step=on_step,
        result_bytes=4 * (_num_parameters(parts.backbone) + _num_parameters(parts.contextualizer)),
    )


def _kept_step(config: RunConfig, outcome: Outcome) -> int:
    """The step whose weights are kept."""
    best = outcome.best_step if config.train.keep == "best" else None
    return outcome.step if best is None else best


def _plan_batches(
    config: RunConfig, parts: RunParts, keeping: Keeping | None, processes: Processes
) -> BatchLoader:
    """This process's share of the batches of all epochs."""
    counts = parts.texts.num_annotations.tolist()
    planned = [
        PlannedVideo(head.id, range(count))
        for head, count in zip(parts.train.heads, counts, strict=True)
    ]
    plan = BatchPlan(planned, videos_per_batch=config.data.videos_per_batch, seed=config.train.seed)
    return BatchLoader(
        plan=plan,
        frames=parts.train,
        num_steps=config.train.epochs * plan.steps_per_epoch,
        frames_per_event=config.data.frames_per_event,
        workers=config.data.loader_workers,
        rank=processes.rank,
        num_ranks=processes.num,
        pinned=parts.backbone.device.type == "cuda",
        pictures=keeping
        and PicturePlan(
            source=keeping.pictures.source,
            pictures=keeping.pictures.frames,
            num_a_step=config.keep.pictures,
            seed=config.train.seed,
        ),
    )


def _open_tests(
    planned: KeptPlan | None,
    parts: RunParts,
    keeping: Keeping | None,
    processes: Processes,
    on_progress: Progress | None,
) -> tuple[KeptTest, ...]:
    """The kept tests; one process decodes them, as a store has one writer."""
    if planned is None:
        return ()
    spec = StoreSpec(
        pipeline=parts.videos.stores[0].spec.pipeline, size=parts.backbone.preprocessing.image_size
    )
    seen = SeenMedia(trained_on=_trained_on(parts, keeping), validated_on=media_in(parts.val))
    return processes.once(lambda: open_kept(planned, spec, seen=seen, on_progress=on_progress))


def _write_texts(
    run: RunFolder, parts: RunParts, planned: KeepingPlan | None, keeping: Keeping | None
) -> None:
    """What has been made of all annotations, for resuming, unless it is there."""
    if parts.before is not None:
        return
    drawn = (False, False) if planned is None else (planned.texts is None, planned.files is None)
    texts = RunTexts(
        data=parts.videos.content_hash,
        table=parts.texts,
        num_cut=parts.num_cut,
        kept_texts=keeping.texts if keeping and drawn[0] else (),
        kept_frames=keeping.pictures.frames if keeping and drawn[1] else (),
    )
    write_run_texts(run, texts)


def _open_keeping(
    planned: KeepingPlan | None,
    config: RunConfig,
    parts: RunParts,
    cache: Path,
    processes: Processes,
    on_progress: Progress | None,
) -> Keeping | None:
    """What the run keeps; one process decodes it, as a store has one writer."""
    if planned is None:
        return None
    stores = cache / "stores"
    return processes.once(
        lambda: open_keeping(planned, config, parts, stores=stores, on_progress=on_progress)
    )


def _trained_on(parts: RunParts, keeping: Keeping | None) -> frozenset[str]:
    """`medium_hash` of all that training shows, labelled or not."""
    return media_in(parts.train) | (frozenset() if keeping is None else keeping.pictures.media)


def _build_trainee(
    config: RunConfig, parts: RunParts, keeping: Keeping | None, accelerator: Accelerator
) -> ClipTrainee:
    """What the loop trains; nothing is trained yet, so that the teacher is the base."""
    return ClipTrainee(
        parts.backbone,
        parts.contextualizer,
        config=config,
        texts=parts.texts,
        text_embeddings_MD=_text_embeddings(config, parts),
        video_ids=[head.id for head in parts.train.heads],
        accelerator=accelerator,
        teacher=keeping and keeping.build_teacher(parts.text_embedder),
        activation_bytes=parts.activation_bytes,
    )


def _finish(
    run: RunFolder,
    config: RunConfig,
    parts: RunParts,
    keeping: Keeping | None,
    tests: Sequence[KeptTest],
    on_progress: Progress | None,
    processes: Processes,
    outcome: Outcome,
) -> AdaptationResult:
    """Choose strength and pooling of the weights that the parts hold now, and write the model."""
    kept_step = _kept_step(config, outcome)
    choice = None
    if tests:
        choice = choose_strength(
            parts.backbone,
            tests,
            detail=_val_scorer(config, parts) if parts.val.records else None,
            micro_batch=config.train.micro_batch,
            seed=config.train.seed,
            on_progress=on_progress,
            processes=processes,
        )
    alpha = 1.0 if choice is None else choice.chosen.alpha
    text_pooling = _measure_pooling(config, parts, processes, on_progress, alpha=alpha)
    if processes.is_main:
        if choice is not None:
            write_choice(choice, run.path, model=run.path.resolve().name)
        info = _model_info(config, parts, keeping, kept_step, choice)
        info = replace(info, text_pooling=text_pooling)
        write_adapted(
            run.model,
            parts.backbone,
            adapter=parts.adapter,
            contextualizer=parts.contextualizer,
            info=info,
            card=_card(info, parts, choice),
        )
    return AdaptationResult(
        outcome=outcome,
        model=run.model,
        kept_step=kept_step,
        strength=choice,
        text_pooling=text_pooling,
    )


def _measure_pooling(
    config: RunConfig,
    parts: RunParts,
    processes: Processes,
    on_progress: Progress | None,
    *,
    alpha: float,
) -> TextPooling | None:
    """Which pooling fits which texts; None without a contextualizer or held-back videos."""
    if parts.contextualizer is None or not parts.val.records:
        return None

    def embedder(strength: float) -> _ValidationEmbedder:
        plain = plain_copy(parts.backbone)
        plain.clip.load_state_dict(plain_state(parts.backbone.clip, alpha=strength))
        merged = Embedder(plain, micro_batch=config.train.micro_batch, processes=processes)
        return _with_texts(config, parts, merged)

    merged = embedder(alpha)
    parts.contextualizer.eval()
    return measure_text_pooling(
        _draw_validation(config, parts),
        merged=merged,
        trained=merged if alpha == 1 else embedder(1.0),
        contextualizer=parts.contextualizer,
        template=TEMPLATES[config.text.template],
        seed=config.train.seed,
        on_progress=partial(on_progress or no_progress, "measuring poolings"),
    )


def _card(info: ModelInfo, parts: RunParts, choice: StrengthChoice | None) -> str:
    """The model card; scores come after the model, so it has none yet."""
    facts = CardFacts(
        data_names=data_names(store.coverage for store in parts.videos.stores),
        num_videos=len(parts.train.records),
        num_val_videos=len(parts.val.records),
        price=None if choice is None else choice.price,
    )
    weights = state_hash(plain_state(parts.backbone.clip, alpha=info.alpha))
    notes = parts.backbone.family.notes
    return build_card(info, weights=weights, alpha=info.alpha, facts=facts, notes=notes)


def _text_embeddings(config: RunConfig, parts: RunParts) -> torch.Tensor | None:
    """Embeddings of all texts, when the text tower is frozen."""
    if config.model.trains_text_tower:
        return None
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


def _with_texts(config: RunConfig, parts: RunParts, model: Embedder) -> _ValidationEmbedder:
    """A model whose texts are those that are embedded already, where their tower is frozen."""
    return _ValidationEmbedder(
        model, model if config.model.trains_text_tower else parts.text_embedder
    )


def _validator(
    config: RunConfig, parts: RunParts, processes: Processes
) -> Callable[[], Mapping[str, float]]:
    """Scores on val of the model as it is now, whose embedding the processes share.

    Called before the first step, when LoRA's B is zero, it scores the base.
    """
    now = Embedder(parts.backbone, micro_batch=config.train.micro_batch, processes=processes)
    embedder = _with_texts(config, parts, now)
    score = _val_scorer(config, parts)
    return lambda: score(embedder)


def _val_scorer(
    config: RunConfig, parts: RunParts
) -> Callable[[FrameTextEmbedder], Mapping[str, float]]:
    """Scores on val, which choose the checkpoint and the strength; drawn once, asked often."""
    if parts.pools is not None:
        return _build_validation(config, parts, parts.pools).scores
    # A resumed run may be long in coming to it, and has to read all annotations for it.
    drawn = cache(lambda: _draw_validation(config, parts))
    return lambda embedder: drawn().scores(embedder)


def _draw_validation(config: RunConfig, parts: RunParts) -> DenseValidation:
    """What is asked about the held-back videos, from annotations that are read for it."""
    records = parts.train.in_memory().records
    return _build_validation(config, parts, build_counterfeit_pools(records))


def _build_validation(
    config: RunConfig, parts: RunParts, pools: CounterfeitPools
) -> DenseValidation:
    """What is asked about the held-back videos."""
    return build_validation(
        parts.val.in_memory(),
        pools=pools,
        frames_per_event=config.data.frames_per_event,
        seed=config.train.seed,
    )


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


def _model_info(
    config: RunConfig,
    parts: RunParts,
    keeping: Keeping | None,
    step: int,
    choice: StrengthChoice | None,
) -> ModelInfo:
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
        alpha=1.0 if choice is None else choice.chosen.alpha,
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
        seen=parts.base_seen | _seen_in_training(config, parts, keeping, choice),
    )


def _seen_in_training(
    config: RunConfig, parts: RunParts, keeping: Keeping | None, choice: StrengthChoice | None
) -> SeenMedia:
    """What the model was trained on, and what chose it."""
    # Where neither the checkpoint nor the strength is chosen, val is only looked at.
    is_chosen = config.train.keep == "best" or choice is not None
    return SeenMedia(
        trained_on=_trained_on(parts, keeping),
        validated_on=media_in(parts.val) if is_chosen else frozenset(),
        selected_on=frozenset() if choice is None else frozenset(choice.selected_on),
    )

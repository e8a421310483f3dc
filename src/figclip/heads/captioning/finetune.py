"""`figclip finetune captioning`: heads for dense captioning, base beside adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from figclip.annotations.own_files import counted
from figclip.annotations.role_tokens import Vocabulary
from figclip.annotations.splits import TRAIN_SPLIT, held_back_groups, why_none_held_back
from figclip.config import CaptioningConfig
from figclip.errors import ConfigError, ModelError
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.head import CaptioningHead
from figclip.heads.captioning.training import (
    CaptioningTrainee,
    build_caption_vocabulary,
    sentence_words,
    span_within,
)
from figclip.heads.captioning.videos import (
    OpenedCaptions,
    check_captioned,
    embed_whole_videos,
    open_captions,
)
from figclip.heads.features import CONTEXTUALIZER, FrozenModel, check_models, load_frozen_models
from figclip.heads.run import (
    FinetuneResult,
    HeadInfo,
    HeadJob,
    ItemBatch,
    ItemBatches,
    OnStep,
    model_reference,
    train_heads,
    write_head_info,
    write_head_run,
)
from figclip.runtime.launcher import require_one_process
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchPlan
from figclip.training.run_files import check_data, check_run
from figclip.training.run_folder import RunFolder
from figclip.video.store import StoreSpec

TASK = "captioning"


def finetune_captioning(
    config: CaptioningConfig,
    *,
    model: str | Path,
    data: DataSource,
    out: Path,
    cache: Path,
    base: str | Path | None = None,
    resume: bool = False,
    cpu: bool = False,
    on_step: OnStep | None = None,
    on_progress: Progress | None = None,
) -> FinetuneResult:
    """Train the same fresh head on the frozen frame features of base and adapted model.

    Interrupted by SIGINT or SIGTERM it saves a checkpoint and returns; called again with `resume`
    it goes on, and ends bit-identical to an undisturbed run (on the CPU, same threads).

    Args:
        config: From a recipe.
        model: Hub id, model folder or run folder; a plain CLIP gives one head.
        data: Dense captions with `videos=DIR`: of a folder its split `train`, or one file, whole.
        out: Run folder.
        cache: Folder of embeddings and decoded frames.
        base: Base of a full fine-tune.
        resume: Go on with the run in `out`.
        cpu: Use the CPU even where there is a GPU.
        on_step: Told about every step.
        on_progress: Told what is being decoded or embedded.

    Raises:
        ConfigError: several processes; data that hold no dense captions, or name a split.
        CheckpointError: `out` holds another run, or none to resume.
        ModelError, StoreError, DataError, AnnotationError: model, store or data cannot be used.
        TrainingError: a loss is not finite.
    """
    require_one_process("finetune captioning")
    run = RunFolder(out)
    check_run(run, config, resume=resume)
    check_captioned(data, cache=cache)
    if data.split is not None:
        raise ConfigError(
            f"heads are trained on split {TRAIN_SPLIT!r} only, or on one file",
            where=f"--data split={data.split}",
            fix="Leave split= out",
        )
    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    models, notices = load_frozen_models(
        model, base=base, cache=cache, device=device, on_progress=on_progress
    )
    # The contextualizer speaks of annotated events; here they are still to be found.
    models = tuple(one for one in models if one.name != CONTEXTUALIZER)
    check_models(out, models, task=TASK, model=model)
    opened = _open_training(config, models, data, cache=cache, on_progress=on_progress)
    check_data(run, opened[models[0].spec].hash)
    training = [_Training(config, one, opened[one.spec]) for one in models]
    first = training[0]
    _write_run(run, first, model=model, base=base, models=models, device=device)
    return train_heads(
        [one.job(device) for one in training],
        out,
        train=config.train,
        cpu=cpu,
        on_step=on_step,
        notices=(*notices, *first.notices()),
    )


def caption_vocabulary(content: Mapping[str, Any], *, where: str) -> Vocabulary:
    """The vocabulary that `head.json` holds.

    Raises:
        ModelError: it holds something else.
    """
    words = content.get("words")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ModelError("its vocabulary is damaged", where=where, fix="Fine-tune it again.")
    return Vocabulary(marks=(), words=tuple(words))


def build_captioning_head(
    config: CaptioningConfig, vocabulary: Vocabulary, *, feature_dim: int
) -> CaptioningHead:
    """A fresh head with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(config.train.seed)
        return CaptioningHead(
            feature_dim, num_tokens=len(vocabulary), size=config.head, queries=config.queries
        )


def _open_training(
    config: CaptioningConfig,
    models: Sequence[FrozenModel],
    data: DataSource,
    *,
    cache: Path,
    on_progress: Progress | None,
) -> dict[StoreSpec, OpenedCaptions]:
    """The training videos, once for each kind of pixels that the models take."""
    source = replace(data, split=None if data.path.is_file() else TRAIN_SPLIT)
    return {
        spec: open_captions(
            source,
            spec=spec,
            per_second=config.frames.per_second,
            cache=cache,
            on_progress=on_progress,
        )
        for spec in dict.fromkeys(one.spec for one in models)
    }


def _write_run(
    run: RunFolder,
    training: _Training,
    *,
    model: str | Path,
    base: str | Path | None,
    models: Sequence[FrozenModel],
    device: str,
) -> None:
    """Write the files that say what the heads are trained on."""
    opened = training.opened
    train, val = (
        {opened.videos[i].id: opened.file_hash(i) for i in part}
        for part in (training.train, training.val)
    )
    write_head_run(
        run,
        training.config,
        content_hash=opened.hash,
        train=train,
        val=val,
        device=device,
    )
    info = HeadInfo(
        task=TASK,
        model=model_reference(model),
        base=None if base is None else model_reference(base),
        feature_dim=training.feature_dim,
        models={one.name: one.info for one in models},
        vocabulary={"words": list(training.vocabulary.words)},
    )
    write_head_info(run.path, info)


class _Training:
    """What the head of one model is trained on.

    Args:
        config: The run's configuration.
        model: Where the features come from.
        opened: The training videos.
    """

    def __init__(
        self, config: CaptioningConfig, model: FrozenModel, opened: OpenedCaptions
    ) -> None:
        self.config = config
        self._model = model
        self.opened = opened
        ids = [video.id for video in opened.videos]
        held_back = held_back_groups(ids, val_fraction=config.train.val_fraction)
        self.train = [i for i, name in enumerate(ids) if name not in held_back]
        self.val = [i for i, name in enumerate(ids) if name in held_back]
        self.vocabulary = build_caption_vocabulary(
            [opened.videos[i] for i in self.train], min_word_count=config.head.min_word_count
        )
        self._features = embed_whole_videos(
            model.embedder, opened.clips, [video.clip_idx for video in opened.videos]
        )

    @property
    def feature_dim(self) -> int:
        """D."""
        return self._features.rows[0].shape[1]

    def job(self, device: str) -> HeadJob[ItemBatch]:
        """The head and how it is trained."""
        config = self.config
        head = build_captioning_head(config, self.vocabulary, feature_dim=self.feature_dim)
        order = (*self.train, *self.val)
        videos = [self.opened.videos[i] for i in order]
        trainee = CaptioningTrainee(
            head.to(device),
            self._features.subset(order),
            videos,
            vocabulary=self.vocabulary,
            loss=config.loss,
            train=config.train,
            max_tokens=config.head.max_words,
        )
        num_train = len(self.train)
        plan = BatchPlan(
            videos[:num_train],
            videos_per_batch=config.train.videos_per_batch,
            seed=config.train.seed,
        )
        held_back = range(num_train, len(videos))
        return HeadJob(
            name=self._model.name,
            head=head,
            trainee=trainee,
            batches=ItemBatches(plan, config.train.epochs * plan.steps_per_epoch),
            steps_per_epoch=plan.steps_per_epoch,
            validator=(lambda: trainee.validate(held_back)) if held_back else None,
        )

    def notices(self) -> list[str]:
        """What the user must know of the data."""
        config, opened = self.config, self.opened
        annotated = [
            (event, self._features.duration_s(i))
            for i in self.train
            for one in opened.videos[i].annotations
            for event in one.events
        ]
        most = max(len(one.events) for i in self.train for one in opened.videos[i].annotations)
        lines = sentence_words(event.sentence for event, _ in annotated)
        longest, num_queries = config.head.max_words - 1, config.queries.num
        notices = [
            *opened.notices,
            *counted(
                len(opened.left_out),
                "video",
                f"of {opened.coverage['listed']:,} cannot be trained on, for example "
                f"{opened.left_out[0].item}: {opened.left_out[0].reason}."
                if opened.left_out
                else "",
            ),
            *counted(
                sum(span_within(event, end_s) is None for event, end_s in annotated),
                "event",
                "cannot be learnt: the span is empty, reversed, or outside the video.",
            ),
            *counted(
                sum(len(line.split()) > longest for line in lines),
                "sentence",
                f"of {len(lines):,} longer than {longest} words, cut there (head.max_words).",
            ),
        ]
        rare = {word for line in lines for word in line.split()} - set(self.vocabulary.words)
        notices += counted(
            len(rare),
            "word",
            f"rarer than {config.head.min_word_count} times, never written (head.min_word_count).",
        )
        if most > num_queries:
            notices.append(
                f"A video has {most:,} events; of each video the first {num_queries} are learnt "
                "(queries.num)."
            )
        fraction = config.train.val_fraction
        if fraction and not self.val:
            notices.append(
                why_none_held_back(
                    len(self.train), val_fraction=fraction, setting="train.val_fraction"
                )
            )
        return notices

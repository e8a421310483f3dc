"""`figclip finetune captioning`: heads for dense captioning, base beside adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from figclip.annotations.own_files import counted
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
    VideoFeatures,
    check_captioned,
    embed_whole_videos,
    open_captions,
)
from figclip.heads.features import FrozenModel
from figclip.heads.run import CAPTIONING, FinetuneResult, HeadTraining, OnStep
from figclip.heads.task import HeadTask, finetune_heads
from figclip.heads.vocabulary import Vocabulary
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchPlan
from figclip.video.store import StoreSpec


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
    return finetune_heads(
        TASK,
        config,
        model=model,
        data=data,
        out=out,
        base=base,
        resume=resume,
        cache=cache,
        cpu=cpu,
        on_step=on_step,
        on_progress=on_progress,
    )


class CaptioningTask(HeadTask[CaptioningConfig, OpenedCaptions, Vocabulary, CaptioningHead]):
    """Spans and sentences of the events of whole videos.

    The contextualizer speaks of annotated events; here they are still to be found.
    """

    name = CAPTIONING
    config = CaptioningConfig
    has_context = False

    def check_training(
        self, data: DataSource, config: CaptioningConfig, *, cache: Path | None
    ) -> None:
        """As `check_captioned`; a split cannot be chosen."""
        check_captioned(data, cache=cache)
        if data.split is not None:
            raise ConfigError(
                f"heads are trained on split {TRAIN_SPLIT!r} only, or on one file",
                where=f"--data split={data.split}",
                fix="Leave split= out",
            )

    def open_training(
        self,
        data: DataSource,
        config: CaptioningConfig,
        *,
        spec: StoreSpec,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> OpenedCaptions:
        """The training videos: those of the split of a folder, or all of a file."""
        assert cache is not None, "whole videos are decoded into the cache"
        return open_captions(
            replace(data, split=None if data.path.is_file() else TRAIN_SPLIT),
            spec=spec,
            per_second=config.frames.per_second,
            cache=cache,
            on_progress=on_progress,
        )

    def prepare(
        self, config: CaptioningConfig, model: FrozenModel, *, videos: OpenedCaptions, device: str
    ) -> HeadTraining:
        """A fresh head on the features of a model, and how it is trained."""
        ids = [video.id for video in videos.videos]
        names = held_back_groups(ids, val_fraction=config.train.val_fraction)
        train = [i for i, name in enumerate(ids) if name not in names]
        val = [i for i, name in enumerate(ids) if name in names]
        vocabulary = build_caption_vocabulary(
            [videos.videos[i] for i in train], min_word_count=config.head.min_word_count
        )
        features = embed_whole_videos(
            model.embedder, videos.clips, [video.clip_idx for video in videos.videos]
        )
        dim = features.rows[0].shape[1]
        head = self.fresh_head(config, vocabulary, feature_dim=dim).to(device)
        ordered = [videos.videos[i] for i in (*train, *val)]
        trainee = CaptioningTrainee(
            head,
            features.subset((*train, *val)),
            ordered,
            vocabulary=vocabulary,
            config=config,
        )
        held_back = range(len(train), len(ordered))
        return HeadTraining(
            name=model.name,
            head=head,
            trainee=trainee,
            plan=BatchPlan(
                ordered[: len(train)],
                videos_per_batch=config.train.videos_per_batch,
                seed=config.train.seed,
            ),
            validator=(lambda: trainee.validate(held_back)) if held_back else None,
            train={ids[i]: videos.file_hash(i) for i in train},
            val={ids[i]: videos.file_hash(i) for i in val},
            feature_dim=dim,
            vocabulary={"words": vocabulary.words},
            notices=lambda: _notices(config, videos, features, train, vocabulary),
        )

    def read_vocabulary(self, content: Mapping[str, Any], *, where: str) -> Vocabulary:
        """The words, as `head.json` holds them."""
        words = content.get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ModelError("its vocabulary is damaged", where=where, fix="Fine-tune it again.")
        return Vocabulary(marks=(), words=tuple(words))

    def build_head(
        self, config: CaptioningConfig, vocabulary: Vocabulary, *, feature_dim: int
    ) -> CaptioningHead:
        """A head with the weights that torch's generator gives."""
        return CaptioningHead(
            feature_dim, num_tokens=len(vocabulary), size=config.head, queries=config.queries
        )


TASK = CaptioningTask()


def _notices(
    config: CaptioningConfig,
    opened: OpenedCaptions,
    features: VideoFeatures,
    train: Sequence[int],
    vocabulary: Vocabulary,
) -> list[str]:
    """What the user must know of the data."""
    annotated = [
        (event, features.duration_s(i))
        for i in train
        for one in opened.videos[i].annotations
        for event in one.events
    ]
    most = max(len(one.events) for i in train for one in opened.videos[i].annotations)
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
    rare = {word for line in lines for word in line.split()} - set(vocabulary.words)
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
    if fraction and len(train) == len(opened.videos):
        notices.append(
            why_none_held_back(len(train), val_fraction=fraction, setting="train.val_fraction")
        )
    return notices

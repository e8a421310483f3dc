"""`figclip.finetune_situations`: heads for verbs, roles and relations, base beside adapted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from figclip.annotations.role_tokens import Vocabulary, encode_roles, told_roles
from figclip.annotations.splits import TRAIN_SPLIT, split_training, why_none_held_back
from figclip.config import SituationConfig
from figclip.errors import ConfigError, ModelError
from figclip.evaluation.sources import (
    ANNOTATED,
    DataSource,
    check_source,
    open_annotated,
    read_annotated,
)
from figclip.heads.features import (
    FrozenModel,
    check_models,
    contextualizer_hash,
    load_frozen_models,
    with_events_only,
)
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
from figclip.heads.situations.head import SituationHead
from figclip.heads.situations.training import (
    SituationTrainee,
    SituationVocabulary,
    build_situation_vocabulary,
)
from figclip.runtime.launcher import require_one_process
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchPlan
from figclip.training.run_files import check_data, check_run
from figclip.training.run_folder import RunFolder
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredVideos

TASK = "situations"


def finetune_situations(
    config: SituationConfig,
    *,
    model: str | Path,
    data: DataSource,
    out: Path,
    base: str | Path | None = None,
    resume: bool = False,
    cache: Path | None = None,
    cpu: bool = False,
    on_step: OnStep | None = None,
    on_progress: Progress | None = None,
) -> FinetuneResult:
    """Train the same fresh head on the frozen features of base, adapted and contextualizer.

    Interrupted by SIGINT or SIGTERM it saves a checkpoint and returns; called again with `resume`
    it goes on, and ends bit-identical to an undisturbed run (on the CPU, same threads).

    Args:
        config: From a recipe.
        model: Hub id, model folder or run folder; a plain CLIP gives one head.
        data: Annotated events; heads are trained on its split `train`.
        out: Run folder.
        base: Base of a full fine-tune.
        resume: Go on with the run in `out`.
        cache: Folder of embeddings and decoded frames; None keeps none.
        cpu: Use the CPU even where there is a GPU.
        on_step: Told about every step.
        on_progress: Told what is being decoded or embedded.

    Raises:
        ConfigError: several processes; data that hold no annotated events, or name a split.
        CheckpointError: `out` holds another run, or none to resume.
        ModelError, StoreError, DataError: model, store or data cannot be used.
        TrainingError: a loss is not finite.
    """
    require_one_process("finetune situations")
    run = RunFolder(out)
    check_run(run, config, resume=resume)
    _check_training(data, config, cache=cache)
    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    models, notices = load_frozen_models(
        model, base=base, cache=cache, device=device, on_progress=on_progress
    )
    check_models(out, models, task=TASK, model=model)
    videos = {
        spec: _training_videos(data, spec, config, cache=cache, on_progress=on_progress)
        for spec in dict.fromkeys(one.spec for one in models)
    }
    check_data(run, videos[models[0].spec].content_hash)
    training = [_Training(config, one, videos[one.spec], device=device) for one in models]
    _write_run(run, config, training[0], device=device)
    info = HeadInfo(
        task=TASK,
        model=model_reference(model),
        base=None if base is None else model_reference(base),
        feature_dim=training[0].features.dim,
        models={one.name: one.info for one in models},
        vocabulary=vocabulary_to_json(training[0].vocabulary),
        contextualizer=contextualizer_hash(models),
    )
    write_head_info(out, info)
    return train_heads(
        [one.job() for one in training],
        out,
        train=config.train,
        cpu=cpu,
        on_step=on_step,
        notices=(*notices, *training[0].notices()),
    )


def _write_run(
    run: RunFolder, config: SituationConfig, training: _Training, *, device: str
) -> None:
    """Write the files that say what the heads are trained on."""
    write_head_run(
        run,
        config,
        content_hash=training.videos.content_hash,
        train=training.train.hash_by_id,
        val=training.val.hash_by_id,
        device=device,
    )


def vocabulary_to_json(vocabulary: SituationVocabulary) -> dict[str, list[str]]:
    """As `head.json` keeps it."""
    return {
        "verbs": list(vocabulary.verbs),
        "relations": list(vocabulary.relations),
        "role_keys": list(vocabulary.roles.marks),
        "words": list(vocabulary.roles.words),
    }


def vocabulary_from_json(
    content: Mapping[str, Sequence[str]], *, where: str
) -> SituationVocabulary:
    """Read what `vocabulary_to_json` wrote.

    Raises:
        ModelError: something else.
    """
    lists = [content.get(name) for name in ("verbs", "relations", "role_keys", "words")]
    if not all(isinstance(one, list) and all(isinstance(t, str) for t in one) for one in lists):
        raise ModelError("its vocabulary is damaged", where=where, fix="Fine-tune it again.")
    verbs, relations, keys, words = (tuple(one or ()) for one in lists)
    return SituationVocabulary(
        verbs=verbs, relations=relations, roles=Vocabulary(marks=keys, words=words)
    )


def build_head(
    config: SituationConfig, vocabulary: SituationVocabulary, *, feature_dim: int
) -> SituationHead:
    """A fresh head with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(config.train.seed)
        return SituationHead(feature_dim, labels=vocabulary.labels, size=config.head)


class _Training:
    """What the head of one model is trained on.

    Args:
        config: The run's configuration.
        model: Where the features come from.
        videos: Videos of the train split, with annotated events only.
        device: Where the head is trained.
    """

    def __init__(
        self, config: SituationConfig, model: FrozenModel, videos: StoredVideos, *, device: str
    ) -> None:
        self._config = config
        self._model = model
        self._device = device
        split = split_training(videos.records, val_fraction=config.train.val_fraction)
        self.videos = videos
        self.train, self.val = videos.subset(split.train), videos.subset(split.val)
        self.vocabulary = build_situation_vocabulary(
            self.train.records, min_word_count=config.head.min_word_count
        )
        self.features = model.event_features(
            videos.subset((*split.train, *split.val)), frames_per_event=config.frames.per_event
        )

    def job(self) -> HeadJob[ItemBatch]:
        """The head and how it is trained."""
        config = self._config
        head = build_head(config, self.vocabulary, feature_dim=self.features.dim).to(self._device)
        trainee = SituationTrainee(
            head,
            self.features,
            (*self.train.records, *self.val.records),
            vocabulary=self.vocabulary,
            loss=config.loss,
            train=config.train,
            max_tokens=config.head.max_words,
        )
        plan = BatchPlan(
            self.train.records,
            videos_per_batch=config.train.videos_per_batch,
            seed=config.train.seed,
        )
        num_train = len(self.train.records)
        held_back = [item for item in self.features.rows if item.video_idx >= num_train]
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
        longest = self._config.head.max_words
        events = [e for r in self.train.records for one in r.annotations for e in one.events]
        num_cut = sum(
            len(encode_roles(told_roles(event), self.vocabulary.roles)) > longest
            for event in events
        )
        notices: list[str] = []
        if num_cut:
            notices.append(
                f"{num_cut:,} of {len(events):,} events have roles of more than {longest} tokens: "
                "cut there (head.max_words)."
            )
        fraction = self._config.train.val_fraction
        if fraction and not self.val.records:
            groups = {record.group for record in self.train.records}
            notices.append(
                why_none_held_back(len(groups), val_fraction=fraction, setting="train.val_fraction")
            )
        return notices


def check_annotated(data: DataSource, *, cache: Path | None) -> None:
    """Refuse data without annotated events, before any work.

    Raises:
        ConfigError, DataError: they cannot be used.
    """
    if data.name not in ANNOTATED:
        raise ConfigError(
            f"{data.name} has no annotated events",
            where="--data",
            fix=f"Situations are those of {' or '.join(ANNOTATED)}",
        )
    check_source(data, cache=cache)


def _check_training(data: DataSource, config: SituationConfig, *, cache: Path | None) -> None:
    """As `check_annotated`; a split cannot be chosen, and there must be one to train on."""
    check_annotated(data, cache=cache)
    if data.split is not None:
        raise ConfigError(
            f"heads are trained on split {TRAIN_SPLIT!r} only",
            where=f"--data split={data.split}",
            fix="Leave split= out",
        )
    training = dataclasses.replace(data, split=TRAIN_SPLIT)
    read_annotated(training, frames_per_event=config.frames.per_event)


def _training_videos(
    data: DataSource,
    spec: StoreSpec,
    config: SituationConfig,
    *,
    cache: Path | None,
    on_progress: Progress | None,
) -> StoredVideos:
    """The videos of the train split, with those annotations that have events."""
    opened = open_annotated(
        dataclasses.replace(data, split=TRAIN_SPLIT),
        spec=spec,
        frames_per_event=config.frames.per_event,
        cache=cache,
        on_progress=on_progress,
    )
    assert isinstance(opened.content, StoredVideos), "annotated events are stored videos"
    return with_events_only(opened.content)

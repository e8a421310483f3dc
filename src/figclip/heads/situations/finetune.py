"""`figclip finetune situations`: heads for verbs, roles and relations, base beside adapted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from figclip.annotations.roles import told_roles
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
from figclip.heads.features import FrozenModel, with_events_only
from figclip.heads.run import SITUATIONS, FinetuneResult, HeadTraining, OnStep
from figclip.heads.situations.head import SituationHead
from figclip.heads.situations.training import (
    SituationTrainee,
    SituationVocabulary,
    build_situation_vocabulary,
)
from figclip.heads.task import HeadTask, finetune_heads
from figclip.heads.vocabulary import Vocabulary, encode_roles
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchPlan
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredVideos


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


class SituationTask(HeadTask[SituationConfig, StoredVideos, SituationVocabulary, SituationHead]):
    """Verbs, roles and relations of annotated events."""

    name = SITUATIONS
    config = SituationConfig
    has_context = True

    def check_training(
        self, data: DataSource, config: SituationConfig, *, cache: Path | None
    ) -> None:
        """As `check_annotated`; a split cannot be chosen, and there must be one to train on."""
        check_annotated(data, cache=cache)
        if data.split is not None:
            raise ConfigError(
                f"heads are trained on split {TRAIN_SPLIT!r} only",
                where=f"--data split={data.split}",
                fix="Leave split= out",
            )
        training = replace(data, split=TRAIN_SPLIT)
        read_annotated(training, frames_per_event=config.frames.per_event)

    def open_training(
        self,
        data: DataSource,
        config: SituationConfig,
        *,
        spec: StoreSpec,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> StoredVideos:
        """The videos of the train split, with those annotations that have events."""
        opened = open_annotated(
            replace(data, split=TRAIN_SPLIT),
            spec=spec,
            frames_per_event=config.frames.per_event,
            cache=cache,
            on_progress=on_progress,
        )
        assert isinstance(opened.content, StoredVideos), "annotated events are stored videos"
        return with_events_only(opened.content)

    def prepare(
        self, config: SituationConfig, model: FrozenModel, *, videos: StoredVideos, device: str
    ) -> HeadTraining:
        """A fresh head on the features of a model, and how it is trained."""
        split = split_training(videos.records, val_fraction=config.train.val_fraction)
        train, val = videos.subset(split.train), videos.subset(split.val)
        vocabulary = build_situation_vocabulary(
            train.records, min_word_count=config.head.min_word_count
        )
        features = model.event_features(
            videos.subset((*split.train, *split.val)), frames_per_event=config.frames.per_event
        )
        head = self.fresh_head(config, vocabulary, feature_dim=features.dim).to(device)
        trainee = SituationTrainee(
            head,
            features,
            (*train.records, *val.records),
            vocabulary=vocabulary,
            config=config,
        )
        held_back = [item for item in features.rows if item.video_idx >= len(train.records)]
        return HeadTraining(
            name=model.name,
            head=head,
            trainee=trainee,
            plan=BatchPlan(
                train.records,
                videos_per_batch=config.train.videos_per_batch,
                seed=config.train.seed,
            ),
            validator=(lambda: trainee.validate(held_back)) if held_back else None,
            train=train.hash_by_id,
            val=val.hash_by_id,
            feature_dim=features.dim,
            vocabulary={
                "verbs": vocabulary.verbs,
                "relations": vocabulary.relations,
                "role_keys": vocabulary.roles.marks,
                "words": vocabulary.roles.words,
            },
            notices=lambda: _notices(config, train, val, vocabulary.roles),
        )

    def read_vocabulary(self, content: Mapping[str, Any], *, where: str) -> SituationVocabulary:
        """Verbs, relations, keys and words of roles, as `head.json` holds them."""
        lists = [content.get(name) for name in ("verbs", "relations", "role_keys", "words")]
        if not all(isinstance(one, list) and all(isinstance(t, str) for t in one) for one in lists):
            raise ModelError("its vocabulary is damaged", where=where, fix="Fine-tune it again.")
        verbs, relations, keys, words = (tuple(one or ()) for one in lists)
        return SituationVocabulary(
            verbs=verbs, relations=relations, roles=Vocabulary(marks=keys, words=words)
        )

    def build_head(
        self, config: SituationConfig, vocabulary: SituationVocabulary, *, feature_dim: int
    ) -> SituationHead:
        """A head with the weights that torch's generator gives."""
        return SituationHead(feature_dim, labels=vocabulary.labels, size=config.head)


TASK = SituationTask()


def _notices(
    config: SituationConfig, train: StoredVideos, val: StoredVideos, roles: Vocabulary
) -> list[str]:
    """What the user must know of the data."""
    longest = config.head.max_words
    events = [e for r in train.records for one in r.annotations for e in one.events]
    num_cut = sum(len(encode_roles(told_roles(event), roles)) > longest for event in events)
    notices: list[str] = []
    if num_cut:
        notices.append(
            f"{num_cut:,} of {len(events):,} events have roles of more than {longest} tokens: "
            "cut there (head.max_words)."
        )
    fraction = config.train.val_fraction
    if fraction and not val.records:
        groups = {record.group for record in train.records}
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

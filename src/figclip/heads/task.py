"""What all task heads share: how they are fine-tuned, loaded, and scored base beside adapted."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from figclip.config import CaptioningConfig, SituationConfig, parsing
from figclip.errors import CheckpointError, ModelError
from figclip.evaluation.results import (
    DataInfo,
    EvaluationResult,
    Setting,
    TaskResult,
    compare,
    write_result,
)
from figclip.evaluation.seen_items import trained_notice, unknown_notices
from figclip.evaluation.sources import DataSource, OpenedData
from figclip.heads.features import (
    ADAPTED,
    CONTEXTUALIZER,
    FEATURES,
    FeatureSource,
    changed_models,
    check_models,
    contextualizer_hash,
    other_precision,
)
from figclip.heads.run import (
    FinetuneResult,
    HeadInfo,
    HeadTraining,
    OnStep,
    head_file,
    load_head,
    read_head_info,
    train_heads,
    write_head_info,
)
from figclip.heads.sources import file_for, load_sources, origin_of
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.folder import SeenMedia, medium_hash
from figclip.runtime.checked_json import load_checked
from figclip.runtime.device import pick_device
from figclip.runtime.files import write_json
from figclip.runtime.launcher import require_one_process
from figclip.runtime.locks import one_writer
from figclip.runtime.progress import Progress
from figclip.runtime.reading import DAMAGES, damage_named
from figclip.runtime.versions import package_versions
from figclip.scoring.scores import PredictionScores
from figclip.training.run_folder import (
    RUN_FORMAT,
    RunFolder,
    check_data,
    check_run,
    read_text,
    write_settings,
)
from figclip.video.store import StoreSpec

Config = TypeVar("Config", SituationConfig, CaptioningConfig)


@runtime_checkable
class HashedVideos(Protocol):
    """Videos to train on: what tells them from others."""

    @property
    def content_hash(self) -> str:
        """Hash of frames and annotations."""
        ...


Videos = TypeVar("Videos", bound=HashedVideos)
Words = TypeVar("Words")
Head = TypeVar("Head", bound=nn.Module)


class HeadTask(ABC, Generic[Config, Videos, Words, Head]):
    """What tells one kind of head from another.

    Attributes:
        name: `situations` or `captioning`.
        config: Class of the settings.
        has_context: Whether a head is also trained on the contextualizer's outputs.
        lists: Names of the lists of texts in `head.json` that say what a head can say.
        later_lists: Those that heads of earlier versions lack, for whom they are empty.
    """

    name: str
    config: type[Config]
    has_context: bool
    lists: tuple[str, ...]
    later_lists: frozenset[str] = frozenset()

    @abstractmethod
    def check_training(
        self, data: DataSource, config: Config, *, features: Path | None, cache: Path | None
    ) -> None:
        """Refuse data that heads cannot learn from, before any work."""

    @abstractmethod
    def open_training(
        self,
        data: DataSource,
        config: Config,
        *,
        source: FeatureSource,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> Videos:
        """The videos to train on that a source can give features of, with a `content_hash`."""

    @abstractmethod
    def prepare(
        self, config: Config, source: FeatureSource, *, videos: Videos, device: str
    ) -> HeadTraining:
        """A fresh head on the features of a source, and how it is trained."""

    @abstractmethod
    def build_vocabulary(self, *lists: tuple[str, ...]) -> Words:
        """What heads can say, of the texts of `lists`."""

    @abstractmethod
    def build_head(self, config: Config, vocabulary: Words, *, feature_dim: int) -> Head:
        """A head with the weights that torch's generator gives."""

    def fresh_head(self, config: Config, vocabulary: Words, *, feature_dim: int) -> Head:
        """A head with seeded weights."""
        with torch.random.fork_rng():
            torch.manual_seed(config.train.seed)
            return self.build_head(config, vocabulary, feature_dim=feature_dim)

    @one_writer
    def finetune(
        self,
        config: Config,
        *,
        model: str | Path | None = None,
        data: DataSource,
        out: Path,
        base: str | Path | None = None,
        features: Path | None = None,
        resume: bool = False,
        cache: Path | None = None,
        cpu: bool = False,
        embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
        on_step: OnStep | None = None,
        on_progress: Progress | None = None,
    ) -> FinetuneResult:
        """Train the same fresh head on the frozen features of base, adapted and contextualizer.

        Or one head, `features`, on a file of features, which needs neither videos nor a model.

        Interrupted by SIGINT or SIGTERM it saves a checkpoint and returns; called again with
        `resume` it goes on, and ends bit-identical to an undisturbed run (on the CPU, same
        threads). Captioning takes no contextualizer, whose events are still to be found there.

        Args:
            config: From a recipe.
            model: Hub id, model folder or run folder; a plain CLIP gives one head. Not with
                `features`.
            data: For situations annotated events, of which the split `train` is taken. For
                captioning dense captions with `videos=DIR`: of a folder the split `train`, or one
                file, whole.
            out: Run folder.
            base: Base of a full fine-tune.
            features: `.npz`, `.safetensors`, `.h5`, or a folder of `.npy`, see docs/features.md;
                `data` then come without `videos=DIR`.
            resume: Go on with the run in `out`.
            cache: Folder of embeddings and decoded frames; None keeps none, which data with
                `videos=DIR` do not allow.
            cpu: Use the CPU even where there is a GPU.
            embedding: How the models compute features; heads are trained in fp32.
            on_step: Told about every step.
            on_progress: Told what is being decoded or embedded.

        Raises:
            ConfigError: several processes; data that hold no such annotation, or name a split; a
                model beside features, or neither; HDF5 without h5py.
            CheckpointError: `out` holds another run, or none to resume.
            ModelError, StoreError, DataError: model, store, data or features cannot be used.
            TrainingError: a loss is not finite.
        """
        require_one_process(f"finetune {self.name}")
        origin = _reference(origin_of(model, features, base=base))
        run = RunFolder(out)
        check_run(run, config, resume=resume)
        self.check_training(data, config, features=features, cache=cache)
        device = pick_device(cpu=cpu)
        load = partial(load_sources, cache=cache, device=device, on_progress=on_progress)
        load = partial(load, layer=config.frames.layer, embedding=embedding)
        sources, notices = load(model, features=features, base=base)
        sources = [one for one in sources if self.has_context or one.name != CONTEXTUALIZER]
        check_models(out, sources, task=self.name, model=origin)
        videos = open_for_each(
            sources,
            lambda one: self.open_training(
                data, config, source=one, cache=cache, on_progress=on_progress
            ),
        )
        content_hash = videos[sources[0].name].content_hash
        check_data(run, content_hash)
        training = [
            self.prepare(config, one, videos=videos[one.name], device=device) for one in sources
        ]
        first = training[0]
        write_settings(run, config, device=torch.device(device), num_processes=1)
        _write_data(run, first, content_hash=content_hash)
        _write_info(out, first, sources, task=self.name, origin=origin, base=base)
        said = (*notices, *first.notices())
        return train_heads(
            training, out, train=config.train, cpu=cpu, on_step=on_step, notices=said
        )


Opened = TypeVar("Opened")


def open_for_each(
    sources: Sequence[FeatureSource], opened_by: Callable[[FeatureSource], Opened]
) -> dict[str, Opened]:
    """Data as each source opens them, by its name; those that take the same pixels share them."""
    by_spec: dict[StoreSpec | None, Opened] = {}
    for one in sources:
        if one.spec not in by_spec:
            by_spec[one.spec] = opened_by(one)
    return {one.name: by_spec[one.spec] for one in sources}


def _write_data(run: RunFolder, training: HeadTraining, *, content_hash: str) -> None:
    """What the heads learn from and what chooses their weights, so that no test takes it."""
    parts = {"train": training.train, "val": training.val}
    content = {
        "format": RUN_FORMAT,
        "hash": content_hash,
        **{name: list(ids) for name, ids in parts.items()},
        "media": {name: list(map(medium_hash, ids.values())) for name, ids in parts.items()},
    }
    write_json(run.data, content)


def _write_info(
    out: Path,
    first: HeadTraining,
    sources: Sequence[FeatureSource],
    *,
    task: str,
    origin: str,
    base: str | Path | None,
) -> None:
    """What the heads are on, and what they can say."""
    info = HeadInfo(
        task=task,
        model=origin,
        base=None if base is None else _reference(base),
        feature_dim=first.feature_dim,
        models={one.name: one.info for one in sources},
        vocabulary=first.vocabulary,
        contextualizer=contextualizer_hash(sources),
    )
    write_head_info(out, info)


def _reference(model: str | Path) -> str:
    """How a model is found again: a folder by its whole path, a hub id as it is."""
    path = Path(model)
    return str(path.resolve()) if path.exists() else str(model)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadScores:
    """What the head on the features of a source got on the data.

    `trained_on` are the ids of the scored videos that a head or its model was trained on.
    """

    source: FeatureSource
    opened: OpenedData
    video_ids: tuple[str, ...]
    trained_on: tuple[str, ...]
    scores: PredictionScores


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedHeads(Generic[Config, Words, Head]):
    """The heads of a run, by the names of the sources whose features they take."""

    run: Path
    config: Config
    vocabulary: Words
    sources: tuple[FeatureSource, ...]
    heads: Mapping[str, Head]
    notices: tuple[str, ...]

    @property
    def compared(self) -> str:
        """The name of the head on frames that is compared with the base, or stands alone."""
        return ADAPTED if ADAPTED in self.heads else FEATURES

    def hash_of(self, name: str) -> str:
        """What tells the head on a model's features from others."""
        file = head_file(self.run, name)
        return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()

    def seen_by(self) -> dict[str, SeenMedia]:
        """What models and heads have seen, by their names."""
        heads = {f"the heads of {self.run.resolve().name}": _read_seen(RunFolder(self.run))}
        return {**{one.info.name: one.seen for one in self.sources}, **heads}


def _read_seen(run: RunFolder) -> SeenMedia:
    """What the heads of a run were trained on, and what chose their weights."""
    try:
        content = load_checked(read_text(run.data))
        if "media" not in content:  # written by an earlier version, which kept ids only
            return SeenMedia(is_whole=False)
        train, val = (frozenset(map(str, content["media"][name])) for name in ("train", "val"))
    except DAMAGES as error:
        raise CheckpointError(
            f"is damaged ({error!r})", where=str(run.data), fix="Fine-tune it again."
        ) from error
    return SeenMedia(trained_on=train, validated_on=val)


def load_heads(
    task: HeadTask[Config, Any, Words, Head],
    run: Path,
    *,
    features: Path | None = None,
    cache: Path | None,
    device: str,
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    on_progress: Progress | None,
) -> TrainedHeads[Config, Words, Head]:
    """Load config, vocabulary, heads and sources, and check that they belong together.

    Heads on a file of features read it again, as it was, or `features`, which need only have rows
    of as many numbers.
    """
    info = read_head_info(run, task=task.name)
    file = RunFolder(run).config
    config = parsing.from_json(read_text(file), task.config, where=str(file))
    vocabulary = _read_vocabulary(task, info.vocabulary, where=str(run / "head.json"))
    sources, notices = load_sources(
        info.model,
        features=file_for(info, features, run=run),
        base=info.base,
        feature_dim=info.feature_dim,
        layer=config.frames.layer,
        cache=cache,
        device=device,
        embedding=embedding,
        on_progress=on_progress,
    )
    sources = tuple(one for one in sources if one.name in info.models)
    if features is None and (changed := changed_models(info, sources)):
        what, instead = "model", ""
        if FEATURES in info.models:
            what, instead = "file", "name this one by --features if it is of the same model, "
        raise ModelError(
            f"is not the {what} whose features ({changed[0]}) the head was trained on",
            where=info.model,
            fix=f"Put that {what} back, {instead}or fine-tune again.",
        )
    if said := other_precision(info, sources):
        notices = (*notices, f"{run.resolve().name} {said}.")
    heads: dict[str, Head] = {}
    for name in info.models:
        head = task.fresh_head(config, vocabulary, feature_dim=info.feature_dim)
        load_head(head_file(run, name), head)
        heads[name] = head.to(device)
    return TrainedHeads(
        run=run, config=config, vocabulary=vocabulary, sources=sources, heads=heads, notices=notices
    )


def _read_vocabulary(
    task: HeadTask[Any, Any, Words, Any], told: Mapping[str, Any], *, where: str
) -> Words:
    """What heads can say."""
    lists = [told.get(name, [] if name in task.later_lists else None) for name in task.lists]
    what = "its vocabulary is damaged"
    with damage_named(where, ModelError, what=what, fix="Fine-tune it again."):
        if not all(isinstance(one, list) and all(isinstance(t, str) for t in one) for one in lists):
            raise ValueError("lists of texts are missing")
        return task.build_vocabulary(*(tuple(one or ()) for one in lists))


def compare_heads(
    task: str,
    source: DataSource,
    *,
    base: HeadScores | None,
    adapted: HeadScores,
    settings: Mapping[str, Setting],
    notices: Sequence[str],
    seen: SeenMedia,
    seed: int,
) -> TaskResult:
    """Two heads side by side."""
    opened, scores = adapted.opened, adapted.scores
    said = trained_notice(
        adapted.trained_on, num_scored=len(adapted.video_ids), test=f"{task} on {source.name}"
    )
    base_items = None if base is None else base.scores.items
    return TaskResult(
        task=task,
        face=source.face or "detail",
        data=DataInfo(
            name=source.name,
            source=source.path.name,
            split=opened.split,
            hash=opened.hash,
            pipeline=opened.pipeline,
            coverage=opened.coverage,
        ),
        settings=settings,
        counts=scores.counts,
        left_out=(*opened.left_out, *scores.left_out),
        base=None if base is None else base.source.info,
        adapted=adapted.source.info,
        metrics=compare(
            (None if base is None else base.scores.scores, scores.scores),
            (base_items, scores.items),
            seed=seed,
        ),
        base_items=base_items,
        adapted_items=scores.items,
        notices=(*said, *notices),
        seed=seed,
        trained_on=adapted.trained_on,
        knows_training=seen.is_whole,
    )


def write_results(
    results: Sequence[TaskResult], out: Path, *, heads: TrainedHeads[Any, Any, Any]
) -> EvaluationResult:
    """Write the results, and gather what is to be said of them."""
    files: list[Path] = []
    for result in results:
        files.append(write_result(result, out, taken=files, versions=package_versions()))
    said = (notice for one in results for notice in one.notices)
    notices = (*heads.notices, *unknown_notices(heads.seen_by()), *said)
    return EvaluationResult(tasks=tuple(results), files=tuple(files), notices=notices)

"""Tasks on their data, ready to be scored with any model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from figclip.annotations.captions import TEMPLATES
from figclip.datasets.actions import find_prompts
from figclip.datasets.catalogue import BENCHMARKS
from figclip.errors import ConfigError, MetricError
from figclip.evaluation.models import Column
from figclip.evaluation.sources import (
    ANNOTATED,
    DataSource,
    OpenedSource,
    ReadSource,
    check_stores,
    media_of,
    open_annotated,
    open_benchmark,
    read_source,
)
from figclip.model.context_embedder import ContextEmbedder
from figclip.model.embedder import Embedder
from figclip.model.pooling import Pooling, PoolingOption
from figclip.preparation.clips import prepare_clips
from figclip.runtime.progress import Progress
from figclip.tasks.actions import Actions
from figclip.tasks.base import Face, ItemScores, Score, Task, TaskData
from figclip.tasks.composition import Composition
from figclip.tasks.dense_retrieval import DenseRetrieval
from figclip.tasks.retrieval import Retrieval
from figclip.tasks.role_grounding import RoleGrounding
from figclip.tasks.srl_swap import SrlSwap
from figclip.video.sampling import OUR_PRESETS, Preset
from figclip.video.store import StoreSpec, is_store
from figclip.video.stored import StoredClips

Part = TypeVar("Part")

TASKS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ANNOTATED, ("dense_retrieval", "srl_swap", "role_grounding")),
    **{name: (about.family,) for name, about in BENCHMARKS.items()},
}
"""Tasks that can run on the data of each NAME."""

FAMILIES = {
    "retrieval": ("retrieval", "dense_retrieval"),
    "actions": ("actions",),
    "composition": ("composition", "srl_swap"),
    "situations": ("role_grounding",),
}
"""What `--task` may say for several tasks at once."""

NEGATIVES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What changes scores besides models and data.

    Attributes:
        preset: How whole videos are looked at.
        prompts: Put class names into these where their source names none, see `datasets.actions`.
        seed: Seed of negatives, of foreign videos and of intervals.
        pooling: How the adapted model's frames of a video become one embedding.
    """

    preset: Preset
    prompts: str
    template: str
    frames_per_event: int
    seed: int
    pooling: PoolingOption = "mean"

    def __post_init__(self) -> None:
        find_prompts(self.prompts)  # unknown ones are refused before any work
        if self.pooling != "mean" and self.preset.name not in OUR_PRESETS:
            raise ConfigError(
                f"preset {self.preset.name} is a benchmark's own, which takes the mean",
                where=f"--pooling {self.pooling}",
                fix=f"Leave one of them out; with --pooling goes {' or '.join(OUR_PRESETS)}",
            )
        if self.seed < 0:
            raise ConfigError(f"{self.seed} is below 0", where="--seed")
        if self.frames_per_event < 1:
            raise ConfigError(f"{self.frames_per_event} is below 1", where="--frames")
        if self.template not in TEMPLATES:
            raise ConfigError(
                f"unknown template {self.template!r}",
                where="--template",
                fix=f"Templates are {', '.join(TEMPLATES)}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSource:
    """A data source that was read, and the tasks to run on it."""

    source: DataSource
    read: ReadSource
    tasks: tuple[Task[Any, Any], ...]

    @property
    def faces(self) -> tuple[Face, ...]:
        """What each task tests on these data."""
        return tuple(_face(task, self.source) for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A task with its data, once for each kind of pixels that the models take.

    `preset` says how whole videos are looked at; it is None for annotated events.
    """

    task: Task[Any, Any]
    source: DataSource
    preset: Preset | None
    opened: Mapping[StoreSpec, OpenedSource]
    data: Mapping[StoreSpec, TaskData[Any]]

    @property
    def face(self) -> Face:
        """Whether the task tests detail or what must be kept on these data."""
        return _face(self.task, self.source)

    def score(self, column: Column) -> TaskScores:
        """Score one model; a `MetricError` names it where its embeddings are of no use."""
        try:
            items = self.task.score(self.embedder(column), self.data[column.spec])
            return TaskScores(items=items, summary=self.task.summarise(items))
        except MetricError as error:
            where = f"{self.task.name} on {self.source.name}, {column.info.name} at strength "
            where += f"{column.info.alpha:g}{error.where and ', '}{error.where}"
            raise MetricError(error.what, where=where, fix=error.fix) from error

    def num_cut(self, column: Column) -> int:
        """Different texts that are too long for a model."""
        return self.embedder(column).count_cut(list(dict.fromkeys(self.data[column.spec].texts)))

    def pooling(self, column: Column) -> Pooling:
        """How a model's frames are pooled."""
        kind = self.task.texts_are
        # A prompt makes a name longer, and tells no more.
        texts = () if kind == "labels" else self.data[column.spec].texts
        return column.pooling(texts, contrast=kind == "contrasts")

    def embedder(self, column: Column) -> Embedder | ContextEmbedder:
        """What embeds texts and frames with a model."""
        return column.embedder(self.pooling(column), annotated=self.preset is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScores:
    """What one model got on one task."""

    items: tuple[ItemScores, ...]
    summary: Mapping[str, Score]


def plan_sources(
    data: Sequence[DataSource],
    *,
    asked: Sequence[str] | None,
    settings: TaskSettings,
    cache: Path | None,
) -> tuple[PlannedSource, ...]:
    """Read the annotations, look for their files, and choose the tasks; nothing is decoded.

    `asked` names tasks or families of tasks; None is all that the data allow.

    Raises:
        ConfigError: an unknown task, none that the data allow, or the same data twice.
        DataError, AnnotationError, StoreError: data that cannot be used.
    """
    if twice := [source for source, count in Counter(data).items() if count > 1]:
        raise ConfigError("is given twice", where=str(twice[0].path), fix="Give it once")
    names_of = [_task_names(source, asked) for source in data]
    if not any(names_of):
        possible = {name: TASKS_OF[name] for name in dict.fromkeys(one.name for one in data)}
        listed = "; ".join(f"{name}: {', '.join(tasks)}" for name, tasks in possible.items())
        raise ConfigError(
            "there is no task to run",
            fix=f"The data allow {listed}" if listed else "Give some --data",
        )
    return tuple(
        PlannedSource(
            source=source,
            read=read_source(source, frames_per_event=settings.frames_per_event, cache=cache),
            tasks=tuple(_build_task(name, source, settings) for name in names),
        )
        for source, names in zip(data, names_of, strict=True)
        if names
    )


def open_works(
    planned: Sequence[PlannedSource],
    specs: Sequence[StoreSpec],
    part: Callable[[Work], Part],
    *,
    settings: TaskSettings,
    cache: Path | None,
    on_progress: Progress | None,
) -> list[Part]:
    """Decode what is missing, and let the tasks make their items; results are in the order planned.

    `part` takes the part of a task's data that is wanted, or refuses it. It is told of each source
    before the next is decoded, and first of those that need no decoding; benchmarks in the same
    folders are decoded together.
    """
    for one in planned:
        if one.read.benchmark is None:
            check_stores(one.source, specs)
    opener = _Opener(planned=planned, settings=settings, cache=cache, on_progress=on_progress)
    parts: dict[int, list[Part]] = {}
    for number in sorted(range(len(planned)), key=lambda i: not is_store(planned[i].source.path)):
        one = planned[number]
        opened = {spec: opener.open(one, spec) for spec in specs}
        parts[number] = [
            part(
                Work(
                    task=task,
                    source=one.source,
                    preset=None if one.read.benchmark is None else settings.preset,
                    opened=opened,
                    data={spec: task.load(source.content) for spec, source in opened.items()},
                )
            )
            for task in one.tasks
        ]
    return [each for number in sorted(parts) for each in parts[number]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opener:
    """Opens sources; benchmarks in the same folders are decoded together, with the first."""

    planned: Sequence[PlannedSource]
    settings: TaskSettings
    cache: Path | None
    on_progress: Progress | None
    decoded: dict[tuple[Path | None, Path | None, StoreSpec], StoredClips] = field(
        default_factory=dict[tuple[Path | None, Path | None, StoreSpec], StoredClips]
    )

    def open(self, planned: PlannedSource, spec: StoreSpec) -> OpenedSource:
        """A source with the pixels that a model takes."""
        source, preset, benchmark = planned.source, self.settings.preset, planned.read.benchmark
        if benchmark is None:
            return open_annotated(
                planned.read.source,
                spec=spec,
                frames_per_event=self.settings.frames_per_event,
                cache=self.cache,
                on_progress=self.on_progress,
            )
        taken = StoreSpec(pipeline=preset.pipeline or spec.pipeline, size=spec.size)
        decoded = self._decode(source.images, source.videos, taken)
        return open_benchmark(source, benchmark, decoded, pipeline=taken.pipeline)

    def _decode(self, images: Path | None, videos: Path | None, spec: StoreSpec) -> StoredClips:
        """The media of all benchmarks in the same folders."""
        key = (images, videos, spec)
        if key not in self.decoded:
            assert self.cache is not None, "checked with the source"
            self.decoded[key] = prepare_clips(
                [
                    medium
                    for one in self.planned
                    if one.read.benchmark and (one.source.images, one.source.videos) == key[:2]
                    for medium in media_of(one.read.benchmark)
                ],
                images=images,
                videos=videos,
                stores=self.cache / "stores",
                pipeline=spec.pipeline,
                size=spec.size,
                sampling=self.settings.preset.sampling,
                on_progress=self.on_progress,
            )
        return self.decoded[key]


def _task_names(source: DataSource, asked: Sequence[str] | None) -> list[str]:
    """Tasks to run on a source."""
    known = sorted({*FAMILIES, *(name for names in TASKS_OF.values() for name in names)})
    for one in asked or ():
        if one not in known:
            raise ConfigError(
                f"unknown task {one!r}", where="--task", fix=f"Tasks are {', '.join(known)}"
            )
    possible = TASKS_OF[source.name]
    if asked is None:
        return list(possible)
    wanted = {name for one in asked for name in FAMILIES.get(one, (one,))}
    return [name for name in possible if name in wanted]


def _face(task: Task[Any, Any], source: DataSource) -> Face:
    """What a task tests on a source: as the source says, else as the task does."""
    return source.face or task.face


def _build_task(name: str, source: DataSource, settings: TaskSettings) -> Task[Any, Any]:
    """A task by name."""
    template, frames = TEMPLATES[settings.template], settings.frames_per_event
    if name == "retrieval":
        return Retrieval()
    if name == "actions":
        return Actions(
            prompts=source.prompts or settings.prompts, class_names=settings.preset.class_names
        )
    if name == "composition":
        return Composition(controls_seed=settings.seed if source.name == "pairs" else None)
    if name == "dense_retrieval":
        return DenseRetrieval(template=template, frames_per_event=frames)
    if name == "role_grounding":
        return RoleGrounding(template=template, frames_per_event=frames, seed=settings.seed)
    return SrlSwap(
        template=template, frames_per_event=frames, num_negatives=NEGATIVES, seed=settings.seed
    )

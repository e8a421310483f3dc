"""`figclip eval`: score models on tasks, base beside adapted, with intervals of the difference.

Also here: the sweep over the strength of an adaptation, what it gains in detail and what it costs.
"""

import platform
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial, reduce
from math import isfinite
from operator import or_
from pathlib import Path

import numpy as np

from figclip.errors import ConfigError, DataError
from figclip.evaluation.models import Column, ColumnLoader
from figclip.evaluation.plan import PlannedSource, TaskSettings, Work, open_works, plan_sources
from figclip.evaluation.results import (
    FACES,
    SWEEP_FORMAT,
    DataInfo,
    EvaluationResult,
    Sweep,
    SweepPoint,
    TaskResult,
    compare,
    write_result,
)
from figclip.evaluation.seen_items import (
    items_in,
    reported_part,
    trained_items,
    trained_notice,
    unknown_notices,
)
from figclip.evaluation.sources import DataSource
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.folder import SeenMedia
from figclip.model.pooling import find_pooling
from figclip.runtime.files import write_json
from figclip.runtime.locks import one_writer
from figclip.runtime.progress import Progress
from figclip.runtime.versions import package_versions
from figclip.tasks.base import Face
from figclip.video.sampling import find_preset

ALPHAS = tuple(step / 10 for step in range(11))


def sweep_strength(works: Mapping[str, Work], loader: ColumnLoader) -> Sweep:
    """Score every strength of `ALPHAS`, one at a time; a `DataError` if a face has no score."""
    points: list[SweepPoint] = []
    for alpha in ALPHAS:
        column = loader.at_strength(alpha)
        headlines = {
            name: {
                metric: score.value
                for metric, score in work.score(column).summary.items()
                if score.is_headline
            }
            for name, work in works.items()
        }
        faces = _faces(works, headlines)
        if unscored := [face for face in FACES if face not in faces]:
            raise DataError(
                f"nothing was scored of the tests of {' and '.join(unscored)}",
                where="--sweep-alpha",
                fix="Look at what was left out in the result files",
            )
        points.append(SweepPoint(alpha=alpha, headlines=headlines, faces=faces))
    return Sweep(model=Path(loader.model).resolve().name, points=tuple(points))


def _faces(
    works: Mapping[str, Work], headlines: Mapping[str, Mapping[str, float]]
) -> dict[Face, float]:
    """Mean over the tasks of each face; tasks that had nothing to score do not count."""
    values: defaultdict[Face, list[float]] = defaultdict(list)
    for name, scores in headlines.items():
        if scores:
            values[works[name].face].append(float(np.mean(list(scores.values()))))
    return {face: float(np.mean(means)) for face, means in values.items()}


@one_writer
def evaluate(
    model: str | Path,
    *,
    data: Sequence[DataSource],
    out: Path,
    base: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    alpha: float | None = None,
    sweep_alpha: bool = False,
    leave_out_trained: bool = False,
    cache: Path | None = None,
    device: str = "cpu",
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    seed: int = 0,
    preset: str = "figclip",
    pooling: str = "mean",
    prompts: str = "photo",
    template: str = "default",
    frames_per_event: int = 4,
    on_progress: Progress | None = None,
) -> EvaluationResult:
    """Score a model and its base on the same items, and write a result file per task and set.

    Args:
        model: Hub id, model folder or run folder.
        data: What to test on; `parse_source` makes one from `NAME:PATH`.
        out: Folder of the result files; made when absent.
        base: Model to compare with. None: the model at strength 0 for LoRA, which is its base; no
            comparison for a plain CLIP and for a full fine-tune, which a notice says.
        tasks: Names or families of tasks; None for all that the data allow.
        alpha: Strength of the adaptation; None: as merged.
        sweep_alpha: Score strengths 0, 0.1, … 1 as well, and draw detail against what is kept.
        leave_out_trained: Leave out items that show an image or video that a model was trained on;
            else they are scored, and told. What chose a model is always left out.
        cache: Folder for embeddings and decoded pictures; None keeps none (annotated events only).
        device: Where the models run.
        embedding: Their precision, and how many frames or texts they embed at once.
        seed: Seed of negatives, of foreign videos and of the intervals.
        preset: How whole videos are looked at, see `video.sampling`.
        pooling: Of the adapted model: `mean`, `vc` (its contextualizer, at strength 1), `both`, or
            `auto`, what fits each test by the median of its texts' words.
        prompts: Put class names into these where their source names none, see `datasets.actions`.
        template: Wording of the dense captions.
        frames_per_event: T. A frame store given as PATH must have been made with the same.
        on_progress: Told what is being done, how many items of how many.

    Raises:
        ConfigError, DataError, AnnotationError: settings or data that cannot be used.
        ModelError: a model that cannot be loaded, or not at this strength.
        StoreError: a frame store of other frames than needed.
        MetricError: a model whose embeddings are not finite.
    """
    settings = TaskSettings(
        preset=find_preset(preset),
        prompts=prompts,
        template=template,
        frames_per_event=frames_per_event,
        seed=seed,
        pooling=find_pooling(pooling),
    )
    plan = plan_sources(data, asked=tasks, settings=settings, cache=cache)
    _check_before_work(plan, settings, alpha=alpha, sweep_alpha=sweep_alpha)
    loader = ColumnLoader(
        model=model,
        base=base,
        preset=settings.preset,
        pooling=settings.pooling,
        cache=cache,
        device=device,
        embedding=embedding,
        on_progress=on_progress,
    )
    columns, notices = loader.load(alpha=alpha, scalable=sweep_alpha)
    notices += unknown_notices({one.info.name: one.seen for one in columns.values()})
    part = partial(reported_part, seen=_seen_by(columns), leave_out_trained=leave_out_trained)
    specs = list(dict.fromkeys(column.spec for column in columns.values()))
    works = open_works(plan, specs, part, settings=settings, cache=cache, on_progress=on_progress)
    sweep = partial(sweep_strength, loader=loader) if sweep_alpha else None
    return _result(works, columns, notices, sweep=sweep, out=out, seed=seed)


def _result(
    works: Sequence[Work],
    columns: Mapping[str, Column],
    notices: Sequence[str],
    *,
    sweep: Callable[[Mapping[str, Work]], Sweep] | None,
    out: Path,
    seed: int,
) -> EvaluationResult:
    """Score, and write what there is to write."""
    results, files = _score(works, columns, out=out, seed=seed)
    named = dict(zip((file.stem for file in files), works, strict=True))
    swept = None if sweep is None else sweep(named)
    return EvaluationResult(
        tasks=tuple(results),
        files=tuple(files),
        notices=(*notices, *(notice for one in results for notice in one.notices)),
        pictures=_draw(results, files, sweep=swept, out=out),
        sweep=swept,
    )


def _score(
    works: Sequence[Work], columns: Mapping[str, Column], *, out: Path, seed: int
) -> tuple[list[TaskResult], list[Path]]:
    """The result of each task, and its file."""
    versions = {"python": platform.python_version(), **package_versions()}
    results: list[TaskResult] = []
    files: list[Path] = []
    for work in works:
        results.append(_run(work, columns, seed=seed))
        files.append(write_result(results[-1], out, taken=files, versions=versions))
    return results, files


def _seen_by(columns: Mapping[str, Column]) -> SeenMedia:
    """What any of the models has seen: all are scored on the same items."""
    return reduce(or_, (one.seen for one in columns.values()))


def _check_before_work(
    planned: Sequence[PlannedSource],
    settings: TaskSettings,
    *,
    alpha: float | None,
    sweep_alpha: bool,
) -> None:
    """Refuse what would only be noticed after hours."""
    if sweep_alpha and settings.pooling != "mean":
        raise ConfigError(
            "the contextualizer has one strength, 1",
            where="--sweep-alpha",
            fix="Leave --pooling or --sweep-alpha out",
        )
    if sweep_alpha and set(FACES) - {face for one in planned for face in one.faces}:
        raise ConfigError(
            "a sweep needs tests of detail (composition, dense retrieval) and of what must be "
            "kept (actions, retrieval of plain captions)",
            where="--sweep-alpha",
            fix="Add --data of the other kind, or add face=detail or face=kept to some",
        )
    # Beyond 0 and 1 a strength extrapolates, which is allowed.
    if alpha is not None and not isfinite(alpha):
        raise ConfigError(f"{alpha} is no strength", where="--alpha", fix="0 is the base")


def _draw(
    results: Sequence[TaskResult], files: Sequence[Path], *, sweep: Sweep | None, out: Path
) -> tuple[Path, ...]:
    """Draw what there is to draw, beside the result files; and write `sweep.json`."""
    from figclip.evaluation.figures import draw_confusion, draw_sweep

    pictures: list[Path] = []
    for result, file in zip(results, files, strict=True):
        pictures += draw_confusion(result, file.with_suffix(".confusion.png"))
    if sweep is not None:
        content = {"format": SWEEP_FORMAT, **asdict(sweep)}
        write_json(out / "sweep.json", content)
        pictures += draw_sweep(sweep, out / "sweep.png")
    return tuple(pictures)


def _notices(work: Work, columns: Mapping[str, Column]) -> list[str]:
    """What the reader of a result must know."""
    adapted = columns["adapted"]
    opened = work.opened[adapted.spec]
    name = f"{work.task.name} on {work.source.title}"
    notices = [f"{work.source.title}: {notice}" for notice in opened.notices]
    if work.preset is None and opened.pipeline != adapted.spec.pipeline:
        notices.append(
            f"The frames of {work.source.path} are of pipeline {opened.pipeline}, the model's is "
            f"{adapted.spec.pipeline}."
        )
    if work.preset is not None:
        reasons = Counter(one.reason for one in work.data[adapted.spec].left_out)
        notices += [f"{name}: {n:,} left out: {reason}." for reason, n in reasons.items()]
    if work.pooling(adapted) != "mean":
        notices.append(f"{name}: the adapted model sees videos through its contextualizer.")
    for role, column in columns.items():
        if num_cut := work.num_cut(column):
            model = role if "base" in columns else column.info.name
            notices.append(f"{name}: {num_cut:,} different texts are too long for {model}: cut.")
    return notices


def _run(work: Work, columns: Mapping[str, Column], *, seed: int) -> TaskResult:
    """Score all models on a task."""
    scores = {role: work.score(column) for role, column in columns.items()}
    base, adapted = scores.get("base"), scores["adapted"]
    spec, seen = columns["adapted"].spec, _seen_by(columns)
    opened, data = work.opened[spec], work.data[spec]
    preset = {} if work.preset is None else {"preset": work.preset.name}
    context = columns["adapted"].context
    pooling = {} if context is None else {"pooling": work.pooling(columns["adapted"])}
    unscored = {one.item for one in data.left_out}
    scored = [one.id for one in items_in(opened.content) if one.id not in unscored]
    trained_on = tuple(one for one in trained_items(opened.content, seen) if one in set(scored))
    return TaskResult(
        task=work.task.name,
        face=work.face,
        data=DataInfo(
            name=work.source.name,
            source=work.source.path.name,
            split=opened.split,
            hash=opened.hash,
            pipeline=opened.pipeline,
            coverage=opened.coverage,
        ),
        settings={**work.task.settings, **preset, **pooling},
        counts=data.counts,
        left_out=(*opened.left_out, *data.left_out),
        base=columns["base"].info if "base" in columns else None,
        adapted=columns["adapted"].info,
        metrics=compare(
            (base and base.summary, adapted.summary),
            (base and base.items, adapted.items),
            seed=seed,
        ),
        base_items=base and base.items,
        adapted_items=adapted.items,
        notices=(
            *trained_notice(
                trained_on, num_scored=len(scored), test=f"{work.task.name} on {work.source.title}"
            ),
            *_notices(work, columns),
        ),
        seed=seed,
        trained_on=trained_on,
        knows_training=seen.is_whole,
    )

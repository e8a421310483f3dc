"""Evaluate a model on tasks, its base beside it, with intervals of the difference."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from figclip.config import TemplateName
from figclip.data.captions import TEMPLATES
from figclip.data.frames import StoreSpec
from figclip.data_sources import (
    DataSource,
    OpenedSource,
    check_source,
    open_source,
    parse_source,
)
from figclip.embedding import Embedder
from figclip.errors import ConfigError
from figclip.model.backbone import weights_hash
from figclip.model.figclip import FiGCLIP
from figclip.results import (
    DataInfo,
    EvaluationResult,
    ModelColumn,
    TaskResult,
    compare,
    format_table,
    write_result,
)
from figclip.tasks.base import ItemScores, Task
from figclip.tasks.dense_choice import DenseChoice
from figclip.tasks.dense_retrieval import DenseRetrieval

__all__ = ["DataSource", "EvaluationResult", "evaluate", "format_table", "parse_source"]

TASKS_OF = {
    "events": ("dense_retrieval", "dense_choice"),
    "vidsitu": ("dense_retrieval", "dense_choice"),
}
"""Tasks that can run on the data of each NAME."""

FAMILIES = {"retrieval": ("dense_retrieval",), "composition": ("dense_choice",)}
"""What `--task` may say for several tasks at once."""

VERB_NEGATIVES = 4
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A model, ready to embed."""

    info: ModelColumn
    embedder: Embedder
    spec: StoreSpec


def evaluate(
    model: str | Path,
    *,
    data: Sequence[DataSource],
    out: Path,
    base: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    alpha: float | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    template: TemplateName = "default",
    frames_per_event: int = 4,
    on_progress: Progress | None = None,
) -> EvaluationResult:
    """Score a model and its base on the same items, and write one result file a task and data set.

    Args:
        model: Hub id, model folder or run folder.
        data: What to test on; `parse_source` makes one from `NAME:PATH`.
        out: Folder of the result files; made when absent.
        base: Model to compare with. None: the model at strength 0 for LoRA, which is its base; no
            comparison for a plain CLIP and for a full fine-tune, which a notice says.
        tasks: Names or families of tasks; None for all that the data allow.
        alpha: Strength of the adaptation; None: as merged.
        cache: Folder for embeddings and decoded frames; None keeps none.
        device: Where the models run.
        seed: Of the verb negatives and the intervals.
        template: Wording of the dense captions.
        frames_per_event: T. A frame store given as PATH must have been made with the same.
        on_progress: Told what is being done, how many items of how many are embedded.

    Raises:
        DataError: no data, a task that no data allow, or data that cannot be opened.
        ModelError: a model that cannot be loaded, or not at this strength.
        StoreError: a frame store of other frames than needed.
        MetricError: a model whose embeddings are not finite.
    """
    names_of = [_task_names(source, tasks) for source in data]
    if not any(names_of):
        raise ConfigError("there is no task to run", fix="Give --data and, if at all, its --task")
    for source in data:
        check_source(source, cache=cache)
    out.mkdir(parents=True, exist_ok=True)
    columns, notices = _load_columns(
        model, base=base, alpha=alpha, cache=cache, device=device, on_progress=on_progress
    )
    results: list[TaskResult] = []
    files: list[Path] = []
    for source, names in zip(data, names_of, strict=True):
        opened = _open(source, columns, frames_per_event=frames_per_event, cache=cache)
        notices += _pipeline_notices(source, opened, columns)
        for name in names:
            task = _build_task(
                name, template=template, frames_per_event=frames_per_event, seed=seed
            )
            result = _run_task(task, source, opened, columns, seed=seed)
            files.append(write_result(result, out, taken=files, versions=_versions()))
            results.append(result)
    return EvaluationResult(tasks=tuple(results), files=tuple(files), notices=tuple(notices))


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


def _build_task(
    name: str, *, template: TemplateName, frames_per_event: int, seed: int
) -> Task[Any, Any]:
    """A task by name."""
    wording = TEMPLATES[template]
    if name == "dense_retrieval":
        return DenseRetrieval(template=wording, frames_per_event=frames_per_event)
    return DenseChoice(
        template=wording,
        frames_per_event=frames_per_event,
        num_negatives=VERB_NEGATIVES,
        seed=seed,
    )


def _load_columns(
    model: str | Path,
    *,
    base: str | Path | None,
    alpha: float | None,
    cache: Path | None,
    device: str,
    on_progress: Progress | None,
) -> tuple[dict[str, _Column], list[str]]:
    """The models by the name of their column, base first, and what is to be said about them."""
    adapted = FiGCLIP.from_pretrained(model, alpha=alpha, base=base, device=device)
    other, notices = _load_base(model, adapted, base=base, device=device)
    pipeline = "pil" if adapted.info is None else adapted.info.pixel_pipeline
    loaded = {"base": other, "adapted": adapted}
    names = {"base": str(base or model), "adapted": str(model)}
    columns = {
        role: _column(role, one, names[role], pipeline, cache=cache, on_progress=on_progress)
        for role, one in loaded.items()
        if one is not None
    }
    expected = None if adapted.info is None else adapted.info.base_hash
    if base is not None and expected and columns["base"].info.hash != expected:
        notices.append(f"{base} is not the base that {model} was adapted from.")
    return columns, notices


def _load_base(
    model: str | Path, adapted: FiGCLIP, *, base: str | Path | None, device: str
) -> tuple[FiGCLIP | None, list[str]]:
    """What the model is compared with, or why with nothing."""
    if base is not None:
        return FiGCLIP.from_pretrained(base, device=device), []
    if adapted.info is None:
        return None, [f"{model} is a plain CLIP: there is nothing to compare it with."]
    if adapted.info.adaptation == "full":
        hint = adapted.info.base or "DIR"
        return None, [f"{model} is a full fine-tune: give --base {hint} to compare it."]
    return FiGCLIP.from_pretrained(model, alpha=0.0, device=device), []


def _column(
    role: str,
    model: FiGCLIP,
    name: str,
    pipeline: str,
    *,
    cache: Path | None,
    on_progress: Progress | None,
) -> _Column:
    """A column of results."""

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(f"embedding ({role})", done, total)

    embedder = Embedder(
        model.backbone,
        cache_file=None if cache is None else cache / "embeddings.sqlite",
        on_progress=report,
    )
    info = ModelColumn(
        # A folder's own name, not its path: results are passed on to others.
        name=model.backbone.name or Path(name).resolve().name,
        hash=weights_hash(model.backbone.clip),
        alpha=model.alpha,
    )
    size = model.backbone.preprocessing.image_size
    return _Column(info=info, embedder=embedder, spec=StoreSpec(pipeline=pipeline, size=size))


def _open(
    source: DataSource,
    columns: Mapping[str, _Column],
    *,
    frames_per_event: int,
    cache: Path | None,
) -> dict[StoreSpec, OpenedSource]:
    """The source once for each kind of pixels that the models take."""
    return {
        spec: open_source(source, spec=spec, frames_per_event=frames_per_event, cache=cache)
        for spec in {column.spec: None for column in columns.values()}
    }


def _pipeline_notices(
    source: DataSource, opened: Mapping[StoreSpec, OpenedSource], columns: Mapping[str, _Column]
) -> list[str]:
    """Says when a given store holds other pixels than the model was trained on."""
    wanted = columns["adapted"].spec.pipeline
    found = opened[columns["adapted"].spec].pipeline
    if found == wanted:
        return []
    return [f"The frames of {source.path} are of pipeline {found}, the model's is {wanted}."]


def _run_task(
    task: Task[Any, Any],
    source: DataSource,
    opened: Mapping[StoreSpec, OpenedSource],
    columns: Mapping[str, _Column],
    *,
    seed: int,
) -> TaskResult:
    """Score all models on a task."""
    loaded = {spec: task.load(one.videos) for spec, one in opened.items()}
    items: dict[str, tuple[ItemScores, ...]] = {
        role: task.score(column.embedder, loaded[column.spec]) for role, column in columns.items()
    }
    summaries = {role: task.summarise(scores) for role, scores in items.items()}
    spec = columns["adapted"].spec
    one = opened[spec]
    return TaskResult(
        task=task.name,
        data=DataInfo(
            name=source.name,
            source=source.path.name,
            split=one.split,
            hash=one.hash,
            pipeline=one.pipeline,
            coverage=one.coverage,
        ),
        settings=task.settings,
        counts=loaded[spec].counts,
        left_out=(*one.left_out, *loaded[spec].left_out),
        base=columns["base"].info if "base" in columns else None,
        adapted=columns["adapted"].info,
        metrics=compare(
            (summaries.get("base"), summaries["adapted"]),
            (items.get("base"), items["adapted"]),
            seed=seed,
        ),
        base_items=items.get("base"),
        adapted_items=items["adapted"],
        seed=seed,
    )


def _versions() -> dict[str, str]:
    """Versions of what the scores depend on."""
    packages = ("figclip", "torch", "transformers", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}

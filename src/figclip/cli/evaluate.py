"""figclip eval: base beside adapted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from figclip.cli.options import (
    BatchSize,
    Cpu,
    Json,
    OfEmbeddings,
    cache_folder,
    going_on,
    quiet_libraries,
)
from figclip.cli.terminal import say, warn
from figclip.errors import ConfigError
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from figclip.evaluation.results import EvaluationResult
    from figclip.evaluation.sources import DataSource

Data = Annotated[
    list[str],
    typer.Option(metavar="NAME:PATH[,…]", help="What to test on, see above; may be repeated."),
]
Base = Annotated[
    str | None, typer.Option(help="Model to compare with; default: the model at alpha 0.")
]
Preset = Annotated[
    str,
    typer.Option(
        help="How whole videos are looked at: figclip, event, clip4clip, clip4clip_64, vificlip "
        "or velociti."
    ),
]
Pooling = Annotated[
    str,
    typer.Option(
        help="How the adapted model pools frames: mean, vc (by its contextualizer, at strength 1), "
        "both, or auto (what fits the texts of each test)."
    ),
]
Prompts = Annotated[
    str,
    typer.Option(
        help="Sentences for class names: bare, photo, kinetics, ucf101, srl, or a text with {}."
    ),
]
Template = Annotated[
    str, typer.Option(help="Wording of dense captions: default, srl_clip or figclip_v1.")
]
Alpha = Annotated[
    float | None, typer.Option(help="Strength of the adaptation: 0 base, 1 as trained.")
]
SweepAlpha = Annotated[
    bool, typer.Option("--sweep-alpha", help="Score strengths 0, 0.1, ... 1 too, and draw them.")
]
Features = Annotated[
    Path | None,
    typer.Option(help="Of heads on features: a file in place of videos= (default: their own)."),
]
LeaveOutTrained = Annotated[
    bool,
    typer.Option("--leave-out-trained", help="Leave out what a model was trained on, by content."),
]

_MODEL_OPTIONS = {
    "--base": None,
    "--task": None,
    "--alpha": None,
    "--sweep-alpha": False,
    "--preset": "figclip",
    "--pooling": "mean",
    "--prompts": "photo",
    "--template": "default",
    "--frames": 4,
}
"""With their defaults: what heads, which belong to one model at one strength, do not take."""


def evaluate(
    model: Annotated[str, typer.Argument(help="Hub id, model folder or run folder.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the result files.")],
    base: Base = None,
    task: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    alpha: Alpha = None,
    sweep_alpha: SweepAlpha = False,
    features: Features = None,
    leave_out_trained: LeaveOutTrained = False,
    preset: Preset = "figclip",
    pooling: Pooling = "mean",
    prompts: Prompts = "photo",
    template: Template = "default",
    frames: Annotated[int, typer.Option(help="Frames of an annotated event.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of negatives, blind controls, intervals.")] = 0,
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Score a model and its base on the same items, with 95 % intervals of the difference.

    Example: figclip eval runs/mine --data events:my.jsonl,videos=clips --out runs/mine/eval

    --data is
    NAME:PATH[,videos=DIR][,images=DIR][,split=S][,store=FILE][,face=detail|kept][,prompts=P]; see
    docs/data.md. NAME says what PATH holds:

    events (your annotations) and vidsitu: dense retrieval, SRL swap and role grounding.

    msrvtt, activitynet, youcook2, retrieval (your captions): retrieval.

    hmdb51, ucf101, kinetics, actions (your labels): actions.

    sugarcrepe, sugarcrepe_pp, aro, winoground, velociti, pairs (your true and false captions):
    composition.

    face= says whether the data test detail or what must be kept, if not what their task mostly
    tests. prompts= replaces --prompts for one set of classes.

    Items that show an image or video which chose the model are left out. Those that it was trained
    on are counted; --leave-out-trained leaves them out.

    MODEL may also be a run of `figclip finetune`, of one seed or several: situations are scored on
    events or vidsitu, captioning on activitynet or youcook2.
    """
    quiet_libraries()
    from figclip.evaluation.evaluate import evaluate as evaluate_models
    from figclip.evaluation.sources import parse_source
    from figclip.heads.run import has_seeds, is_head_run

    sources = [parse_source(one) for one in data]
    if is_head_run(Path(model)) or has_seeds(Path(model)):
        texts = (prompts, template, frames)
        _refuse_for_heads(base, task, alpha, sweep_alpha, preset, pooling, *texts)
        score = _head_evaluation(Path(model), sources, features)
    else:
        _refuse_for_models(features)
        score = partial(
            evaluate_models,
            model,
            base=base,
            data=sources,
            tasks=None if task is None else task.split(","),
            alpha=alpha,
            sweep_alpha=sweep_alpha,
            preset=preset,
            pooling=pooling,
            prompts=prompts,
            template=template,
            frames_per_event=frames,
        )
    score = partial(score, out=out, leave_out_trained=leave_out_trained, seed=seed)
    embedding = EmbeddingSettings(precision=precision, batch_size=batch_size)
    result = _run(partial(score, embedding=embedding), cpu=cpu)
    _show(result, as_json=as_json)
    _exit_by_coverage(result)


def _run(score: Callable[..., EvaluationResult], *, cpu: bool) -> EvaluationResult:
    """Score with a progress display, on the device there is."""
    from figclip.cli.progress import ProgressDisplay
    from figclip.runtime.device import pick_device

    with going_on(), ProgressDisplay() as display:
        return score(
            cache=cache_folder(),
            device=pick_device(cpu=cpu),
            on_progress=display.update,
        )


def _head_evaluation(
    run: Path, sources: Sequence[DataSource], features: Path | None
) -> Callable[..., EvaluationResult]:
    """What scores the heads of a run: each task has its own way."""
    from figclip.heads.captioning.task import evaluate_captioning
    from figclip.heads.run import SITUATIONS, has_seeds
    from figclip.heads.seeds import evaluate_seeds, task_of_heads
    from figclip.heads.situations.task import evaluate_situations

    if len(sources) > 1:
        raise ConfigError(
            "heads are scored on one data set at a time",
            where="--data",
            fix="Give each its own call and --out",
        )
    evaluate = evaluate_situations if task_of_heads(run) == SITUATIONS else evaluate_captioning
    score = partial(evaluate_seeds, evaluate) if has_seeds(run) else evaluate
    return partial(score, run, data=sources[0], features=features)


def _refuse_for_models(features: Path | None) -> None:
    """A model computes features by itself."""
    if features is not None:
        raise ConfigError(
            "is for heads that were trained on features, and this is a model",
            where="--features",
            fix="Leave it out, or give a run of `figclip finetune … --features`",
        )


def _refuse_for_heads(*values: object) -> None:
    """Options that say how a model is tested say nothing of its heads."""
    given = [
        name
        for (name, default), value in zip(_MODEL_OPTIONS.items(), values, strict=True)
        if value != default
    ]
    if given:
        raise ConfigError(
            f"{', '.join(given)} cannot be given for a run of `figclip finetune`",
            fix="Its heads belong to one model at one strength: fine-tune on another",
        )


def _show(result: EvaluationResult, *, as_json: bool) -> None:
    """The table, or the result files' content with the notices on stderr."""
    from figclip.evaluation.results import format_table
    from figclip.runtime.checked_json import read_checked

    if as_json:
        files = [read_checked(file) for file in result.files]
        say(json.dumps(files, indent=2))
        for notice in result.notices:
            warn(f"Note: {notice}")
        return
    say(format_table(result))
    for file in (*result.files, *result.pictures):
        say(f"Results: {file}" if file.suffix == ".json" else f"Picture: {file}")


def _exit_by_coverage(result: EvaluationResult) -> None:
    """Exit 3 when files are there that could not be used; several tasks may share data."""
    bad = {task.data.hash: task.data.coverage.get("quarantined", 0) for task in result.tasks}
    if num_bad := sum(bad.values()):
        warn(f"figclip: {num_bad:,} files could not be used; the result files list them.")
        raise typer.Exit(3)

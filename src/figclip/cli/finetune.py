"""figclip finetune: a task head on frozen features, base beside adapted."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from figclip.cli.options import (
    EXIT_CODES,
    BatchSize,
    Cpu,
    Json,
    OfEmbeddings,
    cache_folder,
    going_on,
    quiet_libraries,
)
from figclip.cli.terminal import say, warn
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from figclip.heads.run import FinetuneResult

finetune = typer.Typer(
    name="finetune",
    no_args_is_help=True,
    help="Train a task head on frozen features: of a model, its base beside it, or of a file.",
)

Model = Annotated[str | None, typer.Option(help="Hub id, model folder or run folder.")]
Data = Annotated[
    str, typer.Option(metavar="NAME:PATH[,…]", help="What to train on: its split train.")
]
Out = Annotated[Path, typer.Option(help="Run folder.")]
Features = Annotated[
    Path | None,
    typer.Option(help="In place of --model and of videos: features of others (docs/features.md)."),
]
Base = Annotated[str | None, typer.Option(help="Base of a full fine-tune.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="section.field=value, over the recipe; may be repeated."),
]
Seeds = Annotated[
    int | None,
    typer.Option(metavar="N", help="Heads of N seeds, from train.seed on, in folders of --out."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]


@finetune.command(epilog=EXIT_CODES)
def situations(
    data: Data,
    out: Out,
    model: Model = None,
    features: Features = None,
    recipe: Annotated[str, typer.Option(help="situations or mini_situations.")] = "situations",
    base: Base = None,
    overrides: Overrides = None,
    seeds: Seeds = None,
    resume: Resume = False,
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Train heads for the verbs, roles and relations of annotated events.

    Example: figclip finetune situations --model runs/mine --data vidsitu:DIR,videos=CLIPS --out
    runs/situations

    --data is events:FILE or vidsitu:DIR with videos=DIR, or a frame store of `prepare`. The same
    fresh head is trained on the features of the base, of the adapted model, and of its
    contextualizer. Then: figclip eval runs/situations --data vidsitu:DIR,videos=CLIPS --out DIR

    With --seeds N, eval tells means over seeds, and intervals over seeds and videos.

    With --features one head is trained on these, and --data comes without videos:
    figclip finetune situations --features FILE --data vidsitu:DIR --out runs/theirs

    Ctrl-C saves a checkpoint; --resume goes on, to the same result as without the stop.
    """
    from figclip.config.parsing import apply_overrides
    from figclip.config.recipes import build_situation_recipe

    config = apply_overrides(build_situation_recipe(recipe), overrides or [])
    quiet_libraries()
    from figclip.heads.situations.task import finetune_situations

    embedding = EmbeddingSettings(precision=precision, batch_size=batch_size)
    train = _train(partial(finetune_situations, embedding=embedding), config, seeds=seeds)
    options = {"model": model, "base": base, "features": features, "out": out, "resume": resume}
    _run(partial(train, **options), data, features=features, cpu=cpu, as_json=as_json)


@finetune.command(epilog=EXIT_CODES)
def captioning(
    data: Data,
    out: Out,
    model: Model = None,
    features: Features = None,
    recipe: Annotated[str, typer.Option(help="captioning or mini_captioning.")] = "captioning",
    base: Base = None,
    overrides: Overrides = None,
    seeds: Seeds = None,
    resume: Resume = False,
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Train heads that find the events of untrimmed videos and describe them.

    Example: figclip finetune captioning --model runs/mine --data activitynet:DIR,videos=CLIPS
    --out runs/captioning

    --data is activitynet:DIR or youcook2:DIR with videos=DIR, or one file in ActivityNet's format,
    which is trained on whole. The same fresh head is trained on the frame features of base and
    adapted. Then: figclip eval runs/captioning --data activitynet:DIR,videos=CLIPS --out DIR, and
    figclip describe runs/captioning VIDEO --out DIR

    With --seeds N, eval tells means over seeds, and intervals over seeds and videos.

    With --features one head is trained on these, and --data comes without videos:
    figclip finetune captioning --features FILE --data activitynet:DIR --out runs/theirs

    Ctrl-C saves a checkpoint; --resume goes on, to the same result as without the stop.
    """
    from figclip.config.parsing import apply_overrides
    from figclip.config.recipes import build_captioning_recipe

    config = apply_overrides(build_captioning_recipe(recipe), overrides or [])
    quiet_libraries()
    from figclip.heads.captioning.task import finetune_captioning

    embedding = EmbeddingSettings(precision=precision, batch_size=batch_size)
    train = _train(partial(finetune_captioning, embedding=embedding), config, seeds=seeds)
    options = {"model": model, "base": base, "features": features, "out": out, "resume": resume}
    _run(partial(train, **options), data, features=features, cpu=cpu, as_json=as_json)


def _train(
    finetune: Callable[..., FinetuneResult], config: Any, *, seeds: int | None
) -> Callable[..., FinetuneResult]:
    """Train heads of one seed, or of several."""
    from figclip.heads.seeds import finetune_seeds

    if seeds is None:
        return partial(finetune, config)
    return partial(finetune_seeds, finetune, config, num_seeds=seeds)


def _run(
    train: Callable[..., FinetuneResult],
    data: str,
    *,
    features: Path | None,
    cpu: bool,
    as_json: bool,
) -> None:
    """Train with a progress display; say what was kept, and what to do next."""
    from figclip.cli.progress import ProgressDisplay
    from figclip.evaluation.sources import parse_source

    source = parse_source(data)
    with going_on("run it again, with --resume if it had begun"), ProgressDisplay() as display:
        result = train(
            data=source,
            cache=cache_folder(),
            cpu=cpu,
            on_step=lambda name, report: report.tell(display.update, f"head on {name}"),
            on_progress=display.update,
        )
    for notice in result.notices:
        warn(f"Note: {notice}")
    if result.interrupted_by is not None:
        warn("Saved. Go on with --resume.")
        raise typer.Exit(128 + result.interrupted_by)
    if as_json:
        say(json.dumps({"run": str(result.run), "kept_steps": result.kept_steps}))
        return
    for name, step in result.kept_steps.items():
        say(f"Head on {name}: step {step}")
    # A file that was trained on whole is no test.
    is_whole = source.name in ("activitynet", "youcook2") and source.path.is_file()
    videos = "" if features else ",videos=DIR"
    tested = f"{source.name}:FILE{videos}" if is_whole else data
    command = f"figclip eval {result.run} --data {tested} --out {result.run}/eval"
    if features is not None:
        command += f" --features {features}"
    say(f"Score them on videos they have not seen: {command}")

"""figclip adapt: the main job."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from figclip.cli.options import Cpu, Json, cache_folder, going_on, quiet_libraries
from figclip.cli.terminal import say, warn

if TYPE_CHECKING:
    from figclip.adaptation.adapt import AdaptationPlan, AdaptationResult
    from figclip.adaptation.strength import StrengthChoice
    from figclip.cli.progress import ProgressDisplay
    from figclip.training.loop import StepReport

Track = Annotated[
    Literal["tensorboard", "trackio", "wandb"] | None,
    typer.Option(help="Also tell losses and scores to this experiment tracker."),
]


def _strength_line(choice: StrengthChoice) -> str:
    """The chosen strength, and what it gains and costs."""
    base, chosen = choice.base, choice.chosen
    detail = ""
    if base.detail is not None and chosen.detail is not None:
        detail = f"detail on val {base.detail * 100:.1f} → {chosen.detail * 100:.1f}, "
    return (
        f"Strength {chosen.alpha:g}: {detail}"
        f"kept tests {base.kept * 100:.1f} → {chosen.kept * 100:.1f} "
        f"(loss at most {chosen.loss_bound * 100:.1f} points, one-sided 95 % bound)"
    )


def adapt(
    data: Annotated[list[Path], typer.Option(help="Frame store of `prepare`; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Run folder.")],
    recipe: Annotated[str, typer.Option(help="See `figclip recipes`.")] = "default",
    base: Annotated[
        str | None, typer.Option(help="Hub id or folder of the CLIP, instead of the recipe's.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="section.field=value, over the recipe; may be repeated."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PATH[,…]",
            help="Test that must not suffer; half of it chooses the strength. May be repeated.",
        ),
    ] = None,
    keep_images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Unlabelled images or videos, or a folder of them, on which the model is held to "
            "its base. May be repeated."
        ),
    ] = None,
    keep_texts: Annotated[
        Path | None, typer.Option(help="Texts to compare them with, one a line.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    track: Track = None,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Adapt a CLIP to densely annotated videos; the result is a plain CLIP folder.

    Example: figclip adapt --recipe default --data frames.store --out runs/mine

    --keep is NAME:PATH[,videos=DIR][,images=DIR][,split=S], as --data of `figclip eval`. Without it
    the strength is 1.

    Ctrl-C saves a checkpoint; --resume goes on, to the same result as without the stop. On several
    GPUs: torchrun --nproc-per-node 4 -m figclip adapt …
    """
    from figclip.cli.progress import ProgressDisplay
    from figclip.config.parsing import apply_overrides
    from figclip.config.recipes import build_recipe
    from figclip.evaluation.sources import parse_source
    from figclip.runtime.launcher import is_main_process

    settings = [*(overrides or []), *([] if base is None else [f"model.base={base}"])]
    config = apply_overrides(build_recipe(recipe), settings)
    quiet_libraries()
    from figclip.adaptation.adapt import adapt as run

    num_steps: list[int] = []
    with going_on("go on with --resume"), ProgressDisplay() as display:
        result = run(
            config,
            data=data,
            out=out,
            keep=[parse_source(one, option="--keep") for one in keep or []],
            keep_images=keep_images or [],
            keep_texts=keep_texts,
            resume=resume,
            cache=cache_folder(),
            cpu=cpu,
            track=track,
            on_plan=lambda plan: num_steps.append(_show_plan(plan)),
            on_texts=lambda done, total: display.update("embedding", done, total),
            on_step=lambda report: _show_step(report, display),
            on_progress=display.update,
        )
    if result.outcome.interrupted_by is not None:
        if is_main_process():
            done = f"step {result.outcome.step} of {num_steps[0]}"
            warn(f"Saved {done}. Go on: the same command with --resume.")
        raise typer.Exit(128 + result.outcome.interrupted_by)
    if is_main_process():
        _show(result, out, as_json=as_json)


def _show_plan(plan: AdaptationPlan) -> int:
    """What is about to be done; its number of steps."""
    warn("\n".join(plan.sentences()))
    return plan.num_steps


def _show_step(report: StepReport, display: ProgressDisplay) -> None:
    """How far it is, and what it scores on val."""
    report.tell(display.update, "adapting")
    if report.validation:
        scores = ", ".join(f"{k} {v:.3f}" for k, v in report.validation.items())
        name = "base" if report.step == 0 else f"step {report.step}"
        warn(f"{name}: val {scores}")


def _show(result: AdaptationResult, out: Path, *, as_json: bool) -> None:
    """Where the model is, and at what strength."""
    if as_json:
        content = {"model": str(result.model), "kept_step": result.kept_step}
        if result.strength is not None:
            content["alpha"] = result.strength.chosen.alpha
            content["notices"] = list(result.strength.notices)
        if result.text_pooling is not None:
            content["text_pooling"] = asdict(result.text_pooling)
        say(json.dumps(content))
    else:
        say(f"Model of step {result.kept_step}: {result.model}")
        if result.strength is not None:
            say(_strength_line(result.strength))
            for notice in result.strength.notices:
                warn(f"Warning: {notice}")
        if result.text_pooling is not None:
            say(result.text_pooling.sentence)
        say(f"Compare it with its base: figclip eval {out} --data NAME:PATH --out {out}/eval")

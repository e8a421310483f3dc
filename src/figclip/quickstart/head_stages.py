"""The stages of the quickstart that train heads on base and adapted, and score them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figclip.captioning_evaluation import evaluate_captioning
from figclip.captioning_finetuning import finetune_captioning
from figclip.checkpoint import RunFolder
from figclip.config import apply_overrides
from figclip.data_sources import DataSource
from figclip.finetuning import FinetuneResult
from figclip.head_files import head_file, is_head_run, read_head_info
from figclip.head_recipes import build_captioning_recipe, build_situation_recipe
from figclip.loop import StepReport
from figclip.quickstart.stages import Workshop, raise_again
from figclip.results import EvaluationResult
from figclip.run_files import check_run
from figclip.situation_evaluation import evaluate_situations
from figclip.situation_finetuning import finetune_situations


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStage:
    """How heads of one task are trained and scored in the mini world.

    Attributes:
        task: As `head.json` calls it.
        config: Of the recipe.
        finetune: Trains.
        evaluate: Scores.
        training: What is trained on.
        test: What is scored.
        scores: Those that the summary tells.
    """

    task: str
    config: Callable[[], Any]
    finetune: Callable[..., FinetuneResult]
    evaluate: Callable[..., EvaluationResult]
    training: Callable[[Workshop], DataSource]
    test: Callable[[Workshop], DataSource]
    scores: tuple[str, ...]

    def folder(self, workshop: Workshop, *, seed: int) -> Path:
        """Run folder of the heads on the first base and its adaptation."""
        return workshop.path / f"{self.task}-base0-seed{seed}"


def _films(workshop: Workshop) -> DataSource:
    """The untrimmed videos: heads are trained on one split, and tested on the others."""
    films = workshop.world.films
    return DataSource(name="activitynet", path=films, videos=films / "videos")


def _annotated_videos(workshop: Workshop) -> DataSource:
    """The official files: scores are by these."""
    folder = workshop.world.vidsitu
    return DataSource(
        name="vidsitu",
        path=folder / "annotations",
        videos=folder / "videos",
        store=workshop.store(),
    )


SITUATIONS = HeadStage(
    task="situations",
    config=lambda: build_situation_recipe("mini_situations"),
    finetune=finetune_situations,
    evaluate=evaluate_situations,
    training=lambda workshop: DataSource(name="vidsitu", path=workshop.store()),
    test=_annotated_videos,
    scores=(
        "verbs Acc@1",
        "verbs Acc@5",
        "roles CIDEr",
        "roles Lea",
        "roles (predicted verb) CIDEr",
        "relations macro Top-1",
    ),
)
CAPTIONING = HeadStage(
    task="captioning",
    config=lambda: build_captioning_recipe("mini_captioning"),
    finetune=finetune_captioning,
    evaluate=evaluate_captioning,
    training=_films,
    test=_films,
    scores=("F1", "CIDEr", "meteor_exact", "soda_meteor_exact"),
)


def finetune_heads(stage: HeadStage, workshop: Workshop, run: Path, *, seed: int) -> None:
    """Fine-tune heads on base and adapted, or go on with it; finished ones are left as they are.

    Raises:
        CheckpointError: the folder is of other settings.
        KeyboardInterrupt: as `stages.adapt_base`.
    """
    heads = stage.folder(workshop, seed=seed)
    config = apply_overrides(stage.config(), [f"train.seed={seed}"])
    names = read_head_info(heads).models if is_head_run(heads) else ()
    if names and all(head_file(heads, name).exists() for name in names):
        check_run(RunFolder(heads), config, resume=True)
        return

    def on_step(name: str, report: StepReport) -> None:
        loss = "" if report.loss is None else f"loss {report.loss:.3f}"
        label = f"{stage.task} head on {name}"
        workshop.on_progress(label, report.step, report.num_steps, loss)

    with workshop.timed(f"fine-tuning {stage.task}"):
        result = stage.finetune(
            config,
            model=run,
            data=stage.training(workshop),
            out=heads,
            resume=(heads / "config.json").exists(),
            cache=workshop.cache,
            cpu=True,
            on_step=on_step,
            on_progress=lambda label, done, total: workshop.on_progress(label, done, total, ""),
        )
    if result.interrupted_by is not None:
        raise_again(result.interrupted_by)


def evaluate_heads(stage: HeadStage, workshop: Workshop, *, seed: int) -> EvaluationResult:
    """Heads of base beside those of adapted, on what they were not trained on."""
    heads = stage.folder(workshop, seed=seed)
    with workshop.timed(f"evaluating {stage.task}"):
        return stage.evaluate(
            heads,
            data=stage.test(workshop),
            out=heads / "eval",
            cache=workshop.cache,
            on_progress=lambda label, done, total: workshop.on_progress(label, done, total, ""),
        )

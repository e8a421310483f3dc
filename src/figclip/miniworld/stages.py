"""The stages of the quickstart: each reads the files of the one before; what is done is kept."""

import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from figclip.adaptation.adapt import adapt
from figclip.config import RunConfig
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_captioning_recipe, build_recipe, build_situation_recipe
from figclip.errors import ModelError
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import EvaluationResult
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.task import evaluate_captioning, finetune_captioning
from figclip.heads.run import FinetuneResult, head_file, is_head_run, read_head_info
from figclip.heads.situations.task import evaluate_situations, finetune_situations
from figclip.miniworld.annotated_videos import ControlName, write_control
from figclip.miniworld.mini_clip import IMAGE_SIZE
from figclip.miniworld.mini_models import load_mini_model, title_of, write_mini_model
from figclip.miniworld.mini_siglip import SIGLIP_PIPELINE
from figclip.miniworld.named_tests import NamedTest, detail_tests, kept_tests
from figclip.miniworld.summary import means_of_one
from figclip.miniworld.world_files import (
    EVALUATION_SEED,
    TRAINING_SEED,
    WorldFolder,
    WorldPart,
    WorldSize,
    draw_world,
)
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.families import text_config, vision_config
from figclip.model.tokenizers import tokenizer_content
from figclip.preparation.prepare import prepare
from figclip.reporting.result_files import damage_named
from figclip.runtime.checked_json import read_checked
from figclip.runtime.files import write_json
from figclip.runtime.memory import peak_memory_bytes
from figclip.runtime.progress import CountProgress, DetailedProgress
from figclip.tasks.base import Face
from figclip.training.loop import StepReport
from figclip.training.run_folder import RunFolder, check_run
from figclip.video.store import StoreSpec

PRESET = "event"


OnNotice = Callable[[str], None]
"""Told a sentence."""


def no_notice(_: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where the files of all stages are, and who is told how far they are.

    `on_notice` is told what somebody should know before believing a number; `family` is that of
    the bases; `seconds` are those that each stage took when it was last run.
    """

    path: Path
    on_progress: DetailedProgress
    family: str = "clip"
    on_notice: OnNotice = no_notice
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def world(self) -> WorldFolder:
        """The drawn files."""
        return WorldFolder(self.path / "world")

    @property
    def tests(self) -> tuple[NamedTest, ...]:
        """All named tests."""
        return (*detail_tests(self.world.detail), *kept_tests(self.world.kept))

    @property
    def cache(self) -> Path:
        """Embeddings and decoded clips of all runs."""
        return self.path / "cache"

    def base(self, seed: int) -> Path:
        """Folder of a mini model."""
        return self.path / f"mini-{self.family}-{seed}"

    def store(self, control: ControlName | None = None) -> Path:
        """Frames of the annotated videos."""
        name = control or "frames"
        return self.path / f"{name if self.family == 'clip' else f'{name}-{self.family}'}.store"

    @contextmanager
    def timed(self, stage: str) -> Generator[CountProgress]:
        """Times a stage; yields who is told how much of it is done."""
        start = time.monotonic()
        yield partial(self.on_progress, stage)
        self.seconds[stage] = round(time.monotonic() - start, 1)


def draw(
    workshop: Workshop, part: WorldPart, *, size: WorldSize, evaluation_seed: int = EVALUATION_SEED
) -> None:
    """Draw a part of the world."""
    with workshop.timed(f"drawing {part}") as told:
        draw_world(
            workshop.world,
            parts=[part],
            size=size,
            evaluation_seed=evaluation_seed,
            on_progress=told,
        )


def lay_out_base(folder: Path, seed: int, *, family: str = "clip") -> None:
    """Write the folder of a mini model, or refuse one that is there and does something else."""
    shipped = load_mini_model(seed, family=family)
    if not folder.exists():
        write_mini_model(folder, shipped)
    elif _all_of(load_backbone(str(folder))) != _all_of(shipped):
        raise ModelError(
            f"holds another model than the {title_of(family, seed)} that figclip came with",
            where=str(folder),
            fix="Choose another --out, or remove it together with the runs on it",
        )


def _all_of(mini_model: Backbone) -> tuple[object, ...]:
    """All that decides the embeddings of a mini model."""
    clip, tokenizer = mini_model.clip, mini_model.tokenizer
    return (
        weights_hash(clip),
        tokenizer_content(tokenizer),
        (tokenizer.pad_token_id, tokenizer.eos_token_id),
        mini_model.preprocessing,
        *(
            {**one.to_dict(), "dtype": None}
            for one in (text_config(clip.config), vision_config(clip.config))
        ),
    )


_PIPELINES = {"clip": "pil", "siglip": SIGLIP_PIPELINE}


def prepare_videos(workshop: Workshop, control: ControlName | None = None) -> None:
    """Decode the annotated videos, with their own annotations or those of a control."""
    annotations = workshop.world.vidsitu / "annotations"
    if control is not None:
        source, annotations = annotations, workshop.path / f"{control}.jsonl"
        write_control(source, annotations, control=control, seed=TRAINING_SEED)
    with workshop.timed("preparing") as told:
        prepare(
            annotations,
            videos=workshop.world.vidsitu / "videos",
            out=workshop.store(control),
            spec=StoreSpec(size=IMAGE_SIZE, pipeline=_PIPELINES[workshop.family]),
            on_video=lambda done, total, _: told(done, total),
        )


def adapt_base(
    workshop: Workshop, run: Path, *, config: RunConfig, control: ControlName | None = None
) -> None:
    """Adapt, or go on with it; a finished run is left as it is.

    A control is not asked for its strength: it is scored at that of what it controls. SIGINT and
    SIGTERM are raised again once all is saved; calling this again goes on.
    """
    if (run / "model").exists():
        check_run(RunFolder(run), config, resume=True)
        return

    with workshop.timed("adapting"):
        result = adapt(
            config,
            data=[workshop.store(control)],
            out=run,
            keep=[] if control else [one.source for one in kept_tests(workshop.world.selection)],
            keep_images=[workshop.world.pictures] if config.keep.weight else [],
            resume=(run / "config.json").exists(),
            cache=workshop.cache,
            cpu=True,
            on_plan=lambda plan: _tell(workshop, plan.warnings),
            on_step=lambda report: report.tell(workshop.on_progress, "adapting"),
            on_progress=workshop.on_progress,
        )
    if (number := result.outcome.interrupted_by) is not None:
        raise_again(number)
    if result.strength is not None:
        _tell(workshop, result.strength.notices)


def _tell(workshop: Workshop, notices: Sequence[str]) -> None:
    """Pass on what a stage says."""
    for notice in notices:
        workshop.on_notice(notice)


def raise_again(number: int) -> None:
    """Raise a signal again that the loop held back until its checkpoint was written."""
    signal.raise_signal(signal.Signals(number))
    raise KeyboardInterrupt  # whoever handles the signal let it pass


def evaluate_base(workshop: Workshop, base: int, *, face: Face) -> dict[str, float]:
    """Means over tests of one face by a base alone, whose folder is written if it is not there.

    What it embeds is not embedded again beside an adaptation.
    """
    lay_out_base(workshop.base(base), base, family=workshop.family)
    tests = [test for test in workshop.tests if test.face == face]
    result = _evaluated(
        workshop,
        workshop.base(base),
        tests,
        stage=f"scoring the base, {face}",
        out=workshop.path / f"base{base}-eval" / face,
    )
    return means_of_one(tests, result)


def evaluate_run(
    workshop: Workshop, run: Path, *, base: Path, alpha: float | None = None, out: str = "eval"
) -> EvaluationResult:
    """Base beside adapted on the named tests; `out` lies in the run's folder."""
    return _evaluated(
        workshop,
        run,
        workshop.tests,
        stage="evaluating",
        out=run / out,
        # Not the model at strength 0, whose last bits differ from run to run.
        base=base,
        alpha=alpha,
    )


def _evaluated(
    workshop: Workshop, model: Path, tests: Sequence[NamedTest], *, stage: str, **options: Any
) -> EvaluationResult:
    """A model on some of the named tests."""
    with workshop.timed(stage):
        return evaluate(
            model,
            data=[test.source for test in tests],
            cache=workshop.cache,
            preset=PRESET,
            on_progress=workshop.on_progress,
            **options,
        )


def mini_config(base: Path, *, seed: int, overrides: Sequence[str] = ()) -> RunConfig:
    """The recipe `mini` on a base."""
    settings = [f"model.base={base}", f"train.seed={seed}", *overrides]
    return apply_overrides(build_recipe("mini"), settings)


def summary_file(run: Path) -> Path:
    """`eval/summary.json` of a run."""
    return run / "eval" / "summary.json"


def write_summary(run: Path, summary: Mapping[str, Any]) -> None:
    """Write `eval/summary.json`."""
    write_json(summary_file(run), summary)


def write_timings(run: Path, seconds: Mapping[str, float]) -> None:
    """Write `eval/timings.json`: seconds of each stage when it was first run, and peak memory."""
    file = run / "eval" / "timings.json"
    with damage_named(file):
        before = read_checked(file) if file.exists() else {}
    peak_mib = peak_memory_bytes(torch.device("cpu")) / 2**20
    peak_mib = max(round(peak_mib, 1), before.get("peak_memory_mib", 0.0))
    content = {**seconds, **before, "peak_memory_mib": peak_mib}
    write_json(file, content)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStage:
    """How heads of one task are trained and scored in the mini world.

    The task is as `head.json` calls it; `scores` are those that the summary tells.
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
    """Fine-tune heads on base and adapted, or go on with it, as `adapt_base` does."""
    heads = stage.folder(workshop, seed=seed)
    config = apply_overrides(stage.config(), [f"train.seed={seed}"])
    names = read_head_info(heads).models if is_head_run(heads) else ()
    if names and all(head_file(heads, name).exists() for name in names):
        check_run(RunFolder(heads), config, resume=True)
        return

    def on_step(name: str, report: StepReport) -> None:
        report.tell(workshop.on_progress, f"{stage.task} head on {name}")

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
            on_progress=workshop.on_progress,
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
            on_progress=workshop.on_progress,
        )

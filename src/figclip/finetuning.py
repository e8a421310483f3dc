"""Trains heads on frozen features, one after the other, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from accelerate import Accelerator
from torch import nn

from figclip.checkpoint import RunFolder
from figclip.data.batches import BatchItem, BatchPlan
from figclip.head_config import HeadTrainConfig
from figclip.head_files import head_file, write_head
from figclip.loop import (
    BatchSource,
    LoopSettings,
    Outcome,
    ParameterGroup,
    StepReport,
    Trainee,
    TrainingLoop,
    Validator,
)

Batch = TypeVar("Batch")
OnStep = Callable[[str, StepReport], None]
"""Told the name of the features and about every step."""


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """Some annotations of different videos, whose features are in memory.

    Attributes:
        items: Which.
    """

    items: tuple[BatchItem, ...]


@dataclass(frozen=True, slots=True)
class ItemBatches:
    """Batches in the order of a plan; implements `loop.BatchSource`."""

    plan: BatchPlan
    num_steps: int

    @contextmanager
    def iterate(self, first_step: int) -> Generator[Iterator[ItemBatch]]:
        """Batches of the steps after `first_step`."""
        steps = range(first_step + 1, self.num_steps + 1)
        yield (ItemBatch(self.plan.batch(step)) for step in steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadJob(Generic[Batch]):
    """A head to be trained on the features of one model.

    Attributes:
        name: Of the model: `base`, `adapted` or `contextualizer`.
        head: The head, part of the trainee.
        trainee: What the loop trains.
        batches: In which order.
        steps_per_epoch: Batches of an epoch.
        validator: Scores the head on val; None without one.
    """

    name: str
    head: nn.Module
    trainee: Trainee[Batch]
    batches: BatchSource[Batch]
    steps_per_epoch: int
    validator: Validator | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneResult:
    """How a fine-tuning ended.

    Attributes:
        run: The run folder.
        interrupted_by: The signal's number; None when all heads are done.
        kept_steps: Step whose weights were kept, by the name of the features.
        notices: What the user must know, one sentence each.
    """

    run: Path
    interrupted_by: int | None
    kept_steps: dict[str, int]
    notices: tuple[str, ...]


def head_parameters(head: nn.Module, train: HeadTrainConfig) -> list[ParameterGroup]:
    """Matrices with weight decay; vectors and embeddings without."""
    named = dict(head.named_parameters())
    decayed = {k: p for k, p in named.items() if p.ndim >= 2 and "embedding" not in k}
    rest: Mapping[str, nn.Parameter] = {k: p for k, p in named.items() if k not in decayed}
    return [
        ParameterGroup(
            name="head", parameters=decayed, lr=train.lr, weight_decay=train.weight_decay
        ),
        ParameterGroup(name="head_no_decay", parameters=rest, lr=train.lr, weight_decay=0.0),
    ]


def train_heads(
    jobs: Sequence[HeadJob[Any]],
    run: Path,
    *,
    train: HeadTrainConfig,
    cpu: bool,
    on_step: OnStep | None,
    notices: Sequence[str],
) -> FinetuneResult:
    """Train heads one after the other, or go on with them; each keeps its best weights on val.

    Without val the last weights are kept. A finished head is not trained again.

    Args:
        jobs: What to train.
        run: Run folder; the files of a head go below `run/NAME`.
        train: Optimisation.
        cpu: Use the CPU even where there is a GPU.
        on_step: Told about every step.
        notices: Passed on to the result.

    Raises:
        TrainingError: a loss is not finite.
        CheckpointError: a checkpoint is damaged.
    """
    kept: dict[str, int] = {}
    interrupted_by = None
    for job in jobs:
        outcome = _train_head(job, run, train=train, cpu=cpu, on_step=on_step)
        interrupted_by = outcome.interrupted_by
        if interrupted_by is None:
            kept[job.name] = _kept_step(outcome)
            interrupted_by = outcome.late_signal if job is not jobs[-1] else None
        if interrupted_by is not None:
            break
    return FinetuneResult(
        run=run, interrupted_by=interrupted_by, kept_steps=kept, notices=tuple(notices)
    )


def _train_head(
    job: HeadJob[Any], run: Path, *, train: HeadTrainConfig, cpu: bool, on_step: OnStep | None
) -> Outcome:
    """Train one head."""
    loop = TrainingLoop(
        job.trainee,
        _loop_settings(train, job.steps_per_epoch),
        run=RunFolder(run / job.name),
        accelerator=Accelerator(cpu=cpu),
        validator=job.validator,
        on_step=None if on_step is None else lambda report: on_step(job.name, report),
    )
    outcome = loop.run(job.batches, resume=True)
    if outcome.interrupted_by is None:
        loop.load_weights(_kept_step(outcome))
        write_head(head_file(run, job.name), job.head)
    return outcome


def _kept_step(outcome: Outcome) -> int:
    """The step whose weights are kept: best on val, else the last."""
    return outcome.step if outcome.best_step is None else outcome.best_step


def _loop_settings(train: HeadTrainConfig, steps_per_epoch: int) -> LoopSettings:
    """A head's optimisation in steps."""
    num_steps = train.epochs * steps_per_epoch
    return LoopSettings(
        num_steps=num_steps,
        warmup_steps=round(train.warmup_fraction * num_steps),
        schedule=train.schedule,
        clip_norm=train.clip_norm,
        precision="fp32",
        validate_every=steps_per_epoch,
        checkpoint_every=steps_per_epoch,
        keep_checkpoints=train.keep_checkpoints,
        seed=train.seed,
    )

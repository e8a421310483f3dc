"""Train heads on frozen features, one after the other, and read and write their run folder.

config.json environment.json data.json     as of any run
head.json                                  task, model, vocabulary
base/ adapted/ contextualizer/ features/   a head on each: checkpoints, metrics, head.safetensors
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from figclip.config import CaptioningLoss, HeadTrainConfig, SituationLoss
from figclip.config.parsing import build
from figclip.errors import ModelError
from figclip.evaluation.results import ModelColumn
from figclip.model.backbone import state_hash
from figclip.runtime.checked_json import read_checked
from figclip.runtime.files import write_atomically, write_json
from figclip.runtime.reading import DAMAGES
from figclip.training.batches import BatchItem, BatchPlan
from figclip.training.loop import (
    LoopSettings,
    Outcome,
    ParameterGroup,
    StepReport,
    TrainingLoop,
    Validator,
    decay_groups,
)
from figclip.training.run_folder import RunFolder

HEAD_FORMAT = 1
SITUATIONS, CAPTIONING = "situations", "captioning"
TASKS = (SITUATIONS, CAPTIONING)
FRAMES_RESULT, CONTEXT_RESULT = "situations", "situations_context"
CAPTIONING_RESULT = "dense_captioning"
"""What result files call the tasks; that of situations by what the heads are on."""
_FIX = "Fine-tune it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadInfo:
    """The content of `head.json`.

    Attributes:
        task: `situations` or `captioning`.
        model: Hub id or folder of the model, or the file of features.
        base: Base of a full fine-tune; None otherwise.
        models: By name, the models whose features the heads were trained on; or that file.
        vocabulary: What the heads can say, in the task's own form.
        contextualizer: `weights_hash` of the contextualizer whose features they take; None
            without one, and in runs of earlier versions.
    """

    task: str
    model: str
    base: str | None
    feature_dim: int
    models: Mapping[str, ModelColumn]
    vocabulary: Mapping[str, Any]
    contextualizer: str | None = None


def is_head_run(path: Path) -> bool:
    """Whether a folder is a head's run."""
    return (path / "head.json").is_file()


def has_seeds(path: Path) -> bool:
    """Whether a folder holds the heads of several seeds, as `heads.seeds` writes it."""
    return (path / "seeds.json").is_file()


def write_head_info(run: Path, info: HeadInfo) -> None:
    """Write `head.json`; `features.check_models` has passed."""
    content = {"format": HEAD_FORMAT, **asdict(info)}
    write_json(run / "head.json", content)


def read_head_info(run: Path, *, task: str | None = None) -> HeadInfo:
    """Read `head.json`; a `ModelError` if it is absent, damaged, or of another format or task."""
    file = run / "head.json"
    if has_seeds(run):
        raise ModelError(
            "holds the heads of several seeds, and those of one are needed",
            where=str(run),
            fix="Give one of its folders, seed-N",
        )
    if not file.exists():
        maker = "a run of `figclip adapt`" if (run / "model").is_dir() else "no run"
        what = f"is {maker}, and one of `figclip finetune {task or 'TASK'}` is needed"
        raise ModelError(what, where=str(run), fix=f"Fine-tune one, with --model {run}")
    try:
        content = read_checked(file)
        version = content.pop("format")
        if version != HEAD_FORMAT:
            raise ModelError(
                f"has format {version!r}, this version reads {HEAD_FORMAT}",
                where=str(file),
                fix="Use the figclip version that wrote it, or a newer one.",
            )
        models = {
            # Runs of earlier versions do not say the precision.
            name: build(ModelColumn, {"precision": "", **one}, where=name)
            for name, one in content.pop("models").items()
        }
        info = HeadInfo(models=models, **content)
        if info.task not in TASKS:
            raise ValueError(f"no task is called {info.task!r}")
        kinds = (str, str | None, dict, int)
        values = (info.model, info.base, info.vocabulary, info.feature_dim)
        if not all(map(isinstance, values, kinds)):
            raise TypeError("model, base, vocabulary or feature_dim is of a wrong type")
        if task not in (None, info.task):
            raise ModelError(
                f"holds heads for {info.task}, not for {task}",
                where=str(run),
                fix=f"Give a run of `figclip finetune {task}`",
            )
        return info
    except ModelError:
        raise
    except DAMAGES as error:
        raise ModelError(f"cannot be read ({error!r})", where=str(file), fix=_FIX) from error


def head_file(run: Path, name: str) -> Path:
    """The weights of the head on a model's features."""
    return run / name / "head.safetensors"


def write_head(file: Path, head: nn.Module) -> None:
    """Write a head's weights with their hash, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    write_atomically(file, save(state, metadata={"hash": state_hash(state)}))


def load_head(file: Path, head: nn.Module) -> None:
    """Put a file's weights into a head; a `ModelError` if absent, damaged, or of another shape."""
    if not file.exists():
        raise ModelError(
            "is not there: the training is not finished",
            where=str(file),
            fix="Go on with `figclip finetune … --resume`",
        )
    try:
        state = load_file(file)
        with safe_open(file, framework="pt") as opened:
            # Heads of earlier versions have none.
            said = (opened.metadata() or {}).get("hash")
        if said not in (None, state_hash(state)):
            raise RuntimeError("its weights are not those that were written")
        head.load_state_dict(state)
    except (SafetensorError, RuntimeError, *DAMAGES) as error:
        raise ModelError(f"cannot be read ({error})", where=str(file), fix=_FIX) from error


Head = TypeVar("Head", bound=nn.Module)
OnStep = Callable[[str, StepReport], None]
"""Told the name of the features and about every step."""


@dataclass(frozen=True, slots=True)
class ItemBatches:
    """Annotations of different videos in the order of a plan; a `training.loop.BatchSource`."""

    plan: BatchPlan
    num_steps: int

    @contextmanager
    def iterate(self, first_step: int) -> Generator[Iterator[tuple[BatchItem, ...]]]:
        """Batches of the steps after `first_step`."""
        yield (self.plan.batch(step) for step in range(first_step + 1, self.num_steps + 1))


class HeadTrainee(ABC, Generic[Head]):
    """A head being trained; implements `training.loop.Trainee`."""

    def __init__(
        self,
        head: Head,
        ids: Sequence[str],
        *,
        loss: SituationLoss | CaptioningLoss,
        train: HeadTrainConfig,
    ) -> None:
        self.head = head
        self._ids = ids
        self._loss = loss
        self._train = train

    def parameter_groups(self) -> list[ParameterGroup]:
        """All weights of the head: decay for matrices, none for vectors and embeddings."""
        named, train = dict(self.head.named_parameters()), self._train
        return decay_groups("head", named, lr=train.lr, weight_decay=train.weight_decay)

    @abstractmethod
    def accumulate_gradients(
        self, batch: Sequence[BatchItem], *, loss_scale: float
    ) -> Mapping[str, Tensor]:
        """Gradients of the weighted sum of the losses."""

    def _add_gradients(
        self, losses: Mapping[str, Tensor], *, loss_scale: float
    ) -> dict[str, Tensor]:
        total = torch.stack([getattr(self._loss, part) * one for part, one in losses.items()]).sum()
        (total * loss_scale).backward()
        return {"loss": total, **{f"loss/{name}": part for name, part in losses.items()}}

    def after_step(self) -> None:
        """Nothing is bounded."""

    def name_items(self, batch: Sequence[BatchItem]) -> list[str]:
        """Video ids, with the annotation drawn."""
        return [f"{self._ids[i.video_idx]}#{i.annotation_idx}" for i in batch]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTraining:
    """What the head on the features of a source is trained on, and how.

    The source's name is `base`, `adapted`, `contextualizer` or `features`. `train` and `val` are
    the ids of the videos that are trained on and of those held back, with the hash of each; there
    is no validator without the latter. `vocabulary` is as `head.json` keeps it, and `notices` says
    what the user must know of the data.
    """

    name: str
    trainee: HeadTrainee[Any]
    plan: BatchPlan
    validator: Validator | None
    train: Mapping[str, str]
    val: Mapping[str, str]
    feature_dim: int
    vocabulary: Mapping[str, Sequence[str]]
    notices: Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneResult:
    """How a fine-tuning ended.

    Attributes:
        run: The run folder.
        interrupted_by: The signal's number; None when all heads are done.
        kept_steps: Step whose weights were kept, by the name of the features.
        notices: What the user must know, one sentence each.
        late_signal: A signal that came in the last step of the last head: whoever would go on to
            something else should stop.
    """

    run: Path
    interrupted_by: int | None
    kept_steps: dict[str, int]
    notices: tuple[str, ...]
    late_signal: int | None = None


def train_heads(
    training: Sequence[HeadTraining],
    run: Path,
    *,
    train: HeadTrainConfig,
    cpu: bool,
    on_step: OnStep | None,
    notices: Sequence[str],
) -> FinetuneResult:
    """Train heads one after the other, or go on with them; each keeps its best weights on val.

    Without val the last weights are kept. A finished head is not trained again.
    """
    kept: dict[str, int] = {}
    interrupted_by = late_signal = None
    for one in training:
        outcome = _train_head(one, run, train=train, cpu=cpu, on_step=on_step)
        interrupted_by, late_signal = outcome.interrupted_by, outcome.late_signal
        if interrupted_by is None:
            kept[one.name] = _kept_step(outcome)
            interrupted_by = late_signal if one is not training[-1] else None
        if interrupted_by is not None:
            break
    return FinetuneResult(
        run=run,
        interrupted_by=interrupted_by,
        kept_steps=kept,
        notices=tuple(notices),
        late_signal=late_signal,
    )


def _train_head(
    one: HeadTraining, run: Path, *, train: HeadTrainConfig, cpu: bool, on_step: OnStep | None
) -> Outcome:
    steps_per_epoch = one.plan.steps_per_epoch
    num_steps = train.epochs * steps_per_epoch
    settings = LoopSettings(
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
    loop = TrainingLoop(
        one.trainee,
        settings,
        run=RunFolder(run / one.name),
        accelerator=Accelerator(cpu=cpu),
        validator=one.validator,
        on_step=None if on_step is None else lambda report: on_step(one.name, report),
    )
    outcome = loop.run(ItemBatches(one.plan, num_steps), resume=True)
    if outcome.interrupted_by is None:
        loop.load_weights(_kept_step(outcome))
        write_head(head_file(run, one.name), one.trainee.head)
    return outcome


def _kept_step(outcome: Outcome) -> int:
    """The step whose weights are kept: best on val, else the last."""
    return outcome.step if outcome.best_step is None else outcome.best_step

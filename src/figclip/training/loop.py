"""One training loop for adaptation, task heads and pretraining: exact resume, logging, signals.

A step is a pure function of (weights, optimiser state, step): data order and random numbers depend
on the seed and the step only, and on the CPU sums are made in a fixed order. A run that is killed
and resumed, or made again, therefore ends bit-identical to an undisturbed one (on the CPU, with the
same number of threads).

One optimiser serves parameter groups of different methods: AdamW, and Muon for hidden matrices.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args, runtime_checkable

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from figclip.config import Precision
from figclip.errors import CheckpointError, TrainingError
from figclip.runtime.files import check_room, make_folder, write_json
from figclip.runtime.memory import peak_memory_bytes
from figclip.runtime.progress import DetailedProgress
from figclip.training.run_folder import MetricsLog, RunFolder

Method = Literal["adamw", "muon"]
"""Muon (Jordan et al., kellerjordan.github.io/posts/muon) takes matrices only."""


class GroupedOptimizer(torch.optim.Optimizer):
    """Steps each group by its own `method`; groups and states are those of one optimiser.

    States are restored in place, `state[parameter] = …`, as the training loop does.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})
        self._parts: list[torch.optim.Optimizer] = []
        for method in get_args(Method):
            # The parts hold the very same groups and states: a rate set here reaches them.
            if chosen := [group for group in self.param_groups if group["method"] == method]:
                on_gpu = all(p.is_cuda for group in chosen for p in group["params"])
                part = (
                    torch.optim.AdamW(chosen, fused=on_gpu or None)
                    if method == "adamw"
                    else torch.optim.Muon(chosen)
                )
                part.state = self.state
                self._parts.append(part)

    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step all groups; a closure is not supported."""
        assert closure is None, "gradients are accumulated before the step"
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Not supported: torch's would make new groups and states, which the parts do not see."""
        raise NotImplementedError("restore states in place")


Batch = TypeVar("Batch")
BatchIn = TypeVar("BatchIn", contravariant=True)
BatchOut = TypeVar("BatchOut", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What the loop needs to know; a head's or an adaptation's config is turned into this.

    Attributes:
        num_steps: Optimiser steps of the whole run; `warmup_steps`, `validate_every` and
            `checkpoint_every` are steps too.
        schedule: `cosine` falls to 0 at the end, `constant` stays.
        clip_norm: Largest gradient norm; 0 for no clipping.
        precision: Autocast of the trainee's forward passes; fp16 brings dynamic loss scaling.
        keep_checkpoints: Latest checkpoints kept besides the best.
        seed: Seed of the random numbers of each step.
    """

    num_steps: int
    warmup_steps: int
    schedule: Literal["cosine", "constant"]
    clip_norm: float
    precision: Precision
    validate_every: int
    checkpoint_every: int
    keep_checkpoints: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters, by unique name, that share a method, a learning rate and a weight decay."""

    name: str
    parameters: dict[str, nn.Parameter]
    lr: float
    weight_decay: float
    method: Method = "adamw"


def decay_groups(
    name: str, parameters: Mapping[str, nn.Parameter], *, lr: float, weight_decay: float
) -> list[ParameterGroup]:
    """Matrices with weight decay; vectors and embeddings of types, positions and words without."""
    decayed = {k: p for k, p in parameters.items() if p.ndim >= 2 and "embedding" not in k}
    rest = {k: p for k, p in parameters.items() if k not in decayed}
    groups = ((name, decayed, weight_decay), (f"{name}_no_decay", rest, 0.0))
    return [
        ParameterGroup(name=group, parameters=members, lr=lr, weight_decay=decay)
        for group, members, decay in groups
        if members
    ]


@runtime_checkable
class Trainee(Protocol[BatchIn]):
    """What the loop trains."""

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """All trained parameters; the same names in the same order on every call."""
        ...

    def accumulate_gradients(self, batch: BatchIn, *, loss_scale: float) -> Mapping[str, Tensor]:
        """Add the gradients of loss_scale times the loss, summed over processes, to `.grad`.

        Returns:
            The unscaled losses, with the total under `loss`: scalars, left on their device, so that
            a step waits for a GPU once.
        """
        ...

    def after_step(self) -> None:
        """Called when the optimiser has stepped, to keep parameters within their bounds."""
        ...

    def name_items(self, batch: BatchIn) -> list[str]:
        """Ids of what is in a batch, for messages."""
        ...


@runtime_checkable
class BatchSource(Protocol[BatchOut]):
    """Batches as a pure function of the step."""

    def iterate(self, first_step: int) -> AbstractContextManager[Iterator[BatchOut]]:
        """Batches of steps first_step + 1, first_step + 2, … to the end of the run."""
        ...


Validator = Callable[[], Mapping[str, float]]
"""Scores of the trainee as it is now; `score` among them decides which checkpoint is best.

Called in all processes at once, which may share its work; the main one's scores count.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What happened in one step, for progress displays.

    Attributes:
        step: Steps done; 0 for the report of the base, before the first step.
        loss: Total loss of this step; None at step 0.
        step_s: Seconds of this step, its wait for data included.
        validation: Scores, where the step ended with a validation.
    """

    step: int
    num_steps: int
    loss: float | None
    step_s: float
    validation: Mapping[str, float] | None

    def tell(self, on_progress: DetailedProgress, stage: str) -> None:
        """Say how many steps are done, and the loss."""
        loss = "" if self.loss is None else f"loss {self.loss:.3f}"
        on_progress(stage, self.step, self.num_steps, loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: Steps done; fewer than `num_steps` when interrupted.
        interrupted_by: The signal's number, None when the run is complete.
        best_step: Step of the best validation, None without validations.
        late_signal: A signal that came in the last step of a complete run: whoever would go on
            with something else must not.
    """

    step: int
    interrupted_by: int | None
    best_step: int | None
    late_signal: int | None = None


class TrainingLoop(Generic[Batch]):
    """Trains a trainee, with checkpoints and metrics in a run folder.

    `validator` is called before the first step and every `validate_every`; `on_step` is told about
    every step, on the main process. `result_bytes` is the size of what is written of the weights
    afterwards: a disk without room for it and for the checkpoints is refused before the first step.
    """

    def __init__(
        self,
        trainee: Trainee[Batch],
        settings: LoopSettings,
        *,
        run: RunFolder,
        accelerator: Accelerator,
        validator: Validator | None = None,
        on_step: Callable[[StepReport], None] | None = None,
        result_bytes: int = 0,
    ) -> None:
        self._trainee = trainee
        self._settings = settings
        self._run = run
        self._accelerator = accelerator
        self._validator = validator
        self._on_step = on_step
        self._result_bytes = result_bytes
        self._groups = list(trainee.parameter_groups())
        self._parameters = {n: p for group in self._groups for n, p in group.parameters.items()}
        self._optimizer = GroupedOptimizer(
            [
                {
                    "params": list(group.parameters.values()),
                    "lr": group.lr,
                    "weight_decay": group.weight_decay,
                    "method": group.method,
                }
                for group in self._groups
            ]
        )
        self._scaler = torch.amp.GradScaler(
            accelerator.device.type, enabled=settings.precision == "fp16"
        )
        self._scaler.scale(torch.zeros((), device=accelerator.device))  # creates its state
        self._best: tuple[int, float] | None = None

    def run(self, batches: BatchSource[Batch], *, resume: bool) -> Outcome:
        """Train to the end, or until SIGINT or SIGTERM, which save a checkpoint and return.

        `resume` goes on from the latest checkpoint, if there is one.

        Raises:
            TrainingError: a loss or gradient is not finite; the batch's ids are saved.
            CheckpointError: the checkpoint does not fit the trainee.
            OutputError: the disk is full, or has too little room from the start.
        """
        step = self._restore() if resume else 0
        if self._accelerator.is_main_process:
            if step:
                self._prune()  # what a killed process did not come to
            check_room(self._run.path, self._bytes_to_write(step))
        settings = self._settings
        with (
            self._open_log(resume_step=step if step else -1) as log,
            _Interruption(repeats=self._accelerator.num_processes > 1) as interruption,
            _fixed_order_of_sums(self._accelerator.device),
        ):
            if step == 0:
                base = self._validate(0, log)
                if base is not None:
                    self._report(0, None, 0.0, base)
            with batches.iterate(step) as stream:
                started = time.perf_counter()
                while step < settings.num_steps:
                    batch = next(stream)
                    step += 1
                    losses = self._step(step, batch)
                    step_s = time.perf_counter() - started
                    started = time.perf_counter()
                    if log is not None:
                        # The gradient norm is infinite where fp16 loss scaling skips a step.
                        cost = {
                            "s": step_s,
                            "peak_bytes": peak_memory_bytes(self._accelerator.device),
                        }
                        log.write({"step": step, **_strict(losses), "time": cost})
                    self._accelerator.log({**losses, "time/s": step_s}, step=step)
                    ended = step == settings.num_steps
                    due = ended or step % settings.validate_every == 0
                    validation = self._validate(step, log) if due else None
                    stop = self._anyone(interruption.signal is not None)
                    if ended or stop or due or step % settings.checkpoint_every == 0:
                        self._save(step)
                    self._report(step, losses["loss"], step_s, validation)
                    if stop and not ended:
                        return self._outcome(step, interruption.signal or signal.SIGTERM)
        return replace(self._outcome(step, None), late_signal=interruption.signal)

    def load_weights(self, step: int) -> None:
        """Put a checkpoint's weights into the trainee; a `CheckpointError` if they do not fit."""
        tensors = self._run.load_checkpoint(step).tensors
        for name, parameter in self._parameters.items():
            _copy(tensors.get(f"weights/{name}"), into=parameter.data, name=name)

    def _step(self, step: int, batch: Batch) -> dict[str, float]:
        """One optimiser step."""
        torch.manual_seed((self._settings.seed * 1_000_003 + step) % 2**63)  # dropout of heads
        factor = lr_factor(step, self._settings)
        for group, live in zip(self._groups, self._optimizer.param_groups, strict=True):
            live["lr"] = group.lr * factor
        self._optimizer.zero_grad(set_to_none=True)
        scalars = self._trainee.accumulate_gradients(batch, loss_scale=self._scaler.get_scale())
        self._scaler.unscale_(self._optimizer)
        limit = self._settings.clip_norm or math.inf
        gradient_norm = nn.utils.clip_grad_norm_(self._parameters.values(), limit)
        values = torch.stack([*(one.detach() for one in scalars.values()), gradient_norm])
        *found, norm = values.tolist()
        losses = dict(zip(scalars, found, strict=True))
        # An overflow is mended by a smaller scale; at scale 1 there was none, and NaN would repeat.
        overflow = self._scaler.is_enabled() and self._scaler.get_scale() > 1.0
        if not math.isfinite(losses["loss"]) or not (math.isfinite(norm) or overflow):
            self._stop_at_nonfinite(step, batch, losses, norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._trainee.after_step()
        rates = {f"lr/{group.name}": group.lr * factor for group in self._groups}
        return {**losses, **rates, "gradient_norm": norm}

    def _stop_at_nonfinite(
        self, step: int, batch: Batch, losses: Mapping[str, float], norm: float
    ) -> None:
        """Save what the failing batch holds, and raise."""
        file = self._run.path / "nonfinite.json"
        items = self._trainee.name_items(batch)
        if self._accelerator.is_main_process:
            content = {"step": step, "losses": _strict(losses), "items": items}
            write_json(file, content)
        raise TrainingError(
            f"loss {losses['loss']} and gradient norm {norm} at step {step} are not finite",
            where=str(self._run.path),
            fix=f"The batch's ids are in {file}. Start anew in another --out with a "
            "lower train.lr, or with train.precision=fp32: resuming comes to the same numbers.",
        )

    def _bytes_to_write(self, step: int) -> int:
        """About the least room that the rest of a run takes."""
        settings = self._settings
        # Each weight with AdamW's two moments, or Muon's one. Written before the oldest is deleted.
        sizes = {"adamw": 3, "muon": 2}
        checkpoint_bytes = sum(
            sizes[group.method] * parameter.nbytes
            for group in self._groups
            for parameter in group.parameters.values()
        )
        num_left = -(-(settings.num_steps - step) // settings.checkpoint_every)
        num_there = len(self._run.steps())
        num = min(settings.keep_checkpoints + 1, num_there + num_left) - num_there
        return max(0, num) * checkpoint_bytes + self._result_bytes

    def _open_log(self, *, resume_step: int) -> AbstractContextManager[MetricsLog | None]:
        """The metrics file, on the main process only."""
        if self._accelerator.is_main_process:
            make_folder(self._run.path)
            return MetricsLog(self._run.metrics, resume_step=resume_step)
        return nullcontext()

    def _validate(self, step: int, log: MetricsLog | None) -> Mapping[str, float] | None:
        """Score the trainee, log it, and remember the best step."""
        if self._validator is None:
            return None
        started = time.perf_counter()
        # One process's for all: scores that differ in a last bit would choose different steps.
        (scores,) = broadcast_object_list([dict(self._validator())])
        named = {f"val/{name}": value for name, value in scores.items()}
        if log is not None:
            log.write({"step": step, **named, "time": {"s": time.perf_counter() - started}})
        self._accelerator.log(named, step=step)
        if step > 0 and (self._best is None or scores["score"] > self._best[1]):
            self._best = (step, scores["score"])
        return scores

    def _save(self, step: int) -> None:
        """Save weights and optimiser state, and delete old checkpoints."""
        if self._accelerator.is_main_process and step not in self._run.steps():
            tensors: dict[str, Tensor] = {}
            for name, parameter in self._parameters.items():
                tensors[f"weights/{name}"] = parameter.data
                for key, value in self._optimizer.state[parameter].items():
                    tensors[f"optimizer/{key}/{name}"] = value
            state = {"best": self._best, "scaler": self._scaler.state_dict()}
            self._run.save_checkpoint(step, tensors=tensors, state=state)
            self._prune()
        self._accelerator.wait_for_everyone()

    def _prune(self) -> None:
        """Delete old checkpoints."""
        self._run.prune_checkpoints(
            keep_latest=self._settings.keep_checkpoints,
            keep_steps={self._best[0]} if self._best else set(),
        )

    def _restore(self) -> int:
        """Load the latest checkpoint; the step it is of, 0 when there is none."""
        steps = self._run.steps()
        if not steps:
            return 0
        checkpoint = self._run.load_checkpoint(steps[-1])
        for name, parameter in self._parameters.items():
            _copy(checkpoint.tensors.get(f"weights/{name}"), into=parameter.data, name=name)
            saved = {
                key.removeprefix("optimizer/").removesuffix(f"/{name}"): value
                for key, value in checkpoint.tensors.items()
                if key.startswith("optimizer/") and key.split("/", 2)[2] == name
            }
            self._optimizer.state[parameter] = {
                key: value.to(parameter.device) for key, value in saved.items()
            }
        try:
            self._scaler.load_state_dict(checkpoint.state["scaler"])
            best = checkpoint.state["best"]
            self._best = (int(best[0]), float(best[1])) if best else None
        except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"the counters of step {steps[-1]} are damaged ({error!r})",
                where=str(self._run.path),
                fix="Delete that checkpoint to resume from the one before it.",
            ) from error
        return steps[-1]

    def _report(
        self, step: int, loss: float | None, step_s: float, validation: Mapping[str, float] | None
    ) -> None:
        """Tell the progress display."""
        if self._on_step is not None and self._accelerator.is_main_process:
            report = StepReport(
                step=step,
                num_steps=self._settings.num_steps,
                loss=loss,
                step_s=step_s,
                validation=validation,
            )
            self._on_step(report)

    def _anyone(self, flag: bool) -> bool:
        """Whether any process raises the flag: a signal may reach only some of them."""
        flags = torch.tensor([int(flag)], device=self._accelerator.device)
        total = self._accelerator.reduce(flags, reduction="sum")
        assert isinstance(total, Tensor)
        return bool(total.item())

    def _outcome(self, step: int, interrupted_by: int | None) -> Outcome:
        """How the run ended."""
        best = self._best[0] if self._best else None
        return Outcome(step=step, interrupted_by=interrupted_by, best_step=best)


def lr_factor(step: int, settings: LoopSettings) -> float:
    """Learning rate of a step (counted from 1) relative to its peak, in (0, 1]."""
    if step <= settings.warmup_steps:
        return step / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    progress = (step - settings.warmup_steps) / (settings.num_steps - settings.warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def _fixed_order_of_sums(device: torch.device) -> Generator[None]:
    """On the CPU, let no sum depend on which thread is first."""
    # The gradient of indexing adds rows that were taken several times. With several threads torch
    # adds large ones as the threads come, unless it is told otherwise (index_put_, torch 2.13).
    if device.type != "cpu" or torch.are_deterministic_algorithms_enabled():
        yield
        return
    memory: Any = torch.utils.deterministic
    fills = memory.fill_uninitialized_memory
    memory.fill_uninitialized_memory = False  # of no use here, and costs time
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        memory.fill_uninitialized_memory = fills


class _Interruption:
    """Turns the first SIGINT or SIGTERM into a flag; the second one acts as usual.

    A signal that was ignored stays so: a script's background jobs are born with SIGINT ignored. Of
    several processes (`repeats`) each gets the same signal from a scheduler and again from
    torchrun: only the first counts. What does not end in 30 seconds, torchrun kills.
    """

    def __init__(self, *, repeats: bool) -> None:
        self.signal: int | None = None
        self._repeats = repeats
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = self.signal or number
        if not self._repeats:
            for each, handler in self._previous.items():
                signal.signal(each, handler)


def _copy(source: Tensor | None, *, into: Tensor, name: str) -> None:
    """Copy a checkpoint's tensor, refused when it is not the parameter's."""
    if source is None or source.shape != into.shape:
        found = "nothing" if source is None else tuple(source.shape)
        raise CheckpointError(
            f"parameter {name} of shape {tuple(into.shape)} finds {found} in the checkpoint",
            fix="The run folder belongs to another model or recipe; choose another --out.",
        )
    into.copy_(source)


def _strict(values: Mapping[str, float]) -> dict[str, float | str]:
    """Non-finite numbers as text: JSON has none."""
    return {name: v if math.isfinite(v) else str(v) for name, v in values.items()}

"""The training loop: exact resume, signals, non-finite losses, fp16, schedule, selection."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from figclip.errors import CheckpointError, OutputError, TrainingError
from figclip.runtime.checked_json import load_checked
from figclip.training.loop import LoopSettings, ParameterGroup, StepReport, TrainingLoop, lr_factor
from figclip.training.run_folder import RunFolder, read_metrics
from tests.kills import Killed

NUM_STEPS = 8
SETTINGS = LoopSettings(
    num_steps=NUM_STEPS,
    warmup_steps=2,
    schedule="cosine",
    clip_norm=1.0,
    precision="fp32",
    validate_every=NUM_STEPS,
    checkpoint_every=3,
    keep_checkpoints=99,
    seed=5,
)


class Regression:
    """Fits a line; its noise comes from torch's global generator, as dropout's would.

    Args:
        hook: Called in every step with the step and the loss; what it returns is the loss.
        half: Compute in fp16, whose gradients overflow beyond 65504.
    """

    def __init__(
        self,
        hook: Callable[[int, Tensor], Tensor] = lambda step, loss: loss,
        *,
        size: int = 3,
        half: bool = False,
    ) -> None:
        self.weight = nn.Parameter(torch.linspace(-1, 1, size))
        self.bias = nn.Parameter(torch.zeros(()))
        self.steps_done = 0
        self._hook = hook
        self._half = half

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        return [
            ParameterGroup(
                name="weight", parameters={"weight": self.weight}, lr=0.1, weight_decay=0.5
            ),
            ParameterGroup(name="bias", parameters={"bias": self.bias}, lr=0.01, weight_decay=0.0),
        ]

    def accumulate_gradients(self, batch: int, *, loss_scale: float) -> Mapping[str, Tensor]:
        x = torch.linspace(0, 1, len(self.weight)) + torch.rand(len(self.weight))
        dtype = torch.float16 if self._half else torch.float32
        error = x.to(dtype) @ self.weight.to(dtype) + self.bias.to(dtype) - batch
        loss = self._hook(batch, (error**2).float())
        (loss * loss_scale).backward()
        return {"loss": loss}

    def after_step(self) -> None:
        self.steps_done += 1

    def name_items(self, batch: int) -> list[str]:
        return [f"item {batch}"]


class Steps:
    """The batch of a step is its number."""

    def __init__(self) -> None:
        self.open = False

    @contextmanager
    def iterate(self, first_step: int) -> Iterator[Iterator[int]]:
        self.open = True
        try:
            yield iter(range(first_step + 1, NUM_STEPS + 1))
        finally:
            self.open = False


def make_loop(
    path: Path,
    trainee: Regression | Indexed,
    settings: LoopSettings = SETTINGS,
    *,
    validator: Callable[[], Mapping[str, float]] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainingLoop[int]:
    return TrainingLoop(
        trainee,
        settings,
        run=RunFolder(path),
        accelerator=Accelerator(cpu=True),
        validator=validator,
        on_step=on_step,
    )


def timeless(path: Path) -> list[dict[str, Any]]:
    """Metrics without their times."""
    found = read_metrics(path / "metrics.jsonl")
    assert all(row.pop("time")["s"] >= 0 for row in found)
    return found


def final_files(path: Path) -> dict[str, bytes]:
    """Bytes of the last checkpoint: weights, optimiser state, best step, scaler."""
    folder = path / "checkpoints" / f"step-{NUM_STEPS:08d}"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


@pytest.mark.parametrize("killed_at", range(1, NUM_STEPS + 1))
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_killed_and_resumed_equals_undisturbed(tmp_path: Path, precision: Any, killed_at: int):
    settings = dataclasses.replace(SETTINGS, precision=precision, validate_every=2)

    def run(path: Path, *, resume: bool, on_step: Callable[[StepReport], None] | None = None):
        trainee = Regression(half=precision == "fp16")

        def validate() -> dict[str, float]:
            return {"score": -float(trainee.weight.detach().sum())}

        loop = make_loop(path, trainee, settings, validator=validate, on_step=on_step)
        return loop.run(Steps(), resume=resume)

    whole = run(tmp_path / "whole", resume=False)

    def kill(report: StepReport) -> None:
        if report.step == killed_at:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "killed", resume=False, on_step=kill)
    torch.manual_seed(999)  # the state of the global generator must not matter
    resumed = run(tmp_path / "killed", resume=True)
    assert resumed == whole
    assert resumed.step == NUM_STEPS
    assert final_files(tmp_path / "killed") == final_files(tmp_path / "whole")
    assert timeless(tmp_path / "killed") == timeless(tmp_path / "whole")
    assert RunFolder(tmp_path / "killed").steps() == RunFolder(tmp_path / "whole").steps()


class Indexed:
    """Takes each row of a table several times, unevenly many of them for each of two threads."""

    def __init__(self) -> None:
        self.table = nn.Parameter(
            torch.randn(15, 26, 96, generator=torch.Generator().manual_seed(0))
        )
        self.rows = torch.arange(15).repeat_interleave(5)
        self.factors = torch.randn(75, 26, 96, generator=torch.Generator().manual_seed(1))
        self.gradients: set[bytes] = set()
        self.was_deterministic: set[bool] = set()

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        return [ParameterGroup(name="t", parameters={"t": self.table}, lr=0.0, weight_decay=0.0)]

    def accumulate_gradients(self, batch: int, *, loss_scale: float) -> Mapping[str, Tensor]:
        loss = (self.table[self.rows] * self.factors).sum()
        (loss * loss_scale).backward()
        assert self.table.grad is not None
        self.gradients.add(self.table.grad.numpy().tobytes())
        self.was_deterministic.add(torch.are_deterministic_algorithms_enabled())
        return {"loss": loss}

    def after_step(self) -> None:
        """Nothing is bounded."""

    def name_items(self, batch: int) -> list[str]:
        return []


def test_two_threads_add_up_gradients_in_a_fixed_order(tmp_path: Path):
    """In an order of chance, some 1 in 100 differed in their last bits."""
    trainee, threads = Indexed(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for part in range(5):
            make_loop(tmp_path / str(part), trainee).run(Steps(), resume=False)
    finally:
        torch.set_num_threads(threads)
    assert len(trainee.gradients) == 1 and trainee.was_deterministic == {True}
    assert not torch.are_deterministic_algorithms_enabled()


def test_resume_reads_the_optimisers_state(tmp_path: Path):
    """The comparison above would be blind if a fresh optimiser gave the same bytes."""
    make_loop(tmp_path, Regression()).run(Steps(), resume=False)
    tensors = RunFolder(tmp_path).load_checkpoint(3).tensors
    assert set(tensors) == {
        f"{kind}/{name}"
        for kind in ("weights", "optimizer/step", "optimizer/exp_avg", "optimizer/exp_avg_sq")
        for name in ("weight", "bias")
    }
    assert tensors["optimizer/step/weight"].item() == 3
    assert tensors["optimizer/exp_avg/weight"].abs().sum() > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_returns_and_the_run_can_go_on(tmp_path: Path, number: signal.Signals):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]

    def interrupt(step: int, loss: Tensor) -> Tensor:
        if step == 4:
            os.kill(os.getpid(), number)
        return loss

    batches = Steps()
    outcome = make_loop(tmp_path / "cut", Regression(interrupt)).run(batches, resume=False)
    assert (outcome.step, outcome.interrupted_by, outcome.best_step) == (4, number, None)
    assert not batches.open
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert RunFolder(tmp_path / "cut").steps() == [3, 4]
    outcome = make_loop(tmp_path / "cut", Regression()).run(Steps(), resume=True)
    assert (outcome.step, outcome.interrupted_by) == (NUM_STEPS, None)
    make_loop(tmp_path / "whole", Regression()).run(Steps(), resume=False)
    assert final_files(tmp_path / "cut") == final_files(tmp_path / "whole")
    assert timeless(tmp_path / "cut") == timeless(tmp_path / "whole")


def test_a_signal_in_the_last_step_is_a_complete_run(tmp_path: Path):
    def interrupt(step: int, loss: Tensor) -> Tensor:
        if step == NUM_STEPS:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    outcome = make_loop(tmp_path, Regression(interrupt)).run(Steps(), resume=False)
    assert (outcome.step, outcome.interrupted_by) == (NUM_STEPS, None)
    assert outcome.late_signal == signal.SIGTERM


def test_a_second_signal_acts_as_usual(tmp_path: Path):
    def interrupt_twice(step: int, loss: Tensor) -> Tensor:
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    batches = Steps()
    with pytest.raises(KeyboardInterrupt):
        make_loop(tmp_path, Regression(interrupt_twice)).run(batches, resume=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not batches.open
    assert RunFolder(tmp_path).steps() == [3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ignored_signal_stays_ignored(tmp_path: Path, number: signal.Signals):
    """As for a job that a script starts in the background."""

    def interrupt(step: int, loss: Tensor) -> Tensor:
        os.kill(os.getpid(), number)
        return loss

    before = signal.signal(number, signal.SIG_IGN)
    try:
        outcome = make_loop(tmp_path, Regression(interrupt)).run(Steps(), resume=False)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert (outcome.step, outcome.interrupted_by, outcome.late_signal) == (NUM_STEPS, None, None)


@pytest.mark.parametrize(
    ("spoil", "loss"),
    [(lambda loss: loss * math.nan, "nan"), (lambda loss: loss + math.inf, "inf")],
)
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(
    tmp_path: Path, spoil: Callable[[Tensor], Tensor], loss: str
):
    trainee = Regression(lambda step, value: spoil(value) if step == 5 else value)
    with pytest.raises(TrainingError, match="at step 5 are not finite") as caught:
        make_loop(tmp_path, trainee).run(Steps(), resume=False)
    saved = load_checked((tmp_path / "nonfinite.json").read_text())
    assert saved == {"step": 5, "losses": {"loss": loss}, "items": ["item 5"]}
    assert "nonfinite.json" in caught.value.fix
    assert trainee.steps_done == 4
    assert [row["step"] for row in timeless(tmp_path)] == [1, 2, 3, 4]
    assert RunFolder(tmp_path).steps() == [3]


def test_a_gradient_that_is_not_finite_stops_the_run_too(tmp_path: Path):
    def infinite_slope(step: int, loss: Tensor) -> Tensor:
        return (loss - loss.detach()).sqrt() if step == 2 else loss

    with pytest.raises(TrainingError, match=r"loss 0\.0 and gradient norm (inf|nan) at step 2"):
        make_loop(tmp_path, Regression(infinite_slope)).run(Steps(), resume=False)


def test_fp16_skips_steps_that_overflow_and_lowers_its_scale(tmp_path: Path):
    trainee = Regression(half=True)
    weights: list[Tensor] = []
    settings = dataclasses.replace(SETTINGS, precision="fp16", checkpoint_every=1)
    outcome = make_loop(
        tmp_path,
        trainee,
        settings,
        on_step=lambda report: weights.append(trainee.weight.detach().clone()),
    ).run(Steps(), resume=False)
    assert outcome.step == NUM_STEPS
    # A gradient of about 1 times the first scale, 65536, does not fit.
    skipped = [row["step"] for row in timeless(tmp_path) if row["gradient_norm"] in ("inf", "nan")]
    assert skipped[0] == 1 and len(skipped) < NUM_STEPS
    moved = [
        step
        for step in range(1, NUM_STEPS + 1)
        if not torch.equal(
            weights[step - 1], weights[step - 2] if step > 1 else torch.linspace(-1, 1, 3)
        )
    ]
    assert moved == [step for step in range(1, NUM_STEPS + 1) if step not in skipped]
    scale = RunFolder(tmp_path).load_checkpoint(NUM_STEPS).state["scaler"]["scale"]
    assert scale == 65536 / 2 ** len(skipped)


def test_fp16_logs_unscaled_gradients(tmp_path: Path):
    def tiny(step: int, loss: Tensor) -> Tensor:
        return loss * 1e-3  # so that even the first scale fits fp16

    half = dataclasses.replace(SETTINGS, precision="fp16")
    make_loop(tmp_path / "fp16", Regression(tiny, half=True), half).run(Steps(), resume=False)
    make_loop(tmp_path / "fp32", Regression(tiny)).run(Steps(), resume=False)
    norms = [timeless(tmp_path / name)[0]["gradient_norm"] for name in ("fp16", "fp32")]
    assert norms[0] == pytest.approx(norms[1], rel=5e-3)


def test_lr_factor_by_hand():
    settings = dataclasses.replace(SETTINGS, num_steps=5, warmup_steps=2)
    found = [lr_factor(step, settings) for step in range(1, 6)]
    root = math.sqrt(0.5)
    assert found == pytest.approx([0.5, 1.0, (1 + root) / 2, 0.5, (1 - root) / 2])
    constant = dataclasses.replace(settings, schedule="constant")
    assert [lr_factor(step, constant) for step in range(1, 6)] == [0.5, 1, 1, 1, 1]
    cold = dataclasses.replace(settings, num_steps=1, warmup_steps=0)
    assert lr_factor(1, cold) == pytest.approx(0.5)


@given(
    num_steps=st.integers(1, 500),
    warmup=st.floats(0, 1),
    schedule=st.sampled_from(["cosine", "constant"]),
)
def test_lr_factor_rises_then_falls_and_is_never_zero(num_steps: int, warmup: float, schedule: Any):
    warmup_steps = round(warmup * num_steps)
    settings = dataclasses.replace(
        SETTINGS, num_steps=num_steps, warmup_steps=warmup_steps, schedule=schedule
    )
    factors = [lr_factor(step, settings) for step in range(1, num_steps + 1)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:warmup_steps] == sorted(factors[:warmup_steps])
    rest = factors[max(warmup_steps - 1, 0) :]
    assert rest == sorted(rest, reverse=True)


def test_the_first_step_of_adamw_by_hand(tmp_path: Path):
    """Step 1 moves by lr against the gradient's sign, and decays by lr * weight_decay first."""
    trainee = Regression()
    one = dataclasses.replace(SETTINGS, num_steps=1, checkpoint_every=1)
    make_loop(tmp_path, trainee, one).run(Steps(), resume=False)
    row = timeless(tmp_path)[0]
    assert (row["lr/weight"], row["lr/bias"]) == (0.1 / 2, 0.01 / 2)  # half-way up the warm-up
    start = torch.linspace(-1, 1, 3)
    tensors = RunFolder(tmp_path).load_checkpoint(1).tensors
    sign = tensors["optimizer/exp_avg/weight"].sign()
    assert sign.abs().sum() == 3
    expected = start * (1 - 0.05 * 0.5) - 0.05 * sign
    torch.testing.assert_close(trainee.weight.detach(), expected, atol=1e-6, rtol=0)
    bias_sign = tensors["optimizer/exp_avg/bias"].sign()
    assert trainee.bias.item() == pytest.approx(-0.005 * bias_sign.item(), abs=1e-7)


@pytest.mark.parametrize("clip_norm", [0.0, 0.25])
def test_gradients_are_clipped_to_the_norm_and_logged_before(tmp_path: Path, clip_norm: float):
    settings = dataclasses.replace(SETTINGS, num_steps=1, checkpoint_every=1, clip_norm=clip_norm)
    make_loop(tmp_path, Regression(), settings).run(Steps(), resume=False)
    norm = timeless(tmp_path)[0]["gradient_norm"]
    assert norm > 0.25
    tensors = RunFolder(tmp_path).load_checkpoint(1).tensors
    # AdamW's first moment after one step is (1 - 0.9) times the gradient that it was given.
    parts = [tensors[f"optimizer/exp_avg/{name}"].flatten() / 0.1 for name in ("weight", "bias")]
    given_norm = torch.cat(parts).norm().item()
    assert given_norm == pytest.approx(clip_norm or norm, rel=1e-4)


def test_validation_chooses_the_best_step_and_pruning_spares_it(tmp_path: Path):
    scores = iter([0.9, 0.3, 0.7, 0.7, 0.2])  # before the first step, then at 2, 4, 6, 8
    trainee = Regression()
    at_best: list[Tensor] = []
    reports: list[StepReport] = []

    def on_step(report: StepReport) -> None:
        reports.append(report)
        if report.step == 4:
            at_best.append(trainee.weight.detach().clone())

    settings = dataclasses.replace(
        SETTINGS, validate_every=2, checkpoint_every=3, keep_checkpoints=1
    )
    loop = make_loop(
        tmp_path, trainee, settings, validator=lambda: {"score": next(scores)}, on_step=on_step
    )
    outcome = loop.run(Steps(), resume=False)
    # The base, before step 1, is no candidate; a tie goes to the earlier step.
    assert outcome.best_step == 4
    assert RunFolder(tmp_path).steps() == [4, NUM_STEPS]
    found = timeless(tmp_path)
    validations = [(row["step"], row["val/score"]) for row in found if "val/score" in row]
    assert validations == [(0, 0.9), (2, 0.3), (4, 0.7), (6, 0.7), (8, 0.2)]
    assert [row["step"] for row in found if "loss" in row] == list(range(1, NUM_STEPS + 1))
    assert [report.step for report in reports] == list(range(NUM_STEPS + 1))
    assert (reports[0].loss, reports[0].validation) == (None, {"score": 0.9})
    assert [r.validation["score"] if r.validation else None for r in reports] == [
        0.9, None, 0.3, None, 0.7, None, 0.7, None, 0.2
    ]  # fmt: skip
    assert not torch.equal(trainee.weight.detach(), at_best[0])
    loop.load_weights(4)
    assert torch.equal(trainee.weight.detach(), at_best[0])


def test_the_last_step_is_validated_and_saved_whatever_the_intervals(tmp_path: Path):
    settings = dataclasses.replace(SETTINGS, validate_every=5, checkpoint_every=3)
    loop = make_loop(tmp_path, Regression(), settings, validator=lambda: {"score": 1.0})
    assert loop.run(Steps(), resume=False).best_step == 5
    assert RunFolder(tmp_path).steps() == [3, 5, 6, NUM_STEPS]
    rows = timeless(tmp_path)
    assert [row["step"] for row in rows if "val/score" in row] == [0, 5, NUM_STEPS]


def test_resuming_a_complete_run_does_nothing(tmp_path: Path):
    make_loop(tmp_path, Regression()).run(Steps(), resume=False)
    before, rows = final_files(tmp_path), timeless(tmp_path)
    trainee = Regression()
    outcome = make_loop(tmp_path, trainee).run(Steps(), resume=True)
    assert (outcome.step, trainee.steps_done) == (NUM_STEPS, 0)
    assert (final_files(tmp_path), timeless(tmp_path)) == (before, rows)


def test_resume_without_a_checkpoint_starts_anew(tmp_path: Path):
    trainee = Regression()
    assert make_loop(tmp_path, trainee).run(Steps(), resume=True).step == NUM_STEPS
    assert trainee.steps_done == NUM_STEPS


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path):
    make_loop(tmp_path, Regression()).run(Steps(), resume=False)
    with pytest.raises(CheckpointError, match=r"weight of shape \(4,\) finds \(3,\)"):
        make_loop(tmp_path, Regression(size=4)).run(Steps(), resume=True)
    with pytest.raises(CheckpointError, match=r"finds \(3,\)"):
        make_loop(tmp_path, Regression(size=4)).load_weights(3)


@pytest.mark.parametrize(
    ("owner", "kills", "of"), [(Path, "rename", "step-"), (shutil, "rmtree", ".step-")]
)
@pytest.mark.parametrize("call", [1, 2])  # of the two checkpoints that are deleted on the way
def test_killed_while_old_checkpoints_are_deleted_it_ends_as_undisturbed(
    tmp_path: Path, owner: Any, kills: str, of: str, call: int
):
    settings = dataclasses.replace(SETTINGS, keep_checkpoints=1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    make_loop(whole, Regression(), settings).run(Steps(), resume=False)
    function, calls = getattr(owner, kills), []

    def killed(path: Path, *args: Any, **options: Any) -> Any:
        if path.name.startswith(of) and not path.name.endswith(".writing"):
            calls.append(path)
            if len(calls) == call:
                raise Killed
        return function(path, *args, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, kills, killed)
        make_loop(broken, Regression(), settings).run(Steps(), resume=False)
    make_loop(broken, Regression(), settings).run(Steps(), resume=True)
    for run in (whole, broken):
        assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000008"]
    assert final_files(broken) == final_files(whole)


def test_a_disk_without_room_for_checkpoints_and_result_is_refused_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainee = Regression()
    # Weights and two moments, the latest checkpoints and the one that is being written.
    num_kept = min(SETTINGS.keep_checkpoints + 1, -(-NUM_STEPS // SETTINGS.checkpoint_every))
    num_bytes = num_kept * 3 * 4 * (trainee.weight.numel() + trainee.bias.numel()) + 1000
    usage = shutil.disk_usage(tmp_path)

    def loop() -> TrainingLoop[int]:
        return TrainingLoop(
            trainee,
            SETTINGS,
            run=RunFolder(tmp_path / "run"),
            accelerator=Accelerator(cpu=True),
            result_bytes=1000,
        )

    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=num_bytes - 1))
    with pytest.raises(OutputError, match=r"run: takes at least .*, 1\.0 B more than there is"):
        loop().run(Steps(), resume=False)
    assert trainee.steps_done == 0 and not (tmp_path / "run").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=num_bytes))
    assert loop().run(Steps(), resume=False).step == NUM_STEPS
    # What is there takes no room any more.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert loop().run(Steps(), resume=True).step == NUM_STEPS

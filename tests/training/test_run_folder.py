"""The run folder: checkpoints whole or absent under any kill, damage named, metrics cut back."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from figclip.errors import CheckpointError, OutputError
from figclip.runtime.checked_json import load_checked
from figclip.training import run_folder as checkpoint
from figclip.training.run_folder import MetricsLog, RunFolder, read_metrics
from tests.full_disk import full_disk
from tests.kills import Killed, kill_at

TENSORS = {
    "fp32": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "fp64": torch.tensor([1 / 3], dtype=torch.float64),
    "bf16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "int": torch.tensor([2**40]),
    "scalar": torch.tensor(7.0),
    "empty": torch.zeros(0, 5),
    "transposed": torch.arange(6.0).view(2, 3).T,
    "slash/and.dot": torch.ones(1),
}


def flips(file: Path) -> Generator[int]:
    """Flips a bit of each byte of a file in turn; yields where."""
    content = file.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        yield position
    file.write_bytes(content)


def test_a_flipped_bit_of_a_checkpoints_counters_is_noticed(tmp_path: Path):
    run, state = RunFolder(tmp_path), {"best": [3, 0.625], "scaler": {"scale": 65536.0}}
    run.save_checkpoint(5, tensors={"w": torch.ones(2)}, state=state)
    expected = run.load_checkpoint(5).state
    assert expected["best"] == [3, 0.625] and "check" not in expected
    for _ in flips(tmp_path / "checkpoints" / "step-00000005" / "state.json"):
        try:
            found = run.load_checkpoint(5).state
        except CheckpointError:
            continue
        assert {**found, **expected} == found  # a check that is called otherwise


def test_a_flipped_bit_of_the_metrics_is_noticed(tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    rows = [{"step": 1, "loss": 2.5, "time": {"s": 0.125}}, {"step": 2, "val/score": 0.75}]
    with MetricsLog(file, resume_step=-1) as log:
        for row in rows:
            log.write(row)
    assert read_metrics(file) == rows
    for _ in flips(file):
        try:
            found = read_metrics(file)
        except CheckpointError:
            continue
        assert [{**one, **row} for one, row in zip(found, rows, strict=True)] == found


def test_a_line_that_was_cut_is_left_out(tmp_path: Path):
    file, row = tmp_path / "metrics.jsonl", {"step": 1, "time": {"s": 0.5}}
    with MetricsLog(file, resume_step=-1) as log:
        log.write(row)
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content + content[:length])
        assert read_metrics(file) == [row]


def test_tensors_and_counters_come_back(tmp_path: Path):
    run = RunFolder(tmp_path / "run")
    state = {"best": [3, 0.5], "scaler": {}, "none": None}
    run.save_checkpoint(12, tensors=TENSORS, state=state)
    assert run.steps() == [12]
    loaded = RunFolder(tmp_path / "run").load_checkpoint(12)
    assert loaded.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor)
    assert {key: loaded.state[key] for key in state} == state
    assert (loaded.state["format"], loaded.state["step"]) == (1, 12)


def test_a_kill_at_any_point_leaves_the_checkpoint_whole_or_absent(tmp_path: Path):
    first, second = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    outcomes: list[bool] = []
    for call in range(1, 100):
        run = RunFolder(tmp_path / str(call))
        run.save_checkpoint(1, tensors=first, state={})
        with pytest.MonkeyPatch.context() as patch:
            count = kill_at(patch, call, saving=(checkpoint, "save_file"))
            with contextlib.suppress(Killed):
                run.save_checkpoint(2, tensors=second, state={})
        steps = RunFolder(run.path).steps()
        outcomes.append(2 in steps)
        assert steps in ([1], [1, 2])
        for step, tensors in zip(steps, (first, second), strict=False):
            assert torch.equal(run.load_checkpoint(step).tensors["w"], tensors["w"])
        run.save_checkpoint(2, tensors=second, state={})  # the next run writes it again
        assert run.steps() == [1, 2]
        if count[0] < call:
            break
    else:
        pytest.fail("the number of file operations was not reached")
    assert outcomes == sorted(outcomes), "absent before the rename, whole from then on"
    assert len(outcomes) > 10 and outcomes.count(False) > 8


def saved(path: Path) -> tuple[RunFolder, Path]:
    run = RunFolder(path)
    run.save_checkpoint(3, tensors={"w": torch.arange(100.0)}, state={})
    return run, path / "checkpoints" / "step-00000003"


def flip_a_bit(folder: Path) -> None:
    file = folder / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def cut_tensors(folder: Path) -> None:
    file = folder / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def write_state(text: str | bytes) -> Callable[[Path], Any]:
    content = text.encode() if isinstance(text, str) else text
    return lambda folder: (folder / "state.json").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_bit, "tensors are damaged"),
        (cut_tensors, "tensors are damaged"),
        (lambda f: (f / "tensors.safetensors").unlink(), "cannot be read .FileNotFoundError"),
        (lambda f: (f / "state.json").unlink(), "cannot be read .FileNotFoundError"),
        (shutil.rmtree, "cannot be read .FileNotFoundError"),
        (write_state(""), "cannot be read .ValueError: is not JSON"),
        (write_state("[1]"), "cannot be read .TypeError"),
        (write_state("{}"), "cannot be read .KeyError"),
        (write_state(b"\xff\xfe"), "cannot be read .UnicodeDecodeError"),
        (write_state("[" * 100_000), "read .ValueError: is nested too deeply"),
        (write_state('{"format": 1}'), "cannot be read .KeyError"),
        (write_state('{"format": 2, "tensors": "x"}'), "has format 2, this version reads 1"),
    ],
)
def test_a_damaged_checkpoint_is_refused_by_name(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
):
    run, folder = saved(tmp_path)
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        run.load_checkpoint(3)
    assert caught.value.where == str(folder)
    assert caught.value.fix


def test_a_swapped_tensor_file_is_refused(tmp_path: Path):
    run, folder = saved(tmp_path)
    run.save_checkpoint(4, tensors={"w": torch.zeros(100)}, state={})
    shutil.copy(folder.with_name("step-00000004") / "tensors.safetensors", folder)
    with pytest.raises(CheckpointError, match="damaged"):
        run.load_checkpoint(3)


def test_steps_are_numbers_in_order_and_nothing_else(tmp_path: Path):
    run = RunFolder(tmp_path)
    for step in (100_000_000, 2, 30):
        run.save_checkpoint(step, tensors={}, state={})
    for stray in (".step-00000009.writing", "step-9", "step-00000009.old", "notes"):
        (tmp_path / "checkpoints" / stray).mkdir()
    assert run.steps() == [2, 30, 100_000_000]


@pytest.mark.parametrize(
    ("keep_latest", "keep_steps", "left"),
    [
        (1, set(), [5]),
        (2, set(), [4, 5]),
        (2, {1}, [1, 4, 5]),
        (2, {5}, [4, 5]),
        (9, set(), [1, 2, 3, 4, 5]),
        (1, {2, 3, 77}, [2, 3, 5]),
    ],
)
def test_pruning_keeps_the_latest_and_the_named(
    keep_latest: int, keep_steps: set[int], left: list[int], tmp_path: Path
):
    run = RunFolder(tmp_path)
    for step in range(1, 6):
        run.save_checkpoint(step, tensors={}, state={})
    run.prune_checkpoints(keep_latest=keep_latest, keep_steps=keep_steps)
    assert run.steps() == left


def test_checkpoints_hold_no_pickle(tmp_path: Path):
    _, folder = saved(tmp_path)
    assert {entry.name for entry in folder.iterdir()} == {"tensors.safetensors", "state.json"}
    load_checked((folder / "state.json").read_text())


def rows(*steps: int) -> list[dict[str, Any]]:
    return [{"step": step, "loss": step / 3} for step in steps]


def test_metrics_are_cut_back_to_the_step_of_the_checkpoint(tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    with MetricsLog(file, resume_step=-1) as log:
        for row in rows(0, 1, 2, 2, 3, 4):
            log.write(row)
    assert read_metrics(file) == rows(0, 1, 2, 2, 3, 4)
    with MetricsLog(file, resume_step=2) as log:
        assert read_metrics(file) == rows(0, 1, 2, 2)
        log.write({"step": 3, "loss": 9.0})
    assert read_metrics(file) == [*rows(0, 1, 2, 2), {"step": 3, "loss": 9.0}]
    with MetricsLog(file, resume_step=-1):
        assert read_metrics(file) == []


def test_a_last_line_that_a_kill_cut_short_is_left_out(tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    whole = "".join(json.dumps(row) + "\n" for row in rows(1, 2))
    for cut in range(1, len('{"step": 2, "loss": 0.66}\n')):
        file.write_text(whole[:-cut])
        assert read_metrics(file) == rows(1)
        with MetricsLog(file, resume_step=5) as log:
            log.write(rows(2)[0])
        assert read_metrics(file) == rows(1, 2)


def test_every_line_is_with_the_operating_system_at_once(tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    with MetricsLog(file, resume_step=-1) as log:
        log.write(rows(1)[0])
        assert read_metrics(file) == rows(1)
        with pytest.raises(ValueError, match="JSON"):
            log.write({"step": 2, "loss": float("nan")})


@pytest.mark.parametrize(
    "line", [b"{}", b"x", b"[1]", b'{"step": "1"}', b"\xff", b"\0" * 9, b"", b"[" * 100_000]
)
def test_damaged_metrics_are_refused_by_line(line: bytes, tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl:2: is not a JSON object"):
        read_metrics(file)


def test_no_metrics_yet(tmp_path: Path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_tensor_on_the_graph_is_saved_without_it(tmp_path: Path):
    run = RunFolder(tmp_path)
    weight: Tensor = torch.ones(2, requires_grad=True)
    run.save_checkpoint(1, tensors={"w": weight * 2}, state={})
    assert run.load_checkpoint(1).tensors["w"].tolist() == [2.0, 2.0]


def test_a_full_disk_is_named_and_what_was_there_stays(tmp_path: Path):
    run, _ = saved(tmp_path / "run")
    with MetricsLog(run.metrics, resume_step=-1) as log:
        log.write({"step": 1})
        with full_disk(file_bytes=20):
            with pytest.raises(OutputError, match="step-00000004: cannot be written"):
                run.save_checkpoint(4, tensors={"w": torch.zeros(100)}, state={})
            with pytest.raises(OutputError, match="metrics.jsonl: cannot be written"):
                log.write({"step": 2, "loss": 0.5})
    assert run.steps() == [3] and run.load_checkpoint(3)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1
    with MetricsLog(run.metrics, resume_step=3) as log:
        log.write({"step": 2, "loss": 0.25})
    assert read_metrics(run.metrics) == [{"step": 1}, {"step": 2, "loss": 0.25}]

"""Work dealt over processes comes back whole, in order, and the same to all."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from figclip.errors import ConfigError
from figclip.runtime.process_group import ALONE, Processes, start_accelerator
from tests.ranks_as_threads import run_ranks


@pytest.mark.parametrize("num_tasks", [0, 1, 3, 7])
@pytest.mark.parametrize("num_ranks", [1, 2, 3, 5])
def test_every_task_is_done_once_and_all_get_all_results(num_tasks: int, num_ranks: int) -> None:
    done: list[int] = []

    def work(processes: Processes) -> list[str]:
        own = [number for number in range(num_tasks) if processes.is_own(number)]
        done.extend(own)
        return processes.merge([f"task {number}" for number in own])

    expected = [f"task {number}" for number in range(num_tasks)]
    assert run_ranks(num_ranks, work) == [expected] * num_ranks
    assert sorted(done) == list(range(num_tasks))


def test_once_is_done_by_the_main_process_alone() -> None:
    callers: list[str] = []

    def work(processes: Processes) -> dict[str, int]:
        def read() -> dict[str, int]:
            callers.append(threading.current_thread().name)
            return {"found": 3}

        assert processes.is_main == (processes.rank == 0)
        return processes.once(read)

    assert run_ranks(3, work) == [{"found": 3}] * 3
    assert len(callers) == 1


def test_one_process_needs_no_process_group() -> None:
    value = object()  # not even pickled
    assert ALONE.once(lambda: value) is value
    assert ALONE.merge([value]) == [value]
    assert ALONE.is_main and ALONE.is_own(5)


def start_with(
    monkeypatch: pytest.MonkeyPatch, *, num: int, device: str, has_gpu: bool
) -> dict[str, Any]:
    """What accelerate is told by one of several processes."""
    told: dict[str, Any] = {}

    class Started(Accelerator):
        def __init__(self, **options: Any) -> None:
            told.update(options)

        @property
        def device(self) -> torch.device:
            return torch.device("cpu" if told["cpu"] else device)

        @property
        def num_processes(self) -> int:
            return num if self.device.type in ("cpu", "cuda") else 1

    monkeypatch.setenv("WORLD_SIZE", str(num))
    monkeypatch.setattr("torch.accelerator.is_available", lambda: has_gpu)
    monkeypatch.setattr("figclip.runtime.process_group.Accelerator", Started)
    start_accelerator(cpu=False)
    return told


def test_processes_share_a_run_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_with(monkeypatch, num=2, device="cpu", has_gpu=False)["cpu"]
    assert not start_with(monkeypatch, num=2, device="cuda", has_gpu=True)["cpu"]
    assert not start_with(monkeypatch, num=1, device="mps", has_gpu=True)["cpu"]
    with pytest.raises(ConfigError, match="2 processes cannot share a run on mps.*--cpu"):
        start_with(monkeypatch, num=2, device="mps", has_gpu=True)


def test_processes_wait_for_one_that_decodes_longer_than_nccl_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = start_with(monkeypatch, num=2, device="cuda", has_gpu=True)
    [handler] = told["kwargs_handlers"]
    assert handler.to_kwargs()["timeout"] > timedelta(hours=24)

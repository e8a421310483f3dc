"""Work dealt over processes comes back whole, in order, and the same to all."""

from __future__ import annotations

import threading

import pytest

from figclip.process_group import ALONE, Processes
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

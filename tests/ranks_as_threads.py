"""Several processes of a run as threads of this one: collectives without a process group."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from unittest.mock import patch

from figclip.runtime.process_group import Processes

Result = TypeVar("Result")

DEADLINE_S = 60.0


class _Board:
    """Where each rank puts what all may read."""

    def __init__(self, num: int) -> None:
        self._barrier = threading.Barrier(num)
        self._own = threading.local()
        self._values: list[bytes] = [b""] * num

    def enter(self, rank: int) -> None:
        self._own.rank = rank

    def leave_the_others(self) -> None:
        """They would wait for a rank that has failed."""
        self._barrier.abort()

    def gather(self, into: list[Any], value: Any) -> None:
        self._values[self._own.rank] = pickle.dumps(value)
        self._barrier.wait(DEADLINE_S)
        into[:] = [pickle.loads(one) for one in self._values]
        self._barrier.wait(DEADLINE_S)

    def broadcast(self, values: list[Any]) -> None:
        everyones: list[Any] = [None] * len(self._values)
        self.gather(everyones, values)
        values[:] = everyones[0]


def run_ranks(num: int, work: Callable[[Processes], Result]) -> Sequence[Result]:
    """What each rank returns."""
    board = _Board(num)

    def run(rank: int) -> Result:
        board.enter(rank)
        try:
            return work(Processes(rank=rank, num=num))
        except BaseException:
            board.leave_the_others()
            raise

    with (
        patch("torch.distributed.all_gather_object", board.gather),
        patch("torch.distributed.broadcast_object_list", board.broadcast),
        ThreadPoolExecutor(num) as pool,
    ):
        return list(pool.map(run, range(num)))

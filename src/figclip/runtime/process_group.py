"""The processes of a run: each does its share of the work, and all get the whole result.

Differences between processes would drive them apart: one might choose another checkpoint, or wait
for something that the others never send. So one process makes each result and sends it to all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch import distributed

from figclip.errors import ConfigError
from figclip.runtime.device import use_tensor_cores
from figclip.runtime.launcher import num_processes

Value = TypeVar("Value")

PROCESS_GROUP = InitProcessGroupKwargs(timeout=timedelta(days=2))
"""How long processes wait for one of them, which may decode all videos of `--keep`.

Not for one that failed: torchrun ends the others at once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Deals work over the processes of a run; all of them call the same methods in the same order.

    `rank` counts from 0, the main process, to `num` - 1.
    """

    rank: int
    num: int

    @property
    def is_main(self) -> bool:
        """Whether this is the process that reads, writes and prints for all."""
        return self.rank == 0

    def is_own(self, number: int) -> bool:
        """Whether this process does the task of that number; tasks are dealt like cards."""
        return number % self.num == self.rank

    def merge(self, own: Sequence[Value]) -> list[Value]:
        """Results of all tasks in their order, from each process's own ones, which are pickled."""
        if self.num == 1:
            return list(own)
        dealt: list[Any] = [None] * self.num
        distributed.all_gather_object(dealt, list(own))
        total = sum(map(len, dealt))
        return [dealt[number % self.num][number // self.num] for number in range(total)]

    def once(self, work: Callable[[], Value]) -> Value:
        """What `work` returns in the main process, pickled for the others, which wait for it."""
        if self.num == 1:
            return work()
        result = [work() if self.is_main else None]
        distributed.broadcast_object_list(result)
        return result[0]  # pyright: ignore[reportReturnType] - the main process's, never None


ALONE = Processes(rank=0, num=1)


def start_accelerator(*, cpu: bool) -> Accelerator:
    """Device and processes as the launcher started them; a `ConfigError` if they do not fit."""
    # Not told to use the CPU, accelerate would let each process there train for itself.
    on_cpu = cpu or not torch.accelerator.is_available()
    accelerator = Accelerator(cpu=on_cpu, kwargs_handlers=[PROCESS_GROUP])
    if accelerator.num_processes != num_processes():
        raise ConfigError(
            f"{num_processes()} processes cannot share a run on {accelerator.device.type}",
            fix="Start it without torchrun, or add --cpu",
        )
    if accelerator.device.type == "cuda":
        use_tensor_cores()
    return accelerator


def processes_of(accelerator: Accelerator) -> Processes:
    """The processes that an accelerator was started with."""
    return Processes(rank=accelerator.process_index, num=accelerator.num_processes)

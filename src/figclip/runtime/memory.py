"""How much memory a process has taken, and how much there is to take."""

import os
import re
import resource
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from figclip.errors import ModelError

_CONTROL_GROUPS = {
    Path("/sys/fs/cgroup"): ("memory.max", "memory.current", "inactive_file"),
    Path("/sys/fs/cgroup/memory"): (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}
"""Where Linux says what a container may take, what it has taken, and what of that are files that
make room: in the second and the first version of control groups."""


def peak_memory_bytes(device: torch.device) -> int:
    """The most that this process has held so far: of the GPU, where it works on one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def free_memory_bytes(device: torch.device) -> int:
    """What this process may still take: of the GPU, where it works on one.

    On a CPU the processes that were launched together share what the machine, or the container,
    has left.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    free = min([psutil.virtual_memory().available, *_left_in_container()])
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def room_for_batch(size: int) -> Generator[None]:
    """A GPU that has too little memory for so many frames or texts at once is named.

    Raises:
        ModelError: It says what makes them fewer.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU has too little memory for a batch of {size:,}",
            fix="Give a smaller one: --batch-size, or in `adapt` train.micro_batch; or --cpu",
        ) from error


def _left_in_container() -> list[int]:
    """What a container's limit leaves; nothing where there is none."""
    left: list[int] = []
    for folder, (limit, used, files) in _CONTROL_GROUPS.items():
        if (folder / limit).is_file() and (most := _read(folder / limit)).isdecimal():
            room = re.search(rf"^{files} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
            taken = int(_read(folder / used) or 0) - (int(room[1]) if room else 0)
            left.append(max(0, int(most) - taken))
    return left


def _read(path: Path) -> str:
    """The text of a file that the kernel writes; empty where a sandbox leaves it out."""
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""

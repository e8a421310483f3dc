"""Several processes that a launcher such as torchrun starts: one speaks for all."""

import os
import sys
import traceback
from pathlib import Path

from figclip.errors import ConfigError


def num_processes() -> int:
    """How many processes the launcher has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this is the process that prints what all have done."""
    return os.environ.get("RANK", "0") == "0"


def require_one_process(verb: str) -> None:
    """Refuse several processes, by a `ConfigError`: all would do the same, into the same files."""
    if num_processes() > 1:
        raise ConfigError(
            f"`figclip {verb}` runs in one process, and {num_processes()} were started",
            fix="Start it without torchrun; only `figclip adapt` shares its work",
        )


def is_first_to_stop() -> bool:
    """Whether this process may say why the run ends; to be asked once, by each that stops early.

    What all find out alike, the main process says. Once they work together, one that stops takes
    the others along: they lose the connection to it, or are terminated by the launcher. Only the
    first one knows the cause.
    """
    if num_processes() == 1:
        return True
    distributed = sys.modules.get("torch.distributed")  # a signal may come while it is imported
    if distributed is None or not getattr(distributed, "is_initialized", bool)():
        return is_main_process()
    try:
        return distributed.distributed_c10d._get_default_store().add("figclip/stopped", 1) == 1
    except distributed.DistError:  # its keeper is gone, so somebody stopped before
        return False


def is_lost_connection(error: Exception) -> bool:
    """Whether an error only says that another process has gone: torch has no class for it."""
    calls = traceback.extract_tb(error.__traceback__)
    return num_processes() > 1 and Path(calls[-1].filename).match("torch/distributed/*.py")

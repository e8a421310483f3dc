"""Ray on this machine: two pretended machines, and workers that are killed at their work."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module

import psutil


@contextmanager
def pretended_machines(num: int) -> Generator[str]:
    """Address of a cluster of so many machines of one core each."""
    cluster = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )
    try:
        for _ in range(num - 1):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


def kill_busy_worker() -> bool:
    """Kill one that works on a part, as its name tells; false where none does just now."""
    for process in psutil.process_iter(["cmdline"]):
        if "ray::_call" in " ".join(process.info["cmdline"] or ()):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
                return True
    return False

"""Work on several machines: Ray hands out parts of it, and again what a machine lost."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from figclip.errors import ConfigError, FigclipError

LOCAL = "local"
_MAX_RETRIES = 20
_CONNECT_S = 10.0

Part = TypeVar("Part")
Result = TypeVar("Result")


def run_on_ray(
    parts: Sequence[Part], work: Callable[[Part, int], Result], *, address: str
) -> Generator[Result]:
    """Do work on all machines of a Ray cluster, or on their GPUs; results as they are ready.

    Each machine must have figclip.

    Args:
        parts: What is handed out, one by one.
        work: Called with a part and the number of cores that it has; both can be pickled. It is
            sent to each machine once.
        address: `local`: a cluster of this machine alone; else that of a cluster, as `ray start`
            prints it.

    Raises:
        ConfigError: Ray is not installed, or no cluster is at the address.
        FigclipError: what `work` raises; or machines were lost with one part again and again.
    """
    waiting = list(reversed(parts))
    if not waiting:
        return
    with _cluster(address) as ray:
        share, shared = _share(ray), ray.put(work)
        call = ray.remote(max_retries=_MAX_RETRIES, **share.resources)(_call)
        under_way: list[Any] = []
        while waiting or under_way:
            # One more than there is room for, so that no machine waits.
            while waiting and len(under_way) <= share.num_workers:
                under_way.append(call.remote(shared, waiting.pop(), share.num_cpus))
            (done, *_), under_way = ray.wait(under_way)
            yield _result(ray, done)


def _call(work: Callable[[Part, int], Result], part: Part, num_cpus: int) -> Result:
    """One part, on some machine."""
    return work(part, num_cpus)


def _result(ray: Any, done: Any) -> Any:
    """What came of a part."""
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, FigclipError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise FigclipError(
            f"machines were lost {_MAX_RETRIES + 1} times with one part of the work "
            f"({type(error).__name__})",
            where="--ray",
            fix="Look whether they have enough memory, then run the same command again",
        ) from error


@contextmanager
def _cluster(address: str) -> Generator[Any]:
    """Ray, connected to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would phone home
    try:
        import ray  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        fix = 'Install it: pip install "figclip[ray]"'
        raise ConfigError("needs Ray", where=f"--ray {address}", fix=fix) from error
    try:
        _check_reachable(address)
        ray.init(
            address=address,
            include_dashboard=False if address == LOCAL else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError) as error:
        fix = "Give local, or the address that `ray start --head` printed"
        raise ConfigError(f"no cluster ({error})", where=f"--ray {address}", fix=fix) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """An OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What each worker of a cluster gets, and how many there can be."""

    num_workers: int
    num_cpus: int
    num_gpus: int

    @property
    def resources(self) -> dict[str, int]:
        """As Ray wants them."""
        return {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}


def _share(ray: Any) -> _Share:
    """A machine each or, where there are GPUs, a GPU each; as the smallest machine allows."""
    nodes = [one["Resources"] for one in ray.nodes() if one["Alive"] and "CPU" in one["Resources"]]
    with_gpu = [node for node in nodes if node.get("GPU")]
    if with_gpu:
        num_cpus = min(int(node["CPU"] // node["GPU"]) for node in with_gpu)
        num_workers = sum(int(node["GPU"]) for node in with_gpu)
        return _Share(num_workers=num_workers, num_cpus=max(1, num_cpus), num_gpus=1)
    num_cpus = min(int(node["CPU"]) for node in nodes)
    num_workers = sum(int(node["CPU"]) // num_cpus for node in nodes)
    return _Share(num_workers=num_workers, num_cpus=num_cpus, num_gpus=0)

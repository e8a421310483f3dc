"""A pool of processes that survives its workers: a job that crashes or hangs costs only itself.

`concurrent.futures` gives up as a whole when one worker dies, and cannot stop one that hangs in a
C library; decoders fed with hostile files do both.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Done(Generic[Job, Result]):
    """A job that returned."""

    job: Job
    result: Result


@dataclass(frozen=True, slots=True)
class Lost(Generic[Job]):
    """A job whose worker did not survive it.

    Attributes:
        job: What it was doing.
        reason: `hung` (stopped after the time limit) or `crashed`.
        detail: Seconds or exit code, in words.
    """

    job: Job
    reason: str
    detail: str


@dataclass(slots=True)
class _Worker:
    """A process, our end of its pipe, and what it is doing since when."""

    process: BaseProcess
    pipe: Connection
    job: Any = None
    started: float = 0.0
    busy: bool = False


def run_jobs(
    jobs: Iterable[Job],
    function: Callable[[Job], Result],
    *,
    num_workers: int,
    limit_s: float,
) -> Generator[Done[Job, Result] | Lost[Job]]:
    """Run a function over jobs in worker processes; results come as they are ready.

    Args:
        jobs: Picklable.
        function: Importable from a module; what it raises is raised here, as it is our own fault.
        num_workers: Processes, >= 1.
        limit_s: Wall-clock seconds after which a job's worker is killed.

    Yields:
        One result a job, in no particular order. Closing the generator stops all workers.
    """
    pending = deque(jobs)
    workers = [_start(function) for _ in range(min(num_workers, len(pending)))]
    try:
        while pending or any(worker.busy for worker in workers):
            for worker in workers:
                if pending and not worker.busy:
                    _give(worker, pending.popleft())
            wait([w.pipe for w in workers if w.busy], timeout=_next_deadline(workers, limit_s))
            for slot, worker in enumerate(workers):
                outcome = _collect(worker, limit_s=limit_s)
                if isinstance(outcome, Lost):
                    _stop(worker)
                    workers[slot] = _start(function)
                if outcome is not None:
                    yield outcome
    finally:
        for worker in workers:
            _stop(worker)


def _collect(worker: _Worker, *, limit_s: float) -> Done[Any, Any] | Lost[Any] | None:
    """What became of a worker's job; None while it is at it."""
    if not worker.busy:
        return None
    if worker.pipe.poll():
        try:
            failed, result = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(timeout=5)
            code = worker.process.exitcode
            return Lost(worker.job, "crashed", f"its worker process ended with code {code}")
        if failed:
            raise result
        worker.busy = False
        return Done(worker.job, result)
    if time.monotonic() - worker.started > limit_s:
        return Lost(worker.job, "hung", f"no result after {limit_s:g} s")
    return None


def _next_deadline(workers: list[_Worker], limit_s: float) -> float:
    """Seconds until the first busy worker is overdue."""
    started = min((w.started for w in workers if w.busy), default=time.monotonic())
    return max(0.0, started + limit_s - time.monotonic()) + 0.01


def _start(function: Callable[[Any], Any]) -> _Worker:
    """A new idle worker."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, function), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, job: Any) -> None:
    """Send a job to an idle worker."""
    worker.job, worker.started, worker.busy = job, time.monotonic(), True
    worker.pipe.send(job)


def _stop(worker: _Worker) -> None:
    """Kill a worker; jobs write nothing, so there is nothing to lose."""
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """A worker's life: jobs in, results out, until the other end is gone."""
    # Ctrl-C reaches the whole process group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            message = (False, function(job))
        except Exception as error:  # noqa: BLE001 - handed to the parent, which raises it
            message = (True, error)
        try:
            pipe.send(message)
        except BrokenPipeError:
            return

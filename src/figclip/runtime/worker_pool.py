"""A pool of processes that survives its workers: a job that crashes or hangs costs only itself.

`concurrent.futures` gives up as a whole when one worker dies, and cannot stop one that hangs in a
C library; decoders fed with hostile files do both. Workers never see a Ctrl-C, which a terminal
sends to all processes: the parent decides what stops.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from figclip.errors import FigclipError


@contextmanager
def withheld_from_children(*signals: signal.Signals) -> Generator[None]:
    """Processes started meanwhile have these signals blocked for life, also while they import.

    Only the process that starts them decides what a signal means. Its own are held back meanwhile.
    """
    # multiprocessing's resource tracker unblocks both when it starts: it must run before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


Job = TypeVar("Job")
Value = TypeVar("Value")
Result = TypeVar("Result")

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Done(Generic[Job, Result]):
    """A job that returned."""

    job: Job
    result: Result


@dataclass(frozen=True, slots=True)
class Part(Generic[Job, Result]):
    """Something that a job gave while it goes on."""

    job: Job
    value: Result


@dataclass(frozen=True, slots=True)
class Lost(Generic[Job]):
    """A job whose worker did not survive it.

    The reason is `hung` (stopped after the time limit) or `crashed`; `detail` has seconds or exit
    code.
    """

    job: Job
    reason: str
    detail: str


@dataclass(slots=True)
class _Worker:
    """A process, our end of its pipe, and what it does since when (None while it is starting)."""

    process: BaseProcess
    pipe: Connection
    job: Any = None
    started: float | None = None
    busy: bool = False


def run_jobs(
    jobs: Iterable[Job], function: Callable[[Job], Result], *, num_workers: int, limit_s: float
) -> Generator[Done[Job, Result] | Lost[Job]]:
    """Run a function over jobs in worker processes; results come as they are ready.

    Jobs are picklable, and the function can be imported from a module; what it raises is raised
    here, as it is our own fault. A job's worker is killed after `limit_s` seconds; starting the
    process does not count.

    Yields:
        One result a job, in no particular order. Closing the generator stops all workers.

    Raises:
        FigclipError: A worker process cannot start.
    """
    for outcome in _outcomes(jobs, function, num_workers=num_workers, limit_s=limit_s):
        assert not isinstance(outcome, Part)
        yield outcome


def stream_jobs(
    jobs: Iterable[Job],
    function: Callable[[Job], Generator[Value, None, Result]],
    *,
    num_workers: int,
    limit_s: float,
) -> Generator[Part[Job, Value] | Done[Job, Result] | Lost[Job]]:
    """As `run_jobs` for jobs whose results come in parts: what a generator function yields.

    A worker waits with the next part until the one before is taken, so that memory is bounded.
    `limit_s` counts up to the next part.

    Yields:
        The parts of a job in their order, then what it returned. Those of a job that is lost midway
        are followed by `Lost`.
    """
    yield from _outcomes(jobs, function, num_workers=num_workers, limit_s=limit_s)


def _outcomes(
    jobs: Iterable[Any], function: Callable[[Any], Any], *, num_workers: int, limit_s: float
) -> Generator[Any]:
    """The work of `run_jobs` and `stream_jobs`."""
    pending = deque(jobs)
    workers: list[_Worker] = []
    try:
        while pending or any(worker.busy for worker in workers):
            _employ(workers, pending, function, num_workers=num_workers)
            wait([w.pipe for w in workers if w.busy], timeout=_next_deadline(workers, limit_s))
            for worker in list(workers):
                outcome = _collect(worker, limit_s=limit_s)
                if isinstance(outcome, Lost):
                    workers.remove(worker)
                    _stop(worker)
                if outcome is not None:
                    yield outcome
    finally:
        for worker in workers:
            _stop(worker)


def _employ(
    workers: list[_Worker], pending: deque[Any], function: Callable[[Any], Any], *, num_workers: int
) -> None:
    """Give pending jobs to idle workers, starting as many as are missing."""
    for worker in [one for one in workers if not one.busy]:
        if not pending:
            return
        if _give(worker, pending[0]):
            pending.popleft()
        else:
            # Killed from outside between two jobs, for example when memory ran out.
            workers.remove(worker)
            _stop(worker)
    while pending and len(workers) < num_workers:
        worker = _start(function)
        workers.append(worker)
        if not _give(worker, pending[0]):
            _lost(worker)  # raises: it never began
        pending.popleft()


def _collect(
    worker: _Worker, *, limit_s: float
) -> Part[Any, Any] | Done[Any, Any] | Lost[Any] | None:
    """What there is of a worker's job; None while it is at it."""
    if not worker.busy:
        return None
    if worker.pipe.poll():
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            # OSError: it died while it was sending.
            return _lost(worker)
        if kind == "failed":
            raise value
        if kind == "ready":
            worker.started = time.monotonic()
            return None
        if kind == "part":
            worker.started = time.monotonic()
            return Part(worker.job, value)
        worker.busy = False
        return Done(worker.job, value)
    if worker.started is not None and time.monotonic() - worker.started > limit_s:
        return Lost(worker.job, "hung", f"no result after {limit_s:g} s")
    return None


def _lost(worker: _Worker) -> Lost[Any]:
    """The outcome of a job whose worker is gone; an error when the job never began."""
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    if worker.started is None:
        raise FigclipError(
            f"a worker process could not start: it ended with code {code}",
            fix="Its message is above. In a script of your own, call this only below `if __name__ "
            '== "__main__":`, because every worker process imports the script',
        )
    return Lost(worker.job, "crashed", f"its worker process ended with code {code}")


def _next_deadline(workers: list[_Worker], limit_s: float) -> float | None:
    """Seconds until the first busy worker is overdue; None while all are starting."""
    started = [one.started for one in workers if one.busy and one.started is not None]
    return max(0.0, min(started) + limit_s - time.monotonic()) + 0.01 if started else None


def _start(function: Callable[[Any], Any]) -> _Worker:
    """A new idle worker."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, function), daemon=True)
    with withheld_from_children(signal.SIGINT):
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, job: Any) -> bool:
    """Send a job to an idle worker; False when the worker is gone."""
    try:
        worker.pipe.send(job)
    except (BrokenPipeError, ConnectionResetError):
        return False
    worker.job, worker.busy = job, True
    if worker.started is not None:
        worker.started = time.monotonic()
    return True


def _stop(worker: _Worker) -> None:
    """Kill a worker; jobs write nothing, so there is nothing to lose."""
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """A worker's life: jobs in, results out, until the other end is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    message: tuple[str, Any] = ("ready", None)
    while True:
        try:
            pipe.send(message)
            job = pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        try:
            result = function(job)
            if isinstance(result, Generator):
                result = _send_parts(pipe, result)
            message = ("done", result)
        except Exception as error:  # noqa: BLE001 - handed to the parent, which raises it
            message = ("failed", error)


def _send_parts(pipe: Connection, parts: Generator[Any, None, Result]) -> Result:
    """Send what a job yields; give what it returns."""
    while True:
        try:
            part = next(parts)
        except StopIteration as end:
            return end.value
        pipe.send(("part", part))


def _end_with_parent() -> None:
    """Ends the process when its parent is gone, even one that hangs in a job."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

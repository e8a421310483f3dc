"""Processes that tests start: in a group of their own, which ends with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import forkserver, popen_forkserver, popen_spawn_posix
from pathlib import Path
from typing import Any, Protocol

from figclip.cli.app import run


class Start(Protocol):
    """Starts a process with the options of `subprocess.Popen`."""

    def __call__(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]: ...


@contextmanager
def started_processes() -> Generator[Start]:
    """What starts processes; at the end whatever is left of them is killed, children included.

    One that a failed test left would take processor time from the tests after it.
    """
    with ExitStack() as stack:

        def start(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
            # The group of a session of its own: a signal to all of it does not reach the tests.
            process = stack.enter_context(
                subprocess.Popen(command, start_new_session=True, **options)
            )
            stack.callback(_kill_group, process.pid)
            return process

        yield start


def _kill_group(leader: int) -> None:
    """Kill what is left of a process group."""
    with suppress(ProcessLookupError):  # nothing is
        os.killpg(leader, signal.SIGKILL)


def run_forked(
    *arguments: str | Path, out: Path, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """figclip's command line in a fork of this process, which spares it the import of torch.

    What it prints is read from two files in `out`.
    """
    child = fork_figclip(*arguments, out=out, cwd=cwd)
    _, status = os.waitpid(child, 0)
    texts = [(out / name).read_text() for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), *texts)


def fork_figclip(*arguments: str | Path, out: Path, cwd: Path | None = None) -> int:
    """Begin `run_forked`; the process must be waited for."""
    if child := os.fork():
        return child
    code = 70  # an exception that `run` did not handle; its traceback is in the file
    try:
        for number, name in enumerate(("stdout", "stderr"), start=1):
            os.dup2(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = ["figclip", *map(str, arguments)]
        os.environ["COLUMNS"] = "200"
        os.chdir(cwd or Path.cwd())
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start_fork_server(*modules: str) -> None:
    """What this process and its forks spawn is forked from a server, which spares it the imports.

    The server has imported the modules and computed nothing, so that its forks are as new.
    """
    server = forkserver._forkserver
    server.set_forkserver_preload(list(modules))
    server.ensure_running()
    server.ensure_running = lambda: None  # it waits for the server, which is no child of forks
    popen_spawn_posix.Popen = popen_forkserver.Popen


@contextmanager
def heeded_interrupts() -> Generator[None]:
    """SIGINT raises KeyboardInterrupt, in child processes too, as for what a terminal starts.

    What a script starts in the background is born with SIGINT ignored. figclip leaves that as it
    is, so a test that interrupts would wait for nothing.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

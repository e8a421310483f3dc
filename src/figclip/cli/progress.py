"""Progress with time left: a bar on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from figclip.cli.terminal import warn
from figclip.errors import printable

PLAIN_EVERY_S = 10.0


class ProgressDisplay:
    """Shows how far long work is, on stderr; a context manager.

    Stages follow each other: a new label starts a new bar; a count that does not grow starts the
    bar of its label anew (the next data set is decoded).
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._last_done: dict[str, int] = {}
        self._last_line = 0.0

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def update(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Say that `done` of `total` items of a stage are done, and a detail such as the loss."""
        label, detail = printable(label), printable(detail)
        is_new = done <= self._last_done.get(label, done)
        self._last_done[label] = done
        if self._console.is_terminal:
            if label not in self._tasks:
                self._tasks[label] = self._bar.add_task(label, total=total, detail=detail)
            elif is_new:
                self._bar.reset(self._tasks[label])
            self._bar.update(self._tasks[label], completed=done, total=total, detail=detail)
            return
        now = time.monotonic()
        # What an earlier process did before a resume says nothing about this one's speed.
        if is_new:
            self._started[label] = (now, done)
        started, first_done = self._started[label]
        if done == total or now - self._last_line >= PLAIN_EVERY_S:
            self._last_line = now
            left = ""
            if done > first_done:
                left_s = (now - started) / (done - first_done) * (total - done)
                left = f", {left_s:.0f} s left"
            warn(f"{label} {done:,}/{total:,}{left} {detail}".rstrip())

    def say(self, text: str) -> None:
        """Say something once, above the bars."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

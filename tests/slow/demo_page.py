"""A page that runs: a small quickstart, annotations of its own, and a process that serves it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from figclip.miniworld.world_files import WorldFolder, WorldSize, draw_world
from tests.model_folders import adapt_at_random
from tests.processes import started_processes
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video

EVENTS = [
    {"start_s": 0.0, "end_s": 2.0, "verb": "push", "roles": {"pusher": "a man"}},
    {"start_s": 2.0, "end_s": 3.0, "verb": "pull", "roles": {"puller": "a man"}},
]


@dataclass(frozen=True)
class RunningPage:
    """Where it answers, and what it was started with."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    annotations: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def write_quickstart(folder: Path) -> None:
    """A run of the quickstart with its world, both small."""
    base = write_tiny_clip(folder / "base")
    adapt_at_random(base).write(folder / "run")
    size = WorldSize(
        train=4, valid=2, pairs=10, stills=10, pictures=2, selection_stills=10, films=0,
        valid_films=0,
    )  # fmt: skip
    draw_world(
        WorldFolder(folder / "world"),
        parts=["training", "detail"],
        size=size,
        evaluation_seed=1,
        on_progress=lambda done, total: None,
    )


def write_annotations(folder: Path) -> None:
    """Annotations of two videos, of which one is a link that leads out of their folder."""
    videos = folder / "videos"
    videos.mkdir()
    draw_video(videos / "a.mp4", stamps=range(40))
    (videos / "link.mp4").symlink_to(draw_video(folder / "secret.mp4", stamps=range(40)))
    lines = [{"video": name, "events": EVENTS} for name in ("a.mp4", "link.mp4")]
    (folder / "own.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


OWN = ("--annotations", "own.jsonl", "--videos", "videos")
"""Options for annotations that can be changed."""


@contextmanager
def running_page(folder: Path, *options: str | Path) -> Generator[RunningPage]:
    """A page of a small quickstart, which is drawn unless it is there."""
    run, annotations = folder / "run", folder / "own.jsonl"
    if not run.exists():
        write_quickstart(folder)
        write_annotations(folder)
    with started_processes() as start:
        process = start(
            [sys.executable, "-m", "figclip", "demo", run, "--port", "0", "--cpu", *options],
            stdout=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        address = re.match(r"http://127\.0\.0\.1:(\d+)/ \(Ctrl-C", process.stdout.readline())
        assert address is not None
        yield RunningPage(
            process=process, port=int(address[1]), folder=folder, annotations=annotations
        )

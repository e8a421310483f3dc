"""A painter whose pictures are the words of what they show, and a reader of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from figclip.data.media_files import VIDEO_SUFFIXES, MediaFolder
from figclip.world.layouts.painting import Painter
from figclip.world.situations import Actor, Situation

FPS = 10
STILL_PX = 56


def draw_still(situation: Situation, *, seed: int, size_px: int) -> Image.Image:
    assert size_px == STILL_PX
    text = json.dumps({"seed": seed, "situation": asdict(situation)}).encode()
    return Image.frombytes("L", (len(text), 1), text)


def draw_clip(situations: Sequence[Situation], *, seed: int, fps: int) -> Iterator[Image.Image]:
    assert fps == FPS
    return (draw_still(one, seed=seed, size_px=STILL_PX) for one in situations)


def write_video(path: Path, frames: Iterator[Image.Image], *, fps: int) -> None:
    path.write_bytes(b"".join(frame.tobytes() + b"\n" for frame in frames))


PAINTER = Painter(
    draw_clip=draw_clip, write_video=write_video, draw_still=draw_still, fps=FPS, still_px=STILL_PX
)


def video_at(folder: Path, name: str) -> tuple[int, tuple[Situation, ...]]:
    """Seed and events of the only video that goes by a name."""
    (path,) = MediaFolder(folder, suffixes=VIDEO_SUFFIXES).find_anywhere(name, any_suffix=True)
    shown = [shown_in(line) for line in path.read_bytes().splitlines()]
    (seed,) = {seed for seed, _ in shown}
    return seed, tuple(situation for _, situation in shown)


def still_at(path: Path) -> tuple[int, Situation]:
    """Seed and situation of a picture."""
    with Image.open(path) as image:
        return shown_in(image.tobytes())


def shown_in(text: bytes) -> tuple[int, Situation]:
    value = json.loads(text)
    fields = value["situation"]
    agent, patient = (
        None if fields[role] is None else Actor(**fields[role]) for role in ("agent", "patient")
    )
    return value["seed"], Situation(**{**fields, "agent": agent, "patient": patient})


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }

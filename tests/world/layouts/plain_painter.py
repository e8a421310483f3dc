"""A painter whose pictures are the words of what they show, and a reader of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from figclip.data.media_files import VIDEO_SUFFIXES, MediaFolder
from figclip.world.situations import Actor, Situation


class PlainPainter:
    """Implements `layouts.painting.Painter`."""

    still_px = 56

    def paint_video(self, path: Path, situations: Sequence[Situation], *, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(_text(one, seed) + b"\n" for one in situations))

    def paint_image(self, path: Path, situation: Situation, *, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _text(situation, seed)
        Image.frombytes("L", (len(text), 1), text).save(path)


PAINTER = PlainPainter()


def _text(situation: Situation, seed: int) -> bytes:
    return json.dumps({"seed": seed, "situation": asdict(situation)}).encode()


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

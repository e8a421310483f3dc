"""A painter whose pictures are the words of what they show, and a reader of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from figclip.miniworld.situations import Actor, Film, Shot, Situation, whole_events
from figclip.video.media_folder import VIDEO_SUFFIXES, MediaFolder


class PlainPainter:
    """Implements `annotated_videos.Painter`."""

    still_px = 56

    def order(self, path: Path, shown: Film | Situation, *, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(shown, Situation):
            text = json.dumps({"seed": seed, "situation": asdict(shown)}).encode()
            Image.frombytes("L", (len(text), 1), text).save(path)
        else:
            shots = [{"seed": seed, **asdict(shot)} for shot in shown]
            path.write_text("".join(f"{json.dumps(shot)}\n" for shot in shots))


PAINTER = PlainPainter()


def video_at(folder: Path, name: str) -> tuple[int, tuple[Situation, ...]]:
    """Seed and events of the only video that goes by a name; all of its events are whole."""
    seed, film = film_at(folder, name)
    events = tuple(shot.situation for shot in film if shot.situation is not None)
    assert film == whole_events(events)
    return seed, events


def film_at(folder: Path, name: str) -> tuple[int, Film]:
    """Seed and shots of the only video that goes by a name."""
    (path,) = MediaFolder(folder, suffixes=VIDEO_SUFFIXES).find_anywhere(name, any_suffix=True)
    shots = [json.loads(line) for line in path.read_text().splitlines()]
    (seed,) = {shot.pop("seed") for shot in shots}
    return seed, tuple(
        Shot(**{**shot, "situation": shot["situation"] and _situation(shot["situation"])})
        for shot in shots
    )


def still_at(path: Path) -> tuple[int, Situation]:
    """Seed and situation of a picture."""
    with Image.open(path) as image:
        return shown_in(image.tobytes())


def shown_in(text: bytes) -> tuple[int, Situation]:
    value = json.loads(text)
    return value["seed"], _situation(value["situation"])


def _situation(fields: dict[str, Any]) -> Situation:
    agent, patient = (
        None if fields[role] is None else Actor(**fields[role]) for role in ("agent", "patient")
    )
    return Situation(**{**fields, "agent": agent, "patient": patient})


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }

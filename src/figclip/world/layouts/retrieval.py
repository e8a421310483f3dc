"""Writes videos and captions as MSR-VTT's 1k-A test and as ActivityNet Captions lay them out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from figclip.world.grammar import Story
from figclip.world.layouts.painting import Painter, media_seed
from figclip.world.layouts.text_files import write_json, write_table
from figclip.world.layouts.video_names import youtube_id
from figclip.world.layouts.vidsitu import EVENT_S
from figclip.world.situations import Situation
from figclip.world.wording import EVALUATION_STYLES, Style, natural_sentence

_FIRST_NUMBER = 7020
ACTIVITYNET_FILES = ("val_1.json", "val_2.json")


def write_msrvtt(
    out: Path,
    situations: Sequence[Situation],
    *,
    painter: Painter,
    seed: int,
    styles: Sequence[Style] = EVALUATION_STYLES,
) -> None:
    """Writes `out/MSRVTT_JSFUSION_test.csv` and `out/videos/video{number}.mp4`, one event each.

    Args:
        out: Folder.
        situations: One a video, no two the same, or their sentences fit two videos.
        painter: Draws the videos.
        seed: Of styles and pictures.
        styles: Of the sentences, which tell all facts.
    """
    rows: list[tuple[str, str, str, str]] = []
    for idx, situation in enumerate(situations):
        rng = random.Random(f"{seed}:msrvtt:{idx}")
        number = _FIRST_NUMBER + idx
        sentence = natural_sentence(situation, rng.choice(styles))
        rows.append((f"ret{idx}", f"msr{number}", f"video{number}", sentence))
        path = out / f"videos/video{number}.mp4"
        painter.paint_video(path, [situation], seed=media_seed(rng))
    header = ("key", "vid_key", "video_id", "sentence")
    write_table(out / "MSRVTT_JSFUSION_test.csv", header=header, rows=rows)


def write_activitynet(
    out: Path,
    stories: Sequence[Story],
    *,
    painter: Painter,
    seed: int,
    styles: Sequence[Style] = EVALUATION_STYLES,
) -> None:
    """Writes `out/val_1.json`, `out/val_2.json` and `out/videos/v_{YouTube id}.mp4`.

    The two files annotate the same videos, each event in a style of its own.

    Args:
        out: Folder.
        stories: One a video.
        painter: Draws the videos.
        seed: Of ids, styles and pictures.
        styles: Of the sentences, which tell all facts.
    """
    annotations: dict[str, dict[str, object]] = {name: {} for name in ACTIVITYNET_FILES}
    for idx, story in enumerate(stories):
        rng = random.Random(f"{seed}:activitynet:{idx}")
        name = f"v_{youtube_id(rng)}"
        painter.paint_video(out / f"videos/{name}.mp4", story, seed=media_seed(rng))
        for entries in annotations.values():
            entries[name] = {
                "duration": float(EVENT_S * len(story)),
                "timestamps": [
                    [float(EVENT_S * event_idx), float(EVENT_S * (event_idx + 1))]
                    for event_idx in range(len(story))
                ],
                "sentences": [
                    f"{natural_sentence(event, rng.choice(styles)).capitalize()}."
                    for event in story
                ],
            }
    for name, entries in annotations.items():
        write_json(out / name, entries)

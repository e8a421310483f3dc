"""Writes videos and captions as MSR-VTT's 1k-A test lays them out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from figclip.miniworld.annotated_videos import Painter, media_seed
from figclip.miniworld.situations import Situation, whole_events
from figclip.miniworld.wording import EVALUATION_STYLES, Style, natural_sentence
from tests.layouts.writing import write_table

_FIRST_NUMBER = 7020


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
        painter.order(path, whole_events([situation]), seed=media_seed(rng))
    header = ("key", "vid_key", "video_id", "sentence")
    write_table(out / "MSRVTT_JSFUSION_test.csv", header=header, rows=rows)

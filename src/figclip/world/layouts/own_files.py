"""Writes the simple files of figclip's own: pairs of every kind, captions and classes of stills."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from figclip.world.contrasts import SituationPair
from figclip.world.edits import facts_to_tell
from figclip.world.layouts.both_ways import both_ways
from figclip.world.layouts.painting import Painter, media_seed
from figclip.world.layouts.text_files import write_json_lines, write_table
from figclip.world.situations import Situation
from figclip.world.web_captions import web_caption
from figclip.world.wording import EVALUATION_STYLES, Style, natural_sentence

StillClass = Literal["kind", "colour", "scene"]


def write_pairs(
    out: Path,
    pairs: Sequence[SituationPair],
    *,
    painter: Painter,
    seed: int,
    styles: Sequence[Style] = EVALUATION_STYLES,
) -> None:
    """Writes `out/pairs.jsonl` and `out/videos/….mp4` of one event each.

    A pair is two lines of one group; the subset is the kind of edit.

    Args:
        out: Folder.
        pairs: Of any kinds.
        painter: Draws the videos.
        seed: Of styles and pictures.
        styles: Of the sentences, which tell verb, kinds, colours and what was edited.
    """
    rows: list[dict[str, object]] = []
    for idx, pair in enumerate(pairs):
        rng = random.Random(f"{seed}:pairs:{idx}")
        style, tells = rng.choice(styles), facts_to_tell(pair.kind)
        seen = pair.first, pair.second
        first, second = (natural_sentence(side, style, tells=tells) for side in seen)
        video_seed = media_seed(rng)
        for told in both_ways(seen, (first, second)):
            video = f"{len(rows):06d}.mp4"
            painter.paint_video(out / "videos" / video, [told.seen], seed=video_seed)
            rows.append(
                {
                    "video": video,
                    "positives": [told.true],
                    "negatives": [told.false],
                    "group": str(idx),
                    "subset": pair.kind,
                }
            )
    write_json_lines(out / "pairs.jsonl", rows)


def write_still_captions(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/retrieval.jsonl` of stills with a sparse caption each, and `out/images/….png`.

    Args:
        out: Folder.
        situations: One a still.
        painter: Draws the stills.
        seed: Of captions and pictures.
    """
    rows: list[dict[str, object]] = []
    for idx, situation in enumerate(situations):
        rng = random.Random(f"{seed}:still captions:{idx}")
        image = f"{idx:06d}.png"
        rows.append({"image": image, "captions": [web_caption(situation, rng)]})
        painter.paint_image(out / "images" / image, situation, seed=media_seed(rng))
    write_json_lines(out / "retrieval.jsonl", rows)


def write_still_classes(
    out: Path,
    situations: Sequence[Situation],
    *,
    label: StillClass,
    painter: Painter,
    seed: int,
) -> None:
    """Writes `out/actions.csv` of stills and their classes, and `out/images/….png`.

    Args:
        out: Folder.
        situations: One a still, of one actor each, as a picture has one class.
        label: What the class is: kind or colour of the actor, or the scene.
        painter: Draws the stills.
        seed: Of the pictures.
    """
    rows: list[tuple[str, str]] = []
    for idx, situation in enumerate(situations):
        assert situation.patient is None, "whose class is meant?"
        rng = random.Random(f"{seed}:still classes:{idx}")
        image = f"{idx:06d}.png"
        classes = {
            "kind": situation.agent.kind,
            "colour": situation.agent.colour,
            "scene": situation.scene,
        }
        rows.append((image, classes[label]))
        painter.paint_image(out / "images" / image, situation, seed=media_seed(rng))
    write_table(out / "actions.csv", header=("file", "label"), rows=rows)

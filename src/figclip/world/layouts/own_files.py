"""Writes the simple files of figclip's own: pairs, captions and classes of videos and stills."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from figclip.world.contrasts import SituationPair
from figclip.world.edits import facts_to_tell
from figclip.world.grammar import is_held_out
from figclip.world.layouts.both_ways import both_ways
from figclip.world.layouts.painting import Painter, media_seed
from figclip.world.layouts.text_files import write_json_lines, write_table
from figclip.world.situations import Situation
from figclip.world.web_captions import web_caption
from figclip.world.wording import ALL_FACTS, Wording

NEW, KNOWN = "new", "known"
"""Folders of what shows a combination that is held out from training, and of what does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A video or still that is there.

    Attributes:
        file: Path below the folder of media.
        situation: What it shows.
        group: What it shares with videos that are not independent of it.
    """

    file: str
    situation: Situation
    group: str


def write_pairs(
    out: Path,
    pairs: Sequence[SituationPair],
    *,
    name: str,
    wordings: Mapping[str, Wording],
    painter: Painter,
    seed: int,
) -> list[Shown]:
    """Writes `out/{name}-{wording}.jsonl` and `out/videos/{name}/{new|known}/….mp4`.

    A pair is two lines of one group. Both videos have the same seed: they differ in what was
    edited, and in nothing else. All wordings tell verb, kinds, colours and what was edited.

    Args:
        out: Folder.
        pairs: Of one kind.
        name: Of the test.
        wordings: By name.
        painter: Draws the videos of one event each.
        seed: Of sentences and pictures.

    Returns:
        Both videos of each pair, one after the other.
    """
    rows: dict[str, list[dict[str, object]]] = {wording: [] for wording in wordings}
    shown: list[Shown] = []
    for idx, pair in enumerate(pairs):
        group = f"{name} {idx}"
        rng = random.Random(f"{seed}:{group}")
        video_seed, words_seed = media_seed(rng), media_seed(rng)
        seen = pair.first, pair.second
        videos = [
            f"{name}/{_folder(one)}/{idx:04d}{side}.mp4"
            for one, side in zip(seen, "ab", strict=True)
        ]
        for video, one in zip(videos, seen, strict=True):
            painter.paint_video(out / "videos" / video, [one], seed=video_seed)
        for wording, tell in wordings.items():
            first, second = (
                tell(one, facts_to_tell(pair.kind), random.Random(words_seed)) for one in seen
            )
            for video, told in zip(videos, both_ways(seen, (first, second)), strict=True):
                rows[wording].append(
                    {
                        "id": video,
                        "video": video,
                        "positives": [told.true],
                        "negatives": [told.false],
                        "group": group,
                    }
                )
        shown += [
            Shown(file=video, situation=one, group=group)
            for video, one in zip(videos, seen, strict=True)
        ]
    for wording, lines in rows.items():
        write_json_lines(out / f"{name}-{wording}.jsonl", lines)
    return shown


def write_captions(
    out: Path, shown: Sequence[Shown], *, name: str, wordings: Mapping[str, Wording], seed: int
) -> None:
    """Writes `out/{name}-{wording}.jsonl`: videos that are there, with a sentence of all facts.

    Args:
        out: Folder.
        shown: No two read the same, or their sentences fit two videos.
        name: Of the test.
        wordings: By name.
        seed: Of the sentences.
    """
    for wording, tell in wordings.items():
        rows: list[dict[str, object]] = []
        for one in shown:
            rng = random.Random(f"{seed}:{name}:{one.file}")
            sentence = tell(one.situation, ALL_FACTS, rng)
            rows.append({"video": one.file, "captions": [sentence], "group": one.group})
        write_json_lines(out / f"{name}-{wording}.jsonl", rows)


def write_classes(
    out: Path, shown: Sequence[Shown], *, name: str, label: Callable[[Situation], str]
) -> None:
    """Writes `out/{name}.csv`: videos or stills that are there, with their classes.

    Args:
        out: Folder.
        shown: The videos or stills.
        name: Of the test.
        label: Class of what is shown.
    """
    rows = [(one.file, label(one.situation), one.group) for one in shown]
    write_table(out / f"{name}.csv", header=("file", "label", "group"), rows=rows)


def write_stills(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/{kind,colour,scene}s.csv` of stills, and `out/images/….png`.

    Args:
        out: Folder.
        situations: One a still, of one actor each, as a picture has one class.
        painter: Draws the stills.
        seed: Of the pictures.
    """
    shown: list[Shown] = []
    for idx, situation in enumerate(situations):
        assert situation.patient is None, "whose class is meant?"
        image = f"one/{_folder(situation)}/{idx:04d}.png"
        rng = random.Random(f"{seed}:stills:{idx}")
        painter.paint_image(out / "images" / image, situation, seed=media_seed(rng))
        shown.append(Shown(file=image, situation=situation, group=image))
    write_classes(out, shown, name="kinds", label=lambda one: one.agent.kind)
    write_classes(out, shown, name="colours", label=lambda one: one.agent.colour)
    write_classes(out, shown, name="scenes", label=lambda one: one.scene)


def write_captioned_stills(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/stills.jsonl` of stills with a sparse caption each, and `out/images/….png`.

    Args:
        out: Folder.
        situations: One a still.
        painter: Draws the stills.
        seed: Of captions and pictures.
    """
    rows: list[dict[str, object]] = []
    for idx, situation in enumerate(situations):
        rng = random.Random(f"{seed}:captioned stills:{idx}")
        image = f"captioned/{_folder(situation)}/{idx:04d}.png"
        rows.append({"image": image, "captions": [web_caption(situation, rng)]})
        painter.paint_image(out / "images" / image, situation, seed=media_seed(rng))
    write_json_lines(out / "stills.jsonl", rows)


def _folder(situation: Situation) -> str:
    """Where its video or still belongs."""
    return NEW if is_held_out(situation) else KNOWN

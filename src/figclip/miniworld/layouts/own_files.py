"""Write figclip's own simple files: pairs, captions and classes of videos and stills.

The files come out with the same bytes for the same content. A pair goes both ways round: two
pictures or videos exchange a true and a false sentence. Writers order pictures and videos from a
painter and draw none themselves.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from figclip.miniworld.captions import web_caption
from figclip.miniworld.grammar import Film, SituationPair, facts_to_tell, is_held_out
from figclip.miniworld.situations import Situation
from figclip.miniworld.wording import ALL_FACTS, Wording

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Generic[Seen]):
    """What is seen with a true and a false sentence."""

    seen: Seen
    true: str
    false: str


def both_ways(seen: tuple[Seen, Seen], sentences: tuple[str, str]) -> tuple[Told[Seen], Told[Seen]]:
    """Both sides of a pair, so that each sentence is true once and false once."""
    assert sentences[0] != sentences[1], f"one sentence of both sides: {sentences[0]}"
    return (
        Told(seen=seen[0], true=sentences[0], false=sentences[1]),
        Told(seen=seen[1], true=sentences[1], false=sentences[0]),
    )


@runtime_checkable
class Painter(Protocol):
    """Makes the media files of a layout, or sees to it that they are made."""

    def paint_video(self, path: Path, situations: Sequence[Situation], *, seed: int) -> None:
        """Orders a video of the events, each whole; its folder need not exist."""
        ...

    def paint_film(self, path: Path, film: Film, *, seed: int) -> None:
        """Orders a video of the shots; its folder need not exist."""
        ...

    def paint_image(self, path: Path, situation: Situation, *, seed: int) -> None:
        """Orders a square picture, in the format of the suffix; its folder need not exist."""
        ...


def media_seed(rng: random.Random) -> int:
    """A seed for one medium, or for two that are to differ in nothing but what they show."""
    return rng.randrange(2**32)


def write_json(path: Path, content: object) -> None:
    """The content as JSON, readable, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_json_lines(path: Path, rows: Iterable[object]) -> None:
    """One JSON value a line, with the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_table(path: Path, *, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file whose first row names the columns, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPair:
    """Videos of two situations that differ in one thing.

    Attributes:
        pair: The situations.
        clip: Name of the first one's video, `two 0012`. Pairs may share it, and then share the
            first situation: they are of one group.
    """

    pair: SituationPair
    clip: str

    @property
    def shown(self) -> tuple[Shown, Shown]:
        """Both videos."""
        name, _, number = self.clip.rpartition(" ")
        sides = ("first", self.pair.first), (self.pair.kind, self.pair.second)
        first, second = (
            Shown(file=f"{name}/{_folder(one)}/{number}-{side}.mp4", situation=one, group=self.clip)
            for side, one in sides
        )
        return first, second


def write_pairs(
    out: Path,
    pairs: Sequence[ClipPair],
    *,
    name: str,
    wordings: Mapping[str, Wording],
    painter: Painter,
    seed: int,
) -> None:
    """Writes `out/{name}-{wording}.jsonl`, and `out/videos/….mp4` of one event each.

    A pair is two lines of one group. Both videos have the same seed: they differ in what was
    edited, and in nothing else. All wordings tell verb, kinds, colours and what was edited.

    Args:
        out: Folder.
        pairs: Pairs of one kind.
        name: Name of the test.
        wordings: By name.
        painter: Draws the videos; one that pairs share is ordered with each.
        seed: Seed of sentences and pictures.
    """
    rows: dict[str, list[dict[str, object]]] = {wording: [] for wording in wordings}
    for one in pairs:
        video_seed = media_seed(random.Random(f"{seed}:{one.clip}"))
        words_seed = media_seed(random.Random(f"{seed}:{name}:{one.clip}"))
        for side in one.shown:
            painter.paint_video(out / "videos" / side.file, [side.situation], seed=video_seed)
        for wording, tell in wordings.items():
            first, second = (
                tell(side.situation, facts_to_tell(one.pair.kind), random.Random(words_seed))
                for side in one.shown
            )
            for side, told in zip(one.shown, both_ways(one.shown, (first, second)), strict=True):
                rows[wording].append(
                    {
                        "id": f"{name} {side.file}",
                        "video": side.file,
                        "positives": [told.true],
                        "negatives": [told.false],
                        "group": side.group,
                    }
                )
    for wording, lines in rows.items():
        write_json_lines(out / f"{name}-{wording}.jsonl", lines)


def write_captions(
    out: Path, shown: Sequence[Shown], *, name: str, wordings: Mapping[str, Wording], seed: int
) -> None:
    """Writes `out/{name}-{wording}.jsonl`: videos that are there, with a sentence of all facts.

    No two of `shown` read the same, or their sentences fit two videos.
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
    """Writes `out/{name}.csv`: videos or stills that are there, with their classes."""
    rows = [(one.file, label(one.situation), one.group) for one in shown]
    write_table(out / f"{name}.csv", header=("file", "label", "group"), rows=rows)


def write_stills(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/{kind,colour,scene}s.csv` of stills, and `out/images/….png`.

    Each shows one actor, as a picture has one class.
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
    """Writes `out/stills.jsonl` of stills with a sparse caption each, and `out/images/….png`."""
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

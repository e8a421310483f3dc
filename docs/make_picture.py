"""Draws docs/quickstart.png from what `figclip quickstart` left behind.

    figclip quickstart --out quickstart && python docs/make_picture.py quickstart

Events of the validation clips, each with its caption and one hard negative, and how close either
is to the frames by the base and by the adapted model. No choice by eye: for each of the four
outcomes (base right or wrong, adapted right or wrong) the first event that has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from figclip.world.sketch_figures import FRAME_PX
from PIL import Image, ImageDraw, ImageFont
from torch.nn.functional import normalize

from figclip import FiGCLIP
from figclip.data.captions import TEMPLATES
from figclip.data.pixels import PixelPipeline
from figclip.data.sampling import event_times_s
from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.data.video import decode_frames
from figclip.quickstart import IMAGE_SIZE
from figclip.tasks.dense_events import DenseEvent
from figclip.tasks.srl_swap import SrlSwap

FRAMES_PER_EVENT = 4
# Twice the width at which pages show it, for sharp letters.
WIDTH, ROW, MARGIN, TOP = 1700, 384, 40, 110
FRAME, GAP = 165, 10
TEXT_LEFT = MARGIN + 2 * (FRAME + GAP) + 30
COSINES_LEFT, COLUMN = WIDTH - 410, 205
INK, GREY, GREEN, RED = "#1f2328", "#6e7781", "#1a7f37", "#cf222e"
OUTCOMES = {
    (False, True): "only the adapted model is right",
    (True, True): "both are right",
    (False, False): "both are wrong",
    (True, False): "only the base is right",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One event with a counterfeit, and cosines to (caption, counterfeit) by base and adapted."""

    event: DenseEvent
    negative: str
    base: tuple[float, float]
    adapted: tuple[float, float]

    @property
    def outcome(self) -> tuple[bool, bool]:
        """Whether base and adapted prefer the caption."""
        return self.base[0] > self.base[1], self.adapted[0] > self.adapted[1]


def main() -> None:
    """Score, choose, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("quickstart", type=Path, help="folder that `figclip quickstart` made")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("quickstart.png"))
    arguments = parser.parse_args()
    stored = open_stored_videos([arguments.quickstart / "frames.store"], size=IMAGE_SIZE)
    valid = [i for i, record in enumerate(stored.records) if record.split == "valid"]
    examples = score(stored.subset(valid), model=arguments.quickstart / "run")
    counts = {outcome: sum(one.outcome == outcome for one in examples) for outcome in OUTCOMES}
    shown = [outcome for outcome in OUTCOMES if counts[outcome]]
    image = Image.new("RGB", (WIDTH, TOP + ROW * len(shown)), "white")
    draw_heading(ImageDraw.Draw(image))
    for row, outcome in enumerate(shown):
        example = next(one for one in examples if one.outcome == outcome)
        frames = read_frames(example.event, arguments.quickstart / "world" / "videos", stored)
        count = f"{OUTCOMES[outcome]}: {counts[outcome]} of {len(examples)} events"
        draw_row(image, TOP + ROW * row, example, frames, count)
    image.quantize(128).save(arguments.out, optimize=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1024:.0f} KiB; {counts}")


def score(videos: StoredVideos, *, model: Path) -> list[Example]:
    """Every event that has a counterfeit, with its first one, by both models."""
    task = SrlSwap(
        template=TEMPLATES["default"], frames_per_event=FRAMES_PER_EVENT, num_negatives=4, seed=0
    )
    items = task.load(videos).items
    contrasts = items.contrasts["verb"]
    models = [FiGCLIP.from_pretrained(model, alpha=0.0), FiGCLIP.from_pretrained(model)]
    examples: list[Example] = []
    for event_idx, negatives in zip(contrasts.event_idxs, contrasts.negatives, strict=True):
        event = items.events.events[event_idx]
        negative = next(text for text in negatives if text is not None)
        frames = items.events.videos.read(
            event.video_idx, event_times_s(event.event, FRAMES_PER_EVENT)
        )
        cosines: list[tuple[float, float]] = []
        for one in models:
            visual = normalize(one.encode_frames(frames).mean(0), dim=0)
            true, false = (one.encode_text([event.caption, negative]) @ visual).tolist()
            cosines.append((true, false))
        base, adapted = cosines
        examples.append(Example(event=event, negative=negative, base=base, adapted=adapted))
    return examples


def read_frames(event: DenseEvent, videos: Path, stored: StoredVideos) -> list[Image.Image]:
    """The event's frames as they were drawn: the store's are smaller."""
    name = event.key.partition("#")[0]
    record = next(record for record in stored.records if record.id == name)
    decoded = decode_frames(
        videos / f"{record.video}.mp4",
        event_times_s(event.event, FRAMES_PER_EVENT),
        pipeline=PixelPipeline(size=FRAME_PX),
    )
    return [Image.fromarray(frame) for frame in decoded.frames_NHWC]


def draw_heading(draw: ImageDraw.ImageDraw) -> None:
    """Names of the columns."""
    for x, text in (
        (MARGIN, "frames of an event"),
        (TEXT_LEFT, "its true caption, and below it a hard negative"),
        (COSINES_LEFT, "cosine, base"),
        (COSINES_LEFT + COLUMN, "adapted"),
    ):
        draw.text((x, 40), text, GREY, font(28))


def draw_row(
    image: Image.Image, top: int, example: Example, frames: Sequence[Image.Image], count: str
) -> None:
    """One event."""
    draw = ImageDraw.Draw(image)
    draw.line((MARGIN, top - 14, WIDTH - MARGIN, top - 14), "#d0d7de", 2)
    for idx, frame in enumerate(frames):
        row, column = divmod(idx, 2)
        place = (MARGIN + column * (FRAME + GAP), top + 8 + row * (FRAME + GAP))
        image.paste(frame.resize((FRAME, FRAME), Image.Resampling.LANCZOS), place)
    draw.text((TEXT_LEFT, top + 6), count, GREY, font(28))
    texts = (example.event.caption, example.negative)
    y = top + 64
    for which, (text, other) in enumerate(zip(texts, texts[::-1], strict=True)):
        bottom = draw_words(draw, y, text, other, marked=GREEN if which == 0 else RED)
        for column, cosines in enumerate((example.base, example.adapted)):
            is_chosen = cosines[which] > cosines[1 - which]
            x = COSINES_LEFT + column * COLUMN
            colour = GREY if not is_chosen else GREEN if which == 0 else RED
            shown = f"{cosines[which]:+.3f}"
            draw.text((x, y - 2), shown, colour, font(32))
            if is_chosen:
                draw_mark(draw, x + 118, y + 6, is_right=which == 0)
        y = bottom + 24


def draw_words(draw: ImageDraw.ImageDraw, top: int, text: str, other: str, *, marked: str) -> int:
    """A wrapped text, words that differ from the other text's in colour; returns its bottom."""
    texts = (one.removeprefix("In this photo, ").split() for one in (text, other))
    x, y = TEXT_LEFT, top
    for word, opposite in zip_longest(*texts, fillvalue=""):
        width = draw.textlength(f"{word} ", font(30))
        if x + width > COSINES_LEFT - 20:
            x, y = TEXT_LEFT, y + 38
        draw.text((x, y), word, INK if word == opposite else marked, font(30))
        x += int(width)
    return y + 38


def draw_mark(draw: ImageDraw.ImageDraw, x: int, y: int, *, is_right: bool) -> None:
    """A tick or a cross, so that colour is not all that tells them apart."""
    if is_right:
        draw.line([(x, y + 14), (x + 10, y + 24), (x + 28, y)], GREEN, 5, joint="curve")
    else:
        draw.line([(x, y), (x + 24, y + 24)], RED, 5)
        draw.line([(x + 24, y), (x, y + 24)], RED, 5)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no font has to be installed."""
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()

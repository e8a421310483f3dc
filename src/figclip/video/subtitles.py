"""Events written as WebVTT, and what every writer of captions does to spans and sentences.

Source: W3C, WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/.

Sentences laid out as the letters of captions, for the lower half of a picture.

Letters are those of the font that Pillow ships. It has little beyond ASCII (no accents), so a
sentence that it cannot write is in DejaVu Sans, which matplotlib ships: Latin, Greek, Cyrillic,
Arabic and more, but no Chinese, Japanese, Korean or Indian scripts. Their letters are boxes.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from figclip.annotations.reading import shown
from figclip.datasets.dense_captions import CaptionedSpan
from figclip.datasets.files import MAX_NUMBER
from figclip.errors import DataError
from figclip.runtime.files import write_atomically

_REPLACEMENT = "\ufffd"
# Control characters and halves of surrogate pairs: a player shows no sign for them, or refuses the
# file.
_NO_TEXT = ("Cc", "Cs")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_webvtt(path: Path, events: Sequence[CaptionedSpan]) -> None:
    """Write one cue an event, by start; events that start together stay in their order.

    Times are rounded to the millisecond. A cue lasts at least 1 ms, because WebVTT has none that
    ends as it begins: of an event that is shorter the end moves, the start never does. Text is
    that of `caption_line`; markup in it is escaped. An event whose sentence says nothing has no
    cue. Scores are not written.

    Args:
        path: The file, written whole or not at all; UTF-8.
        events: In any order; they may overlap. Without events the file holds no cues.

    Raises:
        DataError: See `ordered_spans`.
    """
    lines = ((event, caption_line(event.sentence)) for event in ordered_spans(events))
    cues = [_cue(event, line) for event, line in lines if line]
    write_atomically(path, "WEBVTT\n\n" + "\n".join(cues))


def ordered_spans(events: Sequence[CaptionedSpan]) -> list[CaptionedSpan]:
    """The events by start; those that start together stay in their order.

    Raises:
        DataError: An event begins before 0, ends before it begins, or has a time that is not finite
            or is beyond a billion seconds.
    """
    for event_idx, event in enumerate(events):
        is_finite = math.isfinite(event.start_s) and math.isfinite(event.end_s)
        if not (is_finite and 0 <= event.start_s <= event.end_s <= MAX_NUMBER):
            raise DataError(
                f"lasts from {event.start_s:g} to {event.end_s:g} s, which is no part of a video",
                where=f"event {event_idx} ({shown(event.sentence)})",
                fix=f"Give 0 <= start <= end <= {MAX_NUMBER:,} s",
            )
    return sorted(events, key=lambda event: event.start_s)


def caption_line(sentence: str) -> str:
    """The sentence on one line, as captions show it.

    Line breaks and other white space become single spaces, none at the ends. What is no text
    (control characters, halves of surrogate pairs) becomes U+FFFD. Marks of writing direction stay:
    they act within one caption only.
    """
    line = " ".join(sentence.split())
    if line.isprintable():
        return line
    return "".join(
        _REPLACEMENT if unicodedata.category(letter) in _NO_TEXT else letter for letter in line
    )


def _cue(event: CaptionedSpan, line: str) -> str:
    """The cue block, without the blank line after it."""
    start_ms = round(event.start_s * 1000)
    end_ms = max(round(event.end_s * 1000), start_ms + 1)
    return f"{_timestamp(start_ms)} --> {_timestamp(end_ms)}\n{line.translate(_ESCAPES)}\n"


def _timestamp(time_ms: int) -> str:
    """`hh:mm:ss.mmm`; the hours have more digits from 100 on."""
    minutes, ms = divmod(time_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FONTS_A_SIDE = 18
_MIN_FONT_PX = 8
# Headers state anything; what would be drawn for 65,535 does not fit into memory.
_MAX_ASPECT = 8
# More than the lower half of any usual picture holds; a longer text would only cost time.
_MAX_CHARS = 2000
_ELLIPSIS = "…"
_STACKED = "- {}"
_NO_LETTER = "\U0010ffff"


def draw_letters(
    sentences: Sequence[str], *, width: int, height: int, pixel_aspect: float = 1.0
) -> UInt8[np.ndarray, "H W"] | None:
    """How much of each pixel the letters of captions cover, at the bottom of a picture.

    Sentences are wrapped to the width and centred. Several are stacked in their order, each with a
    dash. What does not fit into the lower half is cut with an ellipsis, the longest sentence first;
    where there are more sentences than lines, the last ones share a line.

    Args:
        sentences: Any text; those that say nothing are left out.
        width: Of the picture in pixels.
        height: Of the picture in pixels. The font is an 18th of the shorter side, so of the height
            of a wide picture; 8 px at least.
        pixel_aspect: Width over height of one pixel as it will be shown; letters are stretched for
            an eighth to eight, and no further beyond.

    Returns:
        From 0 to 255, as wide as the picture; an even number of rows, at most half of the
        picture's. None where there is nothing to say, or no room for a line.
    """
    shown_width = max(1, round(width * min(max(pixel_aspect, 1 / _MAX_ASPECT), _MAX_ASPECT)))
    font_px = max(_MIN_FONT_PX, round(min(shown_width, height) / _FONTS_A_SIDE))
    line_px, margin_px = round(1.3 * font_px), font_px // 2
    max_lines = (height // 2 - 2 * margin_px) // line_px
    texts = [line for line in map(caption_line, sentences) if line]
    if not texts or max_lines < 1:
        return None
    lines = _stacked(texts, font_px=font_px, width=shown_width - 2 * margin_px, max_lines=max_lines)
    num_rows = (2 * margin_px + line_px * len(lines)) // 2 * 2
    letters = Image.new("L", (shown_width, num_rows))
    draw = ImageDraw.Draw(letters)
    for line_idx, (line, font) in enumerate(lines):
        baseline = margin_px + line_px * line_idx + font_px
        draw.text((shown_width / 2, baseline), line, fill=255, font=font, anchor="ms")
    return np.asarray(letters.resize((width, num_rows), Image.Resampling.BICUBIC))


def _stacked(
    texts: Sequence[str], *, font_px: int, width: int, max_lines: int
) -> list[tuple[str, _Font]]:
    """At most `max_lines` lines, in order, with their fonts."""
    if len(texts) > max_lines:
        texts = [*texts[: max_lines - 1], " - ".join(texts[max_lines - 1 :])]
    if len(texts) > 1:
        texts = [_STACKED.format(text) for text in texts]
    texts = [text[:_MAX_CHARS] + _ELLIPSIS * (len(text) > _MAX_CHARS) for text in texts]
    fonts = [_font_for(text, font_px=font_px) for text in texts]
    nums = [
        len(_wrapped(text, font=font, width=width, max_lines=max_lines))
        for text, font in zip(texts, fonts, strict=True)
    ]
    while sum(nums) > max_lines:
        # Of equally long ones the last: what began first is the fuller.
        nums[max(range(len(nums)), key=lambda idx: (nums[idx], idx))] -= 1
    return [
        (line, font)
        for text, font, num in zip(texts, fonts, nums, strict=True)
        for line in _wrapped(text, font=font, width=width, max_lines=num)
    ]


def _wrapped(text: str, *, font: _Font, width: int, max_lines: int) -> list[str]:
    """The text in lines of at most `width` pixels; the last one ends in an ellipsis where cut."""
    lines: list[str] = []
    while text and len(lines) < max_lines:
        num = max(1, _num_fitting(text, font=font, width=width))
        if num < len(text) and text[num] != " ":
            # A word longer than the line is broken where the line ends.
            num = max(text.rfind(" ", 0, num), 0) or num
        lines.append(text[:num].rstrip())
        text = text[num:].lstrip()
    if text:
        last = lines[-1]
        num = _num_fitting(last, font=font, width=width, end=_ELLIPSIS)
        lines[-1] = last[:num].rstrip() + _ELLIPSIS
    return lines


def _num_fitting(text: str, *, font: _Font, width: int, end: str = "") -> int:
    """How many of the text's letters, with `end` after them, are at most `width` pixels wide."""

    def is_fitting(num: int) -> bool:
        return font.getlength(text[:num] + end) <= width

    # A line is short and a text may be long, so the search begins with few letters.
    fits, too_many = 0, 1
    while too_many <= len(text) and is_fitting(too_many):
        fits, too_many = too_many, 2 * too_many
    too_many = min(too_many, len(text) + 1)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if is_fitting(middle) else (fits, middle)
    return fits


def _font_for(text: str, *, font_px: int) -> _Font:
    """Pillow's own font, unless it lacks a letter of the text."""
    if all(map(_is_drawn, set(text))):
        return _own_font(font_px)
    return _wide_font(font_px)


@lru_cache(maxsize=4096)
def _is_drawn(letter: str) -> bool:
    """Pillow's own font draws something else than what it draws for no letter at all."""
    # The two fonts' lists of letters cannot be asked for; what stands for a lacking one can.
    # cast: Pillow's stub does not say that a mask is a sequence of bytes.
    mask, no_mask = (bytes(cast(Any, _own_font(16).getmask(text))) for text in (letter, _NO_LETTER))
    return letter == " " or mask != no_mask


@lru_cache(maxsize=8)
def _own_font(font_px: int) -> _Font:
    """The font that Pillow ships."""
    return ImageFont.load_default(font_px)


@lru_cache(maxsize=8)
def _wide_font(font_px: int) -> _Font:
    """The font that matplotlib ships."""
    return ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), font_px
    )

"""Events written as WebVTT subtitles.

Source: W3C, WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/.
"""

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.datasets.files import MAX_NUMBER
from figclip.errors import DataError, shown
from figclip.runtime.files import write_atomically

_REPLACEMENT = "\ufffd"
# Control characters and halves of surrogate pairs: a player shows no sign for them, or refuses the
# file.
_NO_TEXT = ("Cc", "Cs")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_webvtt(path: Path, events: Sequence[CaptionedSpan]) -> None:
    """Write one cue per event, by start; events that start together stay in their order.

    Times are rounded to the millisecond. A cue lasts at least 1 ms, because WebVTT has none that
    ends as it begins: of an event that is shorter the end moves, the start never does. Text is that
    of `caption_line`; markup in it is escaped. An event whose sentence says nothing has no cue.
    Scores are not written. The file is UTF-8, written whole or not at all.

    Raises:
        DataError: An event begins before 0, ends before it begins, or has a time that is not finite
            or is beyond a billion seconds.
    """
    lines = ((event, caption_line(event.sentence)) for event in _ordered_spans(events))
    cues = [_cue(event, line) for event, line in lines if line]
    write_atomically(path, "WEBVTT\n\n" + "\n".join(cues))


def _ordered_spans(events: Sequence[CaptionedSpan]) -> list[CaptionedSpan]:
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

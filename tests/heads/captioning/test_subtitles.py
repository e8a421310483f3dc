from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.errors import DataError
from figclip.heads.captioning.subtitles import caption_line, write_webvtt

Cue = tuple[int, int, str]
ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "lrm": "\u200e", "rlm": "\u200f", "nbsp": "\u00a0"}
TIMING = re.compile(
    r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
)


def event(start_s: float, end_s: float, sentence: str) -> CaptionedSpan:
    return CaptionedSpan(start_s=start_s, end_s=end_s, sentence=sentence)


def read_webvtt(path: Path) -> list[Cue]:
    """Start and end in ms and text of every cue; strict where a player is lenient.

    Written from the W3C's syntax (section 4) and parser (section 6), not from the writer.
    """
    text = path.read_bytes().decode("utf-8")
    assert "\0" not in text
    lines = re.split("\r\n|\r|\n", text)
    assert lines[0] == "WEBVTT"
    assert lines[1] == ""
    cues: list[Cue] = []
    block: list[str] = []
    for line in [*lines[2:], ""]:
        if line:
            block.append(line)
        elif block:
            timing = TIMING.fullmatch(block[0])
            assert timing, block
            start_ms, end_ms = time_ms(timing.groups()[:4]), time_ms(timing.groups()[4:])
            assert start_ms < end_ms
            assert not cues or cues[-1][0] <= start_ms
            assert all("-->" not in line for line in block[1:])
            cues.append((start_ms, end_ms, cue_text("\n".join(block[1:]))))
            block = []
    return cues


def time_ms(fields: tuple[str, ...]) -> int:
    hours, minutes, seconds, ms = map(int, fields)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def cue_text(markup: str) -> str:
    assert "<" not in markup
    assert ">" not in markup
    assert re.sub("&[a-z]+;", "", markup).count("&") == 0
    return re.sub("&([a-z]+);", lambda found: ENTITIES[found[1]], markup)


def written(events: list[CaptionedSpan], path: Path) -> list[Cue]:
    write_webvtt(path, events)
    return read_webvtt(path)


def test_by_hand(tmp_path: Path) -> None:
    events = [
        event(3599.9996, 3725.25, "A man jumps"),
        event(0.0, 1.5, "Two & two <i>dogs</i> --> run"),
    ]
    write_webvtt(tmp_path / "x.vtt", events)
    assert (tmp_path / "x.vtt").read_bytes() == (
        b"WEBVTT\n"
        b"\n"
        b"00:00:00.000 --> 00:00:01.500\n"
        b"Two &amp; two &lt;i&gt;dogs&lt;/i&gt; --&gt; run\n"
        b"\n"
        b"01:00:00.000 --> 01:02:05.250\n"
        b"A man jumps\n"
    )


def test_hours_beyond_99(tmp_path: Path) -> None:
    assert written([event(359_999.5, 360_000.0, "x")], tmp_path / "x.vtt") == [
        (359_999_500, 360_000_000, "x")
    ]
    assert "99:59:59.500 --> 100:00:00.000" in (tmp_path / "x.vtt").read_text()


def test_no_events_are_a_file_without_cues(tmp_path: Path) -> None:
    assert written([], tmp_path / "x.vtt") == []
    assert (tmp_path / "x.vtt").read_bytes() == b"WEBVTT\n\n"


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("a\n\nNOTE b\r\n00:00.000 --> 00:01.000\rc", "a NOTE b 00:00.000 --> 00:01.000 c"),
        ("  a\t b\u2028c\u2029d\x0be\x85f\u00a0g ", "a b c d e f g"),
        ("nul\0 bell\a esc\x1b[31m del\x7f", "nul\ufffd bell\ufffd esc\ufffd[31m del\ufffd"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("&amp; &lt; &#0; &nbsp;", "&amp; &lt; &#0; &nbsp;"),
        ("\u202eright to left", "\u202eright to left"),
        ("STYLE", "STYLE"),
        ("\ufeffWEBVTT 😀 日本語 e\u0301", "\ufeffWEBVTT 😀 日本語 e\u0301"),
    ],
)  # fmt: skip
def test_hostile_sentences(tmp_path: Path, sentence: str, shown: str) -> None:
    assert caption_line(sentence) == shown
    cues = written([event(1, 2, sentence), event(2, 3, "next")], tmp_path / "x.vtt")
    assert cues == [(1000, 2000, shown), (2000, 3000, "next")]


@pytest.mark.parametrize("sentence", ["", " ", "\n\r\n\u2028"])
def test_a_sentence_that_says_nothing_has_no_cue(tmp_path: Path, sentence: str) -> None:
    cues = written([event(0, 1, sentence), event(1, 2, "next")], tmp_path / "x.vtt")
    assert cues == [(1000, 2000, "next")]


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (1.0, 1.0, (1000, 1001)),
        (1.0, 1.0004, (1000, 1001)),
        (0.9996, 1.0004, (1000, 1001)),
        (1.0, 1.0016, (1000, 1002)),
    ],
)
def test_a_cue_lasts_a_millisecond_at_least(
    tmp_path: Path, start_s: float, end_s: float, expected: tuple[int, int]
) -> None:
    assert written([event(start_s, end_s, "x")], tmp_path / "x.vtt") == [(*expected, "x")]


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [
        (-0.1, 1.0),
        (2.0, 1.0),
        (float("nan"), 1.0),
        (0.0, float("nan")),
        (0.0, float("inf")),
        (0.0, 1e300),
    ],
)
def test_what_is_no_span_is_refused_by_number(tmp_path: Path, start_s: float, end_s: float) -> None:
    with pytest.raises(DataError, match=r"event 1 \('jump'\): lasts from"):
        write_webvtt(tmp_path / "x.vtt", [event(0, 1, "a"), event(start_s, end_s, "jump")])
    assert list(tmp_path.iterdir()) == []


def test_overlapping_and_simultaneous_events_keep_their_order(tmp_path: Path) -> None:
    events = [event(5, 6, "d"), event(0, 9, "a"), event(2, 3, "b"), event(2, 8, "c")]
    assert [text for _, _, text in written(events, tmp_path / "x.vtt")] == ["a", "b", "c", "d"]


times_s = st.floats(min_value=0, max_value=1e9) | st.floats(min_value=0, max_value=10)
spans = st.tuples(times_s, times_s).map(sorted)
texts = st.text() | st.text(alphabet="<>-&;\n\r\t \0abNOTE\u2028\u202e\ud800", max_size=40)


@given(st.lists(st.tuples(spans, texts), max_size=8))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[list[float], str]]
) -> None:
    events = [event(start_s, end_s, text) for (start_s, end_s), text in drawn]
    path = tmp_path_factory.getbasetemp() / "any.vtt"
    cues = written(events, path)
    saying = [one for one in events if one.sentence.split()]
    expected = sorted(saying, key=lambda one: one.start_s)
    assert len(cues) == len(expected)
    for (start_ms, end_ms, text), one in zip(cues, expected, strict=True):
        assert abs(start_ms - Decimal(one.start_s) * 1000) <= Decimal("0.5001")
        nearest = abs(end_ms - Decimal(one.end_s) * 1000) <= Decimal("0.5001")
        assert nearest or end_ms == start_ms + 1
        letters = [*"".join(text.split())]
        assert len(letters) == len([*"".join(one.sentence.split())])
        for read, letter in zip(letters, "".join(one.sentence.split()), strict=True):
            assert read == letter or (read == "\ufffd" and not letter.isprintable())

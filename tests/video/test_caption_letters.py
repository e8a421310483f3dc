from __future__ import annotations

import random

import numpy as np
import pytest

from figclip.video import subtitles as caption_letters
from figclip.video.subtitles import draw_letters

HOSTILE = {
    "long": "word " * 5000,
    "one word": "x" * 100_000,
    "no width": "e" + "\u0301" * 50_000,
    "controls": "\0\x1b[31m\n\n\r\u2028 a \ud800",
    "direction": "\u202e\u2066abc\u202c",
    "scripts": "Une fille pêche Привет שלום مرحبا 中文 हिन्दी 😀 👨‍👩‍👧",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (96, 64), (4000, 40), (17, 1000)])
def test_letters_stay_in_the_lower_half(name: str, size: tuple[int, int]) -> None:
    width, height = size
    for sentences in ([HOSTILE[name]], [HOSTILE[name], "a dog"], [HOSTILE[name]] * 30):
        letters_HW = draw_letters(sentences, width=width, height=height)
        assert letters_HW is not None
        assert letters_HW.shape[1] == width
        assert letters_HW.shape[0] <= height // 2
        assert letters_HW.shape[0] % 2 == 0
        assert letters_HW.max() > 150


def wrapped(text: str, *, width: int, max_lines: int) -> list[str]:
    font = caption_letters._own_font(20)
    return caption_letters._wrapped(text, font=font, width=width, max_lines=max_lines)


def test_wrapping_by_hand() -> None:
    text = "A man in a green jacket pushes a dog"
    width = round(caption_letters._own_font(20).getlength("A man in a green "))
    assert wrapped(text, width=width, max_lines=9) == ["A man in a green", "jacket pushes a", "dog"]
    assert wrapped(text, width=width, max_lines=2) == ["A man in a green", "jacket pushes a…"]
    assert wrapped("", width=width, max_lines=2) == []


def test_wrapping_keeps_every_word_and_the_width() -> None:
    rng = random.Random(0)
    font = caption_letters._own_font(20)
    for _ in range(60):
        words = ["x" * rng.randrange(1, 14) for _ in range(rng.randrange(1, 40))]
        width = rng.randrange(100, 500)
        lines = wrapped(" ".join(words), width=width, max_lines=1000)
        assert "".join(lines).replace(" ", "") == "".join(words)
        assert all(font.getlength(line) <= width for line in lines)
        cut = wrapped(" ".join(words), width=width, max_lines=2)
        assert len(cut) == min(2, len(lines))
        assert all(font.getlength(line) <= width for line in cut)
        assert cut[-1].endswith("…") == (len(lines) > 2)


def test_sentences_share_the_lines() -> None:
    def stacked(*texts: str) -> list[str]:
        lines = caption_letters._stacked(texts, font_px=20, width=300, max_lines=5)
        return [line for line, _ in lines]

    long = "word " * 200
    assert stacked("a dog") == ["a dog"]
    assert stacked("a dog", "a cat") == ["- a dog", "- a cat"]
    shared = stacked(long.strip(), "a cat", long.strip())
    assert len(shared) == 5
    assert shared[2] == "- a cat"
    assert shared[1].endswith("…")
    assert shared[4].endswith("…")
    assert stacked(*"abcdefg") == ["- a", "- b", "- c", "- d", "- e - f - g"]


def test_a_font_that_has_the_letters_is_taken() -> None:
    def family(text: str) -> str:
        return caption_letters._font_for(text, font_px=20).getname()[0]

    assert family("A man jumps — no".replace("—", "-")) == family("It's “good”…")
    assert family("crème") == family("Привет") == family("A man — no") == "DejaVu Sans"
    assert family("A man jumps") != "DejaVu Sans"


def test_nothing_to_say_or_no_room_is_nothing() -> None:
    assert draw_letters([], width=640, height=360) is None
    assert draw_letters(["", " \n"], width=640, height=360) is None
    assert draw_letters(["a"], width=640, height=20) is None


def test_letters_are_as_wide_as_shown_whatever_the_pixels() -> None:
    def ink_width(**options: float) -> int:
        letters_HW = draw_letters(["a man jumps"], height=400, **options)
        assert letters_HW is not None
        columns = np.flatnonzero(letters_HW.max(axis=0) > 128)
        return int(columns[-1] - columns[0])

    square = ink_width(width=800)
    assert ink_width(width=400, pixel_aspect=2.0) == pytest.approx(square / 2, abs=3)
    assert ink_width(width=1600, pixel_aspect=0.5) == pytest.approx(square * 2, abs=6)
    draw_letters(["a"], width=400, height=400, pixel_aspect=65535.0)
    draw_letters(["a"], width=400, height=400, pixel_aspect=1 / 65535)

"""Class names in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.annotations.reading import Place
from figclip.datasets.actions import ClassList, class_as_labelled, class_in_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("JumpRope", "jump rope"),
        ("YoYo", "yo yo"),
        ("TaiChi", "tai chi"),
        ("shoot_ball", "shoot ball"),
        ("Shoot_Ball__twice", "shoot ball twice"),
        ("UsingTV", "using tv"),
        ("TVWatching", "tv watching"),
        ("Split2Wood", "split2 wood"),
        ("massaging person's head", "massaging person's head"),
        ("playing McDonald (American football)", "playing mcdonald (american football)"),
    ],
)
def test_class_in_words(name: str, words: str) -> None:
    assert class_in_words(name) == words


@pytest.mark.parametrize(
    ("name", "label"),
    [("ApplyEyeMakeup", "ApplyEyeMakeup"), ("brush_hair", "brush hair"), ("a__B_c", "a B c")],
)
def test_class_as_labelled(name: str, label: str) -> None:
    assert class_as_labelled(name) == label


@given(st.text())
def test_words_are_lower_case_with_single_spaces_and_stay_so(name: str) -> None:
    words = class_in_words(name)
    assert words == " ".join(words.split())
    assert "_" not in words
    assert class_in_words(words) == words


def test_class_list() -> None:
    classes = ClassList(["YoYo", "TaiChi"])
    place = Place("file:1")
    assert classes.find("TaiChi", "label", place=place) == 1
    assert not place.problems
    assert [classes.find("TaiChy", "label", place=place) for _ in range(2)] == [0, 0]
    assert [(p.field, p.what, p.fix) for p in place.problems] == 2 * [
        ("label", "'TaiChy' is not in the class list", 'Did you mean "TaiChi"?')
    ]


def test_classes_of_the_same_words_are_noted() -> None:
    place = Place("file")
    assert ClassList(["Run", "walk", "run"]).in_words(place) == ("run", "walk", "run")
    assert [p.what for p in place.problems] == ["'Run' and 'run' are the same words"]

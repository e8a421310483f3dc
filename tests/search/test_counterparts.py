"""Counterparts: worked out by hand; each leads back to its sentence; refusals say why."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.errors import ConfigError
from figclip.search.counterparts import write_counterparts


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a man hands a cup to a woman", ["a woman hands a cup to a man"]),
        ("a man hands a woman a cup", ["a woman hands a man a cup"]),
        ("a dog bites a man", ["a man bites a dog"]),
        ("an old man in red greets the woman", ["the woman greets an old man in red"]),
        ("A dog is bitten by the small cat.", ["The small cat is bitten by a dog."]),
        ("two men kick two dogs", []),
        ("a truck overtakes a bus", ["a bus overtakes a truck"]),
        ("a bus hits a cyclist", ["a cyclist hits a bus"]),
        ("a stone broke the window; a brick was hit by a stone", []),
        (
            "a boy throws a ball at a dog",
            ["a dog throws a ball at a boy", "a boy catches a ball at a dog"],
        ),
        (
            "in the park a small man in red is happily carrying a woman to the left",
            [
                "in the park a woman is happily carrying a small man in red to the left",
                "in the park a small man in red is angrily carrying a woman to the left",
                "in the park a small man in red is happily carrying a woman to the right",
            ],
        ),
        ("a man enters the room", ["a man leaves the room"]),
        ("A man left the room.", ["A man entered the room."]),
        ("someone picks the red cup up", ["someone puts the red cup down"]),
        ("Pick up a cup", ["Put down a cup"]),
        ("the cup was put down", ["the cup was picked up"]),
        ("the ball was thrown by a boy", ["the ball was caught by a boy"]),
        ("a woman is opening a door", ["a woman is closing a door"]),
        ("a girl walks out of a shop", ["a girl walks into a shop"]),
        ("a girl walks in the park", []),
        ("a girl walks in", ["a girl walks out"]),
        ("a girl runs slowly to the house", ["a girl runs slowly from the house",
                                             "a girl runs quickly to the house"]),
        ("a girl gives a small book to her dog", ["a girl takes a small book from her dog"]),
        ("she is getting off the bus", ["she is getting on the bus"]),
        ("a boy jumps off a wall", ["a boy jumps onto a wall"]),
    ],
)  # fmt: skip
def test_one_thing_is_changed_at_a_time(sentence: str, expected: list[str]):
    if expected:
        assert {one.text for one in write_counterparts(sentence)} >= set(expected)
    else:
        with pytest.raises(ConfigError, match="no counterpart can be written by rule"):
            write_counterparts(sentence)


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("the sky", "no two people or things"),
        ("a man meets the man", "both are called 'the man'"),
        ("someone hits somebody", "both are called 'somebody'"),
        ("a dog chases two cats", "'a dog' and 'two cats' take different forms of the verb"),
        ("we see a man and a woman dancing", "'a man' and 'a woman' do the same"),
        ("a man hands a woman a boy", "more than two could change places"),
    ],
)
def test_it_is_said_why_there_is_none(sentence: str, why: str):
    with pytest.raises(ConfigError) as refused:
        write_counterparts(sentence)
    assert why in str(refused.value) and "--not" in str(refused.value)


SOMEONE = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(["a", "the", "one", "his"]),
        st.sampled_from(["small", "big", "happy", "friendly", "smiling"]),
        st.sampled_from(["man", "woman", "dog in red", "girl wearing dark blue", "robot", "bus"]),
    ),
)
DOES = st.sampled_from(
    "pushes|is pulling|is pushed by|kicked|throws a ball at|hands a cup to|was thrown by|runs after"
    "|carries|quickly follows|opens a door for|gives a cup to|is slowly lifting|takes a cup from"
    "|picked up|is putting down".split("|")
)
WAY = st.sampled_from(
    "|to the left|up the stairs|out of the house|towards the sea|upwards".split("|")
)
MANNER = st.sampled_from(["", "happily", "roughly", "slowly"])
OPENING = st.sampled_from(["", "here", "in the park", "this is", "we see"])


@given(st.tuples(OPENING, SOMEONE, DOES, SOMEONE, WAY, MANNER))
def test_each_counterpart_leads_back_to_its_sentence(parts: tuple[str, ...]):
    sentence = re.sub(" +", " ", " ".join(parts)).strip()
    try:
        found = write_counterparts(sentence)
    except ConfigError:
        return
    assert len({one.text for one in found} | {sentence}) == len(found) + 1
    for one in found:
        assert sentence in [back.text for back in write_counterparts(one.text)], one


@given(st.text())
def test_no_text_breaks_the_rules(text: str):
    try:
        assert all(one.text != text for one in write_counterparts(text))
    except ConfigError as refused:
        assert "no counterpart" in str(refused)

"""Which texts say nothing; the cleaned view of an event."""

from __future__ import annotations

import pytest

from figclip.annotations.roles import (
    clean_filler,
    filled_roles,
    filled_scene,
    filled_slots,
    says_nothing,
)
from figclip.records import Event, Role


@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "-", '"-"', "...", "..", "....", ".", "--", "_", " - ", "?", "“…”", "\u200b"),
        *("unknown", "Unknown", "UNKNOWN", "unkown", "unclear", "Unclear", "unknown."),
        *("undefined", "undetermined", "undisclosed", "not known", "not disclosed", "Not shown"),
        *("not able to determine", "unable to determine", "impossible to ascertain"),
        *("not applicable", "N/A", "n/a", "NA", "na", "N.A.", "non-applicable"),
        *("None", "none", "<none>", "(none)", '"none"', "nothing", "Nothing", "  nothing\n"),
        *("no one", "No one", "noone", "no   one", "nobody", "nowhere"),
        *("<unable to hear it>", "<rain has no purpose>", "<>"),
        *("undefined/unclear", "unclear / not disclosed", "unclear, unknown", "none; unknown"),
        *("not applicable / or not disclosed", "no one and/or undisclosed", "unknown or unclear"),
    ],
)
def test_says_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        *("m&ms", "S&M", "17", "x", "½", "no", "No", "na na na", "nan", "nonesuch"),
        *("unknown man", "an unknown", "unknown / a man", "unclear, possibly a tent"),
        *("unclearly", "nothing but a towel", "nothingness", "at nothing", "none of them"),
        *("no one else", "nobody's dog", "out of nowhere", "nowhere near", "not sure what to say"),
        *("<b>man</b>", "<man> and <woman>", "man <unseen>", "< 5 people", "<<a>>"),
        *("unknown unknown", "/unknown man/", "the n/a sign", '"MOTEL"', "日本"),
    ],
)
def test_says_something(text: str) -> None:
    assert not says_nothing(text)


def test_says_nothing_is_fast_on_hostile_text() -> None:
    # A pattern that backtracks would take minutes here.
    assert not says_nothing("-" * 200_000 + "a")
    assert not says_nothing("unknown, " * 20_000 + "a")
    assert says_nothing("unknown, " * 20_000 + "none")


def test_clean_filler_collapses_spaces_and_keeps_words() -> None:
    assert clean_filler('  the "T"\t handle \n of   a BOX ') == 'the "T" handle of a BOX'
    assert clean_filler('"stay there"') == '"stay there"'
    assert clean_filler("counter clockwise" + " " * 37_000) == "counter clockwise"


def test_event_views_leave_out_what_says_nothing() -> None:
    event = Event(
        start_s=0.0,
        end_s=2.0,
        verb="hand",
        roles=(
            Role(name="giver", text="tall  woman", slot="Arg0"),
            Role(name="thing", text="-", slot="Arg1"),
            Role(name="manner", text="gently ", slot="ArgM"),
            Role(name="receiver", text="unknown man", slot="Arg2"),
            Role(name="goal", text="N/A", slot="ArgM"),
        ),
        scene=" inside  a tent",
    )
    assert filled_roles(event) == (
        Role(name="giver", text="tall woman", slot="Arg0"),
        Role(name="manner", text="gently", slot="ArgM"),
        Role(name="receiver", text="unknown man", slot="Arg2"),
    )
    assert filled_slots(event) == {"Arg0", "Arg2"}
    assert filled_scene(event) == "inside a tent"
    assert event.roles[0].text == "tall  woman"


@pytest.mark.parametrize("scene", ["", "unclear", '"-"'])
def test_absent_scene_is_empty(scene: str) -> None:
    assert filled_scene(Event(start_s=0.0, end_s=2.0, verb="hand", scene=scene)) == ""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.annotations.captions import (
    TEMPLATES,
    caption_clauses,
    caption_event,
    caption_video_hash,
    text_hash,
    trimmed_role_name,
)
from figclip.config import TemplateName
from figclip.records import Event, Role


def role(name: str, text: str, slot: str = "ArgM") -> Role:
    return Role(name=name, text=text, slot=slot)


WALK = Event(
    start_s=0.0,
    end_s=2.0,
    verb="walk",
    gloss="walk",
    sense="walk.01",
    roles=(
        role("walker", "man with short hair wearing collared shirt", "Arg0"),
        role("direction", "forward"),
        role("manner", "slowly"),
    ),
    scene="apartment",
)


def with_roles(*roles: Role, scene: str = "") -> Event:
    return Event(start_s=0.0, end_s=2.0, verb="climb", roles=roles, scene=scene)


def test_every_configurable_template_exists():
    assert set(TEMPLATES) == set(get_args(TemplateName))
    assert all(template.name == name for name, template in TEMPLATES.items())


@pytest.mark.parametrize("name", ["default", "srl_clip"])
def test_srl_clip_wording(name):
    assert caption_event(WALK, template=TEMPLATES[name]) == (
        "In this photo, the action is walk, "
        "the walker is man with short hair wearing collared shirt, "
        "direction is forward, manner is slowly, scene is apartment"
    )


def test_figclip_v1_ends_with_the_scene_of_the_event():
    assert caption_event(WALK, template=TEMPLATES["figclip_v1"]).endswith(
        ", manner is slowly, and scene of the event is apartment"
    )


def test_values_that_say_nothing_are_left_out():
    event = with_roles(
        role("climber", "-", "Arg0"),
        role("thing climbed", "rope", "Arg1"),
        role("goal", "Unknown"),
        role("manner", '"-"'),
        scene="...",
    )
    assert caption_event(event, template=TEMPLATES["default"]) == (
        "In this photo, the action is climb, the thing climbed is rope"
    )


def test_an_event_without_roles_is_its_verb():
    assert caption_event(with_roles(), template=TEMPLATES["default"]) == (
        "In this photo, the action is climb"
    )


def test_only_default_trims_role_names():
    event = with_roles(
        role("thing climbed (clomb?)", "rope", "Arg1"),
        role("direction (usually up or down)", "up"),
    )
    assert caption_clauses(event, template=TEMPLATES["default"])[1:] == (
        "the thing climbed is rope",
        "direction is up",
    )
    for name in ("srl_clip", "figclip_v1"):
        assert caption_clauses(event, template=TEMPLATES[name])[1:] == (
            "the thing climbed (clomb?) is rope",
            "direction (usually up or down) is up",
        )


@pytest.mark.parametrize(
    ("name", "trimmed"),
    [
        ("walker", "walker"),
        ("wait-er (not waiter, that's the other sense)", "wait-er"),
        ("tosser(s)", "tosser"),
        ("thing (first (or all))", "thing"),
        ("thing (a) (b)", "thing"),
        ("x(s)", "x"),
        ("thing(s) struck", "thing(s) struck"),
        ("(only this)", "(only this)"),
        ("thing climbed)", "thing climbed)"),
        ("", ""),
    ],
)
def test_trimmed_role_name(name, trimmed):
    assert trimmed_role_name(name) == trimmed


def test_a_role_without_a_name_is_told_by_its_text_alone():
    event = with_roles(role("", "rope", "Arg1"), role(" ", "slowly"))
    assert caption_event(event, template=TEMPLATES["srl_clip"]) == (
        "In this photo, the action is climb, rope, slowly"
    )


def test_runs_of_spaces_collapse():
    event = with_roles(role("thing  climbed", "  long   rope ", "Arg1"), scene=" a  barn")
    assert caption_event(event, template=TEMPLATES["default"]) == (
        "In this photo, the action is climb, the thing climbed is long rope, scene is a barn"
    )


texts = st.text(alphabet="ab (),-.'\t", max_size=12)
roles = st.builds(Role, name=texts, text=texts, slot=st.sampled_from(["Arg0", "Arg1", "ArgM"]))


@given(st.lists(roles, max_size=5), texts, st.sampled_from(sorted(TEMPLATES)))
def test_captions_are_single_spaced(event_roles, scene, name):
    caption = caption_event(with_roles(*event_roles, scene=scene), template=TEMPLATES[name])
    assert caption == " ".join(caption.split())


@given(st.lists(st.booleans(), max_size=6), st.booleans())
def test_one_clause_for_each_filler_that_says_something(filled, has_scene):
    event = with_roles(
        *(role(f"part {i}", "man" if says else "-") for i, says in enumerate(filled)),
        scene="barn" if has_scene else "unknown",
    )
    clauses = caption_clauses(event, template=TEMPLATES["default"])
    assert len(clauses) == 1 + sum(filled) + has_scene


def test_text_hash_ignores_case_and_runs_of_spaces_only():
    assert text_hash("The  Man\twalks ") == text_hash("the man walks")
    assert text_hash("the man walks") != text_hash("the man walk")
    assert text_hash("the man walks") != text_hash("theman walks")


def test_text_hash_is_fixed_and_fits_int64():
    # `printf a | b2sum -l 64`, read as little endian.
    assert text_hash("a") == int.from_bytes(bytes.fromhex("40f89e395b66422f"), "little")
    assert all(-(2**63) <= text_hash(str(i)) < 2**63 for i in range(100))


def test_video_hash_is_fixed():
    # The hash of "f" is negative: `printf f | b2sum -l 64` is 2e960c8fb6398edb, the top bit set in
    # its last byte. Signed, it comes before that of "a"; both as bytes through `b2sum -l 64`.
    expected = int.from_bytes(bytes.fromhex("9764aaa490e4f2ca"), "little", signed=True)
    assert caption_video_hash(["a", "f"]) == expected


def test_video_hash_ignores_order_but_not_repetition():
    assert caption_video_hash(["a", "B"]) == caption_video_hash(["b", "A"])
    assert caption_video_hash(["a", "a"]) != caption_video_hash(["a"])
    assert caption_video_hash(["a", "a", "b"]) != caption_video_hash(["a", "b", "b"])

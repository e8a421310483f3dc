from figclip.annotations.verb_negatives import SenseFrame, replace_filler, replace_verb, role_swap
from figclip.records import Event, Role


def role(slot: str, name: str, text: str) -> Role:
    return Role(slot=slot, name=name, text=text)


BITE = Event(
    start_s=2.0,
    end_s=4.0,
    verb="bite",
    gloss="bite",
    sense="bite.01",
    roles=(
        role("Arg0", "biter", "dog"),
        role("ArgM", "manner", "hard"),
        role("Arg1", "bitten", "man"),
    ),
    scene="street",
)


def test_replace_verb_renames_slot_by_slot_and_keeps_the_rest():
    frame = SenseFrame(
        verb="lift",
        gloss="elevate",
        sense="lift.01",
        role_names={"Arg0": "lifter", "Arg1": "thing lifted", "Arg2": "tool"},
    )
    assert replace_verb(BITE, frame) == Event(
        start_s=2.0,
        end_s=4.0,
        verb="lift",
        gloss="elevate",
        sense="lift.01",
        roles=(
            role("Arg0", "lifter", "dog"),
            role("ArgM", "manner", "hard"),
            role("Arg1", "thing lifted", "man"),
        ),
        scene="street",
    )


def test_replace_verb_drops_roles_that_the_sense_lacks():
    frame = SenseFrame(verb="nap", gloss="", sense="", role_names={"Arg0": "sleeper"})
    assert replace_verb(BITE, frame).roles == (
        role("Arg0", "sleeper", "dog"),
        role("ArgM", "manner", "hard"),
    )


def test_role_swap_exchanges_the_texts_of_arg0_and_arg1():
    swapped = role_swap(BITE)
    assert swapped is not None
    assert swapped.roles == (
        role("Arg0", "biter", "man"),
        role("ArgM", "manner", "hard"),
        role("Arg1", "bitten", "dog"),
    )
    assert (swapped.verb, swapped.scene) == ("bite", "street")


def with_roles(*roles: Role) -> Event:
    return Event(start_s=0.0, end_s=2.0, verb="give", roles=roles)


def test_role_swap_prefers_arg0_and_arg1_to_the_first_two():
    swapped = role_swap(
        with_roles(
            role("Arg2", "receiver", "boy"),
            role("Arg0", "giver", "man"),
            role("Arg1", "gift", "ball"),
        )
    )
    assert swapped is not None
    assert [one.text for one in swapped.roles] == ["boy", "ball", "man"]


def test_role_swap_falls_back_to_the_first_two_that_say_something():
    swapped = role_swap(
        with_roles(
            role("Arg0", "giver", "-"),
            role("Arg1", "gift", "ball"),
            role("ArgM", "manner", "gladly"),
            role("Arg2", "receiver", "boy"),
        )
    )
    assert swapped is not None
    assert [one.text for one in swapped.roles] == ["boy", "gladly", "ball"]


def test_no_role_swap_without_two_different_texts():
    assert role_swap(with_roles(role("Arg0", "giver", "man"))) is None
    assert role_swap(with_roles(role("Arg0", "giver", "man"), role("ArgM", "manner", "x"))) is None
    equal = with_roles(role("Arg0", "giver", "A  man"), role("Arg1", "gift", "a man"))
    assert role_swap(equal) is None


def test_replace_filler_in_a_role_and_in_the_scene():
    assert [one.text for one in replace_filler(BITE, 2, "cat").roles] == ["dog", "hard", "cat"]
    assert replace_filler(BITE, 3, "barn").scene == "barn"
    assert replace_filler(BITE, 3, "barn").roles == BITE.roles

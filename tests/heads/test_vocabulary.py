from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from figclip.annotations.roles import told_roles
from figclip.heads.situations.head import build_role_vocabulary, role_frames, written_roles
from figclip.heads.vocabulary import END, UNKNOWN, build_vocabulary, decode_roles, encode_roles
from figclip.records import Event, Role

EVENT = Event(
    start_s=0,
    end_s=2,
    verb="push",
    roles=(
        Role(name="pusher", text="a  red cat", slot="Arg0"),
        Role(name="thing pushed", text="-", slot="Arg1"),
        Role(name="direction", text="left", slot="ArgM"),
        Role(name="instrument", text="paw", slot="ArgM"),
    ),
    scene="park",
)
WORDS = st.lists(st.sampled_from("a red cat dog park left".split()), max_size=4).map(" ".join)


def test_roles_that_say_nothing_are_not_told():
    assert told_roles(EVENT) == {
        "Arg0": "a red cat", "ADir": "left", "instrument": "paw", "AScn": "park"
    }  # fmt: skip


def test_sequence_of_an_event_by_hand():
    vocabulary = build_role_vocabulary([EVENT], min_count=1)
    # VidSitu does not score directions: no word is spent on them.
    assert vocabulary.marks == ("AScn", "Arg0", "instrument")
    assert vocabulary.words == ("a", "cat", "park", "paw", "red")
    tokens = encode_roles(written_roles(EVENT), vocabulary)
    names = [vocabulary.token(token) for token in tokens]
    assert names == ["Arg0", "a", "red", "cat", "instrument", "paw", "AScn", "park", ""]
    assert tokens[-1] == END
    assert decode_roles(tokens, vocabulary) == written_roles(EVENT)


def test_frames_of_verbs_by_hand():
    def push(*roles: tuple[str, str], scene: str = "") -> Event:
        made = tuple(Role(name="thing", text=text, slot=slot) for slot, text in roles)
        return Event(start_s=0, end_s=2, verb="push", roles=made, scene=scene)

    sit = Event(start_s=0, end_s=2, verb="sit", sense="sit.01")
    first = push(("Arg0", "cat"), ("Arg1", "-"), ("Arg2", "dog"))
    second = push(("Arg0", "-"), ("Arg1", "box"), ("Arg2", "dog"), scene="park")
    # Each role that is ever told, where it stands among all; no verb's are those of another.
    assert role_frames([first, second, sit]) == {
        "push": ("Arg0", "Arg1", "Arg2", "AScn"),
        "sit.01": (),
    }
    assert role_frames([EVENT]) == {"push": ("Arg0", "instrument", "AScn")}


def test_rare_words_are_unknown_and_do_not_come_back():
    other = Event(start_s=0, end_s=2, verb="sit", scene="a park")
    vocabulary = build_role_vocabulary([EVENT, other], min_count=2)
    assert vocabulary.words == ("a", "park")
    tokens = encode_roles({"Arg0": "a red cat", "Arg7": "park"}, vocabulary)
    assert tokens[2:4] == [UNKNOWN, UNKNOWN] and tokens[4] == UNKNOWN
    assert decode_roles(encode_roles({"Arg0": "a red cat"}, vocabulary), vocabulary) == {
        "Arg0": "a"
    }


def test_words_before_a_key_and_keys_written_twice():
    vocabulary = build_vocabulary(["x y"], marks=["Arg0", "Arg1"])
    x, y = vocabulary.word_ids("x y")
    arg0, arg1 = vocabulary.mark_id("Arg0"), vocabulary.mark_id("Arg1")
    tokens = [x, arg0, y, arg1, arg0, x, END, x]
    assert decode_roles(tokens, vocabulary) == {"Arg0": "y", "Arg1": ""}


@given(roles=st.dictionaries(st.sampled_from(["Arg0", "Arg1", "AScn"]), WORDS))
def test_encoding_and_decoding_is_the_identity(roles: dict[str, str]):
    vocabulary = build_vocabulary(["a red cat dog park left"], marks=["Arg0", "Arg1", "AScn"])
    assert decode_roles(encode_roles(roles, vocabulary), vocabulary) == roles


@given(tokens=st.lists(st.integers(0, 11)))
def test_any_tokens_decode(tokens: list[int]):
    vocabulary = build_vocabulary(["a red cat dog park left"], marks=["Arg0", "Arg1", "AScn"])
    assert set(decode_roles(tokens, vocabulary)) <= set(vocabulary.marks)

"""Pickles of plain values, and pickles that mean harm."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.scoring import situation_files as plain_pickle
from figclip.scoring.situation_files import NotPlainError, is_pickle, load_plain_pickle

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


def with_lists(value: object) -> object:
    """The value as JSON would give it back."""
    if isinstance(value, list | tuple):
        return [with_lists(one) for one in value]
    if isinstance(value, dict):
        return {key: with_lists(one) for key, one in value.items()}
    return value


@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back(value: object, protocol: int):
    assert load_plain_pickle(pickle.dumps(value, protocol=protocol)) == with_lists(value)


def test_values_that_are_used_twice():
    shared = ["a"]
    value = {"one": shared, "two": [shared, shared]}
    assert load_plain_pickle(pickle.dumps(value)) == value


def test_official_pickles_are_known_by_their_first_byte():
    assert is_pickle(pickle.dumps([], protocol=3))
    assert not is_pickle(json.dumps([]).encode())


class Command:
    def __reduce__(self) -> tuple[object, ...]:
        return (subprocess.run, ([sys.executable, "-c", "open('harm', 'w')"],))


@pytest.mark.parametrize(
    "value",
    [
        Command(),
        OrderedDict(a=1),
        np.float32(1.0),
        np.zeros(3),
        Path("a"),
        {"a", "b"},
        b"bytes",
        {1: "a key that is no text"},
        {("a", "b"): "nor is a tuple"},
        1j,
        frozenset(),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_all_else_is_refused_and_never_run(
    value: object, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotPlainError):
        load_plain_pickle(pickle.dumps([value], protocol=protocol))
    assert not list(tmp_path.iterdir())


def test_the_refusal_says_what_and_where():
    with pytest.raises(NotPlainError, match=r"STACK_GLOBAL at byte \d+$"):
        load_plain_pickle(pickle.dumps(OrderedDict(), protocol=4))
    with pytest.raises(NotPlainError, match=r"GLOBAL 'collections OrderedDict' at byte 2$"):
        load_plain_pickle(pickle.dumps(OrderedDict(), protocol=2))


@given(VALUES, st.data())
def test_cut_off_files_are_named(value: object, data: st.DataObject):
    whole = pickle.dumps(value, protocol=4)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(ValueError, match="is no pickle, or a damaged one"):
        load_plain_pickle(cut)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_named_error(data: bytes):
    for program in (data, b"\x80\x04" + data + b"."):
        try:
            load_plain_pickle(program)
        except ValueError as error:
            assert str(error).startswith(
                ("is no pickle", "holds more than", "has a dict", "takes", "describes")
            )


@pytest.fixture
def few_values(monkeypatch: pytest.MonkeyPatch) -> int:
    """A lower bound, so that it is soon reached."""
    monkeypatch.setattr(plain_pickle, "MAX_VALUES", 10_000)
    return 10_000


@pytest.mark.usefixtures("few_values")
def test_a_list_in_itself_is_refused():
    # ]q\x00h\x00a. : a list, remembered, appended to itself.
    with pytest.raises(ValueError, match="describes more than 10,000 values"):
        load_plain_pickle(b"\x80\x02]q\x00h\x00a.")


@pytest.mark.usefixtures("few_values")
def test_lists_that_multiply_are_refused():
    value: list[object] = ["lol"] * 10
    for _ in range(12):
        value = [value] * 10
    with pytest.raises(ValueError, match="describes more than"):
        load_plain_pickle(pickle.dumps(value))


def test_long_text_that_multiplies_is_refused():
    with pytest.raises(ValueError, match="describes more than"):
        load_plain_pickle(pickle.dumps(["x" * 1_000_000] * 1000))


def test_sizes_that_the_file_does_not_have_are_refused():
    for program in (
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f" + b"N.",  # a frame of 2^63 bytes
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b"abc.",  # text of 2^63 bytes
        b"\x80\x04\x8b" + b"\xff\xff\xff\x7f" + b"1.",  # an integer of 2^31 bytes
    ):
        with pytest.raises(ValueError, match="is no pickle, or a damaged one"):
            load_plain_pickle(program)
    # Remembered at place 2^32 - 1: the unpickler would make room for all before it.
    with pytest.raises(ValueError, match="takes more than 2,000,000 places"):
        load_plain_pickle(b"\x80\x02Nr\xff\xff\xff\xff.")


def test_very_deep_values_do_not_exhaust_the_stack():
    depth = 20_000
    with pytest.raises(ValueError, match="is nested too deeply"):
        load_plain_pickle(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")


def test_a_key_of_very_many_tuples_is_never_hashed():
    def keyed(depth: int) -> bytes:
        return b"\x80\x02}N" + b"\x85" * depth + b"Ns."

    with pytest.raises(NotPlainError, match="has a dict with the key"):
        load_plain_pickle(keyed(100))
    with pytest.raises(ValueError, match="takes more than 50,000 tuples"):
        load_plain_pickle(keyed(1_000_000))


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02U\x01aQ.",  # a persistent id
        b"\x80\x02\x82\x01.",  # an extension code
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",  # bytes of 2^63 - 1
        b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",  # a bytearray of 2^63 - 1
        b"\x80\x02N" + b"2" * 100 + b".",  # copies of the top of the stack
    ],
)
def test_other_instructions_are_refused_before_any_is_run(program: bytes):
    with pytest.raises(ValueError, match="holds more than lists|is no pickle"):
        load_plain_pickle(program)


def test_very_many_instructions_are_refused(few_values: int):
    with pytest.raises(ValueError, match="takes more than"):
        load_plain_pickle(b"\x80\x02" + b"N" * (few_values + 5) + b".")

"""JSON with a check: any change of what it says is noticed, another way to write it is not."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.runtime.checked_json import CHECK, dump_checked, load_checked

CONTENT = {
    "alpha": 0.4,
    "steps": [1, 20],
    "name": "Zoë",
    "none": None,
    "inner": {"b": 1, "a": True},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k != CHECK), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text().filter(lambda key: key != CHECK), JSON))
def test_what_was_written_is_read(content: dict[str, object]):
    assert load_checked(dump_checked(content)) == content


def test_tuples_and_numbers_as_keys_are_as_in_json():
    content = {"places": {number: (number, "x") for number in range(12)}}
    assert load_checked(dump_checked(content)) == json.loads(json.dumps(content))


def test_every_flipped_bit_is_noticed_or_changes_nothing():
    text = dump_checked(CONTENT, indent=2).encode()
    noticed = 0
    for position in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text)
            damaged[position] ^= 1 << bit
            try:
                found = load_checked(bytes(damaged).decode())
            except ValueError:
                noticed += 1
                continue
            assert {**found, **CONTENT} == found, (position, bit)
    assert noticed > 7 * len(text)


def test_only_what_it_says_counts():
    content = json.loads(dump_checked(CONTENT))
    assert load_checked(json.dumps(content, sort_keys=True, ensure_ascii=False)) == CONTENT
    with pytest.raises(ValueError, match='is not what was written.*delete "check"'):
        load_checked(json.dumps({**content, "alpha": 0.5}))


def test_without_a_check_it_is_believed():
    assert load_checked(json.dumps(CONTENT)) == CONTENT
    assert load_checked("[1, 2]") == [1, 2]


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_are_finite(number: float):
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_checked({"number": number})

"""What errors say of names and texts that may be hostile."""

from __future__ import annotations

import pytest

from figclip.errors import AnnotationError, DataError, Problem, printable, shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("\x9b31m\r\x7f\x00", "\\x9b31m\\r\\x7f\\x00"),
        ("a\u2028b\ud800\U000e0041", "a\\u2028b\\ud800\\U000e0041"),
        ("line\n\ttext", "line\n\ttext"),
        ("grün 走 क्\u200dष 👩\u200d🚀 a\u00a0b", "grün 走 क्\u200dष 👩\u200d🚀 a\u00a0b"),
    ],
)
def test_what_steers_a_terminal_is_spelt_out(text: str, said: str) -> None:
    assert printable(text) == said
    assert printable(said) == said


def test_errors_are_printable() -> None:
    problem = Problem(where="a\x1b", field="b\u202e", what="c\x07", fix="d\x9b")
    for error in (problem, AnnotationError([problem])):
        assert "a\\x1b [b\\u202e]: c\\x07. d\\x9b" in str(error)
    assert str(DataError("a\x1b", where="b\r", fix="c\x00")) == "b\\r: a\\x1b. c\\x00"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a\x1b", "'a\\x1b'"),
        ("a" * 100, f"'{'a' * 59}…"),
        (7, "7"),
        (None, "None"),
        ([[]], "a list"),
        (10**400, f"1{'0' * 59}…"),
    ],
)
def test_values_are_quoted_on_one_line(value: object, said: str) -> None:
    assert shown(value) == said


def test_numbers_that_python_does_not_write_out_are_described() -> None:
    assert shown(10**5_000) == "a number of about 5,001 digits"
    assert shown(-(10**100_000)) == "a number of about 100,001 digits"

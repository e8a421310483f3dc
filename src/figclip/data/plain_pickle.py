"""Reads pickles that hold plain values only, without Python's unpickler.

A pickle is a program. This reads the part of its language that builds lists, dicts, tuples, text,
numbers, booleans and None, and refuses the rest: nothing is imported and nothing is called, so a
file cannot do more than describe a value. How much it may describe is bounded, because a short
pickle can name one list in itself, or a long list a million times.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable

from figclip.data.reading import is_list, is_object, shown

MAX_BYTES = 64_000_000
MAX_VALUES = 2_000_000
"""Values that a file may hold, counted as often as they are named; long text counts for more.
No more instructions than that are run, either."""

_CHARS_A_VALUE = 64
_MARK = object()
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list[object],
    "EMPTY_TUPLE": list[object],
    "EMPTY_DICT": dict[str, object],
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
# What official pickles of protocol 2 and later begin with.
_FIRST_BYTE = b"\x80"


def is_pickle(data: bytes) -> bool:
    """True for the bytes of a pickle of protocol 2 or later, which no JSON begins with."""
    return data.startswith(_FIRST_BYTE)


def load_plain_pickle(data: bytes) -> object:
    """The value that a pickle describes, as JSON would give it: a tuple becomes a list.

    Args:
        data: All of a file.

    Raises:
        NotPlainError: More than plain values.
        ValueError: Damaged, or too much. All messages are fit for a problem's `what`.
    """
    if len(data) > MAX_BYTES:
        raise _TooLargeError(f"is larger than {MAX_BYTES:,} bytes")
    machine = _Machine()
    try:
        for number, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if number > MAX_VALUES:
                raise _TooLargeError(f"takes more than {MAX_VALUES:,} instructions")
            machine.step(opcode.name, argument, position or 0)
    except (NotPlainError, _TooLargeError):
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"is no pickle, or a damaged one ({error})") from error
    value = machine.result
    _check_size(value)
    return value


class NotPlainError(ValueError):
    """The pickle holds what is no plain value."""


class _TooLargeError(ValueError):
    """The pickle describes too much."""


class _Machine:
    """The stack and the memo of a pickle program."""

    def __init__(self) -> None:
        self.result: object = None
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def step(self, name: str, argument: object, position: int) -> None:
        """Runs one instruction."""
        stack = self._stack
        if name in _TEXTS or name in _NUMBERS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _GETS:
            assert isinstance(argument, int)
            stack.append(self._memo[argument])
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in _PUTS:
            assert isinstance(argument, int)
            self._memo[argument] = stack[-1]
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "STOP":
            self.result = self._pop()
        elif name not in ("PROTO", "FRAME"):
            self._build(name, argument, position)

    def _build(self, name: str, argument: object, position: int) -> None:
        """Puts values together."""
        stack = self._stack
        if name in ("APPEND", "APPENDS"):
            values = [self._pop()] if name == "APPEND" else self._to_mark()
            _as_list(stack[-1]).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._last(2) if name == "SETITEM" else self._to_mark()
            _set_items(_as_dict(stack[-1]), pairs)
        elif name in _TUPLES:
            stack.append(self._last(_TUPLES[name]))
        elif name in ("LIST", "TUPLE"):
            stack.append(self._to_mark())
        elif name == "DICT":
            content: dict[str, object] = {}
            _set_items(content, self._to_mark())
            stack.append(content)
        else:
            found = f" {shown(argument)}" if isinstance(argument, str) else ""
            raise NotPlainError(
                f"holds more than lists, dicts, text and numbers: {name}{found} at byte {position}"
            )

    def _pop(self) -> object:
        """The last value."""
        return self._last(1)[0]

    def _last(self, count: int) -> list[object]:
        """The last values, taken off the stack; a mark is none."""
        values = self._stack[-count:]
        if len(values) < count or any(value is _MARK for value in values):
            raise ValueError("a value is missing")
        del self._stack[-count:]
        return values

    def _to_mark(self) -> list[object]:
        """The values down to the last mark, taken off the stack with it."""
        for start in range(len(self._stack) - 1, -1, -1):
            if self._stack[start] is _MARK:
                values = self._stack[start + 1 :]
                del self._stack[start:]
                return values
        raise ValueError("a mark is missing")


def _as_list(value: object) -> list[object]:
    """A value that must be a list."""
    if not is_list(value):
        raise ValueError("appends to what is no list")
    return value


def _as_dict(value: object) -> dict[str, object]:
    """A value that must be a dict."""
    if not is_object(value):
        raise ValueError("sets an item of what is no dict")
    return value


def _set_items(target: dict[str, object], pairs: list[object]) -> None:
    """Adds keys and values, which alternate."""
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, str):
            raise NotPlainError(f"has a dict with the key {shown(key)}, which is no text")
        target[key] = value


def _check_size(value: object) -> None:
    """Refuses a value that is endless or far too large once written out."""
    size, rest = 0, [value]
    while rest:
        one = rest.pop()
        size += 1
        if isinstance(one, str):
            size += len(one) // _CHARS_A_VALUE
        elif is_list(one):
            rest.extend(one)
        elif is_object(one):
            rest.extend(one.values())
        if size + len(rest) > MAX_VALUES:
            raise _TooLargeError(f"describes more than {MAX_VALUES:,} values")

"""Reading files that may hold anything, and may be no files: bounded, and refused by name.

What is read whole into memory is read here. Every limit is listed in SECURITY.md.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from figclip.errors import FigclipError, shown

MAX_FILE_BYTES = 256_000_000
"""Longest file that is read whole. The longest official one, VidSitu's vinfo of `train`, has about
60 MB."""

MAX_JSON_VALUES = 5_000_000
"""Most values in one JSON text: each takes up to 100 bytes of memory, however few it is written in;
an object takes 250, and counts three times. VidSitu's vinfo of `train` has about 3.5 million."""

DAMAGES = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError),
    *(RecursionError, TypeError, ValueError),
)
"""What the content of a file can make Python raise."""

_MAX_CAUSE_CHARS = 200


@contextmanager
def open_file(path: Path) -> Generator[IO[bytes]]:
    """A file, open to read its bytes.

    Raises:
        OSError: It cannot be opened, or is a pipe or a device, which may never end.
    """
    # Without O_NONBLOCK, opening a pipe waits for whoever writes to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "is a pipe or a device, not a file", str(path))
        yield file


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: It cannot be read, is a pipe or a device, or longer than `limit`.
    """
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise OSError(0, f"is larger than {limit:,} bytes", str(path))
        return file.read()


def read_utf8(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: As `read_bytes`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path).decode()


def refuse_constant(name: str) -> NoReturn:
    """Refuses `NaN`, `Infinity` and `-Infinity`, which are not JSON."""
    raise ValueError(f"{name} is not a JSON value")


def parse_json(text: str, *, constant: Callable[[str], object] = refuse_constant) -> object:
    """Parses strict JSON, one value.

    `constant` is called with `NaN`, `Infinity` or `-Infinity`; it gives its value or raises.

    Raises:
        ValueError: Not JSON, a key twice in one object, a number of thousands of digits, nested too
            deeply, or more than `MAX_JSON_VALUES`; the message is fit for a problem's `what`.
    """
    if text.count(",") + text.count("[") + 3 * text.count("{") > MAX_JSON_VALUES:
        raise ValueError(f"holds more than {MAX_JSON_VALUES:,} values and commas")
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=constant)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise ValueError(f"is not JSON: {error.msg} ({line}column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


@contextmanager
def damage_named(
    where: Path | str,
    error: type[FigclipError],
    *,
    fix: str,
    what: str = "cannot be read",
    also: tuple[type[Exception], ...] = (),
) -> Generator[None]:
    """Turn whatever the content of a file leads to into an error that names the file.

    An `error` of its own passes. `also` is what a library raises besides `DAMAGES`.
    """
    try:
        yield
    except error:
        raise
    except (*DAMAGES, *also) as cause:
        # A library's message may quote the whole file.
        text = str(cause)
        cut = text if len(text) <= _MAX_CAUSE_CHARS else f"{text[:_MAX_CAUSE_CHARS]}…"
        raise error(f"{what} ({type(cause).__name__}: {cut})", where=str(where), fix=fix) from cause


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; a repeated key, of which Python would keep the last, is refused."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"key {shown(repeated)} stands twice in one object")
    return values

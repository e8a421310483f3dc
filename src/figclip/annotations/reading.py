"""Reading annotation text so that every problem of a file is found before anything is raised."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from typing import NoReturn, TypeGuard

from figclip.errors import AnnotationError, Problem

MAX_TEXT_CHARS = 10_000

# What no text may hold: control characters that are not white space, and halves of surrogate
# pairs, which JSON can spell but UTF-8 cannot write.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is read from, with the list that takes its problems.

    Attributes:
        where: `file:line` or `file: segment event`.
        prefix: What stands before every field name here: `events[2].`
        problems: Shared by all places of one source.
    """

    where: str
    prefix: str = ""
    problems: list[Problem] = field(default_factory=list[Problem])

    def add(self, name: str, *, what: str, fix: str) -> None:
        """Notes one problem of the field `name`."""
        full_name = f"{self.prefix}{name}".rstrip(".")
        self.problems.append(Problem(where=self.where, field=full_name, what=what, fix=fix))

    def at(self, where: str) -> Place:
        """Another place of the same source."""
        return Place(where, problems=self.problems)

    def inside(self, prefix: str) -> Place:
        """The same place, for the fields of a part of it."""
        return Place(self.where, f"{self.prefix}{prefix}", self.problems)


def raise_problems(
    problems: Collection[Problem], error: type[AnnotationError] = AnnotationError
) -> None:
    """Raises one error that lists all problems, if there are any."""
    if problems:
        raise error(tuple(problems))


def shown(value: object) -> str:
    """The value as a message shows it: one line, cut when long."""
    # The repr of a deeply nested value could exceed the recursion limit that parsing it just kept.
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def read_text(path: Traversable, place: Place) -> str:
    """Reads a UTF-8 file, with or without byte order mark.

    Lines that are not UTF-8 are problems; the other lines stay readable, so that theirs are found
    too.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place.add("", what=f"cannot be read ({reason})", fix="Check the path and its permissions")
        return ""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        place.add("", what="is UTF-16 text", fix="Save the file as UTF-8")
        return ""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        for number, line in enumerate(data.split(b"\n"), start=1):
            _check_utf8(line, place.at(f"{place.where}:{number}"))
        return data.decode("utf-8", errors="replace")


def _check_utf8(line: bytes, place: Place) -> None:
    """Notes the first byte of a line that is not UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 text (byte {error.start + 1} of the line)"
        place.add("", what=what, fix="Save the file as UTF-8")


def refuse_constant(name: str) -> NoReturn:
    """Refuses `NaN`, `Infinity` and `-Infinity`, which are not JSON."""
    raise ValueError(f"{name} is not a JSON value")


def parse_json(text: str, *, constant: Callable[[str], object] = refuse_constant) -> object:
    """Parses strict JSON.

    Args:
        text: One JSON value.
        constant: Called with `NaN`, `Infinity` or `-Infinity`; gives its value or raises.

    Raises:
        ValueError: Not JSON, a key twice in one object, a number of thousands of digits, nested too
            deeply; the message is fit for a problem's `what`.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=constant)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise ValueError(f"is not JSON: {error.msg} ({line}column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; a repeated key, of which Python would keep the last, is refused."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"key {shown(repeated)} stands twice in one object")
    return values


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """True for a JSON object, whose keys are always strings."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """True for a JSON list."""
    return isinstance(value, list)


def check_keys(value: dict[str, object], valid: Collection[str], *, place: Place) -> None:
    """Notes every key that is not valid, with the nearest valid one."""
    for key in value:
        if key not in valid:
            place.add(key[:_SHOWN_CHARS], what="is an unknown key", fix=nearest(key, valid))


def nearest(name: str, valid: Collection[str]) -> str:
    """Advice for a name that is not valid: the nearest valid one, or all of them."""
    matches = get_close_matches(name[:_SHOWN_CHARS].casefold(), valid, n=1)
    return f'Did you mean "{matches[0]}"?' if matches else f"Valid are {', '.join(valid)}"


def check_text(value: object, name: str, *, place: Place) -> str:
    """The value as text, verbatim; empty, with the problem noted, when it is not usable text."""
    if not isinstance(value, str):
        what, fix = (
            f"must be text, got {shown(value)}",
            "Put it in quotation marks, or leave it out",
        )
    elif found := _FORBIDDEN.search(value):
        what = f"holds the character {shown(found[0])}, which is not text"
        fix = "Take it out"
    # Runs of spaces do not count: one real filler is 37,119 characters, nearly all of them spaces.
    elif len(value) > MAX_TEXT_CHARS and len(" ".join(value.split())) > MAX_TEXT_CHARS:
        what = f"is longer than {MAX_TEXT_CHARS:,} characters"
        fix = "Shorten it: CLIP reads about 60 words"
    else:
        return value
    place.add(name, what=what, fix=fix)
    return ""


def csv_rows(text: str, file: Place) -> Iterator[tuple[Place, list[str]]]:
    """Every row of a CSV text that is not blank, with the line that it starts on.

    A row that is not CSV is noted, and ends the reading.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield file.at(f"{file.where}:{line}"), cells
            line = reader.line_num + 1
    except csv.Error as error:
        place = file.at(f"{file.where}:{line}")
        place.add("", what=f"is not CSV: {error}", fix="Rows after this one were not read")

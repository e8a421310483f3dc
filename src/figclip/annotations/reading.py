"""Reading annotation text so that every problem of a file is found before anything is raised."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
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
_NOT_A_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE = re.compile(r"[A-Za-z]:")
_OFFICIAL = "Check that it is the official file, whole"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is read from, `file:line` or `file: segment event`, with its problems.

    `prefix` stands before every field name here: `events[2].`. All places of one source share one
    list of problems.
    """

    where: str
    prefix: str = ""
    problems: list[Problem] = field(default_factory=list[Problem])

    def add(self, name: str, *, what: str, fix: str) -> None:
        """Notes one problem of the field `name`."""
        full_name = f"{self.prefix}{name}".rstrip(".")
        self.problems.append(Problem(where=self.where, field=full_name, what=what, fix=fix))

    def refuse(self, name: str, value: object, *, wanted: str, fix: str) -> None:
        """Notes that a field is not of the wanted type."""
        self.add(name, what=f"must be {wanted}, got {shown(value)}", fix=fix)

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
    """Parses strict JSON, one value.

    `constant` is called with `NaN`, `Infinity` or `-Infinity`; it gives its value or raises.

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


def read_json(
    path: Traversable, place: Place, *, constant: Callable[[str], object] = refuse_constant
) -> object:
    """The value in a JSON file of others; None, with the problem noted, when there is none."""
    before = len(place.problems)
    text = read_text(path, place)
    if len(place.problems) > before:
        return None
    try:
        value = parse_json(text, constant=constant)
    except ValueError as error:
        place.add("", what=str(error), fix=_OFFICIAL)
        return None
    if value is None:
        place.add("", what="holds nothing but null", fix=_OFFICIAL)
    return value


def read_json_list(
    path: Traversable, place: Place, *, constant: Callable[[str], object] = refuse_constant
) -> list[object]:
    """As `read_json`, of a file that holds a list; empty when there was a problem."""
    value = read_json(path, place, constant=constant)
    if not is_list(value) and value is not None:
        place.refuse("", value, wanted="a list", fix=_OFFICIAL)
    return value if is_list(value) else []


def json_lines(text: str, file: Place) -> Iterator[tuple[Place, object]]:
    """The values of JSON Lines; blank lines are left out."""
    # Not splitlines(): it also breaks at characters that JSON strings may hold, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = file.at(f"{file.where}:{number}")
            try:
                yield place, parse_json(line.strip())
            except ValueError as error:
                place.add("", what=str(error), fix="Write one JSON object a line")


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
        what = f"must be text, got {shown(value)}"
        fix = "Put it in quotation marks, or leave it out"
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


def check_filled(value: object, name: str, *, place: Place) -> str:
    """The value as text that is not blank, verbatim."""
    text = check_text(value, name, place=place)
    if isinstance(value, str) and not value.strip():
        place.add(name, what="is empty", fix="Write something, or leave the entry out")
    return text


def check_name(value: object, name: str, *, place: Place) -> str:
    """The value as text of one line without spaces around it."""
    before = len(place.problems)
    text = check_text(value, name, place=place)
    if len(place.problems) == before and (
        not text or text != text.strip() or _NOT_A_NAME.search(text)
    ):
        what = f"is {shown(text)}: empty, of several lines, or with spaces around it"
        place.add(name, what=what, fix="Write it without them, or leave it out")
    return text


def check_path(value: object, name: str, *, place: Place) -> str:
    """The value as a path below the folder of images or videos."""
    path = check_name(value, name, place=place)
    if "\\" in path:
        place.add(name, what=f"{shown(path)} holds a backslash", fix="Separate folders by /")
    elif path.startswith("/") or _DRIVE.match(path):
        what = f"{shown(path)} is an absolute path"
        place.add(name, what=what, fix="Write it relative to the folder of images or videos")
    elif ".." in path.split("/"):
        what = f'{shown(path)} has a ".." part'
        place.add(name, what=what, fix="Write it from the folder of images or videos downwards")
    return path


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


def check_columns(
    place: Place, header: Sequence[str], required: Sequence[str], *, repeated: str = ":"
) -> bool:
    """Notes columns that are missing or named twice; True when there are none.

    Names that begin with `repeated` are not looked at.
    """
    before = len(place.problems)
    for index, column in enumerate(header):
        if column in header[:index] and not column.startswith(repeated):
            place.add(column, what="is the name of two columns", fix="Rename or remove one")
    for column in required:
        if column not in header:
            fix = "The first row names the columns, separated by commas"
            place.add(column, what="column is missing", fix=fix)
    return len(place.problems) == before


def filled_rows(
    rows: Iterator[tuple[Place, list[str]]], header: Sequence[str]
) -> Iterator[tuple[Place, dict[str, str]]]:
    """The rows that have a cell for every column; others are noted."""
    for place, cells in rows:
        if len(cells) == len(header):
            yield place, dict(zip(header, cells, strict=True))
        else:
            what = f"has {len(cells)} cells, the first row has {len(header)}"
            fix = "Give every row the same number; quote texts with commas"
            place.add("", what=what, fix=fix)

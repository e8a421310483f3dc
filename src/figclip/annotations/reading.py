"""Reading annotation text so that every problem of a file is found before anything is raised."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from itertools import count, islice
from pathlib import Path
from typing import TypeGuard

from figclip.errors import MAX_PROBLEMS, AnnotationError, Problem, shown
from figclip.runtime.reading import parse_json, read_bytes, refuse_constant

MAX_TEXT_CHARS = 10_000
MAX_CHARS_WITH_SPACES = 100_000
MAX_CELLS = 100_000
"""Most cells in a row of CSV, commas in quotation marks included."""
MAX_ENTRIES = 1_000_000
"""Most lines of JSON Lines and rows of CSV."""

# What no text may hold: control characters that are not white space, and halves of surrogate
# pairs, which JSON can spell but UTF-8 cannot write.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_NEAREST_CHARS = 60
_MAX_SEARCHED = 200
_MAX_NAME_CHARS = 200
_NOT_A_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_DRIVE = re.compile(r"[A-Za-z]:")
_OFFICIAL = "Check that it is the official file, whole"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is read from, `file:line` or `file: segment event`, with its problems.

    `prefix` stands before every field name here: `events[2].`. All places of one source share one
    list of problems, which `error` is to raise.
    """

    where: str
    prefix: str = ""
    problems: list[Problem] = field(default_factory=list[Problem])
    error: type[AnnotationError] = AnnotationError

    def add(self, name: str, *, what: str, fix: str) -> None:
        """Notes one problem of the field `name`; raises all when there are too many."""
        cut = name if len(name) <= _MAX_NAME_CHARS else f"{name[:_MAX_NAME_CHARS]}…"
        full_name = f"{self.prefix}{cut}".rstrip(".")
        self.problems.append(Problem(where=self.where, field=full_name, what=what, fix=fix))
        if len(self.problems) > MAX_PROBLEMS:
            raise self.error(self.problems)

    def refuse(self, name: str, value: object, *, wanted: str, fix: str) -> None:
        """Notes that a field is not of the wanted type."""
        self.add(name, what=f"must be {wanted}, got {shown(value)}", fix=fix)

    def at(self, where: str) -> Place:
        """Another place of the same source."""
        return Place(where, problems=self.problems, error=self.error)

    def inside(self, prefix: str) -> Place:
        """The same place, for the fields of a part of it."""
        return Place(self.where, f"{self.prefix}{prefix}", self.problems, self.error)


def raise_problems(place: Place) -> None:
    """Raises one error that lists all problems of a source, if there are any."""
    if place.problems:
        raise place.error(place.problems)


def read_text(path: Traversable, place: Place) -> str:
    """Reads a UTF-8 file, with or without byte order mark.

    Lines that are not UTF-8 are problems; the other lines stay readable, so that theirs are found
    too.
    """
    try:
        # In a store's archive, whose members are bounded by `archive.open_source`, else.
        data = read_bytes(path) if isinstance(path, Path) else path.read_bytes()
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


def numbered_lines(text: str, file: Place) -> Iterator[tuple[Place, str]]:
    """The lines that are not blank, without white space around them; too many end the reading."""
    start = num_entries = 0
    for number in count(1):
        # Not splitlines(): it also breaks at characters that JSON strings may hold, such as U+2028.
        # Not split("\n"): a list of short lines takes twenty times the memory of the text.
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else None].strip()
        if line:
            place = file.at(f"{file.where}:{number}")
            num_entries += 1
            if num_entries > MAX_ENTRIES:
                note_excess(place, MAX_ENTRIES)
                return
            yield place, line
        if end < 0:
            return
        start = end + 1


def note_excess(place: Place, limit: int, noun: str = "entries") -> None:
    """Notes that a file has more than is read."""
    what = f"is beyond {limit:,} {noun}"
    place.add("", what=what, fix="Divide the file; what follows was not read")


def json_lines(text: str, file: Place) -> Iterator[tuple[Place, object]]:
    """The values of JSON Lines; blank lines are left out."""
    for place, line in numbered_lines(text, file):
        try:
            value = parse_json(line)
        except ValueError as error:
            place.add("", what=str(error), fix="Write one JSON object a line")
            continue
        yield place, value


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
            place.add(key[:_NEAREST_CHARS], what="is an unknown key", fix=nearest(key, valid))


def nearest(name: str, valid: Collection[str]) -> str:
    """Advice for a name that is not valid: the nearest valid one, or all of them."""
    searched = [one[:_NEAREST_CHARS] for one in islice(valid, _MAX_SEARCHED)]
    matches = get_close_matches(name[:_NEAREST_CHARS].casefold(), searched, n=1)
    others = ", …" if len(valid) > _MAX_SEARCHED else ""
    return (
        f'Did you mean "{matches[0]}"?' if matches else f"Valid are {', '.join(searched)}{others}"
    )


def check_text(value: object, name: str, *, place: Place) -> str:
    """The value as text, verbatim; empty, with the problem noted, when it is not usable text."""
    if not isinstance(value, str):
        what = f"must be text, got {shown(value)}"
        fix = "Put it in quotation marks, or leave it out"
    elif found := _FORBIDDEN.search(value):
        what = f"holds the character {shown(found[0])}, which is not text"
        fix = "Take it out"
    # Runs of spaces count less: one real filler is 37,119 characters, nearly all of them spaces.
    elif len(value) > MAX_CHARS_WITH_SPACES or (
        len(value) > MAX_TEXT_CHARS and len(" ".join(value.split())) > MAX_TEXT_CHARS
    ):
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


def csv_rows(
    text: str, file: Place, *, limit: int = MAX_ENTRIES
) -> Iterator[tuple[Place, list[str]]]:
    """Every row of a CSV text that is not blank, with the line that it starts on.

    A row that is not CSV, of more than `MAX_CELLS` cells, or beyond the limit of rows is noted, and
    ends the reading.
    """
    num_commas = 0

    def lines() -> Iterator[str]:
        nonlocal num_commas
        # Not io.StringIO, which takes four bytes a character.
        for line in _LINE.finditer(text):
            num_commas += line[0].count(",")
            if num_commas >= MAX_CELLS:
                raise csv.Error(f"a row has more than {MAX_CELLS:,} cells")
            yield line[0]

    reader = csv.reader(lines(), strict=True)
    line, num_rows = 1, 0
    try:
        for cells in reader:
            num_commas = 0
            if any(cell.strip() for cell in cells):
                place = file.at(f"{file.where}:{line}")
                num_rows += 1
                if num_rows > limit:
                    note_excess(place, limit)
                    return
                yield place, cells
            line = reader.line_num + 1
    except csv.Error as error:
        place = file.at(f"{file.where}:{line}")
        place.add("", what=f"is not CSV: {error}", fix="Rows after this one were not read")


def repetitions(names: Iterable[str]) -> Iterator[str]:
    """The names that were there before, as often as they are there again."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def check_columns(
    place: Place, header: Sequence[str], required: Sequence[str], *, repeated: str = ":"
) -> bool:
    """Notes columns that are missing or named twice; True when there are none.

    Names that begin with `repeated` are not looked at.
    """
    before = len(place.problems)
    for column in repetitions(header):
        if not column.startswith(repeated):
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

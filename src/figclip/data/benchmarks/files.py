"""Finds a benchmark's files and reads them entry by entry, each with its place.

What is wrong with a file's content is noted at its place and raised by the caller, all together;
what is wrong with the choice of files is raised at once. Entries are checked one by one as they are
asked for, so that problems are noted in the order of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from figclip.data.reading import (
    Place,
    check_keys,
    csv_rows,
    is_list,
    is_object,
    parse_json,
    read_text,
    shown,
)
from figclip.errors import DataError

TOP_ONLY = ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of a CSV file.

    Attributes:
        rows: Cells by column, with the place of each row; a cell may be empty. Read once, as they
            are asked for.
        ignored: Columns that have no meaning here.
    """

    rows: Iterator[tuple[Place, dict[str, str]]]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A key of a JSON object with its value, and where it is read from."""

    place: Place
    key: str
    value: object


def find_file(path: Path, *names: str, subfolders: Sequence[str] = TOP_ONLY) -> Path:
    """The first of some files that is there.

    Args:
        path: A folder, or one of the files itself.
        names: File names, the preferred one first.
        subfolders: Where in the folder to look; the empty one is the folder itself.

    Raises:
        DataError: None is there; the message names them all.
    """
    if not os.path.isfile(path):
        return find_in_folder(path, *names, subfolders=subfolders)
    if path.name not in names:
        wanted = " or ".join(names)
        fix = f"Give {wanted}, or the folder that holds it"
        raise DataError(f"is not the file {wanted}", where=str(path), fix=fix)
    return path


def find_in_folder(folder: Path, *names: str, subfolders: Sequence[str] = TOP_ONLY) -> Path:
    """As `find_file`, of a folder only."""
    wanted = " or ".join(names)
    _check_folder(folder, wanted)
    for name in names:
        for subfolder in subfolders:
            if os.path.isfile(folder / subfolder / name):
                return folder / subfolder / name
    raise _not_found(folder, wanted, subfolders)


def find_matching(
    path: Path, pattern: re.Pattern[str], *, wanted: str, subfolders: Sequence[str] = TOP_ONLY
) -> list[tuple[Path, re.Match[str]]]:
    """Files whose whole name matches, sorted, of the first sub-folder that holds any.

    Args:
        path: A folder, or one such file.
        pattern: Of file names.
        wanted: What is looked for, as a message says it.
        subfolders: Where in the folder to look; the empty one is the folder itself.

    Raises:
        DataError: No folder, or none of its files matches.
    """
    if os.path.isfile(path) and (match := pattern.fullmatch(path.name)):
        return [(path, match)]
    _check_folder(path, wanted)
    for subfolder in subfolders:
        folder = path / subfolder
        if not os.path.isdir(folder):
            continue
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            raise DataError(f"cannot be listed ({error.strerror})", where=str(folder)) from error
        found = [
            (one, match)
            for one in paths
            if (match := pattern.fullmatch(one.name)) and os.path.isfile(one)
        ]
        if found:
            return found
    raise _not_found(path, wanted, subfolders)


def find_own_file(path: Path, suffix: str) -> Place:
    """The place of a file of one's own, which is given itself.

    Raises:
        DataError: No such file, or one with another suffix.
    """
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "does not exist"
        raise DataError(what, where=str(path), fix=f"Give a {suffix} file")
    if path.suffix.casefold() != suffix:
        raise DataError(
            f"is not a {suffix} file", where=str(path), fix="Rename it if it is one of them"
        )
    return Place(str(path))


def read_lines(file: Place) -> list[tuple[Place, str]]:
    """The lines that are not blank, without white space around them."""
    lines = read_text(Path(file.where), file).split("\n")
    return [
        (file.at(f"{file.where}:{number}"), line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def read_json_lines(
    file: Place, *, valid: Collection[str] | None = None
) -> Iterator[tuple[Place, dict[str, object]]]:
    """The objects of a JSON Lines file.

    Args:
        file: Takes what is wrong with them; its `where` is the path.
        valid: Keys that may be there; None when others may be, too.
    """
    for place, line in read_lines(file):
        try:
            value = parse_json(line)
        except ValueError as error:
            place.add("", what=str(error), fix="Write one JSON object a line")
            continue
        if not is_object(value):
            what = f"must be an object, got {shown(value)}"
            place.add("", what=what, fix="Write one JSON object a line")
            continue
        if valid is not None:
            check_keys(value, valid, place=place)
        yield place, value


def read_json_members(file: Place) -> Iterator[Member]:
    """The members of the JSON object in a file; none when it holds something else."""
    value = _read_json(file)
    if is_object(value):
        for key, member in value.items():
            yield Member(place=file.at(f"{file.where}: {shown(key)}"), key=key, value=member)
    elif value is not None:
        what = f"must hold one object, got {shown(value)}"
        file.add("", what=what, fix="Check that it is the official file")


def read_json_objects(file: Place) -> Iterator[tuple[Place, dict[str, object]]]:
    """The objects of the JSON list in a file; their places are named by number, counted from 0."""
    value = _read_json(file)
    if not is_list(value):
        if value is not None:
            what = f"must hold one list, got {shown(value)}"
            file.add("", what=what, fix="Check that it is the official file")
        return
    for index, member in enumerate(value):
        place = file.at(f"{file.where}: item {index}")
        if is_object(member):
            yield place, member
        else:
            fix = "Check that it is the official file"
            place.add("", what=f"must be an object, got {shown(member)}", fix=fix)


def read_table(file: Place, *, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """The rows of a CSV file whose first row names the columns.

    Args:
        file: Takes what is wrong with the file; its `where` is the path.
        required: Columns that must be there.
        optional: Columns that may be there; any other is listed as ignored.

    Returns:
        Rows that are not blank, cells verbatim; none when the first row cannot be used.
    """
    before = len(file.problems)
    text = read_text(Path(file.where), file)
    if not text and len(file.problems) > before:
        return Table(rows=iter(()), ignored=())
    rows = csv_rows(text, file)
    first = next(rows, None)
    place, header = first if first else (file, list[str]())
    before = len(file.problems)
    for index, column in enumerate(header):
        if column in header[:index]:
            place.add(column, what="is the name of two columns", fix="Rename or remove one")
    for column in required:
        if column not in header:
            fix = "The first row names the columns, separated by commas"
            place.add(column, what="column is missing", fix=fix)
    if len(file.problems) > before:
        return Table(rows=iter(()), ignored=())
    known = (*required, *optional)
    return Table(
        rows=_filled_rows(rows, header), ignored=tuple(one for one in header if one not in known)
    )


def _filled_rows(
    rows: Iterator[tuple[Place, list[str]]], header: list[str]
) -> Iterator[tuple[Place, dict[str, str]]]:
    """The rows that have a cell for every column."""
    for place, cells in rows:
        if len(cells) == len(header):
            yield place, dict(zip(header, cells, strict=True))
        else:
            what = f"has {len(cells)} cells, the first row has {len(header)}"
            fix = "Give every row the same number; quote texts with commas"
            place.add("", what=what, fix=fix)


def _read_json(file: Place) -> object:
    """The value in a JSON file; None, with the problem noted, when there is none."""
    before = len(file.problems)
    text = read_text(Path(file.where), file)
    if len(file.problems) > before:
        return None
    try:
        value = parse_json(text)
    except ValueError as error:
        file.add("", what=str(error), fix="Check that it is the official file, whole")
        return None
    if value is None:
        file.add("", what="holds nothing but null", fix="Check that it is the official file")
    return value


def _check_folder(path: Path, wanted: str) -> None:
    """Refuses a path that is no folder."""
    if not os.path.isdir(path):
        what = "is a file" if os.path.isfile(path) else "does not exist"
        raise DataError(what, where=str(path), fix=f"Give the folder that holds {wanted}")


def _not_found(path: Path, wanted: str, subfolders: Sequence[str]) -> DataError:
    below = [f"{one}/" for one in subfolders if one]
    fix = f"It is looked for in the folder itself{' and in ' if below else ''}{', '.join(below)}"
    return DataError(f"does not hold {wanted}", where=str(path), fix=fix)

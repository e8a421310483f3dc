"""Find a benchmark's files, read them entry by entry with each one's place, and check their fields.

What is wrong with a file's content is noted at its place, and the caller raises all of it together;
a wrong choice of files is raised at once. Entries are checked one by one as they are asked for, so
that problems are noted in the order of the file.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from figclip.annotations.own_files import counted
from figclip.annotations.reading import (
    Place,
    check_columns,
    check_filled,
    check_keys,
    check_name,
    check_path,
    csv_rows,
    filled_rows,
    is_list,
    is_object,
    json_lines,
    numbered_lines,
    raise_problems,
    read_json,
    read_json_list,
    read_text,
)
from figclip.errors import DataError, shown

TOP_ONLY = ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of a CSV file, each with its place, and the columns without meaning.

    Rows are cells by column, read once, as they are asked for. A cell may be empty.
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

    The preferred name comes first. `path` is a folder, or one of the files itself; of `subfolders`,
    the empty one is the folder itself.

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

    `path` is a folder, or one such file.

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
    """The place of a file of one's own; a `DataError` if it is not there or of another suffix."""
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
    return list(numbered_lines(read_text(Path(file.where), file), file))


def read_json_lines(
    file: Place, *, valid: Collection[str] | None = None
) -> Iterator[tuple[Place, dict[str, object]]]:
    """The objects of a JSON Lines file.

    `valid` are the keys that may be there; None allows any.
    """
    for place, value in json_lines(read_text(Path(file.where), file), file):
        if not is_object(value):
            place.refuse("", value, wanted="an object", fix="Write one JSON object a line")
            continue
        if valid is not None:
            check_keys(value, valid, place=place)
        yield place, value


def read_json_members(file: Place) -> Iterator[Member]:
    """The members of the JSON object in a file; none when it holds something else."""
    value = read_json(Path(file.where), file)
    if is_object(value):
        for key, member in value.items():
            yield Member(place=file.at(f"{file.where}: {shown(key)}"), key=key, value=member)
    elif value is not None:
        what = f"must hold one object, got {shown(value)}"
        file.add("", what=what, fix="Check that it is the official file")


def read_json_objects(file: Place) -> Iterator[tuple[Place, dict[str, object]]]:
    """The objects of the JSON list in a file; their places are named by number, counted from 0."""
    for index, member in enumerate(read_json_list(Path(file.where), file)):
        place = file.at(f"{file.where}: item {index}")
        if is_object(member):
            yield place, member
        else:
            fix = "Check that it is the official file"
            place.refuse("", member, wanted="an object", fix=fix)


def read_table(
    file: Place,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    other_layout: Sequence[str] = (),
) -> Table:
    """The rows of a CSV file whose first row names the columns.

    Columns that are neither required nor optional are listed as ignored. Where all columns of
    `other_layout` are there, they stand for those that are required.

    Blank rows are left out, cells are verbatim; there are no rows when the first cannot be used.
    """
    before = len(file.problems)
    text = read_text(Path(file.where), file)
    if not text and len(file.problems) > before:
        return Table(rows=iter(()), ignored=())
    rows = csv_rows(text, file)
    first = next(rows, None)
    place, header = first if first else (file, list[str]())
    if other_layout and set(other_layout) <= set(header):
        required = other_layout
    if not check_columns(place, header, required):
        return Table(rows=iter(()), ignored=())
    known = (*required, *optional)
    return Table(
        rows=filled_rows(rows, header), ignored=tuple(one for one in header if one not in known)
    )


def _check_folder(path: Path, wanted: str) -> None:
    if not os.path.isdir(path):
        what = "is a file" if os.path.isfile(path) else "does not exist"
        raise DataError(what, where=str(path), fix=f"Give the folder that holds {wanted}")


def _not_found(path: Path, wanted: str, subfolders: Sequence[str]) -> DataError:
    below = [f"{one}/" for one in subfolders if one]
    fix = f"It is looked for in the folder itself{' and in ' if below else ''}{', '.join(below)}"
    return DataError(f"does not hold {wanted}", where=str(path), fix=fix)


MAX_NUMBER = 1_000_000_000

ALL = "all"
"""The split that is everything."""

Item = TypeVar("Item")


def raise_unless_items(place: Place, items: Sized, *, lacking: str = "items") -> None:
    """Raise all that was noted, or that there is nothing where nothing else is wrong."""
    if not items and not place.problems:
        fix = "Check that the files are whole"
        place.add("", what=f"holds no {lacking}", fix=fix)
    raise_problems(place)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one entry. `values`: by name. An entry of a CSV file holds text only."""

    values: Mapping[str, object]
    place: Place

    def caption(self, name: str) -> str:
        """Text that says something, verbatim."""
        return self._checked(name, check_filled)

    def captions(self, name: str) -> tuple[str, ...]:
        """At least one text that says something, verbatim."""
        if not self._is_there(name):
            return ()
        values = self.values[name]
        if not is_list(values) or not values:
            what = (
                f"must be a list of texts, got {'an empty one' if values == [] else shown(values)}"
            )
            self.place.add(name, what=what, fix="Put at least one text in [ ]")
            return ()
        return tuple(
            check_filled(value, f"{name}[{index}]", place=self.place)
            for index, value in enumerate(values)
        )

    def name(self, name: str) -> str:
        """An identifier: text of one line without spaces around it."""
        return self._checked(name, check_name)

    def optional_name(self, name: str, *, default: str) -> str:
        """An identifier, or the default when the field is missing or an empty cell."""
        if self.values.get(name, "") == "":
            return default
        return check_name(self.values[name], name, place=self.place)

    def path(self, name: str) -> str:
        """The path of an image or video below the folder of them."""
        return self._checked(name, check_path)

    def numbered_name(self, name: str) -> str:
        """A whole number as an identifier; empty when it is none."""
        before = len(self.place.problems)
        number = self.whole_number(name)
        return "" if len(self.place.problems) > before else str(number)

    def whole_number(self, name: str, *, least: int | None = None) -> int:
        """A JSON number without a fraction; 0 when it is none."""
        if not self._is_there(name):
            return 0
        value = self.values[name]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.place.refuse(
                name,
                value,
                wanted="a whole number",
                fix="Write it without quotation marks and fraction",
            )
            return 0
        if abs(value) > MAX_NUMBER or (least is not None and value < least):
            bounds = f"{-MAX_NUMBER if least is None else least:,} … {MAX_NUMBER:,}"
            self.place.add(name, what=f"is {shown(value)}, outside {bounds}", fix="Correct it")
            return 0
        return value

    def _checked(self, name: str, check: Callable[..., str]) -> str:
        return check(self.values[name], name, place=self.place) if self._is_there(name) else ""

    def _is_there(self, name: str) -> bool:
        """Notes a field that is missing."""
        if name not in self.values:
            self.place.add(name, what="is missing", fix="Every entry needs it")
        return name in self.values


@dataclass(slots=True)
class UniqueIds:
    """Ids found so far, with where each was first."""

    places: dict[str, str] = field(default_factory=dict[str, str])

    def check(self, item_id: str, *, place: Place) -> None:
        """Notes an id that was there before."""
        first = self.places.setdefault(item_id, place.where)
        if item_id and first != place.where:
            what = f"{shown(item_id)} is at {first}, too"
            place.add("", what=what, fix="Give every item an id of its own, or remove one")


def take_split(
    items: Sequence[tuple[str, Item]], split: str, *, where: str
) -> tuple[str | None, tuple[Item, ...]]:
    """The items of a split.

    Items of no split come with an empty one; `all` takes all.

    The first result is the split as a result names it, None when the items have none.

    Raises:
        DataError: No item is of the split; the message lists the splits.
    """
    splits = sorted({name for name, _ in items if name})
    if split == ALL:
        return ALL if splits else None, tuple(item for _, item in items)
    taken = tuple(item for name, item in items if name == split)
    if not taken:
        fix = f"Splits are {', '.join(splits)}" if splits else "It has none: leave split= out"
        raise DataError(f"there are no items of split {shown(split)}", where=where, fix=fix)
    return split, taken


def ignored_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """A notice that names the columns which have no meaning."""
    names = ", ".join(map(shown, columns))
    return counted(len(columns), "column", f"ignored: {names}") if columns else ()

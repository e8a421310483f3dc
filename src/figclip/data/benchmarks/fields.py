"""Checks of the fields of an entry; what is wrong is noted and an empty value returned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from figclip.data.annotations import counted
from figclip.data.reading import Place, check_text, is_list, shown
from figclip.errors import DataError

MAX_NUMBER = 1_000_000_000

_NOT_A_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE = re.compile(r"[A-Za-z]:")

ALL = "all"
"""The split that is everything."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one entry.

    Attributes:
        values: By name. An entry of a CSV file holds text only.
        place: Takes what is wrong with them.
    """

    values: Mapping[str, object]
    place: Place

    def caption(self, name: str) -> str:
        """Text that says something, verbatim."""
        if not self._is_there(name):
            return ""
        return check_caption(self.values[name], name, place=self.place)

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
            check_caption(value, f"{name}[{index}]", place=self.place)
            for index, value in enumerate(values)
        )

    def name(self, name: str) -> str:
        """An identifier: text of one line without spaces around it."""
        return check_name(self.values[name], name, place=self.place) if self._is_there(name) else ""

    def optional_name(self, name: str, *, default: str) -> str:
        """An identifier, or the default when the field is missing or an empty cell."""
        if self.values.get(name, "") == "":
            return default
        return check_name(self.values[name], name, place=self.place)

    def path(self, name: str) -> str:
        """The path of an image or video below the folder of them."""
        return check_path(self.values[name], name, place=self.place) if self._is_there(name) else ""

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
            what = f"must be a whole number, got {shown(value)}"
            self.place.add(name, what=what, fix="Write it without quotation marks and fraction")
            return 0
        if abs(value) > MAX_NUMBER or (least is not None and value < least):
            bounds = f"{-MAX_NUMBER if least is None else least:,} … {MAX_NUMBER:,}"
            self.place.add(name, what=f"is {shown(value)}, outside {bounds}", fix="Correct it")
            return 0
        return value

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


def check_caption(value: object, name: str, *, place: Place) -> str:
    """The value as text that is not blank, verbatim."""
    text = check_text(value, name, place=place)
    if isinstance(value, str) and not value.strip():
        place.add(name, what="is empty", fix="Write something, or remove the entry")
    return text


def check_name(value: object, name: str, *, place: Place) -> str:
    """The value as text of one line without spaces around it."""
    before = len(place.problems)
    text = check_text(value, name, place=place)
    if len(place.problems) == before and (
        not text or text != text.strip() or _NOT_A_NAME.search(text)
    ):
        what = f"is {shown(text)}: empty, of several lines, or with spaces around it"
        place.add(name, what=what, fix="Write it without them")
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


def take_split(
    items: Sequence[tuple[str, Item]], split: str, *, where: str
) -> tuple[str | None, tuple[Item, ...]]:
    """The items of a split.

    Args:
        items: Each with its split; empty for an item of none.
        split: `all` for all.
        where: The file.

    Returns:
        The split as a result names it, None when the items have none; and its items.

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

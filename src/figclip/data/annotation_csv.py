"""Turns annotation CSV, one event a row, into the objects that a line of annotation JSONL holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from figclip.data.reading import Place, csv_rows, nearest, shown

ROLE_PREFIX = "role:"
VIDEO_COLUMNS = ("id", "video", "split", "group")
EVENT_COLUMNS = ("start_s", "end_s", "verb", "sense", "scene")
COLUMNS = (*VIDEO_COLUMNS, "annotation", *EVENT_COLUMNS)
REQUIRED_COLUMNS = ("video", "start_s", "end_s", "verb")

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_ROLE = re.compile(r"role:(?P<name>.*?)(?::(?P<slot>Arg[0-9M]))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawVideo:
    """One annotation of one video, not yet checked, in the shape of a JSONL line.

    Attributes:
        place: Where it is read from.
        value: The parsed JSON value, an object when all is well.
        event_places: Where each event is read from; empty when they are parts of `place`.
    """

    place: Place
    value: object
    event_places: list[Place] = field(default_factory=list[Place])


def parse_csv(text: str, file: Place) -> list[RawVideo]:
    """Gathers the rows of each annotation, in the order of their first row.

    Rows belong to one annotation when their `id` (else `video`) and `annotation` cells agree.

    Args:
        text: The whole file, first row the column names.
        file: Takes what is wrong with the table; its `where` is the path.

    Returns:
        One entry an annotation. Empty cells are left out; times are numbers where they are
        written as numbers. Nothing else is checked here.
    """
    rows = csv_rows(text, file)
    first_row = next(rows, None)
    if first_row is None or not _check_header(*first_row):
        return []
    header = first_row[1]
    annotations: dict[tuple[str, str], _Gathered] = {}
    for place, cells in rows:
        if len(cells) != len(header):
            what = f"has {len(cells)} cells, the first row has {len(header)}"
            place.add("", what=what, fix="Give every row the same number; quote texts with commas")
            continue
        row = {column: cell for column, cell in zip(header, cells, strict=True) if cell.strip()}
        _add_row(row, place, annotations)
    return [
        RawVideo(
            place=gathered.places[0],
            value={**gathered.head, "events": gathered.events},
            event_places=gathered.places,
        )
        for gathered in annotations.values()
    ]


@dataclass(frozen=True, slots=True)
class _Gathered:
    """The rows of one annotation read so far: the first one's video cells, and the events."""

    head: dict[str, str]
    events: list[object] = field(default_factory=list[object])
    places: list[Place] = field(default_factory=list[Place])


def _check_header(place: Place, header: list[str]) -> bool:
    """Notes what is wrong with the column names; True when the rows can be read."""
    before = len(place.problems)
    valid = (*COLUMNS, f"{ROLE_PREFIX}NAME", f"{ROLE_PREFIX}NAME:SLOT")
    for index, column in enumerate(header):
        if column in header[:index] and not column.startswith(ROLE_PREFIX):
            place.add(column, what="is the name of two columns", fix="Rename or remove one")
        if column not in COLUMNS and not column.startswith(ROLE_PREFIX):
            place.add(column, what="is an unknown column", fix=nearest(column, valid))
    roles = [role["name"] for column in header if (role := _ROLE.fullmatch(column))]
    for index, name in enumerate(roles):
        if name in roles[:index] or not name.strip():
            what = "is the role of two columns" if name.strip() else "has no role name"
            place.add(f"{ROLE_PREFIX}{name}", what=what, fix="Rename or remove the column")
    for column in REQUIRED_COLUMNS:
        if column not in header:
            fix = "The first row names the columns, separated by commas"
            place.add(column, what="column is missing", fix=fix)
    return len(place.problems) == before


def _add_row(
    row: dict[str, str], place: Place, annotations: dict[tuple[str, str], _Gathered]
) -> None:
    """Adds one row's event to its annotation, which the first such row opens."""
    head = {column: row[column] for column in VIDEO_COLUMNS if column in row}
    key = (head.get("id", head.get("video", "")), row.get("annotation", ""))
    gathered = annotations.setdefault(key, _Gathered(head))
    for column in VIDEO_COLUMNS:
        here, first = head.get(column, ""), gathered.head.get(column, "")
        if here != first:
            what = f"is {shown(here)}, but {shown(first)} in the first row of this video"
            place.add(column, what=what, fix="Write the same in every row of a video")
    gathered.events.append(_event(row))
    gathered.places.append(place)


def _event(row: dict[str, str]) -> dict[str, object]:
    """The event of one row, as JSONL would spell it."""
    event: dict[str, object] = {}
    roles: dict[str, str] = {}
    slots: dict[str, str] = {}
    for column, cell in row.items():
        if column in EVENT_COLUMNS:
            is_time = column.endswith("_s") and _NUMBER.fullmatch(cell)
            event[column] = float(cell) if is_time else cell
        elif role := _ROLE.fullmatch(column):
            roles[role["name"]] = cell
            if role["slot"]:
                slots[role["name"]] = role["slot"]
    return {**event, "roles": roles, "slots": slots}

"""Read figclip's own annotation files: JSON Lines (one video per line) and CSV (one event per row).

`docs/annotations.md` describes the format for people, `annotations.schema.json` beside this file
for tools. Checked here is what a schema cannot say: ends come after starts, slots of roles exist.
CSV rows become the objects that a line of JSON holds, and then take the same path.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Any

from figclip.annotations.reading import (
    Place,
    check_columns,
    check_filled,
    check_keys,
    check_name,
    check_path,
    check_text,
    csv_rows,
    filled_rows,
    is_list,
    is_object,
    json_lines,
    nearest,
    note_excess,
    raise_problems,
    read_text,
    repetitions,
)
from figclip.annotations.splits import TRAIN_SPLIT
from figclip.config import MAX_POSITIONS
from figclip.errors import shown
from figclip.records import MODIFIER_SLOT, Annotation, AnnotationSet, Event, Role, VideoRecord

ROLE_PREFIX = "role:"
VIDEO_COLUMNS = ("id", "video", "split", "group")
EVENT_COLUMNS = ("start_s", "end_s", "verb", "sense", "scene")
COLUMNS = (*VIDEO_COLUMNS, "annotation", *EVENT_COLUMNS)
MAX_ROWS = 500_000
"""Most rows of CSV: half as many as lines of JSON, as they are gathered before they are checked."""
MAX_FILLED_CELLS = 5_000_000
"""Most cells of CSV that are not blank: each takes up to 100 bytes of memory."""
REQUIRED_COLUMNS = ("video", "start_s", "end_s", "verb")

# Linear: no two of its parts that repeat can match the same characters side by side.
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_SEPARATOR = b"\xff"
_ROLE = re.compile(r"role:(?P<name>.*?)(?::(?P<slot>Arg[0-9M]))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawVideo:
    """One annotation of one video, not yet checked, in the shape of a JSONL line.

    Attributes:
        event_places: Where each event is read from; empty when they are parts of `place`.
        spelt: What JSONL holds in place of an entry of `events`.
    """

    place: Place
    value: object
    event_places: list[Place] = field(default_factory=list[Place])
    spelt: Callable[[Any], object] = lambda event: event


def parse_csv(text: str, file: Place) -> Iterator[RawVideo]:
    """Gathers the rows of each annotation, in the order of their first row.

    Rows belong to one annotation when their `id` (else `video`) and `annotation` cells agree.

    Returns:
        One entry an annotation, made as it is asked for, as its rows take many times the memory
        of the text. Empty cells are left out; times are numbers where they are written as numbers.
        Nothing else is checked here, and this before the first is given.
    """
    rows = csv_rows(text, file, limit=MAX_ROWS)
    first_row = next(rows, None)
    if first_row is None or not _check_header(*first_row):
        return iter(())
    packing = _Packing(file, first_row[1])
    annotations: dict[tuple[str, str], list[bytes]] = {}
    num_filled = 0
    for place, row in filled_rows(rows, packing.header):
        filled = _filled(row)
        num_filled += len(filled)
        if num_filled > MAX_FILLED_CELLS:
            note_excess(place, MAX_FILLED_CELLS, "filled cells")
            break
        key = (filled.get("id", filled.get("video", "")), filled.get("annotation", ""))
        packed = packing.packed(place, row)
        if (others := annotations.get(key)) is None:
            annotations[key] = [packed]
        else:
            _check_same_video(filled, packing.row(others[0]), place)
            others.append(packed)
    return _raw_videos(packing, list(annotations.values()))


@dataclass(frozen=True, slots=True)
class _Packing:
    """Keeps rows as bytes: their lines and cells in UTF-8, with a separator that UTF-8 has not."""

    file: Place
    header: list[str]

    def packed(self, place: Place, row: dict[str, str]) -> bytes:
        line = place.where.removeprefix(self.file.where)
        return _SEPARATOR.join(map(str.encode, (line, *row.values())))

    def place(self, packed: bytes) -> Place:
        line, _, _ = packed.partition(_SEPARATOR)
        return self.file.at(self.file.where + line.decode())

    def row(self, packed: bytes) -> dict[str, str]:
        """The cells that are not blank."""
        _, *cells = map(bytes.decode, packed.split(_SEPARATOR))
        return _filled(dict(zip(self.header, cells, strict=True)))


def _raw_videos(packing: _Packing, annotations: list[list[bytes]]) -> Iterator[RawVideo]:
    """The annotations, each forgotten once it is given."""
    matches = ((column, _ROLE.fullmatch(column)) for column in packing.header)
    role_of = {column: (role["name"], role["slot"]) for column, role in matches if role}
    annotations.reverse()
    while annotations:
        rows = annotations.pop()
        places = [packing.place(row) for row in rows]
        first = packing.row(rows[0])
        head = {column: first[column] for column in VIDEO_COLUMNS if column in first}
        yield RawVideo(
            place=places[0],
            value={**head, "events": rows},
            event_places=places,
            spelt=lambda row: _event(packing.row(row), role_of),
        )


def _check_header(place: Place, header: list[str]) -> bool:
    """Notes what is wrong with the column names; True when the rows can be read."""
    before = len(place.problems)
    valid = (*COLUMNS, f"{ROLE_PREFIX}NAME", f"{ROLE_PREFIX}NAME:SLOT")
    for column in header:
        if column not in COLUMNS and not column.startswith(ROLE_PREFIX):
            place.add(column, what="is an unknown column", fix=nearest(column, valid))
    roles = [role["name"] for column in header if (role := _ROLE.fullmatch(column))]
    named = [name for name in roles if name.strip()]
    wrong = [(name, "has no role name") for name in roles if not name.strip()]
    wrong += [(name, "is the role of two columns") for name in repetitions(named)]
    for name, what in wrong:
        place.add(f"{ROLE_PREFIX}{name}", what=what, fix="Rename or remove the column")
    check_columns(place, header, REQUIRED_COLUMNS, repeated=ROLE_PREFIX)
    return len(place.problems) == before


def _check_same_video(row: dict[str, str], first: dict[str, str], place: Place) -> None:
    """Notes what is not the same in a later row of an annotation."""
    for column in VIDEO_COLUMNS:
        here, there = row.get(column, ""), first.get(column, "")
        if here != there:
            what = f"is {shown(here)}, but {shown(there)} in the first row of this video"
            place.add(column, what=what, fix="Write the same in every row of a video")


def _filled(row: dict[str, str]) -> dict[str, str]:
    """The cells that are not blank."""
    return {column: cell for column, cell in row.items() if cell.strip()}


def _event(row: dict[str, str], role_of: dict[str, tuple[str, str | None]]) -> dict[str, object]:
    """The event of one row, as JSONL would spell it; names and slots of roles are by column."""
    event: dict[str, object] = {}
    roles: dict[str, str] = {}
    slots: dict[str, str] = {}
    for column, cell in row.items():
        if column in EVENT_COLUMNS:
            is_time = column.endswith("_s") and _NUMBER.fullmatch(cell)
            event[column] = float(cell.strip()) if is_time else cell
        elif column in role_of:
            name, slot = role_of[column]
            roles[name] = cell
            if slot:
                slots[name] = slot
    return {**event, **({"roles": roles, "slots": slots} if roles else {})}


FORMAT_VERSION = 1
# Eleven days. Longer times are milliseconds or frame numbers by mistake, and would overflow the
# integer time stamps of a video.
MAX_TIME_S = 1e6
MODIFIER_NAMES = ("direction", "manner", "location", "goal", "purpose")
SCENE_NAME = "scene"
NUMBERED_SLOTS = tuple(f"Arg{number}" for number in range(10))

VIDEO_KEYS = ("video", "id", "split", "group", "events", "captions", "format")
EVENT_KEYS = ("start_s", "end_s", "verb", "sense", "roles", "slots", "scene")


def load_annotations(path: Traversable) -> AnnotationSet:
    """Reads one `.jsonl` or `.csv` file of annotations.

    Several annotations of one video stay apart; equal ones are dropped and counted in a notice.

    The file is UTF-8, with or without byte order mark; its suffix decides the format.

    Returns:
        The videos in the order of their first line, texts verbatim, `split_sizes` empty.

    Raises:
        AnnotationError: Lists every problem of the file, each with its line and field.
    """
    file = Place(str(path))
    suffix = PurePath(path.name).suffix.casefold()
    return _checked(_raw_in(read_text(path, file), file, suffix=suffix), file)


def parse_annotations(text: str, *, source: str) -> AnnotationSet:
    """As `load_annotations`, of the text of a `.jsonl` file; `source` is what problems call it."""
    file = Place(source)
    return _checked(_raw_in(text, file, suffix=".jsonl"), file)


def _checked(raw_videos: Iterable[RawVideo], file: Place) -> AnnotationSet:
    """What the annotations of a file say, when nothing is wrong with them."""
    parsed = ((raw.place, record) for raw in raw_videos if (record := _parse_video(raw)))
    records, num_dropped = _gather(parsed)
    if not records and not file.problems:
        file.add("", what="holds no videos", fix="Write at least one")
    raise_problems(file)
    return AnnotationSet(
        name="events",
        source=file.where,
        records=records,
        notices=(
            *counted(num_dropped, "annotation", "equal another of its video: dropped"),
            *split_notices(records),
        ),
    )


def _raw_in(text: str, file: Place, *, suffix: str) -> Iterable[RawVideo]:
    """The annotations in the text of a file, one at a time: parsed, they take much more memory."""
    if suffix == ".jsonl" and text.lstrip().startswith("[") and "\n" in text.strip():
        file.add("", what="is one JSON list", fix="Write one object a line, without [ ]")
    elif suffix == ".jsonl":
        return (RawVideo(place=place, value=value) for place, value in json_lines(text, file))
    elif suffix == ".csv":
        return parse_csv(text, file)
    elif not file.problems:
        fix = "Rename it if it is one of them; VidSitu is read from its folder"
        file.add("", what="is neither .jsonl nor .csv", fix=fix)
    return ()


def split_verb(text: str) -> tuple[str, str]:
    """The bare verb and its gloss: `deflect (block, avoid)` gives `deflect` and `block, avoid`.

    The gloss is all between the first opening and the last parenthesis, so it may hold more of
    them; it is empty when the text does not end in one.
    """
    stripped = text.strip()
    verb, _, rest = stripped.partition("(")
    return (verb.rstrip(), rest[:-1]) if rest.endswith(")") else (stripped, "")


def counted(count: int, noun: str, rest: str) -> tuple[str, ...]:
    """A notice such as `5 events have …`, or none when the count is zero."""
    return (f"{count:,} {noun}{'s' if count != 1 else ''} {rest}",) if count else ()


def split_notices(records: Sequence[VideoRecord]) -> tuple[str, ...]:
    """Warns when a group or a video file is in more than one split: results would be too good."""
    notices: list[str] = []
    for noun, attribute in (("group", "group"), ("video file", "video")):
        split_of: dict[str, str] = {}  # the first of each, as sets would take much memory
        in_others: set[str] = set()
        for record in records:
            name = getattr(record, attribute)
            if name and split_of.setdefault(name, record.split) != record.split:
                in_others.add(name)
        leaking = [name for name in split_of if name in in_others]
        rest = f"in more than one split, the first is {shown(leaking[0])}" if leaking else ""
        notices.extend(counted(len(leaking), noun, rest))
    return tuple(notices)


def _parse_video(raw: RawVideo) -> VideoRecord | None:
    """One annotation of one video; None, with the problems noted, when it has any."""
    value, place = raw.value, raw.place
    before = len(place.problems)
    if not is_object(value):
        place.refuse("", value, wanted="an object", fix='Write {"video": …}')
        return None
    version = value.get("format", FORMAT_VERSION)
    if version != FORMAT_VERSION or isinstance(version, bool):
        what = f"is {shown(version)}, this figclip reads format {FORMAT_VERSION}"
        place.add("format", what=what, fix="Install a newer figclip, or leave the key out")
        return None
    check_keys(value, VIDEO_KEYS, place=place)
    video = ""
    if "video" in value:
        video = check_path(value["video"], "video", place=place)
    else:
        fix = "Give the path of the video file below the folder of videos"
        place.add("video", what="is missing", fix=fix)
    record = VideoRecord(
        id=_name(value, "id", default=video, place=place),
        video=video,
        split=_name(value, "split", default=TRAIN_SPLIT, place=place),
        group=_name(value, "group", default="", place=place),
        annotations=(Annotation(events=_events(value, raw), captions=_captions(value, place)),),
    )
    if not value.get("events") and not value.get("captions"):
        place.add("events", what="and captions are both missing", fix="Give one of them, or both")
    return record if len(place.problems) == before else None


def _name(value: dict[str, object], key: str, *, default: str, place: Place) -> str:
    """An identifier, or the default where there is none."""
    return check_name(value[key], key, place=place) if key in value else default


def _captions(value: dict[str, object], place: Place) -> tuple[str, ...]:
    """The plain sentences of a video."""
    captions = value.get("captions", [])
    if not is_list(captions):
        place.refuse(
            "captions", captions, wanted="a list of sentences", fix="Put the sentences in [ ]"
        )
        return ()
    return tuple(
        check_filled(caption, f"captions[{index}]", place=place)
        for index, caption in enumerate(captions)
    )


def _events(value: dict[str, object], raw: RawVideo) -> tuple[Event, ...]:
    """The events of one annotation, those without problems."""
    events, place = value.get("events", []), raw.place
    if not is_list(events):
        place.refuse("events", events, wanted="a list of events", fix="Put the events in [ ]")
        return ()
    if len(events) > MAX_POSITIONS:
        what = f"has {len(events)} entries, at most {MAX_POSITIONS} are supported"
        place.add("events", what=what, fix="Divide the video into several entries")
    places = raw.event_places or [place.inside(f"events[{index}].") for index in range(len(events))]
    parsed = [_parse_event(raw.spelt(one), at) for one, at in zip(events, places, strict=True)]
    return tuple(event for event in parsed if event)


def _parse_event(value: object, place: Place) -> Event | None:
    """One event; None, with the problems noted, when it has any."""
    if not is_object(value):
        place.refuse("", value, wanted="an object", fix='Write {"start_s": …}')
        return None
    before = len(place.problems)
    check_keys(value, EVENT_KEYS, place=place)
    start_s, end_s = (_time_s(value, key, place) for key in ("start_s", "end_s"))
    if start_s is not None and end_s is not None and start_s >= end_s:
        what = f"is {end_s:g}, not after start_s {start_s:g}"
        place.add("end_s", what=what, fix="An event ends after it starts")
    verb, gloss = split_verb(check_text(value.get("verb", ""), "verb", place=place))
    if (not verb or verb.startswith("(")) and isinstance(value.get("verb", ""), str):
        place.add("verb", what="is missing or empty", fix='Write "walk" or "walk (on foot)"')
    roles, scene_role = _roles(value, place)
    scene = check_text(value.get("scene", ""), "scene", place=place)
    if "scene" in value and scene_role is not None:
        place.add("scene", what="is given twice, also as a role", fix="Remove one of them")
    sense = _name(value, "sense", default="", place=place)
    if len(place.problems) > before or start_s is None or end_s is None:
        return None
    return Event(
        start_s=start_s,
        end_s=end_s,
        verb=verb,
        gloss=gloss,
        sense=sense,
        roles=roles,
        scene=scene or scene_role or "",
    )


def _time_s(value: dict[str, object], key: str, place: Place) -> float | None:
    """A time in seconds from the start of the video."""
    if key not in value:
        place.add(key, what="is missing", fix="Give the time in seconds")
        return None
    time = value[key]
    if isinstance(time, bool) or not isinstance(time, int | float):
        place.refuse(key, time, wanted="a number", fix="Write seconds, with a decimal point: 2.5")
        return None
    # The comparison also holds for integers too large for a float.
    if not 0 <= time <= MAX_TIME_S or math.isnan(time):
        what = f"is {shown(time)}, outside 0 … {MAX_TIME_S:,.0f} s"
        place.add(key, what=what, fix="Give the time in seconds from the start of the video")
        return None
    return float(time)


def _roles(value: dict[str, object], place: Place) -> tuple[tuple[Role, ...], str | None]:
    """The roles of an event, and the text of the role `scene`, which is no role of the record."""
    texts, slots = value.get("roles", {}), value.get("slots", {})
    for key, found in (("roles", texts), ("slots", slots)):
        if not is_object(found):
            place.refuse(key, found, wanted="an object", fix='Write {"walker": …}')
    if not is_object(texts) or not is_object(slots):
        return (), None
    for name in texts:
        check_filled(name, f"roles.{name[:40]}", place=place)
    checked = {
        name: check_text(text, f"roles.{name[:40]}", place=place) for name, text in texts.items()
    }
    scene = checked.pop(SCENE_NAME, None)
    explicit = _explicit_slots(slots, checked, place=place)
    free = iter([slot for slot in NUMBERED_SLOTS if slot not in explicit.values()])
    roles: list[Role] = []
    for name, text in checked.items():
        is_modifier = name.casefold() in MODIFIER_NAMES
        slot = explicit.get(name) or (MODIFIER_SLOT if is_modifier else next(free, None))
        if slot is None:
            what = f"has more than {len(NUMBERED_SLOTS)} roles that are no modifiers"
            place.add("roles", what=what, fix=f'Give some the slot "{MODIFIER_SLOT}"')
            break
        roles.append(Role(name=name, text=text, slot=slot))
    return tuple(roles), scene


def _explicit_slots(
    slots: dict[str, object], roles: dict[str, str], *, place: Place
) -> dict[str, str]:
    """The slots that the annotation gives, by role name."""
    explicit: dict[str, str] = {}
    numbered: set[str] = set()
    valid = (*NUMBERED_SLOTS, MODIFIER_SLOT)
    for name, slot in slots.items():
        field = f"slots.{name[:40]}"
        if name not in roles:
            is_scene = name == SCENE_NAME
            what = "has no slot" if is_scene else "is not one of the roles of this event"
            place.add(field, what=what, fix="Remove it from slots")
        elif not isinstance(slot, str) or slot not in valid:
            what = f"is {shown(slot)}"
            place.add(field, what=what, fix=f"Valid are Arg0 … Arg9 and {MODIFIER_SLOT}")
        elif slot in numbered:
            what = f"is {slot}, as another role of this event is"
            place.add(field, what=what, fix="Give every numbered slot once")
        else:
            explicit[name] = slot
            numbered |= {slot} - {MODIFIER_SLOT}
    return explicit


def _gather(
    parsed: Iterable[tuple[Place, VideoRecord]],
) -> tuple[tuple[VideoRecord, ...], int]:
    """Joins the annotations of each id; also the number of equal annotations dropped."""
    videos: dict[str, tuple[VideoRecord, str]] = {}
    repeated: dict[str, dict[Annotation, None]] = {}
    num_dropped = 0
    for place, record in parsed:
        first, where = videos.setdefault(record.id, (record, place.where))
        if first is record:
            continue
        for name in ("video", "split", "group"):
            here, there = getattr(record, name), getattr(first, name)
            if here != there:
                what = f"is {shown(here)}, but {shown(there)} at {where} for the same id"
                place.add(name, what=what, fix="Give every annotation of a video the same")
        annotations = repeated.setdefault(record.id, dict.fromkeys(first.annotations))
        (annotation,) = record.annotations
        num_dropped += annotation in annotations
        annotations[annotation] = None
    records = (
        replace(first, annotations=tuple(repeated[first.id])) if first.id in repeated else first
        for first, _ in videos.values()
    )
    return tuple(records), num_dropped

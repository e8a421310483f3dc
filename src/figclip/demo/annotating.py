"""Annotations as a page edits them: a line of JSON Lines at a time, checked by their reader."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast

from figclip.annotations.captions import TEMPLATES, caption_event
from figclip.annotations.own_files import parse_annotations
from figclip.annotations.verb_negatives import SensePool, build_sense_pool, negative_events
from figclip.annotations.vidsitu import load_source
from figclip.config import TextConfig
from figclip.demo.media import Medium
from figclip.errors import ConfigError, printable, shown
from figclip.records import Annotation, Event, VideoRecord, event_key
from figclip.runtime.files import write_atomically
from figclip.runtime.reading import parse_json, read_utf8
from figclip.video.container import video_duration_s
from figclip.video.media_folder import VIDEO_SUFFIXES, MediaFolder

MAX_LINES, MAX_LINE_CHARS = 2_000, 200_000
_NEW_EVENT_S = 2.0
_TEXT = TextConfig()
_TEMPLATE = TEMPLATES[_TEXT.template]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenEvent:
    """An event with what training makes of it: its caption and its hard negatives."""

    event: Event
    caption: str
    negatives: tuple[str, ...]


class Annotations:
    """The lines of a set of annotations, and the videos that they are of.

    Attributes:
        file: Where lines are saved; None for what is only shown.
        lines: One JSON text an annotation.
        names: What each is called in a list.
    """

    def __init__(
        self, lines: Sequence[str], *, pool: SensePool, videos: Path, file: Path | None = None
    ) -> None:
        self.file, self.lines = file, list(lines)
        self._videos = MediaFolder(videos, suffixes=VIDEO_SUFFIXES)
        self._root = videos.resolve()
        self._pool = pool
        self.names = _names([self._record(line).id for line in lines])
        self._lock = Lock()

    @classmethod
    def load(cls, source: Path, *, videos: Path) -> Annotations:
        """Read a `.jsonl` file, to be changed, or VidSitu's folder, to be looked at.

        Raises:
            AnnotationError: all that is wrong with it.
            ConfigError: a file of another kind.
            DataError: `videos` is no folder.
        """
        if not source.is_dir() and source.suffix.casefold() != ".jsonl":
            raise ConfigError(
                "is not changed here",
                where=f"--annotations {source}",
                fix="Give a .jsonl file (docs/annotations.md)",
            )
        records = load_source(source).records
        if source.is_dir():
            lines = [line_of(one, each) for one in records for each in one.annotations]
        else:
            lines = _lines_of(source)
        if len(lines) > MAX_LINES:
            raise ConfigError(
                f"has {len(lines):,} annotations, a page takes {MAX_LINES:,}",
                where=f"--annotations {source}",
                fix="Divide the file",
            )
        pool = build_sense_pool(records)
        return cls(lines, pool=pool, videos=videos, file=None if source.is_dir() else source)

    def video(self, line: str) -> Medium | None:
        """The video of a line, if it lies in the folder of videos; links must not lead out of it.

        Raises:
            AnnotationError: as `check`.
            VideoError: it is no video.
        """
        found = self._videos.find(self._record(line).video)
        inside = [one for one in found if one.resolve().is_relative_to(self._root)]
        if len(inside) != 1:
            return None
        return Medium(path=inside[0], span_s=(0.0, video_duration_s(inside[0])))

    def events(self, line: str) -> tuple[WrittenEvent, ...]:
        """The events of a line, as training would read them.

        Raises:
            AnnotationError: as `check`.
        """
        record = self._record(line)
        return tuple(
            self._written(event, record, event_key(record.id, annotation_idx=0, event_idx=n))
            for n, event in enumerate(record.annotations[0].events)
        )

    def check(self, line: str) -> None:
        """Refuse a line that the reader of annotations refuses.

        Raises:
            AnnotationError: all that is wrong with it.
            ConfigError: it is longer than a page takes.
        """
        self._record(line)

    def save(self, position: int, line: str) -> None:
        """Put a line in the place of another, in the file, which is written whole or not at all.

        Raises:
            AnnotationError: the file would have problems.
            ConfigError: nothing can be saved, or the file has changed meanwhile.
            OutputError: it cannot be written.
        """
        self.check(line)
        if self.file is None:
            raise ConfigError(
                "These annotations can only be looked at",
                fix="Start with --annotations FILE.jsonl --videos DIR to save",
            )
        with self._lock:
            if _lines_of(self.file) != self.lines:
                raise ConfigError(
                    "The file was changed by another program meanwhile",
                    fix="Copy your line, and start the page again",
                )
            changed = [*self.lines[:position], _one_line(line), *self.lines[position + 1 :]]
            text = "".join(f"{one}\n" for one in changed)
            parse_annotations(text, source=self.file.name)
            write_atomically(self.file, text)
            self.lines = changed

    def _record(self, line: str) -> VideoRecord:
        """The record of a line."""
        if len(line) > MAX_LINE_CHARS:
            raise ConfigError(f"The line is longer than {MAX_LINE_CHARS:,} characters")
        (record,) = parse_annotations(_one_line(line), source="line").records
        return record

    def _written(self, event: Event, record: VideoRecord, key: str) -> WrittenEvent:
        """An event with its texts."""
        drawn = negative_events(
            event,
            video=record,
            pool=self._pool,
            policy=_TEXT.negative_policy,
            num_negatives=_TEXT.verb_negatives,
            seed=0,
            key=key,
        )
        texts = [caption_event(one, template=_TEMPLATE) for one in drawn if one is not None]
        caption = caption_event(event, template=_TEMPLATE)
        return WrittenEvent(event=event, caption=caption, negatives=tuple(dict.fromkeys(texts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventForm:
    """An event as a form shows it; `roles` are lines such as `walker: a man in red`."""

    start_s: float | None
    end_s: float | None
    verb: str
    roles: str
    scene: str


def form_of(line: str, number: int) -> EventForm:
    """The form of one event of a line that `Annotations.check` lets pass."""
    event = _events_of(_parsed(line))[number]
    return EventForm(
        start_s=event["start_s"],
        end_s=event["end_s"],
        verb=event["verb"],
        roles=_roles_text(event),
        scene=event.get("scene", ""),
    )


def with_form(line: str, number: int, form: EventForm) -> str:
    """The line with an event as a form says; what the form does not show stays.

    Raises:
        ConfigError: a role has no name, or the name of another.
    """
    content = _parsed(line)
    event = _events_of(content)[number]
    roles = event.get("roles", {})
    if form.roles != _roles_text(event):
        roles = _roles_of(form.roles)
    slots = {name: slot for name, slot in event.get("slots", {}).items() if name in roles}
    shown = {
        "start_s": form.start_s,
        "end_s": form.end_s,
        "verb": form.verb,
        "roles": roles,
        "slots": slots,
        "scene": form.scene,
    }
    changed = {**event, **shown}
    is_empty = (None, "", {})
    changed = {k: v for k, v in changed.items() if k not in shown or v not in is_empty}
    content["events"][number] = changed
    return _written_line(content)


def with_new_event(line: str, *, duration_s: float) -> str:
    """The line with one event more, after the last, or at the end of the video."""
    content = _parsed(line)
    events = _events_of(content)
    last_s = max((one["end_s"] for one in events), default=0.0)
    start_s = min(last_s, max(0.0, duration_s - _NEW_EVENT_S))
    new = {"start_s": start_s, "end_s": start_s + _NEW_EVENT_S, "verb": "do"}
    return _written_line({**content, "events": [*events, new]})


def without_event(line: str, number: int) -> str:
    """The line without an event."""
    content = _parsed(line)
    events = _events_of(content)
    return _written_line({**content, "events": [*events[:number], *events[number + 1 :]]})


def line_of(record: VideoRecord, annotation: Annotation) -> str:
    """An annotation as a line of JSON Lines that reads back as the same."""
    content: dict[str, Any] = {"id": record.id, "video": record.video, "split": record.split}
    if record.group:
        content["group"] = record.group
    if annotation.events:
        content["events"] = [_event_of(one) for one in annotation.events]
    if annotation.captions:
        content["captions"] = list(annotation.captions)
    return _written_line(content)


def _event_of(event: Event) -> dict[str, Any]:
    """An event as JSON."""
    verb = f"{event.verb} ({event.gloss})" if event.gloss else event.verb
    content: dict[str, Any] = {"start_s": event.start_s, "end_s": event.end_s, "verb": verb}
    if event.sense:
        content["sense"] = event.sense
    if event.roles:
        content["roles"] = {role.name: role.text for role in event.roles}
        content["slots"] = {role.name: role.slot for role in event.roles}
    if event.scene:
        content["scene"] = event.scene
    return content


def _roles_text(event: Mapping[str, Any]) -> str:
    """The roles of an event, a line each."""
    return "\n".join(f"{name}: {text}" for name, text in event.get("roles", {}).items())


def _roles_of(text: str) -> dict[str, str]:
    """Roles by their names."""
    roles: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, filler = (one.strip() for one in line.partition(":"))
        if not line.strip():
            continue
        if not name or not colon:
            raise ConfigError(f"The role {shown(line)} has no name", fix="Write walker: a man")
        if name in roles:
            raise ConfigError(f"The role {shown(name)} is there twice", fix="Remove one")
        roles[name] = filler
    return roles


def _parsed(line: str) -> dict[str, Any]:
    """The object of a line that was checked."""
    return cast(dict[str, Any], parse_json(line))


def _events_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of an object."""
    return content.get("events", [])


def _written_line(content: Mapping[str, Any]) -> str:
    """An object as one line."""
    return json.dumps(content, ensure_ascii=False)


def _one_line(line: str) -> str:
    """A line that was typed over several, as one."""
    return " ".join(line.split("\n"))


def _lines_of(file: Path) -> list[str]:
    """The lines of a file that are not blank."""
    lines = read_utf8(file).removeprefix("\N{BYTE ORDER MARK}").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _names(ids: Sequence[str]) -> list[str]:
    """What annotations are called: by the id of their video, numbered where it has several."""
    counts, seen = Counter(ids), Counter[str]()
    names: list[str] = []
    for one in ids:
        seen[one] += 1
        number = f", annotation {seen[one]}" if counts[one] > 1 else ""
        names.append(f"{printable(one)}{number}")
    return names

"""A VideoRecord as one line of JSON and back, exactly: how stores keep their annotations."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, cast

from figclip.errors import StoreError
from figclip.records import Annotation, Event, Role, VideoRecord


def record_to_json(record: VideoRecord) -> str:
    """One line of ASCII JSON; floats keep every bit, lone surrogates survive.

    Raises:
        StoreError: A time is not finite, which JSON cannot hold.
    """
    try:
        return json.dumps(asdict(record), allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise StoreError(
            "an event's time is not a finite number",
            where=f"record {record.id!r}",
            fix="Correct the annotation",
        ) from error


def record_from_json(text: str) -> VideoRecord:
    """The record that `record_to_json` wrote.

    Raises:
        StoreError: Anything else: no JSON, a missing or unknown field, a value of another type.
    """
    try:
        fields = _fields(
            json.loads(text), str, names=("id", "video", "split", "group"), other=("annotations",)
        )
        annotations = tuple(_annotation(each) for each in _list(fields.pop("annotations")))
        return VideoRecord(**fields, annotations=annotations)
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"a stored record is damaged ({error})",
            where=text[:80],
            fix="Run `figclip prepare` again",
        ) from error


def _annotation(value: object) -> Annotation:
    """One annotation."""
    fields = _fields(value, str, names=(), other=("events", "captions"))
    captions = _list(fields["captions"])
    if not all(isinstance(caption, str) for caption in captions):
        raise ValueError("a caption is not text")
    return Annotation(
        events=tuple(_event(each) for each in _list(fields["events"])),
        captions=tuple(cast(list[str], captions)),
    )


def _event(value: object) -> Event:
    """One event."""
    fields = _fields(
        value,
        str,
        names=("verb", "gloss", "sense", "scene", "relation"),
        other=("start_s", "end_s", "roles"),
    )
    for name in ("start_s", "end_s"):
        if isinstance(fields[name], bool) or not isinstance(fields[name], int | float):
            raise ValueError(f"{name} is not a number")
    roles = tuple(
        Role(**_fields(each, str, names=("name", "text", "slot"), other=()))
        for each in _list(fields.pop("roles"))
    )
    return Event(**fields, roles=roles)


def _fields(
    value: object, kind: type, *, names: tuple[str, ...], other: tuple[str, ...]
) -> dict[str, Any]:
    """The object's fields: exactly these, those in `names` of the given type."""
    if not isinstance(value, dict):
        raise ValueError("an object is missing")
    fields = cast(dict[str, Any], value)
    if fields.keys() != {*names, *other}:
        raise ValueError(f"fields {sorted(fields)} instead of {sorted({*names, *other})}")
    for name in names:
        if not isinstance(fields[name], kind):
            raise ValueError(f"{name} is not text")
    return dict(fields)


def _list(value: object) -> list[object]:
    """The value, when it is a list."""
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return cast(list[object], value)

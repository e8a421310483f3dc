"""A VideoRecord as one line of JSON and back, exactly: how stores keep their annotations."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import cache
from typing import Any, TypeVar, cast

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
        return _built(VideoRecord, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"a stored record is damaged ({error})",
            where=text[:80],
            fix="Run `figclip prepare` again",
        ) from error


_RECORDS: dict[str, type[Any]] = {"Annotation": Annotation, "Event": Event, "Role": Role}
_Record = TypeVar("_Record", VideoRecord, Annotation, Event, Role)


def _built(record: type[_Record], value: object) -> _Record:
    """The object as a record: it has exactly its fields, each of its type."""
    if not isinstance(value, dict):
        raise ValueError("an object is missing")
    types, values = _types_of(record), cast("dict[str, object]", value)
    if values.keys() != types.keys():
        raise ValueError(f"fields {sorted(values)} instead of {sorted(types)}")
    return record(**{name: _checked(values[name], types[name], name) for name in types})


def _checked(value: object, type_name: str, name: str) -> Any:
    """A text, a number, or a list of texts or of records, which becomes a tuple."""
    if type_name == "str":
        if not isinstance(value, str):
            raise ValueError(f"{name} is not text")
    elif type_name == "float":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is not a number")
    elif not isinstance(value, list):
        raise ValueError("a list is missing")
    else:
        of = type_name.removeprefix("tuple[").removesuffix(", ...]")
        members = cast("list[object]", value)
        if of in _RECORDS:
            return tuple(_built(_RECORDS[of], one) for one in members)
        return tuple(_checked(one, of, name) for one in members)
    return value


@cache
def _types_of(record: type[Any]) -> dict[str, str]:
    """Fields of a record with the names of their types."""
    return {field.name: str(field.type) for field in fields(record)}

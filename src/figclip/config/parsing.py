"""Configs of any kind as JSON text and from it, and the overrides of `--set`."""

import dataclasses
import difflib
import types
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from figclip.errors import ConfigError, shown
from figclip.runtime.checked_json import dump_checked, load_checked
from figclip.runtime.reading import DAMAGES

FORMAT = 1
_MAX_LISTED = 20
_LATER = {"keep", "activations_gib", "concept", "sentences", "inputs", "layer"}
"""Sections and settings that config.json of earlier versions lacks: what they set did not exist."""

Config = TypeVar("Config")
"""A dataclass of sections, each a dataclass of settings: `RunConfig`, or that of a head."""


def to_json(config: Any) -> str:
    """The config as indented JSON text, with its format version; `from_json` reads it back."""
    content: dict[str, Any] = {"format": FORMAT, **dataclasses.asdict(config)}
    return dump_checked(content, indent=2) + "\n"


def from_json(text: str, kind: type[Config], *, where: str = "config.json") -> Config:
    """Read a config of a kind, written by `to_json`.

    Raises:
        ConfigError: not JSON, a newer format, an unknown or missing field, or a bad value.
    """
    try:
        content = load_checked(text)
    except DAMAGES as error:
        raise ConfigError(f"is not JSON, or damaged ({error})", where=where) from error
    if not isinstance(content, dict):
        raise ConfigError("is not a JSON object", where=where)
    table = cast(dict[str, Any], content)
    version = table.pop("format", None)
    if version != FORMAT:
        raise ConfigError(
            f"has format {shown(version)}, this version reads {FORMAT}",
            where=where,
            fix="Use the figclip version that wrote it, or a newer one.",
        )
    return build(kind, table)


def apply_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """Apply `--set` overrides, parsed against the types of the fields.

    Each is `section.field=value`, for example `train.lr=1e-4`. Later ones win.

    Raises:
        ConfigError: no `=`, an unknown key (valid ones are listed), or a value of another type.
    """
    changes: dict[str, dict[str, Any]] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(
                f"{override!r} has no '='", where="--set", fix="Write --set train.lr=1e-4."
            )
        section_name, field_type = _field_type(type(config), key.strip())
        changes.setdefault(section_name, {})[key.strip().partition(".")[2]] = _parse(
            value.strip(), field_type, key=key.strip()
        )
    sections = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in changes.items()
    }
    return cast(Config, dataclasses.replace(cast(Any, config), **sections))


def valid_keys(kind: type[Any]) -> list[str]:
    """All keys that `--set` accepts for a kind of config, in the order of the classes."""
    hints = get_type_hints(kind)
    return [
        f"{section}.{entry.name}"
        for section, hint in hints.items()
        if dataclasses.is_dataclass(hint)
        for entry in dataclasses.fields(hint)
    ]


def _field_type(kind: type[Any], key: str) -> tuple[str, Any]:
    """Section name and field type of a dotted key."""
    if key not in valid_keys(kind):
        near = difflib.get_close_matches(key, valid_keys(kind), n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"unknown key {key!r}",
            where="--set",
            fix=f"{hint}Valid keys: {', '.join(valid_keys(kind))}.",
        )
    section, _, name = key.partition(".")
    return section, get_type_hints(get_type_hints(kind)[section])[name]


def _parse(text: str, kind: Any, *, key: str) -> Any:
    """Parse the text of an override as a bool, int, float, choice or string."""
    if kind is bool:
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise ConfigError(f"{text!r} is not true or false", where=f"--set {key}")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            noun = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{text!r} is not {noun}", where=f"--set {key}") from error
    return text


def build(kind: type[Config], value: object, *, where: str = "") -> Config:
    """A record from parsed JSON: it has exactly its fields, each of its type, whatever they hold.

    Whole numbers pass as floats, lists as tuples.

    Raises:
        ConfigError: Anything else; it names the field.
    """
    try:
        return _reader(kind)(value)
    except _OddError:
        return _built(kind, value, (where,))


class _OddError(Exception):
    """A value is not just as its type says: `_built` takes it all the same, or tells why not."""


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What makes a value of a type, or raises an `_OddError`.

    As `_built`, several times as fast: annotations have millions of values, and next to none of
    them is odd.
    """
    if dataclasses.is_dataclass(kind):
        make = cast(type[Any], kind)
        hints = _hints(make)
        readers = [(name, expected, _reader(expected)) for name, expected in hints.items()]

        def read_record(value: Any) -> Any:
            if type(value) is not dict:
                raise _OddError
            table = cast(dict[str, Any], value)
            if table.keys() != hints.keys():
                raise _OddError
            return make(
                **{
                    name: found if type(found := table[name]) is expected else read(found)
                    for name, expected, read in readers
                }
            )

        return read_record
    if get_origin(kind) is tuple:
        member: Any = get_args(kind)[0]
        read_member = _reader(member)

        def read_list(value: Any) -> Any:
            if type(value) is not list:
                raise _OddError
            members = cast(list[Any], value)
            return tuple([one if type(one) is member else read_member(one) for one in members])

        return read_list
    return _refuse_odd


def _refuse_odd(value: Any) -> Any:
    """No value but those of the very type is plain."""
    raise _OddError


_Path = tuple[str | int, ...]
"""Fields and positions that lead to a value; spelt out only where something is wrong with it, as
annotations have millions of values."""


def _built(kind: type[Config], value: object, path: _Path) -> Config:
    """The record at a path."""
    if not isinstance(value, dict):
        raise ConfigError("is not an object", where=_spelt(path))
    table, hints = cast(dict[str, Any], value), _hints(kind)
    if table.keys() != hints.keys():
        _check_fields(table, hints, path)
    return kind(
        **{
            name: table[name]
            if type(table[name]) is expected
            else _checked(table[name], expected, (*path, name))
            for name, expected in hints.items()
            if name in table
        }
    )


def _check_fields(table: dict[str, Any], hints: dict[str, Any], path: _Path) -> None:
    """Refuse fields that are unknown, or missing."""
    unknown = sorted(table.keys() - hints)
    missing = sorted(hints.keys() - table - _LATER)
    if unknown or missing:
        listed = ", ".join(shown(one) for one in unknown[:_MAX_LISTED])
        what = f"unknown fields [{listed}], missing fields {missing}"
        raise ConfigError(what, where=_spelt(path) or "config")


def _spelt(path: _Path) -> str:
    """A path for people: `annotations[0].events`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).lstrip(".")


_hints = cache(get_type_hints)


def _checked(value: Any, kind: Any, path: _Path) -> Any:
    """The value, if it is of the field's type."""
    if type(value) is kind:
        return value
    if dataclasses.is_dataclass(kind):
        return _built(cast(type[Any], kind), value, path)
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError("is too large a number", where=_spelt(path)) from error
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value  # the owning class checks choices, for JSON and Python alike
    if origin is tuple and isinstance(value, list):
        members = cast(list[Any], value)
        return tuple([_checked(one, parts[0], (*path, i)) for i, one in enumerate(members)])
    if origin not in (Union, types.UnionType) or type(value) not in parts:
        raise ConfigError(f"{shown(value)} is not of type {kind}", where=_spelt(path))
    return value

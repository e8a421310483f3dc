"""JSON objects that tell when they are damaged: beside all else, `check` is a hash of it.

A flipped bit can make another number of a number, which is as good JSON as before. White space and
the order of keys may change. What was written before 2026-11-29 has no `check`: it is believed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from figclip.runtime.reading import parse_json, read_utf8

CHECK = "check"


def dump_checked(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """An object as JSON text with its check; a ValueError if a number is not finite."""
    text = json.dumps(content, allow_nan=False)  # first: tuples and keys that are no text
    return json.dumps({**content, CHECK: _hash(json.loads(text))}, indent=indent)


def load_checked(text: str) -> Any:
    """What `dump_checked` was given; JSON without a check as it is, with NaN as of old.

    Raises:
        ValueError: no JSON, not what was written, or beyond the limits of `parse_json`.
    """
    content: Any = parse_json(text, constant=float)
    if isinstance(content, dict) and CHECK in content:
        found = content.pop(CHECK)
        if found != _hash(content):
            raise ValueError(
                f'it is not what was written: its content has another "{CHECK}". If you changed it '
                f'on purpose, delete "{CHECK}"'
            )
    return content


def read_checked(file: Path) -> Any:
    """As `load_checked`, of a file.

    Raises:
        OSError: it cannot be read, is a pipe or a device, or too long.
        ValueError: as `load_checked`.
    """
    return load_checked(read_utf8(file))


def _hash(content: Any) -> str:
    """Short hash of parsed JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

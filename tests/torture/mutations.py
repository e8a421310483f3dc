"""Damages files by chance: what they mean (JSON, CSV, pickle, SQLite), or their bytes."""

from __future__ import annotations

import csv
import io
import json
import pickle
import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from figclip.scoring.situation_files import load_plain_pickle

SPELT = {
    "@400@": "1" * 400, "@5000@": "1" * 5_000, "@-400@": "-" + "1" * 400, "@1e999@": "1e999",
    "@nan@": "NaN", "@inf@": "-Infinity", "@deep@": "[" * 3_000 + "]" * 3_000,
    "@many@": "[" + "0," * 20_000 + "0]", "@half@": '"\\ud800"', "@twice@": '{"a": 1, "a": 2}',
}  # fmt: skip
"""What `json` does not write, by what stands for it until the rest is written."""

VALUES: Sequence[object] = (
    *(None, True, False, 0, -1, 1, 2, 2**31, -(2**63), 2**64, 10**18, 0.5, -0.0, 1e308, 5e-324),
    *("", " ", "a", "-", "..", "/", "../a", "a\\b", "\n", "\t", "\r", "\x00", "\x1b[2J", "\u202e"),
    *("\ufeff", "\u2028", "😀", "é" * 300, "a" * 12_000, " " * 5_000 + "x", "(" * 3_000, ")("),
    *("nan", "1e400", "None", "{}", "%s", "a b c", "Ev1", "cap1", "test", "train", "1" * 400),
    *([], {}, [[]], [None], [""], {"": ""}, {"a": {}}, [0, 1], [1, 0]),
    *SPELT,
)
CELLS = ("", " ", "a", "-1", "1e999", "nan", "9" * 400, "x" * 5_000, '"', ",", "\n", "\x1b", "é")


def damage(file: Path, content: bytes, rng: random.Random) -> None:
    """Write a file again, damaged."""
    by_kind = {
        ".json": damage_json,
        ".jsonl": damage_lines,
        ".csv": damage_csv,
        ".pkl": damage_pickle,
    }
    kind = by_kind.get(file.suffix, damage_bytes)
    if content.startswith(b"SQLite format 3") and rng.random() < 0.7:
        file.write_bytes(content)
        damage_database(file, rng)
        return
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        try:
            content = kind(content, rng) if rng.random() < 0.75 else damage_bytes(content, rng)
        except (ValueError, RecursionError, LookupError, csv.Error):  # damaged beyond its kind
            content = damage_bytes(content, rng)
    file.write_bytes(content)


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat, insert or move bytes."""
    data = bytearray(content or b"0")
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((1, 2, 8, 64, 1_000)))
    kind = rng.randrange(7)
    if kind == 0:
        data[start] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[start:end]
    elif kind == 2:
        data[start:start] = data[start:end] * rng.choice((1, 2, 300))
    elif kind == 3:
        odd = (b"\xff\xfe", b"\x00", b"\xef\xbb\xbf", b"\xf0\x9f", b"\x1b[2J", b"\r", b"[" * 2_000)
        data[start:start] = rng.choice(odd)
    elif kind == 4:
        del data[start:]
    elif kind == 5:
        data[start:end] = bytes(rng.randrange(256) for _ in range(end - start))
    else:
        data[start:start] = rng.randbytes(rng.choice((1, 8)))
    return bytes(data)


def damage_json(content: bytes, rng: random.Random) -> bytes:
    """Change a value or key anywhere in it."""
    return spelt(damage_value(json.loads(content), rng))


def damage_lines(content: bytes, rng: random.Random) -> bytes:
    """Change a line of JSON Lines, or their order and number."""
    lines = content.splitlines()
    index = rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        lines[index:index] = [lines[index]] * rng.choice((1, 30, 1_500))
    elif kind == 1:
        del lines[index]
    elif kind == 2:
        rng.shuffle(lines)
    else:
        lines[index] = damage_json(lines[index], rng)
    return b"\n".join(lines) + b"\n"


def spelt(value: object) -> bytes:
    """JSON text with what `json` does not write in its place."""
    text = json.dumps(value, ensure_ascii=False)
    for name, raw in SPELT.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode(errors="surrogatepass")


def damage_value(value: Any, rng: random.Random) -> Any:
    """The value with one change, at a place of chance."""
    holders = list(_holders(value))
    if not holders or rng.random() < 0.03:
        return rng.choice(VALUES)
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    other = rng.choice(holders)
    kind = rng.randrange(8)
    if kind <= 2:
        holder[key] = rng.choice(VALUES)
    elif kind == 3:
        del holder[key]
    elif kind == 4 and isinstance(holder, dict):
        name = rng.choice([one for one in VALUES if isinstance(one, str) and one not in SPELT])
        holder[rng.choice((name, str(key).upper(), f"{key}\x1b", f"{key} "))] = holder[key]
    elif kind == 4:
        holder[key:key] = [holder[key]] * rng.choice((1, 20, 2_000))
    elif kind == 5:
        holder[key] = json.loads(json.dumps(other))
    elif kind == 6:
        holder[key] = [holder[key]]
    else:
        holder[key] = str(holder[key])[:20_000]
    return value


def _holders(value: Any) -> list[Any]:
    """All objects and lists in a value that hold something, itself included."""
    found, rest = [], [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict | list) and one:
            found.append(one)
            rest.extend(one.values() if isinstance(one, dict) else one)
    return found


def damage_csv(content: bytes, rng: random.Random) -> bytes:
    """Change a cell, a column or a row."""
    rows = [row for row in csv.reader(io.StringIO(content.decode(), newline="")) if row]
    row = rng.choice(rows)
    column = rng.randrange(len(row))
    kind = rng.randrange(6)
    if kind <= 2:
        row[column] = rng.choice(CELLS)
    elif kind == 3:
        row[column:column] = [row[column]] * rng.choice((1, 40, 2_000))
    elif kind == 4:
        rows[1:1] = [list(row) for _ in range(rng.choice((1, 40, 1_500)))]
    else:
        del row[column]
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=rng.choice(("\n", "\r\n"))).writerows(rows)
    return written.getvalue().encode()


def damage_pickle(content: bytes, rng: random.Random) -> bytes:
    """Change the value that it holds, or what kinds of values it is made of."""
    value = damage_value(load_plain_pickle(content), rng)
    odd: Sequence[object] = (
        value,
        (value,),
        {1: value},
        b"bytes",
        {1, 2},
        1j,
        10**6_000,
        json.loads,
    )
    chosen = value if rng.random() < 0.7 else rng.choice(odd)
    return pickle.dumps(chosen, protocol=rng.choice((0, 1, 2, 3, 4, 5)))


KINDS = {
    ".json": damage_json,
    ".jsonl": damage_lines,
    ".csv": damage_csv,
    ".pkl": damage_pickle,
}
"""What damages files of meaning, by suffix; others are bytes or databases."""


def damage_database(file: Path, rng: random.Random) -> None:
    """Change a cell, a row or a table of an SQLite file."""
    connection = sqlite3.connect(file)
    try:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        ).fetchall()
        (table,) = rng.choice(tables)
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column = rng.choice(columns)
        rows = connection.execute(f"SELECT rowid FROM {table} LIMIT 20").fetchall()
        kind = rng.randrange(9)
        if kind == 0:
            connection.execute(f"DROP TABLE {table}")
        elif kind == 1:
            connection.execute(f"DELETE FROM {table}")
        elif kind == 2 and len(columns) > 1:
            connection.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
        elif rows:
            (rowid,) = rng.choice(rows)
            connection.execute(
                f"UPDATE OR REPLACE {table} SET {column} = ? WHERE rowid = ?",
                (_cell(connection, table, column, rowid, rng), rowid),
            )
        connection.commit()
    except sqlite3.Error:  # a constraint of the table
        pass
    finally:
        connection.close()


def _cell(
    connection: sqlite3.Connection, table: str, column: str, rowid: int, rng: random.Random
) -> object:
    """Another value of a cell: that of a wrong kind, or its own, damaged."""
    ((value,),) = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (rowid,))
    changes: Sequence[Callable[[], object]] = (
        lambda: rng.choice([one for one in VALUES if type(one) in (str, float, type(None))]),
        lambda: rng.choice((0, -1, 2**62, b"", b"\xff\xff", b"\x00" * 50)),
        lambda: damage_json(value.encode(), rng).decode(errors="surrogatepass"),
        lambda: damage_bytes(value if isinstance(value, bytes) else str(value).encode(), rng),
    )
    try:
        chosen = rng.choice(changes)()
        return chosen.encode(errors="ignore").decode() if isinstance(chosen, str) else chosen
    except (ValueError, AttributeError, RecursionError):
        return "no JSON"

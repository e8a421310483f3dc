"""Flipped bits in every kind of file: told as an error, or without any effect. None is silent.

FIGCLIP_FLIPS sets another number of them, FIGCLIP_FLIP_SEED another seed.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from figclip.errors import FigclipError
from tests.torture.effort import effort
from tests.torture.file_kinds import KINDS, write_files

pytestmark = pytest.mark.slow
NUM_FLIPS = int(os.environ.get("FIGCLIP_FLIPS", effort(500, 20_000)))
SEED = os.environ.get("FIGCLIP_FLIP_SEED", "0")
NUM_RANGES = 16
EDGE_BYTES = 64
"""The first and the last range are this long; the others share the rest."""
_tick = count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


def position(rng: random.Random, size: int, part: int) -> int:
    """A byte in one of the ranges of a file."""
    edge = min(EDGE_BYTES, size // 3)
    if part in (0, NUM_RANGES - 1):
        offset = rng.randrange(edge)
        return offset if part == 0 else size - 1 - offset
    middle, num = size - 2 * edge, NUM_RANGES - 2
    first, last = (edge + middle * one // num for one in (part - 1, part))
    return rng.randrange(first, max(last, first + 1))


@contextmanager
def flipped(file: Path, position: int, bit: int) -> Generator[None]:
    """A file with another bit, written at another time."""
    content, written = file.read_bytes(), file.stat()
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    file.write_bytes(damaged)
    os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns + next(_tick)))
    try:
        yield
    finally:
        file.with_name(f"{file.name}-journal").unlink(missing_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))


def test_no_flip_is_silent(folder: Path):
    names = list(KINDS)
    files = {name: sorted(folder.glob(kind.files)) for name, kind in KINDS.items()}
    assert all(files.values()), files
    undisturbed = {
        (name, file): KINDS[name].read(folder, file) for name in names for file in files[name]
    }
    ends: Counter[tuple[str, str]] = Counter()
    silent: list[str] = []
    started = time.monotonic()
    for number in range(NUM_FLIPS):
        rng = random.Random(f"{SEED}/{number}")
        turn, name = number // len(names), names[number % len(names)]
        file = files[name][turn % len(files[name])]
        at, bit = position(rng, file.stat().st_size, turn % NUM_RANGES), rng.randrange(8)
        with flipped(file, at, bit):
            try:
                same = KINDS[name].read(folder, file) == undisturbed[name, file]
            except FigclipError as error:
                assert error.where or error.fix, error
                ends[name, "named"] += 1
                continue
        ends[name, "harmless" if same else "silent"] += 1
        if not same:
            silent.append(f"flip {number}: bit {bit} of byte {at} of {file.relative_to(folder)}")
    print(*sorted(ends.items()), f"{time.monotonic() - started:.0f} s", sep="\n")
    assert not silent, "\n".join(silent)

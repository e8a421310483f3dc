"""Damaged files of every kind are read, or refused by name, within 2 s and 1 GiB."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from figclip.errors import DataError
from tests.torture import fuzzing
from tests.torture.effort import effort
from tests.torture.fuzzing import Workplace, check, memory_bytes, read_corpus, resident_bytes
from tests.torture.mutations import damage, damage_json
from tests.torture.readers import READERS, Reader

pytestmark = pytest.mark.slow
NUM_CASES = int(os.environ.get("FIGCLIP_FUZZ_CASES", effort(20_000, 300_000)))


def test_damaged_files_are_read_or_refused_by_name() -> None:
    """In a process of its own: it limits its memory, and what it once had counts."""
    command = [sys.executable, "-m", "tests.torture.fuzzing", "--cases", str(NUM_CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = json.loads(done.stdout.splitlines()[-1])
    assert sum(tried.values()) == NUM_CASES and tried.keys() == READERS.keys()


@pytest.mark.filterwarnings("ignore")
def test_what_was_once_found_is_read_or_refused_by_name(tmp_path: Path) -> None:
    found = read_corpus(Workplace(tmp_path))
    assert not [f"{one.reader} {one.file}: {one.problem}" for one in found]


@pytest.mark.filterwarnings("ignore")
def test_a_good_file_of_every_reader_is_read(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    for name in READERS:
        place.of(name)  # reads it


def test_findings_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    # Only what never ends is timed: on a busy machine anything may take a tenth of a second.
    monkeypatch.setattr(fuzzing, "LIMIT_S", 60.0)
    monkeypatch.setattr(fuzzing, "LIMIT_BYTES", 2**24)

    def problem_of(read: object) -> str | None:
        reader = Reader(write=lambda *_: None, read=read)  # pyright: ignore[reportArgumentType]
        found = check(reader, "reader", tmp_path, file)
        assert found is None or found.content == b"x"
        return None if found is None else found.problem

    def refuse(what: str) -> None:
        raise DataError(what)

    def loop(_: Path) -> None:
        while True:
            pass

    def take(_: Path) -> None:
        # Far more than the limit: what other tests left may be given back meanwhile.
        len(b"x" * (memory_bytes() - resident_bytes() + 2**28))

    assert problem_of(lambda _: 1) is None
    assert problem_of(lambda _: refuse("is wrong")) is None
    assert problem_of(lambda _: refuse("x" * 300_000)) == "message of DataError cannot be printed"
    assert str(problem_of(lambda _: {}["a"])).startswith("KeyError in no code of ours")
    assert problem_of(take) == "more than 16 MiB"
    monkeypatch.setattr(fuzzing, "LIMIT_S", 0.1)
    assert str(problem_of(loop)).startswith("longer than 0.1 s a megabyte")


def test_damage_differs_and_repeats(tmp_path: Path) -> None:
    content = b'{"a": [1, 2, {"b": "c"}]}'
    variants = {damage_json(content, random.Random(seed)) for seed in range(200)}
    assert len(variants) > 80
    for suffix in (".json", ".jsonl", ".csv", ".pkl", ".txt"):
        written = []
        for _ in range(2):
            damage(tmp_path / f"file{suffix}", content, random.Random(1))
            written.append((tmp_path / f"file{suffix}").read_bytes())
        assert written[0] == written[1]

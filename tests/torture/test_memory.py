"""Long files are read in time and memory that fit their size, at most 1 GiB for 64 MB.

These have a tenth of that size, in about as many values as are allowed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.fuzzing import LIMIT_BYTES, LIMIT_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs the peak of Linux's /proc"),
]
SIZE = 6_400_000
READ = r"""
import re, sys, time
from pathlib import Path
from figclip.annotations.own_files import load_annotations
from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.dense_captions import read_caption_references
def peak_kib():
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
file = Path(sys.argv[1])
before, started_s = peak_kib(), time.process_time()
eval(sys.argv[2])
print(peak_kib() - before, time.process_time() - started_s)
"""
"""In a process of its own, whose peak is its own."""


def repeated(part: Callable[[int], str]) -> str:
    return "".join(map(part, range(SIZE // len(part(10_000)))))


def table() -> str:
    """Events of a video each, with slots, at the limit of cells."""
    columns = ",".join(f"role:{name}:Arg{slot}" for slot, name in enumerate("abcdef"))
    rows = repeated(lambda i: f"{i:06},{i % 7},{i % 7 + 1},walk,{','.join([f'{i:016}'] * 6)}\n")
    return f"video,start_s,end_s,verb,{columns}\n{rows}"


def lines() -> str:
    roles = {name: "xyz" for name in "abcdef"}
    event = {"start_s": 0, "end_s": 1, "verb": "walk", "roles": roles}
    return repeated(lambda i: json.dumps({"video": f"{i:06}", "events": [event]}) + "\n")


def contrasts() -> str:
    texts = {"filename": "a", "caption": "a" * 15, "negative_caption": "b" * 15}
    return keyed(texts)


def films() -> str:
    return keyed({"duration": 9.5, "timestamps": [[0.5, 2.5]], "sentences": ["a" * 60]})


def keyed(value: object) -> str:
    """A JSON object that holds the value many times."""
    return "{" + repeated(lambda i: f'"{i:06}":{json.dumps(value)},') + f'"a":{json.dumps(value)}}}'


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("own.csv", table, "load_annotations(file)"),
        ("own.jsonl", lines, "load_annotations(file)"),
        ("add_att.json", contrasts, "load_benchmark('sugarcrepe', file)"),
        ("val_1.json", films, "read_caption_references(file)"),
    ],
)
def test_a_long_file_takes_little_for_its_size(
    tmp_path: Path, name: str, content: Callable[[], str], read: str
):
    file = tmp_path / name
    file.write_text(content())
    command = [sys.executable, "-c", READ, file, read]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak_kib, spent_s = map(float, done.stdout.split())
    size = file.stat().st_size
    assert peak_kib * 1024 < LIMIT_BYTES * size / 64e6, f"{peak_kib / 1024:.0f} MiB"
    assert spent_s < LIMIT_S * size / 1e6

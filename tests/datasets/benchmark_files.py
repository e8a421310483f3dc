"""Writes small benchmark files in the official layouts; all content is made up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.errors import AnnotationError, DataError

HMDB51_TAIL = "f_cm_np1_fr_med"


def write(path: Path, text: str) -> Path:
    """Writes a text file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    return path


def write_json(path: Path, value: object) -> Path:
    return write(path, json.dumps(value))


def write_lines(path: Path, lines: Sequence[object]) -> Path:
    """Writes JSON Lines; what is text already stays as it is."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return write(path, "".join(f"{text}\n" for text in texts))


def write_hmdb51(folder: Path, lists: Mapping[str, Mapping[str, Sequence[str]]]) -> Path:
    """From split to class to lines."""
    for split, classes in lists.items():
        for class_name, lines in classes.items():
            text = "".join(f"{line} \n" for line in lines)
            write(folder / f"{class_name}_test_split{split}.txt", text)
    return folder


def write_ucf101(folder: Path, *, classes: Sequence[str], lists: Sequence[Sequence[str]]) -> Path:
    """With CRLF, as the official files have it."""
    numbered = "".join(f"{number} {name}\r\n" for number, name in enumerate(classes, start=1))
    write(folder / "classInd.txt", numbered)
    for number, names in enumerate(lists, start=1):
        text = "".join(f"{name}\r\n" for name in names)
        write(folder / f"testlist0{number}.txt", text)
    return folder


def problems_of(name: str, path: Path, *, split: str | None = None) -> list[tuple[str, str, str]]:
    """Place after the folder, field and what of every problem."""
    with pytest.raises(AnnotationError) as caught:
        load_benchmark(name, path, split=split)
    assert all(problem.what and problem.fix for problem in caught.value.problems)
    folder = str(path if path.is_dir() else path.parent)
    return [
        (problem.where.removeprefix(folder).removeprefix("/"), problem.field, problem.what)
        for problem in caught.value.problems
    ]


def refusal_of(name: str, path: Path, *, split: str | None = None) -> str:
    """The message of a `DataError`, its place left out."""
    with pytest.raises(DataError) as caught:
        load_benchmark(name, path, split=split)
    return f"{caught.value.what}. {caught.value.fix}"

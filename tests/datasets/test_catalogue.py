"""The catalogue: what it says is so, and no content of a file ends in anything but an error."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figclip.datasets.catalogue import BENCHMARKS, load_benchmark
from figclip.datasets.records import (
    ActionSet,
    Benchmark,
    CompositionSet,
    Contrast,
    LabelledMedium,
    Medium,
    RetrievalSet,
)
from figclip.errors import AnnotationError, DataError
from tests.datasets.benchmark_files import refusal_of, write

SETS = {"retrieval": RetrievalSet, "actions": ActionSet, "composition": CompositionSet}
# The file of each benchmark that is filled at random, beside the files that must be there, too.
FILLED = {
    "msrvtt": "MSRVTT_JSFUSION_test.csv",
    "youcook2": "yc2_val.json",
    "activitynet": "val_1.json",
    "retrieval": "own.jsonl",
    "hmdb51": "kick_test_split1.txt",
    "ucf101": "testlist01.txt",
    "kinetics": "val.csv",
    "actions": "own.csv",
    "sugarcrepe": "swap_obj.json",
    "sugarcrepe_pp": "swap_obj.json",
    "aro": "visual_genome_relation.json",
    "winoground": "examples.jsonl",
    "velociti": "chrono.csv",
    "pairs": "own.jsonl",
}
BESIDE = {"ucf101": ("classInd.txt", "1 YoYo\r\n"), "kinetics": ("classes.txt", "yo yo\n")}
OWN = ("retrieval", "actions", "pairs")


def load_filled(name: str, folder: Path, data: bytes, *, file_name: str = "") -> Benchmark:
    file = folder / (file_name or FILLED[name])
    if name in BESIDE:
        write(folder / BESIDE[name][0], BESIDE[name][1])
    file.write_bytes(data)
    split = "1" if name in ("hmdb51", "ucf101") else None
    return load_benchmark(name, file if name in OWN else folder, split=split)


def media_of(loaded: Benchmark) -> Iterator[Medium]:
    for item in loaded.items:
        yield from item.media if isinstance(item, Contrast) else (item.medium,)


def check(name: str, folder: Path, data: bytes, *, file_name: str = "") -> None:
    """Loading gives a set that keeps its promises, or an error with all problems."""
    try:
        loaded = load_filled(name, folder, data, file_name=file_name)
    except AnnotationError as error:
        assert all(problem.what and problem.fix for problem in error.problems)
        return
    entry = BENCHMARKS[name]
    assert isinstance(loaded, SETS[entry.family])
    assert loaded.items
    for medium in media_of(loaded):
        assert medium.kind in entry.media
        assert medium.name.strip() == medium.name != ""
        assert not medium.name.startswith("/")
        assert ".." not in medium.name.split("/")
    splits = [item.split if isinstance(item, LabelledMedium) else "" for item in loaded.items]
    ids = [item.id for item in loaded.items]
    assert len(set(zip(splits, ids, strict=True))) == len(ids)
    assert all(item.group for item in loaded.items)
    if isinstance(loaded, ActionSet):
        assert len(set(loaded.class_names)) == len(loaded.classes)
        assert all(0 <= item.class_idx < len(loaded.classes) for item in loaded.items)
    else:
        texts = [
            text
            for item in loaded.items
            for text in (
                (*item.positives, *item.negatives) if isinstance(item, Contrast) else item.captions
            )
        ]
        assert all(text.strip() and "\x00" not in text for text in texts)


FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(["a", "b.mp4", "..", "/x", "c:y", "\ud800", "\x00", " ", 1, 2**40]),
)
KEYS = st.sampled_from(["0", "v_a", "video", "id"]) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=8,
)
PATH = st.sampled_from(["a", "b.mp4", "c/d.jpg", "(e) [f]!.avi"])
CAPTION = st.sampled_from(["a goat", "A Goat", " a hat ", "g\u00f6at \u2028 \U0001f410"])
NUMBER = st.integers(0, 999)


def entry_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly good entries; else a field is anything, or missing."""
    good = st.fixed_dictionaries(fields)
    key = st.sampled_from(sorted(fields))
    return st.one_of(
        *[good] * 8,
        st.builds(lambda entry, key, value: {**entry, key: value}, good, key, VALUES),
        st.builds(lambda entry, key: {k: v for k, v in entry.items() if k != key}, good, key),
    )


CAPTIONS = st.lists(CAPTION, min_size=1, max_size=2)
PARAGRAPHS = entry_of(sentences=CAPTIONS)
ENTRIES: dict[str, st.SearchStrategy[Any]] = {
    "youcook2": PARAGRAPHS | CAPTION,
    "activitynet": PARAGRAPHS,
    "retrieval": entry_of(video=PATH, captions=CAPTIONS, split=PATH, id=NUMBER.map(str)),
    "sugarcrepe": entry_of(filename=PATH, caption=CAPTION, negative_caption=CAPTION),
    "sugarcrepe_pp": entry_of(
        id=NUMBER, filename=PATH, caption=CAPTION, caption2=CAPTION, negative_caption=CAPTION
    ),
    "aro": entry_of(
        **dict.fromkeys(("bbox_x", "bbox_y"), st.integers(-2, 9)),
        **dict.fromkeys(("bbox_w", "bbox_h"), st.integers(1, 9)),
        **dict.fromkeys(("true_caption", "false_caption"), CAPTION),
        image_path=PATH,
        relation_name=PATH,
    ),
    "winoground": entry_of(
        id=NUMBER, image_0=PATH, image_1=PATH, caption_0=CAPTION, caption_1=CAPTION
    ),
    "pairs": entry_of(image=PATH, positives=CAPTIONS, negatives=CAPTIONS, group=PATH),
}
CELLS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "msrvtt": {"video_id": NUMBER.map(str), "sentence": CAPTION},
    "kinetics": {
        "label": st.just("yo yo"),
        "youtube_id": NUMBER.map(str),
        "time_start": NUMBER.map(str),
        "time_end": NUMBER.map(str),
    },
    "actions": {
        "file": NUMBER.map(str),
        "label": st.sampled_from(["run", "YoYo"]),
        "split": st.sampled_from(["", "1"]),
    },
    "velociti": {
        "video_id": PATH,
        "pos": CAPTION,
        "neg": CAPTION,
        "test_name": st.sampled_from(["chrono", "coref"]),
        "in_subset": st.sampled_from(["True", "False"]),
    },
}
ODD_CELL = st.sampled_from(["", "../c", "/x", "7.5", "\x00", "a\nb"]) | st.text(max_size=3)


def rows_of(name: str) -> st.SearchStrategy[list[list[str]]]:
    """Rows of which some have an odd cell, or one too many."""
    good = st.tuples(*CELLS[name].values()).map(list)
    odd = st.builds(
        lambda row, index, cell: [*row[:index], cell, *row[index + 1 :]],
        good,
        st.integers(0, len(CELLS[name])),
        ODD_CELL,
    )
    return st.lists(st.one_of(*[good] * 4, odd), min_size=1, max_size=3)


@pytest.mark.parametrize("name", BENCHMARKS)
@FUZZ
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes(tmp_path: Path, name: str, data: bytes) -> None:
    check(name, tmp_path, data)


@pytest.mark.parametrize("name", ENTRIES)
@FUZZ
@given(data=st.data())
def test_any_json(tmp_path: Path, name: str, data: st.DataObject) -> None:
    entries = data.draw(st.lists(st.one_of(*[ENTRIES[name]] * 3, VALUES), min_size=1, max_size=3))
    if FILLED[name].endswith(".jsonl"):
        text = "\n".join(map(json.dumps, entries))
    elif name in ("aro", "sugarcrepe_pp"):
        text = json.dumps(entries)
    else:
        keys = data.draw(st.lists(KEYS, min_size=3, max_size=3))
        text = json.dumps(dict(zip(keys, entries, strict=False)))
    check(name, tmp_path, text.encode())


@pytest.mark.parametrize("name", CELLS)
@FUZZ
@given(data=st.data())
def test_any_csv(tmp_path: Path, name: str, data: st.DataObject) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([list(CELLS[name]), *data.draw(rows_of(name))])
    check(name, tmp_path, out.getvalue().encode("utf-8", errors="replace"))


GOOD_LINES = {
    "kick_test_split1.txt": ["a_kick_b.avi 2 ", "c.avi 2", "d.avi 0", "(e) [f]!_kick_g.avi 1"],
    "testlist01.txt": ["YoYo/v_YoYo_g01_c01.avi", "YoYo/v_YoYo_g01_c02.avi\r", "x/YoYo/y"],
    "val.txt": ["val/a_000001_000011.mp4 0", "b c.mp4 0\r", "d 0"],
    "k_labels.csv": ["0,yo yo", "0,YoYo", "1,run"],
}


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("hmdb51", "kick_test_split1.txt"),
        ("ucf101", "testlist01.txt"),
        ("kinetics", "val.txt"),
        ("kinetics", "k_labels.csv"),
    ],
)
@FUZZ
@given(data=st.data())
def test_any_lines(tmp_path: Path, name: str, file_name: str, data: st.DataObject) -> None:
    good = st.sampled_from(GOOD_LINES[file_name])
    lines = data.draw(st.lists(st.one_of(*[good] * 4, st.text(max_size=8)), min_size=1, max_size=3))
    if file_name == "k_labels.csv":
        (tmp_path / "val.txt").write_text("a.mp4 0\n")
        lines.insert(0, "id,name")
    try:
        check(
            name,
            tmp_path,
            "\n".join(lines).encode("utf-8", errors="replace"),
            file_name=file_name,
        )
    except DataError as error:
        # Of the filled class list and the one beside it.
        assert file_name == "k_labels.csv"
        assert "differ" in error.what


def test_every_benchmark_is_filled() -> None:
    assert list(FILLED) == list(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_entries_agree_with_themselves(name: str) -> None:
    entry = BENCHMARKS[name]
    assert entry.media
    assert entry.files
    assert entry.splits is None or entry.default_split in entry.splits


@pytest.mark.parametrize("name", BENCHMARKS)
def test_missing_paths_are_refused(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / ("x" * 300), Path("nu\x00l")):
        assert refusal_of(name, path).startswith("does not exist. Give ")


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    expected = "unknown benchmark 'hmdb'. Benchmarks are msrvtt, youcook2, "
    assert refusal_of("hmdb", tmp_path).startswith(expected)
    expected = "ucf101 has no split '4'. Splits are 1+2+3, 1, 2, 3"
    assert refusal_of("ucf101", tmp_path, split="4") == expected
    expected = "sugarcrepe has no split 'swap_obj'. Splits are all"
    assert refusal_of("sugarcrepe", tmp_path, split="swap_obj") == expected
    assert refusal_of("aro", tmp_path, split="").startswith("aro has no split ''")


def test_the_catalogue_is_light() -> None:
    code = (
        "import sys, figclip.datasets.catalogue, figclip.datasets.actions\n"
        "print([m for m in ('torch', 'transformers', 'av', 'numpy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

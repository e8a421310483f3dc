from __future__ import annotations

import re
from pathlib import Path

import pytest

from figclip.datasets.catalogue import BENCHMARKS
from figclip.errors import ConfigError, DataError
from figclip.evaluation.sources import (
    FACES,
    NAMES,
    OPTIONS,
    OWN,
    DataSource,
    check_source,
    parse_source,
)
from tests.dense_sets import write_store
from tests.small_runs import make_records

RECORDS = make_records([2, 1, 1])


def test_a_whole_source_is_parsed() -> None:
    source = parse_source("vidsitu:/a/b=c,videos=~/clips,split=test,store=x.store")
    assert source == DataSource(
        name="vidsitu",
        path=Path("/a/b=c"),
        videos=Path("~/clips").expanduser(),
        split="test",
        store=Path("x.store"),
    )
    assert parse_source("events:C:/own.jsonl") == DataSource(
        name="events", path=Path("C:/own.jsonl")
    )


def test_what_is_tested_may_be_said() -> None:
    source = parse_source("actions:verbs.csv,videos=clips,face=detail,prompts=someone {} here")
    assert (source.face, source.prompts) == ("detail", "someone {} here")
    source = parse_source("retrieval:dense.jsonl,videos=clips")
    assert (source.face, source.prompts) == (None, None)
    assert parse_source("ucf101:u,prompts=ucf101,face=kept").face == "kept"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("own.jsonl", "says no data set.*events, vidsitu, msrvtt"),
        ("coco:/a", "unknown data set 'coco'.*events, vidsitu, msrvtt"),
        ("events:", "says no path"),
        ("events:/a,b.jsonl", "'b.jsonl' is not an option.*comma"),
        (
            "events:/a,image=/b",
            "'image=/b' is not an option.*videos=…, images=…, .*prompts=…",
        ),
        ("events:/a,split=", "split= is empty"),
        ("events:/a,split=x,split=y", "split= is given twice"),
        ("pairs:/a,face=both", "unknown face 'both'. Faces are detail and kept"),
        (
            "pairs:/a,prompts=srl",
            "--data pairs:/a,prompts=srl: pairs has no classes to put into prompts",
        ),
        ("events:/a,prompts=srl", "events has no classes"),
        (
            "actions:/a,prompts=k400",
            "actions:/a,prompts=k400: unknown set of prompts 'k400'.*bare.*needs {}",
        ),
        ("actions:/a,prompts=a {}, b", "' b' is not an option.*comma only by --prompts"),
    ],
)
def test_a_wrong_source_says_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_source(text)


@pytest.mark.parametrize(
    "text",
    ["own.jsonl", "coco:/a", "events:", "events:/a,b", "events:/a,split=", "events:/a,face=,face="],
)
def test_wrong_grammar_points_to_its_page(text: str) -> None:
    with pytest.raises(ConfigError, match="; see docs/data.md$"):
        parse_source(text)


def test_a_slip_in_the_name_gets_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='unknown data set .event.. Did you mean "events"'):
        parse_source("event:my.jsonl")
    store = write_store(tmp_path / "a.store", RECORDS)
    with pytest.raises(ConfigError, match=f"data set. Write events:{store},split=valid, or"):
        parse_source(f"{store},split=valid")


def test_the_page_of_the_grammar_has_every_name_split_and_option() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "data.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert {*NAMES} == {name for name in rows if "=" not in name}
    assert {*OPTIONS} == {name.split("=")[0] for name in rows if "=" in name}
    for name, entry in BENCHMARKS.items():
        kinds, splits = rows[name].split("|")[3:5]
        wanted = entry.splits or (entry.default_split,)
        assert tuple(re.findall("`(.*?)`", splits)) == wanted, name
        if name not in OWN:
            assert re.findall("`(.*?)s=`", kinds) == [*entry.media], name
    assert all(f"`{face}`" in rows["face=F"] for face in FACES)


@pytest.mark.parametrize(
    "text",
    ["pairs:/a,prompts=srl", "actions:/a,prompts=k400", "events:~nobody-of-this-name/a", "events:"],
)
def test_errors_name_the_option_that_the_source_was_given_to(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_source(text, option="--keep")
    assert raised.value.where == f"--keep {text}"


def test_a_source_made_in_python_was_given_to_no_option() -> None:
    with pytest.raises(ConfigError, match="^pairs:a: pairs has no classes"):
        DataSource(name="pairs", path=Path("a"), prompts="srl")


def test_options_that_contradict_each_other_are_named_before_any_work(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.store", RECORDS)
    annotations = tmp_path / "own.jsonl"
    annotations.write_text("{}\n")
    for source, message in [
        (DataSource(name="events", path=tmp_path / "none"), "none: does not exist"),
        (DataSource(name="events", path=store, videos=tmp_path), "is a frame store, which videos="),
        (DataSource(name="events", path=annotations), "Add ,videos=DIR"),
        (DataSource(name="events", path=annotations, videos=tmp_path), "Add ,store=FILE"),
    ]:
        with pytest.raises(DataError, match=message):
            check_source(source, cache=None)


def test_options_of_benchmarks_are_checked_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text("{}\n")
    for source, message in [
        (
            DataSource(name="msrvtt", path=tmp_path / "none"),
            "does not exist. msrvtt reads: folder with MSRVTT_JSFUSION_test.csv",
        ),
        (DataSource(name="sugarcrepe", path=tmp_path), "needs its images.*Add ,images=DIR"),
        (DataSource(name="msrvtt", path=tmp_path), "needs its videos.*Add ,videos=DIR"),
        (DataSource(name="pairs", path=file), "Add ,images=DIR or ,videos=DIR"),
        (DataSource(name="msrvtt", path=tmp_path, images=tmp_path), "msrvtt has no images"),
        (DataSource(name="msrvtt", path=tmp_path, videos=file), "is not a folder"),
        (DataSource(name="events", path=file, images=tmp_path), "videos, not images"),
        (
            DataSource(name="msrvtt", path=tmp_path, videos=tmp_path, store=file),
            "store= goes with annotated events only",
        ),
        (DataSource(name="msrvtt", path=tmp_path, videos=tmp_path), "no place for decoded"),
    ]:
        with pytest.raises(DataError, match=message):
            check_source(source, cache=None)

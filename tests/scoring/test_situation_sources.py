"""One truth for situations, whichever way the data are given."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from figclip.annotations.archive import pack_source
from figclip.datasets.situations import load_situation_truth
from figclip.errors import AnnotationError, DataError, StoreError
from figclip.evaluation.sources import DataSource
from figclip.scoring.situation_sources import open_truth
from figclip.video.store import FrameStoreWriter, StoreSpec
from tests.situation_files import official, write_official

SPEC = StoreSpec(size=32, codec="raw")


def prepared(source: Path) -> Path:
    """A store of these annotations; none of their videos is there."""
    store = source.with_name(f"{source.name}.store")
    with FrameStoreWriter(store, spec=SPEC) as writer:
        writer.set_source(pack_source(source))
    return store


def own_file(path: Path) -> Path:
    event = {"start_s": 0, "end_s": 1, "verb": "cut"}
    lines = [
        {"video": f"{name}.mp4", "split": split, "events": [{**event, "verb": f"cut {name}"}]}
        for name, split in (("z", "valid"), ("t", "train"), ("a", "valid"))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_store_has_the_ten_verbs_of_the_official_files(tmp_path: Path):
    content = official()
    content["vinfo_valid_lb.json"][0]["vbid_lst"]["Ev1"] = [f"v.{number}" for number in range(10)]
    folder = write_official(tmp_path / "official", content)
    truth = open_truth(DataSource(name="vidsitu", path=prepared(folder)))
    assert truth.videos[0].verb_ids[0] == tuple(f"v.{number}" for number in range(10))
    assert truth == load_situation_truth(folder, "valid")
    assert truth == open_truth(DataSource(name="vidsitu", path=folder))


def test_own_annotations_of_a_store_are_those_of_the_file_in_its_order(tmp_path: Path):
    file = own_file(tmp_path / "own.jsonl")
    of_file, of_store = (
        open_truth(DataSource(name="events", path=path)) for path in (file, prepared(file))
    )
    assert of_store == of_file
    assert [video.id for video in of_file.videos] == ["z.mp4", "a.mp4"]
    (trained,) = open_truth(DataSource(name="events", path=file, split="train")).videos
    assert trained.id == "t.mp4"
    with pytest.raises(DataError, match="has no split test"):
        open_truth(DataSource(name="events", path=file, split="test"))


def test_a_store_without_the_files_is_refused_with_the_commands_that_work(tmp_path: Path):
    store = tmp_path / "old one.store"
    FrameStoreWriter(store, spec=SPEC).close()
    with sqlite3.connect(store) as connection:
        connection.execute("DROP TABLE source")  # as before 2026-11-28
        connection.execute("DELETE FROM meta WHERE key IN ('counts', 'check')")
    for name in ("vidsitu", "events"):
        with pytest.raises(StoreError) as caught:
            open_truth(DataSource(name=name, path=store))
        message = str(caught.value)
        assert f"--out '{store}' --pipeline pil --size 32 --codec raw" in message
        assert f"--data {name}:SOURCE,videos=DIR,store={store}" in message


def test_problems_of_the_kept_files_say_how_to_mend_the_store(tmp_path: Path):
    content = official()
    del content["vinfo_valid_lb.json"]
    folder = write_official(tmp_path / "official", content)
    with pytest.raises(AnnotationError, match=r"holds no vinfo_valid_lb\.json"):
        open_truth(DataSource(name="vidsitu", path=folder))
    store = prepared(folder)
    with pytest.raises(StoreError, match=r"holds no vinfo_valid_lb\.json") as caught:
        open_truth(DataSource(name="vidsitu", path=store))
    assert f"then run: figclip prepare SOURCE --videos DIR --out {store}" in str(caught.value)
    assert open_truth(DataSource(name="vidsitu", path=store), parts=("roles",)).videos


def test_official_files_are_not_scored_as_own_annotations_nor_the_other_way_round(tmp_path: Path):
    folder, file = write_official(tmp_path / "official"), own_file(tmp_path / "own.jsonl")
    for path in (folder, prepared(folder)):
        with pytest.raises(DataError, match=f"holds VidSitu's files.* Give it as vidsitu:{path}"):
            open_truth(DataSource(name="events", path=path))
    for path in (file, prepared(file)):
        with pytest.raises(DataError, match=f"holds own annotations.* Give it as events:{path}"):
            open_truth(DataSource(name="vidsitu", path=path))

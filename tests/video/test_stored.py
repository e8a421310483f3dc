from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from figclip.annotations.archive import pack_source, record_to_json
from figclip.annotations.own_files import load_annotations
from figclip.errors import StoreError
from figclip.records import VideoRecord
from figclip.training.batches import FrameReader
from figclip.video.store import FrameStore, FrameStoreWriter, RecordRow, StoreSpec
from figclip.video.stored import open_stored_videos
from tests.dense_sets import write_store
from tests.small_runs import IMAGE_SIZE, make_records

RECORDS = make_records([2, 1, 1, 3])
TIMES_S = [0.5, 1.5]


def hash_of(record: VideoRecord) -> str:
    """What `write_store` calls a record's video."""
    return hashlib.sha256(record.id.encode()).hexdigest()


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [
        write_store(tmp_path / "b.store", RECORDS[2:]),
        write_store(tmp_path / "a.store", RECORDS[:2]),
    ]


def test_videos_are_numbered_store_by_store(two: list[Path]) -> None:
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    assert [record.id for record in videos.records] == ["v2", "v3", "v0", "v1"]
    assert videos.store_of == (0, 0, 1, 1)
    assert videos.key_of == tuple(hash_of(record) for record in videos.records)
    assert isinstance(videos, FrameReader)
    for video_idx, record in enumerate(videos.records):
        store = videos.stores[videos.store_of[video_idx]]
        expected = store.read_frames(hash_of(record), [1_500_000, 500_000])
        assert np.array_equal(videos.read(video_idx, [1.5, 0.5]), expected)


def test_a_record_without_a_group_is_in_that_of_its_content(tmp_path: Path) -> None:
    records = [RECORDS[0], dataclasses.replace(RECORDS[1], group="")]
    videos = open_stored_videos([write_store(tmp_path / "a.store", records)], size=IMAGE_SIZE)
    assert [record.group for record in videos.records] == ["g0", hash_of(RECORDS[1])]


def test_a_subset_reads_the_frames_of_its_own_videos(two: list[Path]) -> None:
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    subset = videos.subset([3, 0])
    assert [record.id for record in subset.records] == ["v1", "v2"]
    for position, video_idx in enumerate([3, 0]):
        assert np.array_equal(subset.read(position, TIMES_S), videos.read(video_idx, TIMES_S))
        assert subset.content_key(position, 0.5) == videos.content_key(video_idx, 0.5)
    assert list(subset.subset([1]).records) == [RECORDS[2]]
    assert list(videos.subset([]).records) == []


def test_frames_with_equal_keys_are_equal(tmp_path: Path, two: list[Path]) -> None:
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    again = open_stored_videos(two[::-1], size=IMAGE_SIZE)
    assert videos.content_key(0, 0.5) == again.content_key(2, 0.5)
    keys = {videos.content_key(video, time_s) for video in range(4) for time_s in TIMES_S}
    assert len(keys) == 8
    # The same microsecond is the same frame.
    assert videos.content_key(0, 0.5) == videos.content_key(0, 0.5 + 1e-9)
    other = write_store(tmp_path / "other.store", RECORDS[2:], pipeline="swscale")
    changed = open_stored_videos([other], size=IMAGE_SIZE)
    assert changed.content_key(0, 0.5) != videos.content_key(0, 0.5)


def test_records_are_read_when_they_are_asked_for(two: list[Path]) -> None:
    """In memory, and in what goes to another process, is what tells them apart."""
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    mixed = videos.subset([3, 0, 2, 1])
    assert list(mixed.records) == [RECORDS[1], RECORDS[2], RECORDS[0], RECORDS[3]]
    assert [mixed.records[i] for i in (3, 0)] == [RECORDS[3], RECORDS[1]]
    assert list(mixed.records[1:3]) == [RECORDS[2], RECORDS[0]]
    assert mixed.in_memory().records == tuple(mixed.records)
    assert mixed.in_memory().heads == tuple(mixed.records)
    assert [(one.id, one.split, one.group) for one in mixed.heads] == [
        (one.id, one.split, one.group) for one in mixed.records
    ]
    pickled = pickle.dumps(mixed)
    assert b"start_s" not in pickled and b"red ball" not in pickled
    assert list(pickle.loads(pickled).records) == list(mixed.records)


def test_records_are_read_by_the_hundred(two: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Going through all takes a query for many, and each is parsed once."""
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    asked: list[int] = []
    parsed: list[str] = []
    find, parse = FrameStore.find_records, RecordRow.parse

    def found(store: FrameStore, ids: Sequence[str]) -> list[RecordRow]:
        asked.append(len(ids))
        return find(store, ids)

    def read(row: RecordRow) -> VideoRecord:
        parsed.append(row.id)
        return parse(row)

    monkeypatch.setattr(FrameStore, "find_records", found)
    monkeypatch.setattr(RecordRow, "parse", read)
    assert len(list(videos.records)) == 4
    assert (sorted(asked), sorted(parsed)) == ([2, 2], ["v0", "v1", "v2", "v3"])
    _ = videos.content_hash
    assert len(parsed) == 4


def test_the_hash_of_stored_records_is_that_of_records_in_memory(tmp_path: Path) -> None:
    """It is of the text in the store; runs of earlier versions hashed what they had parsed."""
    strange = ',"group":"",'
    records = [
        dataclasses.replace(RECORDS[0], group="", id=f'a{strange}"'),
        dataclasses.replace(RECORDS[1], group="", video=strange),
        dataclasses.replace(RECORDS[2], group=strange),
        RECORDS[3],
    ]
    videos = open_stored_videos([write_store(tmp_path / "a.store", records)], size=IMAGE_SIZE)
    assert list(videos.record_texts()) == [record_to_json(one) for one in videos.records]
    assert videos.content_hash == videos.in_memory().content_hash


def test_a_lost_record_is_named(two: list[Path]) -> None:
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    with sqlite3.connect(two[0]) as connection:
        connection.execute("DELETE FROM records WHERE id = 'v3'")
    with pytest.raises(StoreError, match=r"b.store, v3: the record of a video is damaged"):
        list(videos.records)


def test_videos_go_to_another_process(two: list[Path]) -> None:
    videos = open_stored_videos(two, size=IMAGE_SIZE)
    frames = videos.read(3, TIMES_S)
    copied = pickle.loads(pickle.dumps(videos))
    assert np.array_equal(copied.read(3, TIMES_S), frames)


def test_other_pixels_are_refused_with_the_command_that_makes_the_right_ones(
    two: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=r"b.store: .*16 px frames.*224 px.*--size 224"):
        open_stored_videos(two, size=224)
    other = write_store(tmp_path / "c.store", [make_records([1] * 6)[5]], pipeline="swscale")
    with pytest.raises(StoreError, match=r"c.store: .*swscale.*--pipeline pil"):
        open_stored_videos([*two, other], size=IMAGE_SIZE)
    cropped = open_stored_videos([other], size=IMAGE_SIZE, pipeline="pil")
    assert cropped.stores[0].spec.pipeline == "swscale"
    with pytest.raises(StoreError, match=r"swscale as raw, but .*--pipeline pil-squash --size"):
        open_stored_videos([other], size=IMAGE_SIZE, pipeline="pil-squash")


def test_one_id_in_two_stores_is_refused(two: list[Path], tmp_path: Path) -> None:
    third = write_store(tmp_path / "c.store", RECORDS[1:2])
    with pytest.raises(StoreError, match=r"c.store: video 'v1' is also in .*a.store"):
        open_stored_videos([*two, third], size=IMAGE_SIZE)


def test_stores_without_a_video_are_refused(tmp_path: Path, two: list[Path]) -> None:
    empty = tmp_path / "empty.store"
    FrameStoreWriter(empty, spec=StoreSpec(size=IMAGE_SIZE, codec="raw")).close()
    with pytest.raises(StoreError, match=r"empty.store: no video is ready"):
        open_stored_videos([empty], size=IMAGE_SIZE)
    # Beside others it does no harm.
    assert len(open_stored_videos([empty, *two], size=IMAGE_SIZE).records) == 4
    with pytest.raises(StoreError, match="no such frame store"):
        open_stored_videos([tmp_path / "none.store"], size=IMAGE_SIZE)


def test_absent_frames_are_named(two: list[Path]) -> None:
    with pytest.raises(StoreError, match=r"1 of 2 frames are not in the store, at 0.25 s"):
        open_stored_videos(two, size=IMAGE_SIZE).read(0, [0.5, 0.25])


def test_the_whole_split_is_known_whichever_videos_are_there(tmp_path: Path) -> None:
    events = [{"start_s": 0, "end_s": 2, "verb": "walk"}]
    lines = [
        {"id": name, "video": f"{name}.mp4", "split": split, "events": events, **group}
        for name, split, group in (
            ("c", "valid", {"group": "film"}),
            ("a", "valid", {}),
            ("t", "train", {}),
            ("b", "valid", {}),
        )
    ]
    source = tmp_path / "own.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = {one.id: one for one in load_annotations(source).records}
    # Changed since: `prepare` was interrupted before it came to this video.
    old = dataclasses.replace(records["b"], annotations=RECORDS[0].annotations)
    store = write_store(tmp_path / "some.store", [records["a"], old])
    with sqlite3.connect(store) as connection:
        connection.execute("DROP TABLE source")  # as stores before 2026-11-28 are
        connection.execute("DELETE FROM meta WHERE key IN ('counts', 'check')")
    alone = open_stored_videos([store], size=IMAGE_SIZE)
    assert [one.id for one in alone.subset([0]).whole_split().records] == ["a", "b"]
    with FrameStoreWriter(store, spec=alone.stores[0].spec) as writer:
        writer.set_source(pack_source(source))
    videos = open_stored_videos([store], size=IMAGE_SIZE)
    whole = videos.whole_split().records
    assert [one.id for one in whole] == ["a", "b", "c"]
    assert [one.group for one in whole] == ["a.mp4", videos.records[1].group, "film"]
    assert whole[1].annotations == old.annotations
    assert videos.subset([0]).whole_split().records[0] == whole[0]

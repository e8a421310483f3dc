from __future__ import annotations

import json
import multiprocessing
import pickle
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.annotations.archive import pack_source, record_from_json, record_to_json
from figclip.errors import ConfigError, StoreError
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.video import store as frames_module
from figclip.video.store import (
    FORMAT_VERSION,
    FrameStore,
    FrameStoreWriter,
    QuarantinedVideo,
    StoredVideo,
    StoreSpec,
)
from tests.processes import Start
from tests.videos import stored_videos

RAW = StoreSpec(size=8, codec="raw")
JPEG = StoreSpec(size=16, codec="jpeg")
HASH = "ab" * 32


def frames(num: int, *, size: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, size, size, 3), dtype=np.uint8)


def smooth(num: int, *, size: int = 16) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size]
    ramps = [np.stack([x * 9 + 20 * n, y * 9, x + y], -1) for n in range(num)]
    return np.stack(ramps).astype(np.uint8)


def record(name: str = "a", **fields: str) -> VideoRecord:
    return VideoRecord(
        **{"id": name, "video": f"{name}.mp4", "split": "train", "group": "film7"} | fields,
        annotations=(
            Annotation(
                events=(
                    Event(
                        start_s=0.1,
                        end_s=2.0,
                        verb="walk",
                        roles=(Role(name="walker", text='man "x" é', slot="Arg0"),),
                    ),
                ),
                captions=("a man walks",),
            ),
        ),
    )


def write_store(path: Path, *, spec: StoreSpec = RAW, num: int = 4) -> np.ndarray:
    pixels = frames(num) if spec == RAW else smooth(num)
    with FrameStoreWriter(path, spec=spec) as writer:
        writer.add_video(
            HASH, "clips/a.mp4", pixels, times_us=[250_000 * n for n in range(num)], duration_s=10.0
        )
        writer.add_record(record(), video_hash=HASH)
    return pixels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "train 100%?#.store"


def test_raw_frames_come_back_exactly_in_the_order_asked(path: Path) -> None:
    pixels = write_store(path)
    with FrameStore.open(path) as store:
        read = store.read_frames(HASH, [750_000, 0, 500_000, 0])
        assert np.array_equal(read, pixels[[3, 0, 2, 0]])
        assert store.read_frames(HASH, []).shape == (0, 8, 8, 3)
        assert store.frame_times_us(HASH) == (0, 250_000, 500_000, 750_000)


def test_jpeg_frames_come_back_as_jpeg_decodes_them(path: Path) -> None:
    pixels = write_store(path, spec=JPEG)
    read = FrameStore.open(path).read_frames(HASH, [250_000, 0])
    for frame, original in zip(read, pixels[[1, 0]], strict=True):
        blob = simplejpeg.encode_jpeg(original, quality=95, colorsubsampling="420")
        assert np.array_equal(frame, simplejpeg.decode_jpeg(blob))


def test_lists(path: Path) -> None:
    write_store(path)
    with FrameStoreWriter(path, spec=RAW) as writer:
        writer.add_video("cd" * 32, "b.mp4", frames(1), times_us=[7], duration_s=1.5)
        writer.add_record(record("0b"), video_hash="cd" * 32)
        writer.quarantine(
            QuarantinedVideo(
                id="c", split="train", path="c.mp4", reason="damaged", detail="damaged: at 3 s"
            )
        )
        writer.set_coverage({"videos": 2, "missing": ["c"]})
    store = FrameStore.open(path)
    assert store.spec == RAW
    assert [(r.record, r.video_hash) for r in store.records()] == [
        (record("0b"), "cd" * 32),
        (record("a"), HASH),
    ]
    assert stored_videos(store) == [
        StoredVideo(hash=HASH, path="clips/a.mp4", duration_s=10.0, num_frames=4),
        StoredVideo(hash="cd" * 32, path="b.mp4", duration_s=1.5, num_frames=1),
    ]
    assert [video.id for video in store.quarantine()] == ["c"]
    assert store.coverage == {"videos": 2, "missing": ["c"]}


def test_resuming(path: Path) -> None:
    pixels = write_store(path)
    with FrameStoreWriter(path, spec=RAW) as writer:
        more = frames(2, seed=1)
        writer.add_video(HASH, "clips/a.mp4", more, times_us=[1, 0], duration_s=10.0)
    store = FrameStore.open(path)
    assert np.array_equal(
        store.read_frames(HASH, [0, 1, 250_000]), np.stack([more[1], more[0], pixels[1]])
    )
    assert stored_videos(store)[0].num_frames == 5


def test_quarantine_and_records_exclude_each_other(path: Path) -> None:
    write_store(path)
    bad = QuarantinedVideo(
        id="a", split="train", path="a.mp4", reason="damaged", detail="damaged: so"
    )
    with FrameStoreWriter(path, spec=RAW) as writer, FrameStore.open(path) as store:
        writer.quarantine(bad)
        writer.commit()
        assert (store.records(), store.quarantine()) == ([], [bad])
        writer.add_record(record(), video_hash=HASH)
        writer.commit()
        assert ([r.record.id for r in store.records()], store.quarantine()) == (["a"], [])


def test_forgetting_other_records(path: Path) -> None:
    write_store(path)
    with FrameStoreWriter(path, spec=RAW) as writer:
        writer.add_record(record("b"), video_hash=HASH)
        writer.quarantine(
            QuarantinedVideo(id="c", split="train", path="c", reason="empty", detail="empty: c")
        )
        writer.forget_records_except(["b", "d"])
    store = FrameStore.open(path)
    assert [r.record.id for r in store.records()] == ["b"]
    assert store.quarantine() == []


def test_required_pixels(path: Path) -> None:
    write_store(path)
    assert FrameStore.open(path, require=RAW).spec == RAW
    with pytest.raises(StoreError) as caught:
        FrameStore.open(path, require=StoreSpec(pipeline="swscale", size=336))
    assert "8 px frames of pipeline pil as raw" in str(caught.value)
    assert (
        "figclip prepare SOURCE --videos DIR --out STORE --pipeline swscale --size 336 --codec jpeg"
        in str(caught.value)
    )
    with pytest.raises(StoreError, match="not 336 px frames of pipeline swscale"):
        FrameStoreWriter(path, spec=StoreSpec(pipeline="swscale", size=336))


def test_specs_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown frame codec"):
        StoreSpec(codec="png")
    with pytest.raises(ConfigError, match="unknown pixel pipeline"):
        StoreSpec(pipeline="cv")


def test_absent_frames_are_named(path: Path) -> None:
    write_store(path)
    store = FrameStore.open(path)
    with pytest.raises(StoreError, match=r"2 of 3 frames are not in the store, at 0.1, 9 s"):
        store.read_frames(HASH, [0, 100_000, 9_000_000])
    with pytest.raises(StoreError, match="1 of 1 frames"):
        store.read_frames("00" * 32, [0])


def test_refused_on_writing(path: Path) -> None:
    with FrameStoreWriter(path, spec=RAW) as writer:
        with pytest.raises(StoreError, match="relative to the videos folder"):
            writer.add_video(HASH, "/home/me/a.mp4", frames(1), times_us=[0], duration_s=1.0)
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            writer.add_record(record(), video_hash=HASH)
        with pytest.raises(StoreError, match="surrogates not allowed"):
            writer.add_video(HASH, "\udcff.mp4", frames(1), times_us=[0], duration_s=1.0)
    assert stored_videos(FrameStore.open(path)) == []


def test_commits_are_a_second_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(frames_module, "time", SimpleNamespace(monotonic=lambda: now_s))
    with FrameStoreWriter(path, spec=RAW) as writer, FrameStore.open(path) as reader:

        def add(number: int) -> None:
            writer.add_video(f"{number:064x}", "a.mp4", frames(1), times_us=[0], duration_s=1.0)

        def num_stored() -> int:
            return len(stored_videos(reader))

        add(0)
        assert num_stored() == 1
        now_s += 0.9
        add(1)
        add(2)
        assert num_stored() == 1
        now_s += 0.1
        add(3)
        assert num_stored() == 4
        add(4)
        writer.commit()
        assert num_stored() == 5
        add(5)
        assert num_stored() == 5
    assert num_stored() == 6


def test_what_cannot_be_written_takes_nothing_else_along_that_was_committed(path: Path) -> None:
    write_store(path)
    with pytest.raises(StoreError, match="FOREIGN KEY"), FrameStoreWriter(path, spec=RAW) as writer:
        writer.add_record(record("b"), video_hash=HASH)  # commits
        writer.add_record(record("c"), video_hash="00" * 32)
    assert [stored.record.id for stored in FrameStore.open(path).records()] == ["a", "b"]


def damage(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, values)
    connection.close()


@pytest.mark.parametrize("spec", [RAW, JPEG])
def test_hostile_frames(path: Path, spec: StoreSpec) -> None:
    write_store(path, spec=spec)
    huge = simplejpeg.encode_jpeg(np.zeros((2000, 2000, 3), np.uint8))
    for blob in [b"", b"x" * 10, b"\xff\xd8\xff" + b"y" * 50, huge, bytes(8 * 8 * 3 + 1)]:
        damage(path, "UPDATE frames SET pixels = ?, crc32 = ?", blob, zlib.crc32(blob))
        with pytest.raises(StoreError, match="the frame at 0 s is damaged"):
            FrameStore.open(path).read_frames(HASH, [0])
    damage(path, "UPDATE frames SET pixels = ?, crc32 = 0", bytes(8 * 8 * 3))
    with pytest.raises(StoreError, match="its checksum does not match"):
        FrameStore.open(path).read_frames(HASH, [0])
    damage(path, "UPDATE frames SET pixels = 'text'")
    with pytest.raises(StoreError, match="its checksum does not match"):
        FrameStore.open(path).read_frames(HASH, [0])


def test_a_flipped_bit_anywhere_is_noticed(path: Path) -> None:
    """Every frame that is read despite damage to the file is the frame that was written."""
    pixels = write_store(path, num=6)
    times_us = [250_000 * n for n in range(6)]
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    noticed = 0
    for position in rng.integers(100, len(content), 150):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            read = FrameStore.open(path).read_frames(HASH, times_us)
        except StoreError:
            noticed += 1
        else:
            assert np.array_equal(read, pixels)
    assert noticed > 0


def flip_each(file: Path, needle: bytes) -> Generator[int]:
    """Flips a bit of each byte of some text in a file in turn; yields where."""
    content = file.read_bytes()
    start = content.index(needle)
    for position in range(start, start + len(needle)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        yield position
    file.write_bytes(content)


def test_a_time_that_is_no_number_is_named(path: Path) -> None:
    write_store(path)
    damage(path, "UPDATE frames SET time_us = X'00' WHERE time_us = 0")
    with pytest.raises(StoreError, match="the time of a frame is damaged"):
        FrameStore.open(path).frame_times_us(HASH)


def test_a_flipped_bit_of_annotations_is_noticed(path: Path) -> None:
    write_store(path)
    assert [one.record.id for one in FrameStore.open(path).records()] == ["a"]
    for _ in flip_each(path, record_to_json(record()).encode()):
        with pytest.raises(StoreError, match="a row of records is damaged"):
            FrameStore.open(path).records()


def test_a_flipped_bit_of_what_is_left_out_or_covered_is_noticed(path: Path) -> None:
    write_store(path)
    with FrameStoreWriter(path, spec=RAW) as writer:
        left_out = QuarantinedVideo(id="q", split="s", path="q.mp4", reason="bad", detail="bad: 7")
        writer.quarantine(left_out)
        writer.set_coverage({"splits": {"train": {"listed": 12345}}})
    for _ in flip_each(path, b"bad: 7"):
        with pytest.raises(StoreError, match="a row of quarantine is damaged"):
            FrameStore.open(path).quarantine()
    for _ in flip_each(path, b"12345"):
        with pytest.raises(StoreError, match="description is damaged"):
            FrameStore.open(path)


def test_a_video_that_a_damaged_index_no_longer_finds_is_missed(path: Path) -> None:
    write_store(path)
    with closing(sqlite3.connect(path)) as db:
        name, page = db.execute(
            "SELECT hash, rootpage FROM videos, sqlite_schema "
            "WHERE name = 'sqlite_autoindex_videos_1'"
        ).fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[content.index(name.encode(), (page - 1) * page_size)] ^= 1
    path.write_bytes(content)
    with FrameStore.open(path) as store, pytest.raises(StoreError, match="description of a video"):
        store.find_video(name)


def test_rows_that_a_damaged_page_lost_are_missed(path: Path) -> None:
    write_store(path)
    damage(path, "DELETE FROM records")
    with pytest.raises(StoreError, match="records, which had 1 rows, is damaged"):
        FrameStore.open(path).records()
    with pytest.raises(StoreError, match="has lost rows"):
        FrameStoreWriter(path, spec=RAW)


def test_a_frame_at_the_place_of_another_is_noticed(path: Path) -> None:
    """A damaged index leads to a whole frame, with its own checksum."""
    write_store(path, num=3)
    damage(path, "UPDATE frames SET time_us = 9 WHERE time_us = 0")
    damage(path, "UPDATE frames SET time_us = 0 WHERE time_us = 250000")
    with pytest.raises(StoreError, match="its checksum does not match"):
        FrameStore.open(path).read_frames(HASH, [0])


def test_stores_without_checksums_are_read_and_get_them(path: Path) -> None:
    pixels = write_store(path, num=2)
    for table in ("videos", "records", "quarantine"):
        damage(path, f"ALTER TABLE {table} DROP COLUMN crc32")
    damage(path, "DELETE FROM meta WHERE key IN ('counts', 'check')")
    for time_us, frame in zip((0, 250_000), pixels, strict=True):  # as before 2026-11-29
        damage(path, "UPDATE frames SET crc32 = ? WHERE time_us = ?", zlib.crc32(frame), time_us)
    store = FrameStore.open(path)
    assert [one.record.id for one in store.records()] == ["a"] and not store.quarantine()
    assert np.array_equal(store.read_frames(HASH, [0, 250_000]), pixels)
    with FrameStoreWriter(path, spec=RAW) as writer:
        writer.add_record(record("b"), video_hash=HASH)
    store = FrameStore.open(path)
    assert [one.record.id for one in store.records()] == ["a", "b"]
    damage(path, "UPDATE records SET split = 'x' WHERE id = 'b'")
    with pytest.raises(StoreError, match="b: a row of records is damaged"):
        store.records()


def test_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such frame store"):
        FrameStore.open(tmp_path / "none")
    with pytest.raises(StoreError, match="is not a frame store"):
        FrameStore.open(tmp_path)
    (tmp_path / "text").write_text("not a database, but long enough to have a header" * 9)
    (tmp_path / "empty").write_bytes(b"")
    damage(tmp_path / "other", "CREATE TABLE meta (key, value)")
    for name in ("text", "empty", "other"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StoreError, match="is not a frame store"):
            FrameStore.open(tmp_path / name)
        if name != "empty":  # what a writer killed at once leaves behind
            with pytest.raises(StoreError, match="is not a frame store"):
                FrameStoreWriter(tmp_path / name, spec=RAW)
        assert (tmp_path / name).read_bytes() == before
    FrameStoreWriter(tmp_path / "empty", spec=RAW).close()
    assert FrameStore.open(tmp_path / "empty").spec == RAW


def test_hand_written_files_are_never_to_be_deleted(tmp_path: Path) -> None:
    annotations = tmp_path / "my.jsonl"
    annotations.write_text('{"video": "a.mp4"}\n')
    with pytest.raises(StoreError) as reading:
        FrameStore.open(annotations)
    make = f"Make one of it: figclip prepare {annotations} --videos DIR --out frames.store"
    assert reading.value.fix == make
    with pytest.raises(StoreError, match="exists, and is not a frame store. Choose another") as out:
        FrameStoreWriter(annotations, spec=RAW)
    assert "elete" not in f"{reading.value}{out.value}"
    with pytest.raises(StoreError, match="exists, and is not a frame store"):
        FrameStoreWriter(tmp_path, spec=RAW)


def test_newer_or_damaged_description(path: Path) -> None:
    set_meta = "UPDATE meta SET value = ? WHERE key = ?"
    for value, key in [("eight", "size"), ("cv", "pipeline"), ("png", "codec"), ("0", "size")]:
        write_store(path)
        damage(path, set_meta, value, key)
        with pytest.raises(StoreError, match="description is damaged"):
            FrameStore.open(path)
        path.unlink()
    write_store(path)
    damage(path, set_meta, str(FORMAT_VERSION + 1), "format_version")
    for use in (FrameStore.open, lambda path: FrameStoreWriter(path, spec=RAW)):
        with pytest.raises(StoreError, match="format 2 is newer than this program's 1"):
            use(path)


def test_damaged_record(path: Path) -> None:
    write_store(path)
    for text in ["", "{}", "[]", "null", "[" * 100_000, '{"id": 3}']:
        damage(path, "UPDATE records SET json = ?, crc32 = NULL", text)
        with pytest.raises(StoreError, match="a stored record is damaged"):
            FrameStore.open(path).records()


def read_sum(store: FrameStore) -> int:
    return int(store.read_frames(HASH, [0, 750_000]).sum())


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_readers_in_processes(path: Path, method: str) -> None:
    pixels = write_store(path)
    store = FrameStore.open(path)
    assert read_sum(store) == pixels[[0, 3]].sum()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_sum, [store] * 6) == [int(pixels[[0, 3]].sum())] * 6
    assert read_sum(store) == pixels[[0, 3]].sum()


def fill_at_once(folder: Path, barrier: Barrier, rank: int) -> list[str]:
    """Open, fill and read fresh stores at the same moment as the others; what went wrong."""
    wrong = []
    for number in range(3):
        barrier.wait(60)
        try:
            with FrameStoreWriter(folder / f"{number}.store", spec=RAW) as writer:
                for name in (rank, 99):  # one of its own, one that all write
                    pixels = np.full((1, 8, 8, 3), name, np.uint8)
                    writer.add_video(f"{name:064d}", "a", pixels, times_us=[0], duration_s=1.0)
            read = FrameStore.open(folder / f"{number}.store").read_frames
            assert (read(f"{rank:064d}", [0]) == rank).all() and (
                read(f"{99:064d}", [0]) == 99
            ).all()
        except Exception as error:  # reported by the test: the others must not wait for us
            wrong.append(f"{number}: {error!r}")
    return wrong


@pytest.mark.slow
def test_four_writers_of_one_fresh_store_wait_for_each_other(tmp_path: Path) -> None:
    """They are not meant to, but two evaluations at once share the stores of the cache."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(4, mp_context=context) as pool:
        barrier = manager.Barrier(4)
        jobs = [pool.submit(fill_at_once, tmp_path, barrier, rank) for rank in range(4)]
        assert [job.result() for job in jobs] == [[]] * 4
    for store in tmp_path.iterdir():
        assert len(stored_videos(FrameStore.open(store))) == 5


def test_readers_in_threads_and_pickled(path: Path) -> None:
    pixels = write_store(path)
    store = pickle.loads(pickle.dumps(FrameStore.open(path)))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read_sum, [store] * 50)) == {int(pixels[[0, 3]].sum())}
    store.close()
    assert read_sum(store) == pixels[[0, 3]].sum()


def test_readers_leave_the_file_alone(path: Path) -> None:
    write_store(path)
    path.chmod(0o444)
    FrameStore.open(path).read_frames(HASH, [0])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


KILLED_WRITER = """
import sys, numpy as np
from figclip.video.store import FrameStoreWriter, StoreSpec
spec = StoreSpec(size=64, codec="raw")
with FrameStoreWriter(sys.argv[1], spec=spec) as writer:
    for number in range(100_000):
        pixels = np.full((20, 64, 64, 3), number % 256, np.uint8)
        writer.add_video(
            f"{number:064x}", f"{number}.mp4", pixels, times_us=list(range(20)), duration_s=10.0
        )
        writer.commit()
        print(number, flush=True)
"""


def test_a_killed_writer_leaves_whole_videos(start: Start, path: Path) -> None:
    for delay_s in (0.02, 0.05, 0.09):
        path.unlink(missing_ok=True)
        writer = start([sys.executable, "-c", KILLED_WRITER, path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay_s)
        writer.kill()
        reported = writer.stdout.read().split()
        store = FrameStore.open(path)
        videos = stored_videos(store)
        assert len(videos) >= len(reported)
        for number, video in enumerate(videos):
            assert video.num_frames == 20
            read = store.read_frames(video.hash, list(range(20)))
            assert (read == number % 256).all()
        with FrameStoreWriter(path, spec=StoreSpec(size=64, codec="raw")):
            pass  # it can be gone on with


texts = st.text(st.characters(), max_size=8)
times = st.floats(allow_nan=False, allow_infinity=False)
role_fields = st.fixed_dictionaries(dict.fromkeys(("name", "text", "slot"), texts))
event_fields = st.fixed_dictionaries(
    {"start_s": times, "end_s": times, "roles": st.lists(role_fields, max_size=3)}
    | dict.fromkeys(("verb", "gloss", "sense", "scene", "relation"), texts)
)
annotation_fields = st.fixed_dictionaries(
    {"events": st.lists(event_fields, max_size=3), "captions": st.lists(texts, max_size=2)}
)
record_fields = st.fixed_dictionaries(
    {"annotations": st.lists(annotation_fields, max_size=3)}
    | dict.fromkeys(("id", "video", "split", "group"), texts)
)


def built(fields: dict[str, Any]) -> VideoRecord:
    """The record; not built inside the strategy, where type checks may draw no random numbers."""
    annotations = tuple(
        Annotation(
            events=tuple(
                Event(**event | {"roles": tuple(Role(**role) for role in event["roles"])})
                for event in annotation["events"]
            ),
            captions=tuple(annotation["captions"]),
        )
        for annotation in fields["annotations"]
    )
    return VideoRecord(**fields | {"annotations": annotations})


@settings(deadline=None)
@given(fields=record_fields)
def test_records_survive_json_exactly(fields: dict[str, Any]) -> None:
    original = built(fields)
    text = record_to_json(original)
    assert text.isascii()
    assert "\n" not in text
    assert repr(record_from_json(text)) == repr(original)


def test_lone_surrogates_survive_json() -> None:
    original = record(video="\udcff.mp4")
    assert record_from_json(record_to_json(original)) == original


@settings(deadline=None)
@given(value=record_fields, data=st.data())
def test_damaged_json_is_named(value: dict[str, Any], data: st.DataObject) -> None:
    """One value replaced by another kind, at a random depth."""
    parent, key = value, data.draw(st.sampled_from(sorted(value)))
    while isinstance(parent[key], dict | list) and parent[key] and data.draw(st.booleans()):
        parent = parent[key]
        keys = sorted(parent) if isinstance(parent, dict) else range(len(parent))
        key = data.draw(st.sampled_from(keys))
    kind = type(parent[key])
    others = [v for v in (None, True, "x", [], {}, 1.5) if not isinstance(v, kind)]
    parent[key] = data.draw(st.sampled_from(others))
    with pytest.raises(StoreError, match="a stored record is damaged"):
        record_from_json(json.dumps(value))


def test_times_that_json_cannot_hold() -> None:
    event = Event(start_s=0.0, end_s=float("inf"), verb="walk")
    original = VideoRecord(
        id="a", video="a", split="", group="", annotations=(Annotation(events=(event,)),)
    )
    with pytest.raises(StoreError, match="not a finite number"):
        record_to_json(original)


def test_stores_keep_their_annotation_files_and_old_ones_get_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    path = tmp_path / "store"
    FrameStoreWriter(path, spec=RAW).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE source")  # as stores before 2026-11-28 are
    assert FrameStore.open(path).source() is None
    for text in ("first", "second"):
        file.write_text(text)
        with FrameStoreWriter(path, spec=RAW) as writer:
            writer.set_source(pack_source(file))
        kept = FrameStore.open(path).source()
        assert kept is not None and kept.read_text() == text
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE source SET archive = 'no archive'")
    with pytest.raises(StoreError, match="annotation files are damaged"):
        FrameStore.open(path).source()


def test_a_full_disk_is_named_and_loses_only_what_could_not_be_written(path: Path) -> None:
    write_store(path)
    writer = FrameStoreWriter(path, spec=RAW)
    (num_pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
    writer._connection.execute(f"PRAGMA max_page_count = {num_pages}")
    with pytest.raises(StoreError, match=r"disk is full\). Make room there, then run the same"):
        writer.add_video("ef" * 32, "b.mp4", frames(99), times_us=range(99), duration_s=1.0)
    writer.close()
    with FrameStore.open(path) as store:
        assert store.find_video("ef" * 32) is None
        assert [one.record.id for one in store.records()] == ["a"]

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import figclip.evaluation.sources as opened_sources
from figclip.datasets.records import LeftOut
from figclip.errors import AnnotationError, DataError, StoreError
from figclip.evaluation.sources import DataSource, check_stores, open_annotated, read_source
from figclip.video.store import FrameStoreWriter, QuarantinedVideo, StoreSpec
from tests.annotation_files import own_video, write_jsonl
from tests.dense_sets import with_split, write_store
from tests.small_runs import IMAGE_SIZE, make_records

SPEC = StoreSpec(size=IMAGE_SIZE)
RECORDS = make_records([2, 1, 1])


def opened(source: DataSource, **changes: Any) -> opened_sources.OpenedSource:
    arguments: dict[str, Any] = {"spec": SPEC, "frames_per_event": 2, "cache": None, **changes}
    return open_annotated(source, **arguments)


def test_valid_is_the_default_split_and_others_are_chosen_by_name(tmp_path: Path) -> None:
    records = [*with_split(RECORDS[:2], "train"), *with_split(RECORDS[2:], "valid")]
    source = DataSource(name="events", path=write_store(tmp_path / "a.store", records))
    found = opened(source)
    assert ([one.id for one in found.content.records], found.split) == (["v2"], "valid")
    found = opened(dataclasses.replace(source, split="train"))
    assert ([one.id for one in found.content.records], found.split) == (["v0", "v1"], "train")
    with pytest.raises(DataError, match=r"split 'test'.* train \(2\), valid \(1\)"):
        opened(dataclasses.replace(source, split="test"))


def test_without_a_valid_split_all_videos_are_taken(tmp_path: Path) -> None:
    records = [*with_split(RECORDS[:2], "train"), *with_split(RECORDS[2:], "other")]
    found = opened(DataSource(name="events", path=write_store(tmp_path / "a.store", records)))
    assert ([one.id for one in found.content.records], found.split) == (["v0", "v1", "v2"], None)


def test_training_videos_do_not_stand_in_for_valid_ones_that_are_missing(tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.store", with_split(RECORDS, "train"))
    with FrameStoreWriter(path, spec=StoreSpec(size=IMAGE_SIZE, codec="raw")) as writer:
        writer.set_coverage({"splits": {"train": {"stored": 3}, "valid": {"stored": 0}}})
    source = DataSource(name="events", path=path)
    with pytest.raises(DataError, match=r"no videos of split 'valid'.*Splits with videos are trai"):
        opened(source)
    assert opened(dataclasses.replace(source, split="train")).split == "train"


def test_the_hash_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.store", RECORDS)
    shutil.copy(store, tmp_path / "b.store")
    first, second = (
        opened(DataSource(name="events", path=tmp_path / name)).hash
        for name in ("a.store", "b.store")
    )
    assert first == second
    other = write_store(tmp_path / "c.store", RECORDS[:2])
    assert opened(DataSource(name="events", path=other)).hash != first


def test_videos_that_were_not_prepared_are_left_out(tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.store", RECORDS)
    with FrameStoreWriter(path, spec=StoreSpec(size=IMAGE_SIZE, codec="raw")) as writer:
        writer.quarantine(
            QuarantinedVideo(
                id="bad",
                split="train",
                path="bad.mp4",
                reason="damaged",
                detail="damaged: no frame",
            )
        )
    left_out = opened(DataSource(name="events", path=path)).left_out
    assert left_out == (LeftOut(item="bad", reason="the video was not prepared: damaged"),)


def test_annotations_are_prepared_into_the_cache_or_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    told: list[tuple[str, int, int]] = []

    def prepare(
        source: Path,
        *,
        videos: Path,
        out: Path,
        spec: StoreSpec,
        frames_per_event: int,
        split: str | None,
        on_video: Callable[[int, int, int], None],
    ) -> SimpleNamespace:
        on_video(1, 2, 0)
        splits.append(split)
        assert (source, videos, spec, frames_per_event) == (annotations, tmp_path, SPEC, 2)
        calls.append(out)
        write_store(out, RECORDS)
        return SimpleNamespace(missing={"train": ("a.mp4", "b.mp4"), "valid": ("c.mp4",)})

    splits: list[str | None] = []
    monkeypatch.setattr(opened_sources, "prepare", prepare)
    annotations = tmp_path / "own.jsonl"
    annotations.write_text("{}\n")
    source = DataSource(name="events", path=annotations, videos=tmp_path)
    cache = tmp_path / "cache"
    found = opened(source, cache=cache, on_progress=lambda *step: told.append(step))
    assert len(found.content.records) == 3
    assert told == [("decoding videos", 1, 2)]
    assert calls[0].parent == cache / "stores"
    assert calls[0].name.startswith("events-own-")
    assert calls[0].name.endswith(f"-pil-{IMAGE_SIZE}-jpeg.store")
    assert len(opened(dataclasses.replace(source, store=tmp_path / "s.store")).content.records) == 3
    assert calls[1] == tmp_path / "s.store"
    found = opened(dataclasses.replace(source, split="train"), cache=cache)
    assert calls[2].parent == cache / "stores" and calls[2] != calls[0]
    given = dataclasses.replace(source, split="train", store=tmp_path / "s.store")
    assert opened(given).hash == found.hash
    # A store of one's own is also trained on: it gets all.
    assert splits == [None, None, "train", None]
    assert found.notices[-1] == "2 of the videos have no file: a.mp4, b.mp4."


def test_a_store_of_another_size_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.store", RECORDS)
    with pytest.raises(StoreError, match="224 px"):
        opened(DataSource(name="events", path=store), spec=StoreSpec(size=224))


def test_a_store_that_does_not_keep_its_annotation_files_is_used_and_said_to_be_old(
    tmp_path: Path,
) -> None:
    path = write_store(tmp_path / "a.store", RECORDS)
    source = DataSource(name="events", path=path)
    assert opened(source).notices == ()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE source")
        connection.execute("DELETE FROM meta WHERE key IN ('counts', 'check')")
    found = opened(source)
    (notice,) = found.notices
    assert "prepared before stores kept the annotation files" in notice
    assert len(found.content.records) == len(RECORDS)


def write_events(folder: Path, splits: dict[str, str], *, files: tuple[str, ...]) -> DataSource:
    """Annotations by the names of their videos, and files that nobody can decode."""
    lines = [
        own_video(id=name, video=f"{name}.mp4", split=split, group=f"film of {name}")
        for name, split in splits.items()
    ]
    write_jsonl(folder / "own.jsonl", lines)
    videos = folder / "videos"
    videos.mkdir()
    for name in files:
        (videos / f"{name}.mp4").write_bytes(b"")
    return DataSource(name="events", path=folder / "own.jsonl", videos=videos)


def test_what_annotations_and_names_tell_is_told_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_sources, "prepare", None)
    splits = {"a": "train", "b": "train", "c": "valid", "d": "test"}
    source = write_events(tmp_path, splits, files=("a", "b", "d"))

    def read(**changes: Any) -> frozenset[str]:
        changed = dataclasses.replace(source, **changes)
        return read_source(changed, frames_per_event=2, cache=tmp_path / "cache").groups

    message = r"own.jsonl: there are no videos of split 'valid'.*test \(1\), train \(2\)"
    with pytest.raises(DataError, match=message):
        read()
    with pytest.raises(DataError, match="there are no videos of split 'none'"):
        read(split="none")
    assert read(split="train") == {"film of a", "film of b"}
    with pytest.raises(DataError, match="nowhere: is not a folder"):
        read(split="train", videos=tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds none of the 4 annotated videos"):
        read(split="train", videos=empty)
    source.path.write_text("nonsense\n")
    with pytest.raises(AnnotationError, match="1 problem"):
        read(split="train")


def test_a_store_says_before_what_it_lacks(tmp_path: Path) -> None:
    records = [*with_split(RECORDS[:2], "train"), *with_split(RECORDS[2:], "valid")]
    source = DataSource(name="events", path=write_store(tmp_path / "a.store", records))
    assert read_source(source, frames_per_event=2, cache=None).groups == {"g2"}
    with pytest.raises(StoreError, match="lacks frames for 3 an event.*--frames 3"):
        read_source(source, frames_per_event=3, cache=None)
    with pytest.raises(DataError, match="no videos of split 'test'"):
        read_source(dataclasses.replace(source, split="test"), frames_per_event=2, cache=None)


def test_stores_of_other_pixels_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.store", RECORDS, pipeline="swscale")
    given = DataSource(name="events", path=path)
    check_stores(given, [SPEC])  # its own pipeline and codec will do
    with pytest.raises(StoreError, match="224 px frames"):
        check_stores(given, [SPEC, StoreSpec(size=224)])
    with pytest.raises(StoreError, match="pipeline pil-squash as raw is needed"):
        check_stores(given, [dataclasses.replace(SPEC, pipeline="pil-squash")])
    filled = DataSource(name="events", path=tmp_path / "x", videos=tmp_path, store=path)
    with pytest.raises(StoreError, match="pipeline swscale as raw, but .* pipeline pil as jpeg"):
        check_stores(filled, [SPEC])
    new = dataclasses.replace(filled, store=tmp_path / "new.store")
    check_stores(new, [SPEC])
    with pytest.raises(DataError, match="different pixels, which one store cannot hold"):
        check_stores(new, [SPEC, StoreSpec(size=224)])


def test_a_benchmark_without_a_single_file_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kinds.csv").write_text("file,label\na.png,red\nb.png,blue\n")
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    source = DataSource(name="actions", path=tmp_path / "kinds.csv", images=images)
    monkeypatch.setattr("figclip.evaluation.plan.prepare_clips", None)
    with pytest.raises(DataError, match="none of the 2 files of actions.*'a.png': the image is mi"):
        read_source(source, frames_per_event=2, cache=tmp_path / "cache")
    (images / "deep" / "b.png").write_bytes(b"no picture")
    read = read_source(source, frames_per_event=2, cache=tmp_path / "cache")
    assert read.groups == {"b.png"} and read.benchmark is not None

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.annotations.captions import TEMPLATES
from figclip.annotations.texts import build_text_table
from figclip.annotations.vidsitu import load_source
from figclip.cli.prepare import prepare as prepare_verb
from figclip.errors import AnnotationError, DataError, OutputError, StoreError
from figclip.preparation.prepare import (
    PreparationPlan,
    PreparationReport,
    SplitCoverage,
    format_coverage,
    prepare,
)
from figclip.runtime.checked_json import load_checked
from figclip.video.container import hash_video
from figclip.video.decoding import decode_frames
from figclip.video.store import FrameStore, StoreSpec
from tests.annotation_files import YOUTUBE_IDS, own_event, segment_id, write_jsonl, write_vidsitu
from tests.processes import Start
from tests.ray_workers import kill_busy_worker, pretended_machines
from tests.videos import (
    draw_video,
    read_number,
    regular_stamps,
    set_display_matrix,
    stored_videos,
)

SPEC = StoreSpec(size=32, codec="raw")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 10 frames a second, each frame with its number."""
    return draw_video(tmp_path_factory.mktemp("clip") / "clip.mp4", stamps=regular_stamps(40))


@pytest.fixture(scope="module")
def other_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "other.mp4"
    return draw_video(path, stamps=regular_stamps(30), options={"crf": "30"})


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds, as a segment of VidSitu."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    return draw_video(path, stamps=regular_stamps(100))


def line(video: str, *spans: tuple[float, float], **changes: Any) -> dict[str, object]:
    """An annotation with an event for each span."""
    verbs = ["pour (let flow)", "drink (sip)", "wave (greet)", "jump (leap)"]
    events = [
        own_event(start_s=start, end_s=end, verb=verbs[idx], sense=None)
        for idx, (start, end) in enumerate(spans or ((0.0, 2.0),))
    ]
    return {"video": video, "events": events, **changes}


def run(tmp_path: Path, lines: Sequence[object], **options: Any) -> PreparationReport:
    """Prepare lines of own annotations with the videos of tmp_path/videos."""
    source = write_jsonl(tmp_path / "own.jsonl", lines)
    options = {"spec": SPEC, "frames_per_event": 2, "num_workers": 2, **options}
    return prepare(source, videos=tmp_path / "videos", out=tmp_path / "own.store", **options)


def copy(clip: Path, tmp_path: Path, *names: str) -> None:
    """The clip below tmp_path/videos by these names."""
    for name in names:
        target = tmp_path / "videos" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, target)


def content(store: Path) -> dict[str, list[Any]]:
    """All rows of all tables."""
    connection = sqlite3.connect(store)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
        tables = [name for name in names if not name.startswith("sqlite_")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in tables}
    finally:
        connection.close()


def reasons(report: PreparationReport) -> Mapping[str, str]:
    return {entry.id: entry.reason for entry in report.quarantine}


def test_the_right_frames_are_stored(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "in a folder/a.mp4")
    report = run(tmp_path, [line("in a folder/a.mp4", (0.0, 2.0), (1.9, 4.0))])
    assert report.splits == {
        "train": SplitCoverage(listed=1, annotated=1, found=1, stored=1, quarantined=0)
    }
    assert (report.num_stored, report.num_reused, report.quarantine) == (1, 0, ())
    # Midpoints of halves: 0.5 and 1.5 s; 2.425 and 3.475 s. Ten frames a second.
    times_us = (500_000, 1_500_000, 2_425_000, 3_475_000)
    video_hash = hash_video(clip)
    with FrameStore.open(tmp_path / "own.store", require=SPEC) as store:
        assert store.frame_times_us(video_hash) == times_us
        frames = store.read_frames(video_hash, times_us)
        assert [read_number(frame) for frame in frames] == [5, 15, 24, 34]
        expected = decode_frames(clip, [0.5, 1.5, 2.425, 3.475], pipeline=SPEC.pixels)
        assert np.array_equal(frames, expected.frames_NHWC)
        [video] = stored_videos(store)
        assert (video.path, video.duration_s) == ("in a folder/a.mp4", 4.0)
        [stored] = store.records()
        assert (stored.record.id, stored.video_hash) == ("in a folder/a.mp4", video_hash)


def test_any_subset_is_normal_and_the_rest_is_named(
    clip: Path, other_clip: Path, tmp_path: Path
) -> None:
    names = ["-a.mp4", "--b.mp4", "cut.mp4", "short.mp4", "words.mp4", "plain.mp4", "x/twice.mp4"]
    copy(clip, tmp_path, *names, "x/twice.MKV", "empty.mp4", "caption.mp4", "nobody asked.mp4")
    videos = tmp_path / "videos"
    (videos / "cut.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    shutil.copy(other_clip, videos / "short.mp4")
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "words.mp4").write_text("no video at all")
    (videos / "folder.mp4").mkdir()
    lines = [
        *(line(name) for name in ("-a.mp4", "--b.mp4", "cut.mp4", "empty.mp4", "words.mp4")),
        line("short.mp4", (0.0, 2.0), (2.0, 4.0), id="s"),
        line("folder.mp4", split="valid"),
        line("plain"),
        line("twice", split="valid"),
        line("missing.mp4", split="valid"),
        line("n" * 300 + ".mp4", split="test"),
        {"video": "caption.mp4", "captions": ["A nurse pours tea."], "split": "valid"},
    ]
    told: list[tuple[int, int, int]] = []
    plans: list[PreparationPlan] = []
    report = run(tmp_path, lines, on_video=lambda *n: told.append(n), on_plan=plans.append)
    found = {entry.id: entry for entry in report.quarantine}
    assert reasons(report) == {
        "cut.mp4": "unreadable",
        "empty.mp4": "empty",
        "words.mp4": "unreadable",
        "s": "past-end",
        "folder.mp4": "not-a-file",
        "twice": "ambiguous",
        "caption.mp4": "no-events",
    }
    assert list(found) == sorted(found)
    assert found["s"].path == "short.mp4"
    assert found["s"].detail == (
        "past-end: 3.5 s was asked for, but the last frame ends at 3 s. "
        "Correct the times, or get the whole video if it was cut short"
    )
    assert found["twice"].path == "x/twice.MKV"
    assert found["twice"].detail == (
        "ambiguous: several files have this name: x/twice.MKV, x/twice.mp4. Keep one of them."
    )
    assert str(tmp_path) not in str(report.quarantine)
    assert report.splits == {
        "train": SplitCoverage(listed=7, annotated=7, found=7, stored=3, quarantined=4),
        "valid": SplitCoverage(listed=4, annotated=4, found=3, stored=0, quarantined=3),
        "test": SplitCoverage(listed=1, annotated=1, found=0, stored=0, quarantined=0),
    }
    assert format_coverage(report) == [
        "events test: 0 of 1 videos have a file, 0 stored, 0 quarantined",
        f"  without a file: {'n' * 300}.mp4",
        "events train: 7 of 7 videos have a file, 3 stored, 4 quarantined",
        "events valid: 3 of 4 videos have a file, 0 stored, 3 quarantined",
        "  without a file: missing.mp4",
    ]
    beside = load_checked((tmp_path / "own.store.coverage.json").read_text())
    assert beside["missing"] == {
        "test": ["n" * 300 + ".mp4"],
        "train": [],
        "valid": ["missing.mp4"],
    }
    with FrameStore.open(tmp_path / "own.store") as store:
        assert [one.record.id for one in store.records()] == ["--b.mp4", "-a.mp4", "plain"]
        assert store.quarantine() == list(report.quarantine)
        # One content, three names.
        assert [video.hash for video in stored_videos(store)] == [hash_video(clip)]
    # Eight files to decode; two records are known to be unusable before.
    assert [one[:2] for one in told] == [(n, 8) for n in range(1, 9)]
    assert told[-1][2] == 7
    size = 18 * 32 * 32 * 3
    assert plans == [
        PreparationPlan(num_videos=8, num_frames=18, store_bytes=size, missing_bytes=0)
    ]


def test_only_the_split_asked_for_is_decoded(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4")
    lines = [line("a.mp4"), line("b.mp4", split="valid"), line("c.mp4", split="valid")]
    told: list[tuple[int, int, int]] = []
    report = run(tmp_path, lines, split="valid", on_video=lambda *n: told.append(n))
    assert told == [(1, 1, 0)]
    assert list(report.splits) == ["valid"]
    assert report.missing == {"valid": ("c.mp4",)}
    with FrameStore.open(tmp_path / "own.store") as store:
        assert [one.record.id for one in store.records()] == ["b.mp4"]
    with pytest.raises(DataError, match="there are no videos of split 'vald'"):
        run(tmp_path, lines, split="vald")


def test_a_disk_without_room_is_told_before_anything_is_decoded(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy(clip, tmp_path, "a.mp4")
    source = write_jsonl(tmp_path / "own.jsonl", [line("a.mp4")])
    usage, free = shutil.disk_usage(tmp_path), [1000]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    plans: list[PreparationPlan] = []
    out = tmp_path / "not yet there" / "a.store"

    def stop(plan: PreparationPlan) -> None:
        plans.append(plan)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, videos=tmp_path / "videos", out=out, spec=SPEC, on_plan=stop)
    assert plans[0].missing_bytes == plans[0].store_bytes - 1000 > 0
    assert not out.parent.exists()
    monkeypatch.setattr("figclip.preparation.prepare.FrameStoreWriter", None)
    free[0] = 20_000  # as JPEG it may fit
    with pytest.raises(TypeError):
        prepare_verb(source, videos=tmp_path / "videos", out=out)
    assert f"Warning: the disk of {out} has about" in capsys.readouterr().err
    with pytest.raises(OutputError, match=r"a\.store: takes at least .* than there is room for"):
        prepare_verb(source, videos=tmp_path / "videos", out=out, codec="raw")
    assert not out.parent.exists()


def test_vidsitu_coverage_counts_what_the_splits_list(long_clip: Path, tmp_path: Path) -> None:
    folder = write_vidsitu(tmp_path / "official", num_train=3, num_valid=2)
    train = [segment_id(start_s=20 * n) for n in range(3)]
    valid = [segment_id(YOUTUBE_IDS[4], start_s=20 * n) for n in range(2)]
    copy(long_clip, tmp_path, f"{train[0]}.mp4", f"deep/er/{train[2]}.WEBM", f"{valid[1]}.mkv")
    # Listed but not annotated, and a folder of frames beside the video.
    copy(long_clip, tmp_path, f"{segment_id(YOUTUBE_IDS[4], start_s=500)}.mp4", f"{train[0]}/1.jpg")
    (tmp_path / "videos" / f"{valid[0]}.mp4").write_bytes(b"")
    out = tmp_path / "v.store"
    report = prepare(folder, videos=tmp_path / "videos", out=out, spec=SPEC, num_workers=2)
    assert format_coverage(report) == [
        "VidSitu train: 2 of 3 segments have a file, 2 stored, 0 quarantined",
        f"  without a file: {train[1]}",
        "VidSitu valid: 2 of 3 segments have a file (2 are annotated), 1 stored, 1 quarantined",
    ]
    assert reasons(report) == {valid[0]: "empty"}
    with FrameStore.open(out) as store:
        assert [one.record.id for one in store.records()] == sorted([train[0], train[2], valid[1]])
        times_us = store.frame_times_us(hash_video(long_clip))
        assert times_us == tuple(range(250_000, 10_000_000, 500_000))
        frames = store.read_frames(hash_video(long_clip), times_us)
        assert [read_number(frame) for frame in frames] == [2 + 5 * n for n in range(20)]
        # The annotations of all videos, whichever are there.
        kept = store.source()
        assert kept is not None
        assert load_source(kept).records == load_source(folder).records


def test_thousands_are_written_with_commas() -> None:
    part = SplitCoverage(listed=1324, annotated=1224, found=12, stored=10, quarantined=2)
    report = PreparationReport(
        name="vidsitu",
        splits={"valid": part},
        quarantine=(),
        num_reused=0,
        masked_negatives=0.0,
        notices=(),
    )
    assert format_coverage(report) == [
        "VidSitu valid: 12 of 1,324 segments have a file (1,224 are annotated), "
        "10 stored, 2 quarantined"
    ]


def test_coverage_is_in_the_store_and_beside_it(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "videos" / "b.mp4").write_bytes(b"")
    again = line("a.mp4", (0.0, 1.0))
    report = run(tmp_path, [line("a.mp4"), line("b.mp4"), line("c.mp4"), again, again])
    beside = load_checked((tmp_path / "own.store.coverage.json").read_text())
    assert beside == {
        "format": 1,
        "source": "own.jsonl",
        "name": "events",
        "splits": {
            "train": {"listed": 3, "annotated": 3, "found": 2, "stored": 1, "quarantined": 1}
        },
        "quarantine": [
            {
                "id": "b.mp4",
                "split": "train",
                "path": "b.mp4",
                "reason": "empty",
                "detail": "empty: the file has 0 bytes. Get it again",
            }
        ],
        "masked_negatives": 1.0,
        "missing": {"train": ["c.mp4"]},
        "notices": list(report.notices),
    }
    assert report.notices == ("1 annotation equal another of its video: dropped",)
    with FrameStore.open(tmp_path / "own.store") as store:
        assert store.coverage == {key: one for key, one in beside.items() if key != "missing"}


def test_masked_negatives_are_those_of_the_default_recipe(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, *(f"{n}.mp4" for n in range(4)))
    # Three fall and one rises: there is one place among the false ones for each that is true.
    verbs = ("fall", "fall", "fall", "rise")
    events = [own_event(end_s=1, verb=verb, sense=f"{verb}.01") for verb in verbs]
    report = run(tmp_path, [{"video": f"{n}.mp4", "events": [events[n]]} for n in range(4)])
    assert 0.2 < report.masked_negatives < 0.75
    with FrameStore.open(tmp_path / "own.store") as store:
        table = build_text_table(
            [one.record for one in store.records()],
            template=TEMPLATES["default"],
            policy="balanced",
            verb_negatives=4,
            filler_negatives_per_event=0,
            seed=0,
        )
    assert report.masked_negatives == table.masked_fraction


def test_a_second_run_decodes_only_what_is_new(
    clip: Path, other_clip: Path, tmp_path: Path
) -> None:
    copy(clip, tmp_path, "a.mp4")
    first = run(tmp_path, [line("a.mp4"), line("b.mp4")])
    assert (first.num_reused, first.num_stored) == (0, 1)
    before = content(tmp_path / "own.store")
    again = run(tmp_path, [line("a.mp4"), line("b.mp4")])
    assert (again.num_reused, again.num_stored) == (1, 1)
    assert content(tmp_path / "own.store") == before
    copy(other_clip, tmp_path, "b.mp4")
    more = run(tmp_path, [line("a.mp4"), line("b.mp4")])
    assert (more.num_reused, more.num_stored) == (1, 2)


def test_one_content_under_two_names_keeps_the_frames_of_both(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4")
    lines = [line("a.mp4", (0.0, 1.0)), line("b.mp4", (1.0, 3.0))]
    assert run(tmp_path, lines).num_stored == 2
    with FrameStore.open(tmp_path / "own.store") as store:
        assert {one.video_hash for one in store.records()} == {hash_video(clip)}
        times_us = (250_000, 750_000, 1_500_000, 2_500_000)
        assert store.frame_times_us(hash_video(clip)) == times_us
        assert [video.num_frames for video in stored_videos(store)] == [4]


def test_a_changed_video_is_decoded_again(clip: Path, other_clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4")
    run(tmp_path, [line("a.mp4")])
    copy(other_clip, tmp_path, "a.mp4")
    report = run(tmp_path, [line("a.mp4")])
    assert (report.num_reused, report.num_stored) == (0, 1)
    with FrameStore.open(tmp_path / "own.store") as store:
        [stored] = store.records()
        assert stored.video_hash == hash_video(other_clip)
        assert store.frame_times_us(stored.video_hash) == (500_000, 1_500_000)


def test_what_was_quarantined_and_is_mended_is_stored_and_the_reverse(
    clip: Path, tmp_path: Path
) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4")
    lines = [line("a.mp4"), line("b.mp4", (3.0, 5.0))]
    assert reasons(run(tmp_path, lines)) == {"b.mp4": "past-end"}
    lines[1] = line("b.mp4", (3.0, 4.0))
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    report = run(tmp_path, lines)
    assert reasons(report) == {"a.mp4": "empty"}
    with FrameStore.open(tmp_path / "own.store") as store:
        [stored] = store.records()
        assert stored.record.id == "b.mp4"
        assert stored.record.annotations[0].events[0].end_s == 4.0


def test_records_that_the_source_or_the_folder_lost_are_forgotten(
    clip: Path, tmp_path: Path
) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4", "c.mp4")
    run(tmp_path, [line("a.mp4"), line("b.mp4"), line("c.mp4"), line("a", (3.0, 9.0), id="z")])
    (tmp_path / "videos" / "b.mp4").unlink()
    report = run(tmp_path, [line("a.mp4"), line("b.mp4")])
    assert report.quarantine == ()
    with FrameStore.open(tmp_path / "own.store") as store:
        assert [one.record.id for one in store.records()] == ["a.mp4"]


def test_other_frames_per_event_are_added(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4")
    run(tmp_path, [line("a.mp4")], frames_per_event=2)
    report = run(tmp_path, [line("a.mp4")], frames_per_event=1)
    assert report.num_reused == 0
    with FrameStore.open(tmp_path / "own.store") as store:
        assert store.frame_times_us(hash_video(clip)) == (500_000, 1_000_000, 1_500_000)
    assert run(tmp_path, [line("a.mp4")], frames_per_event=2).num_reused == 1


@pytest.mark.parametrize(
    "spec",
    [
        StoreSpec(size=48, codec="raw"),
        StoreSpec(size=32, codec="jpeg"),
        StoreSpec(size=32, codec="raw", pipeline="swscale"),
    ],
)
def test_a_store_of_other_pixels_is_refused_and_left_alone(
    clip: Path, tmp_path: Path, spec: StoreSpec
) -> None:
    copy(clip, tmp_path, "a.mp4")
    run(tmp_path, [line("a.mp4")])
    before = content(tmp_path / "own.store")
    with pytest.raises(StoreError, match="the store holds 32 px frames of pipeline pil as raw, no"):
        run(tmp_path, [line("a.mp4"), line("b.mp4")], spec=spec)
    assert content(tmp_path / "own.store") == before


def test_nothing_to_do_is_said_before_a_store_is_made(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="videos: is not a folder"):
        run(tmp_path, [line("a.mp4")])
    copy(clip, tmp_path, "c.mp4")
    with pytest.raises(DataError, match=r"holds none of the 2 annotated videos\..*'a.mp4'"):
        run(tmp_path, [line("a.mp4"), line("b.mp4")])
    with pytest.raises(
        DataError, match=r"none of the 1 annotated videos found can be used.*c.mp4.*captions only"
    ):
        run(tmp_path, [{"video": "c.mp4", "captions": ["A man sits."]}, line("b.mp4")])
    with pytest.raises(AnnotationError, match=r"own.jsonl:2.*end_s"):
        run(tmp_path, [line("c.mp4"), line("c.mp4", (2.0, 1.0))])
    assert not (tmp_path / "own.store").exists()


def test_all_may_be_quarantined(tmp_path: Path, clip: Path) -> None:
    copy(clip, tmp_path, "a.mp4")
    report = run(tmp_path, [line("a.mp4", (5.0, 6.0))])
    assert reasons(report) == {"a.mp4": "past-end"}
    assert (report.num_stored, report.masked_negatives) == (0, 0.0)


def test_a_folder_whose_name_is_not_utf8_costs_only_its_videos(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4")
    folder = os.fsencode(tmp_path / "videos") + b"/caf\xe9"
    os.mkdir(folder)
    os.rename(os.fsencode(tmp_path / "videos" / "b.mp4"), folder + b"/b.mp4")
    report = run(tmp_path, [line("a.mp4"), line("b")])
    assert reasons(report) == {"b": "bad-name"}
    assert report.quarantine[0].path == "caf?/b.mp4"


def test_a_slow_video_is_quarantined_in_time(clip: Path, tmp_path: Path) -> None:
    copy(clip, tmp_path, "a.mp4")
    report = run(tmp_path, [line("a.mp4")], limit_s=0.0)
    [entry] = report.quarantine
    assert (entry.reason, entry.path) == ("too-slow", "a.mp4")
    assert run(tmp_path, [line("a.mp4")]).num_stored == 1


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_store_does_not_depend_on_the_number_of_workers(
    clip: Path, other_clip: Path, tmp_path: Path, num_workers: int
) -> None:
    copy(clip, tmp_path, "a.mp4", "c.mp4")
    copy(other_clip, tmp_path, "b.mp4")
    turned = set_display_matrix(tmp_path / "videos" / "c.mp4", (0, 1 << 16, -(1 << 16), 0))
    lines = [line(f"{name}.mp4") for name in "abc"]
    run(tmp_path, lines, num_workers=num_workers)
    expected = {}
    for path in (clip, other_clip, turned):
        frames = decode_frames(path, [0.5, 1.5], pipeline=SPEC.pixels).frames_NHWC
        expected[hash_video(path)] = [frame.tobytes() for frame in frames]
    rows = content(tmp_path / "own.store")["frames"]
    found: dict[str, list[bytes]] = {}
    for video_hash, _, _, pixels in rows:
        found.setdefault(video_hash, []).append(pixels)
    assert found == expected


def test_an_error_in_the_middle_stops_the_decoders_and_keeps_what_is_done(
    clip: Path, tmp_path: Path
) -> None:
    names = [f"{n}.mp4" for n in range(6)]
    copy(clip, tmp_path, *names)

    def interrupt(done: int, total: int, quarantined: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    lines = [line(name) for name in names]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, lines, on_video=interrupt)
    with FrameStore.open(tmp_path / "own.store") as store:
        assert len(store.records()) == 2
        assert store.coverage == {}
    assert not (tmp_path / "own.store.coverage.json").exists()
    # All six are one content, whose frames are there.
    assert run(tmp_path, lines).num_reused == 6


def test_a_run_that_is_interrupted_takes_back_the_claim_to_be_complete(
    clip: Path, tmp_path: Path
) -> None:
    copy(clip, tmp_path, "a.mp4", "b.mp4")
    run(tmp_path, [line("a.mp4")])

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [line("a.mp4"), line("b.mp4")], on_video=interrupt)
    with FrameStore.open(tmp_path / "own.store") as store:
        assert store.coverage == {}


def start_preparing(start: Start, tmp_path: Path, *, stop: bool = False) -> subprocess.Popen[bytes]:
    """A process that prepares tmp_path/own.jsonl; it tells of each, `stop`: and waits at three."""
    code = (
        "import sys; from pathlib import Path\n"
        "from figclip.video import store as frames\n"
        "from figclip.video.store import StoreSpec\n"
        "from figclip.preparation.prepare import prepare\n"
        "def tell(done, total, quarantined):\n"
        "    print(done, total, flush=True)\n"
        "    if done == 3 and sys.argv[2] == 'stop':\n"
        "        sys.stdin.read()\n"
        "if __name__ == '__main__':\n"
        "    frames._COMMIT_EVERY_S = 0.0  # as if every video took long\n"
        "    folder = Path(sys.argv[1])\n"
        "    prepare(folder / 'own.jsonl', videos=folder / 'videos', out=folder / 'own.store',\n"
        "            spec=StoreSpec(size=32, codec='raw'), frames_per_event=2, num_workers=2,\n"
        "            on_video=tell)\n"
    )
    script = tmp_path / "preparing.py"
    script.write_text(code)
    command = [sys.executable, script, tmp_path, "stop" if stop else "go"]
    return start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def draw_distinct(folder: Path, num: int) -> list[str]:
    """Videos of different content, the fourth damaged; returns their names."""
    folder.mkdir()
    names = [f"{n}.mp4" for n in range(num)]
    for n, name in enumerate(names):
        draw_video(folder / name, stamps=regular_stamps(30 + n))
    (folder / names[3]).write_bytes(b"not a video")
    return names


def test_killed_in_the_middle_and_run_again_is_as_if_undisturbed(
    start: Start, tmp_path: Path
) -> None:
    names = draw_distinct(tmp_path / "videos", 6)
    lines = [line(name, (0.0, 1.0), (1.0, 2.9)) for name in names]
    run(tmp_path, lines)
    undisturbed = content(tmp_path / "own.store")
    (tmp_path / "own.store").unlink()
    process = start_preparing(start, tmp_path, stop=True)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == [b"1 6\n", b"2 6\n", b"3 6\n"]
    process.kill()
    process.communicate()
    with FrameStore.open(tmp_path / "own.store") as store:
        num_stored = len(store.records())
        assert num_stored + len(store.quarantine()) == 3
        assert store.coverage == {}
    report = run(tmp_path, lines)
    assert report.num_reused == num_stored >= 2
    assert content(tmp_path / "own.store") == undisturbed
    assert reasons(report) == {"3.mp4": "unreadable"}


@pytest.mark.slow
def test_killed_at_any_moment(start: Start, tmp_path: Path) -> None:
    names = draw_distinct(tmp_path / "videos", 30)
    lines = [
        line(name, (0.01 * n, 0.01 * n + 1.0), (1.5, 1.6 + 0.01 * n))
        for n, name in enumerate(names)
    ]
    run(tmp_path, lines)
    undisturbed = content(tmp_path / "own.store")
    num_partial = 0
    for num_done, wait_s in zip(range(1, 28, 3), np.linspace(0.0, 0.05, 9), strict=True):
        (tmp_path / "own.store").unlink()
        process = start_preparing(start, tmp_path)
        assert process.stdout is not None
        for _ in range(num_done):
            process.stdout.readline()
        time.sleep(wait_s)
        process.kill()
        process.communicate()
        num_partial += num_done - 1 <= run(tmp_path, lines).num_reused < 29
        assert content(tmp_path / "own.store") == undisturbed
    assert num_partial >= 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns of itself
def test_a_cluster_decodes_the_rows_of_one_process(
    clip: Path, other_clip: Path, long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setattr("figclip.preparation.prepare._VIDEOS_AT_ONCE", 1)
    for number, file in enumerate((clip, other_clip, long_clip)):
        copy(file, tmp_path, f"{number}.mp4")
    (tmp_path / "videos" / "bad.mp4").write_text("not a video")
    lines = [line(name) for name in ("0.mp4", "1.mp4", "2.mp4", "bad.mp4", "absent.mp4")]
    here = run(tmp_path, lines)
    before = content(tmp_path / "own.store")
    (tmp_path / "own.store").unlink()
    assert run(tmp_path, lines, ray="local") == here
    assert content(tmp_path / "own.store") == before
    assert run(tmp_path, lines, ray="local").num_reused == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns of itself
def test_killed_workers_of_a_cluster_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setattr("figclip.preparation.prepare._VIDEOS_AT_ONCE", 2)
    lines = [line(name) for name in draw_distinct(tmp_path / "videos", 16)]
    here = run(tmp_path, lines)
    before = content(tmp_path / "own.store")
    (tmp_path / "own.store").unlink()
    num_killed = 0

    def kill(num_done: int, num_videos: int, num_quarantined: int) -> None:
        nonlocal num_killed
        if num_done % 4 == 0 and num_done < num_videos:
            num_killed += kill_busy_worker()

    with pretended_machines(2) as address:
        report = run(tmp_path, lines, ray=address, num_workers=None, on_video=kill)
    assert num_killed >= 1
    assert report == here and report.num_stored == 15
    assert content(tmp_path / "own.store") == before

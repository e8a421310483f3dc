"""Media in, clips out: every file is stored or named, once, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figclip.datasets.records import Box, Medium
from figclip.errors import ConfigError, DataError, StoreError
from figclip.preparation.clips import prepare_clips
from figclip.video.decoding import decode_frames
from figclip.video.pixels import PixelPipeline, image_to_pixels
from figclip.video.stored import StoredClips
from tests.processes import Start
from tests.videos import draw_video, read_number, regular_stamps

SIZE = 32


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at 10 frames a second, each frame with its number."""
    return draw_video(tmp_path_factory.mktemp("clip") / "clip.mp4", stamps=regular_stamps(30))


def image(name: str, *box: int) -> Medium:
    part = Box(left=box[0], top=box[1], width=box[2], height=box[3]) if box else None
    return Medium(kind="image", name=name, box=part)


def video(name: str) -> Medium:
    return Medium(kind="video", name=name)


def picture(seed: int, height: int = 40, width: int = 60) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def save(tmp_path: Path, name: str, content: Image.Image | Path | bytes) -> Path:
    """A picture, a copied file or bytes below tmp_path/media."""
    path = tmp_path / "media" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Image.Image):
        content.save(path)
    elif isinstance(content, Path):
        shutil.copy(content, path)
    else:
        path.write_bytes(content)
    return path


def run(tmp_path: Path, media: Sequence[Medium], **options: Any) -> StoredClips:
    """Prepare media that lie in tmp_path/media."""
    (tmp_path / "media").mkdir(exist_ok=True)
    options = {
        "images": tmp_path / "media",
        "videos": tmp_path / "media",
        "pipeline": "pil",
        "size": SIZE,
        "sampling": "seconds_12",
        "num_workers": 2,
        **options,
    }
    return prepare_clips(media, stores=tmp_path / "stores", **options)


def content(folder: Path) -> dict[tuple[str, str], list[Any]]:
    """All rows of all tables of all stores, besides labels."""
    rows: dict[tuple[str, str], list[Any]] = {}
    for file in sorted(folder.iterdir()):
        connection = sqlite3.connect(file)
        rows[file.name, "frames"] = sorted(connection.execute("SELECT * FROM frames"))
        rows[file.name, "videos"] = sorted(
            connection.execute("SELECT hash, duration_s, num_frames FROM videos")
        )
        connection.close()
    return rows


def test_images_and_videos_become_clips_of_the_right_pixels(clip: Path, tmp_path: Path):
    save(tmp_path, "a.png", picture(0))
    save(tmp_path, "v.mp4", clip)
    media = [video("v"), image("a.png"), image("a.png", 4, 6, 30, 20)]
    clips = run(tmp_path, media)
    assert clips.absent == {}
    assert list(clips.clip_of) == media
    assert len(set(clips.clip_of.values())) == 3
    whole, part = (clips.clip_of[medium] for medium in media[1:])
    pipeline = PixelPipeline(size=SIZE)
    for clip_idx, expected in ((whole, picture(0)), (part, picture(0).crop((4, 6, 34, 26)))):
        assert clips.times_s[clip_idx] == (0.0,)
        pixels = image_to_pixels(expected, pipeline=pipeline)
        assert np.array_equal(clips.read(clip_idx, [0.0])[0], pixels)
    assert clips.times_s[clips.clip_of[media[0]]] == (0.0, 1.0, 2.0)
    frames = clips.read(clips.clip_of[media[0]], [0.0, 1.0, 2.0])
    exact = decode_frames(clip, [0.0, 1.0, 2.0], pipeline=pipeline).frames_NHWC
    assert [read_number(frame) for frame in frames] == [0, 10, 20]
    assert np.abs(frames.astype(int) - exact).mean() < 4  # JPEG


def test_every_file_that_cannot_be_used_is_named(clip: Path, tmp_path: Path):
    save(tmp_path, "good.png", picture(0))
    save(tmp_path, "text.png", b"text")
    save(tmp_path, "other text.png", b"another text")
    save(tmp_path, "empty.png", b"")
    good = save(tmp_path, "damaged.png", picture(1))
    good.write_bytes(good.read_bytes()[:-500])
    (tmp_path / "media/folder.png").mkdir()
    os.mkfifo(tmp_path / "media/pipe.png")
    save(tmp_path, "x/twice.png", picture(2))
    save(tmp_path, "y/twice.png", picture(2))
    save(tmp_path, "v.mp4", clip)
    save(tmp_path, "v2.mp4", b"text")
    save(tmp_path, "x/v3.mp4", clip)
    save(tmp_path, "x/v3.mkv", clip)
    expected = {
        image("text.png"): "unreadable image: not-an-image",
        image("other text.png"): "unreadable image: not-an-image",
        image("empty.png"): "unreadable image: empty",
        image("damaged.png"): "unreadable image: damaged",
        image("folder.png"): "unreadable image: not-a-file",
        image("pipe.png"): "unreadable image: not-a-file",
        image("good.png", 60, 0, 9, 9): "unreadable image: bad-box",
        image("v.mp4"): "unreadable image: not-an-image",
        image("none.png"): "the image is missing",
        image("no\0ne.png"): "the image is missing",
        image("twice.png"): "the image is ambiguous: several files have its name",
        video("none"): "the video is missing",
        video("../clip.mp4"): "the video is missing",
        video("v2"): "unreadable video",
        video("v3"): "the video is ambiguous: several files have its name",
    }
    present = [image("good.png"), image("x/twice.png"), video("v.avi"), video("x/v3.mp4")]
    media = [*expected, *present]
    clips = run(tmp_path, media)
    assert clips.absent == expected
    assert list(clips.clip_of) == present
    # Named again, not remembered as done.
    assert run(tmp_path, media).absent == expected


def test_other_names_are_tried_where_none_has_the_name_itself(clip: Path, tmp_path: Path):
    save(tmp_path, "abc.mp4", clip)
    save(tmp_path, "v_def.mp4", clip)
    save(tmp_path, "def.mp4", b"text")
    media = [Medium(kind="video", name=f"v_{one}", also=(one,)) for one in ("abc", "def", "ghi")]
    clips = run(tmp_path, media)
    assert list(clips.clip_of) == media[:2]
    assert clips.absent == {media[2]: "the video is missing"}


def test_equal_files_share_a_clip(clip: Path, tmp_path: Path):
    for name in ("a.png", "b.png"):
        save(tmp_path, name, picture(0))
    for name in ("u.mp4", "w.mp4"):
        save(tmp_path, name, clip)
    media = [image("a.png"), image("b.png"), image("b.png", 0, 0, 9, 9), video("u"), video("w.mp4")]
    clips = run(tmp_path, [*media, *media])
    assert [clips.clip_of[medium] for medium in media] == [0, 0, 1, 2, 2]
    assert len(clips.key_of) == len(clips.store_of) == len(clips.times_s) == 3


def test_samplings_and_benchmarks_share_the_stores(clip: Path, tmp_path: Path):
    save(tmp_path, "v.mp4", clip)
    first = run(tmp_path, [video("v")])
    second = run(tmp_path, [video("v")], sampling="half_seconds")
    assert first.times_s == ((0.0, 1.0, 2.0),)
    assert second.times_s == ((0.249999, 0.749999, 1.249999, 1.749999, 2.249999, 2.749999),)
    assert [path.name for path in (tmp_path / "stores").iterdir()] == ["videos-pil-32.store"]
    frames = first.read(0, first.times_s[0] + second.times_s[0])
    assert [read_number(frame) for frame in frames] == [0, 10, 20, 2, 7, 12, 17, 22, 27]
    other = run(tmp_path, [video("v")], pipeline="swscale")
    assert other.content_key(0, 0.0) != first.content_key(0, 0.0)


def test_a_subset_is_what_would_be_prepared_of_it_alone(clip: Path, tmp_path: Path):
    save(tmp_path, "a.png", picture(0))
    save(tmp_path, "same.png", picture(0))
    save(tmp_path, "v.mp4", clip)
    save(tmp_path, "broken.mp4", b"no video")
    together = run(tmp_path, [image("a.png"), video("v"), video("gone"), image("same.png")])
    together = run(tmp_path, [*together.clip_of, *together.absent, video("broken")])
    some = [video("gone"), image("same.png"), video("v"), video("broken"), video("v")]
    subset, alone = together.subset(some), run(tmp_path, some)
    assert list(subset.clip_of.items()) == list(alone.clip_of.items()) and subset.clip_of
    assert list(subset.absent.items()) == list(alone.absent.items()) and len(subset.absent) == 2
    assert (subset.key_of, subset.times_s) == (alone.key_of, alone.times_s)
    assert subset.content_hash == alone.content_hash != together.content_hash
    for clip_idx, times_s in enumerate(alone.times_s):
        assert np.array_equal(subset.read(clip_idx, times_s), alone.read(clip_idx, times_s))
    with pytest.raises(KeyError):
        together.subset([video("unknown")])


def test_a_second_run_changes_nothing(clip: Path, tmp_path: Path):
    save(tmp_path, "a.png", picture(0))
    save(tmp_path, "v.mp4", clip)
    media = [image("a.png"), video("v")]
    first = run(tmp_path, media)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "stores").iterdir()}
    again = run(tmp_path, media)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "stores").iterdir()} == before
    assert again.content_hash == first.content_hash
    assert (again.key_of, again.times_s) == (first.key_of, first.times_s)


def test_a_changed_file_is_another_clip(tmp_path: Path):
    save(tmp_path, "a.png", picture(0))
    first = run(tmp_path, [image("a.png")])
    save(tmp_path, "a.png", picture(1))
    second = run(tmp_path, [image("a.png")])
    assert first.key_of != second.key_of
    assert not np.array_equal(first.read(0, [0.0]), second.read(0, [0.0]))


def test_the_number_of_workers_and_the_order_make_no_difference(clip: Path, tmp_path: Path):
    media = [image(f"{n}.png") for n in range(6)] + [video("v")]
    for n in range(6):
        save(tmp_path, f"{n}.png", picture(n))
    save(tmp_path, "v.mp4", clip)
    many = run(tmp_path, media, num_workers=3)
    found = content(tmp_path / "stores")
    shutil.rmtree(tmp_path / "stores")
    one = run(tmp_path, media, num_workers=1)
    assert (one.key_of, one.content_hash) == (many.key_of, many.content_hash)
    assert content(tmp_path / "stores") == found
    reverse = run(tmp_path, media[::-1])
    assert {m: reverse.key_of[i] for m, i in reverse.clip_of.items()} == {
        m: many.key_of[i] for m, i in many.clip_of.items()
    }


def test_progress_is_told_by_kind(clip: Path, tmp_path: Path):
    save(tmp_path, "a.png", picture(0))
    save(tmp_path, "v.mp4", clip)
    calls: list[tuple[str, int, int]] = []
    media = [image("a.png"), image("a.png", 0, 0, 9, 9), image("none.png"), video("v")]
    run(tmp_path, media, on_progress=lambda *call: calls.append(call))
    assert calls == [
        ("reading images", 1, 1),
        ("decoding images", 1, 2),
        ("decoding images", 2, 2),
        ("reading videos", 1, 1),
        ("decoding videos", 1, 1),
    ]


def test_nothing_there_is_no_error_and_makes_no_store(tmp_path: Path):
    clips = run(tmp_path, [image("none.png")])
    assert clips.stores == ()
    assert clips.clip_of == {}
    assert not (tmp_path / "stores").exists()
    assert run(tmp_path, []).absent == {}


def test_folders_and_settings_are_checked(clip: Path, tmp_path: Path):
    save(tmp_path, "v.mp4", clip)
    with pytest.raises(DataError, match=r"no folder is given for the video 'v'"):
        run(tmp_path, [video("v")], videos=None)
    with pytest.raises(DataError, match="is not a folder"):
        run(tmp_path, [video("v")], videos=tmp_path / "none")
    assert len(run(tmp_path, [video("v")], images=None).clip_of) == 1
    with pytest.raises(ConfigError, match="unknown pixel pipeline"):
        run(tmp_path, [video("v")], pipeline="opencv")
    (tmp_path / "stores/videos-pil-32.store").write_bytes(b"something else" * 99)
    with pytest.raises(StoreError):
        run(tmp_path, [video("v")])


def test_a_path_that_is_not_utf8_does_no_harm(clip: Path, tmp_path: Path):
    folder = tmp_path / "media" / os.fsdecode(b"caf\xe9")
    folder.mkdir(parents=True)
    shutil.copy(clip, folder / "v.mp4")
    assert len(run(tmp_path, [video("v")]).clip_of) == 1


def test_a_slow_video_is_named(clip: Path, tmp_path: Path):
    save(tmp_path, "v.mp4", clip)
    clips = run(tmp_path, [video("v")], limit_s=0.0)
    assert clips.absent == {video("v"): "unreadable video: too-slow"}


def start_preparing(start: Start, tmp_path: Path, num: int) -> subprocess.Popen[bytes]:
    """A process that prepares 0.png, 1.png, ...; it tells of each, and waits at three."""
    code = (
        "import sys; from pathlib import Path\n"
        "from figclip.preparation.clips import prepare_clips\n"
        "from figclip.video import store as frames\n"
        "from figclip.datasets.records import Medium\n"
        "def tell(stage, done, total):\n"
        "    if stage == 'reading images':\n"
        "        return\n"
        "    print(done, total, flush=True)\n"
        "    if done == 3:\n"
        "        sys.stdin.read()\n"
        "if __name__ == '__main__':\n"
        "    frames._COMMIT_EVERY_S = 0.0  # as if every picture took long\n"
        "    folder = Path(sys.argv[1])\n"
        "    media = [Medium(kind='image', name=f'{n}.png') for n in range(int(sys.argv[2]))]\n"
        "    prepare_clips(media, images=folder / 'media', videos=None, stores=folder / 'stores',\n"
        "                  pipeline='pil', size=32, sampling='seconds_12', num_workers=2,\n"
        "                  on_progress=tell)\n"
    )
    script = tmp_path / "preparing.py"
    script.write_text(code)
    command = [sys.executable, script, tmp_path, str(num)]
    return start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_killed_in_the_middle_and_run_again_is_as_if_undisturbed(start: Start, tmp_path: Path):
    media = [image(f"{n}.png") for n in range(7)]
    for n in range(7):
        save(tmp_path, f"{n}.png", picture(n))
    undisturbed = run(tmp_path, media)
    expected = content(tmp_path / "stores")
    shutil.rmtree(tmp_path / "stores")
    process = start_preparing(start, tmp_path, 7)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == [b"1 7\n", b"2 7\n", b"3 7\n"]
    process.kill()
    process.communicate()
    counts = Counter({name: len(rows) for (name, _), rows in content(tmp_path / "stores").items()})
    assert counts == {"images-pil-32.store": 3}
    again = run(tmp_path, media)
    assert content(tmp_path / "stores") == expected
    assert again.content_hash == undisturbed.content_hash

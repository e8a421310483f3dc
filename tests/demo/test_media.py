"""Tokens, copies and uploads."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from figclip.demo import media
from figclip.demo.media import Medium, Shelf
from figclip.errors import ConfigError, VideoError
from figclip.video.container import video_duration_s
from tests.videos import draw_video


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf")


def sent(shelf: Shelf, content: bytes) -> Path:
    upload = shelf.new_upload()
    upload.write_bytes(content)
    return upload


def test_a_medium_has_one_token_and_nothing_else_has_one(shelf: Shelf):
    medium = Medium(path=Path("/a.png"))
    token = shelf.put(medium)
    assert shelf.put(medium) == token and shelf.get(token) == medium
    for wrong in ("", "../../etc/passwd", token[:-1], "/a.png"):
        with pytest.raises(ConfigError, match="not here any more"):
            shelf.get(wrong)


def test_the_oldest_media_and_copies_are_forgotten(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(media, "_MAX_MEDIA", 2)
    monkeypatch.setattr(media, "_MAX_COPIES", 1)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    tokens = [shelf.put(Medium(path=tmp_path / name)) for name in ("b.png", "a.png")]
    first, second = shelf.copy(tokens[1]), shelf.copy(tokens[1], still=True)
    assert not first.exists() and second.exists()
    shelf.put(Medium(path=Path("c.png")))
    with pytest.raises(ConfigError):
        shelf.get(tokens[0])
    assert shelf.get(tokens[1]).path == tmp_path / "a.png"


def test_copies_are_small(shelf: Shelf, tmp_path: Path):
    Image.new("RGBA", (2000, 1000)).save(tmp_path / "a.png")
    with Image.open(shelf.copy(shelf.put(Medium(path=tmp_path / "a.png")))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (480, 240))
    video = draw_video(tmp_path / "a.mp4", stamps=range(30))
    token = shelf.put(Medium(path=video, span_s=(1.0, 2.0)))
    assert video_duration_s(shelf.copy(token)) == pytest.approx(1.0)
    with Image.open(shelf.copy(token, still=True)) as picture:
        assert picture.size == (320, 213)


def test_what_is_sent_is_known_by_its_content(shelf: Shelf, tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    video = draw_video(tmp_path / "a.mp4", stamps=range(10))
    picture = shelf.accept(sent(shelf, (tmp_path / "a.png").read_bytes()))
    clip = shelf.accept(sent(shelf, video.read_bytes()))
    assert shelf.get(picture).span_s is None
    assert shelf.get(clip).span_s == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<script>alert(1)</script>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"MZ\x90\x00" * 100,
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 100,
    ],
)
def test_what_is_no_picture_or_clip_is_refused_and_deleted(
    shelf: Shelf, content: bytes, tmp_path: Path
):
    upload = sent(shelf, content)
    with pytest.raises(VideoError) as refused:
        shelf.accept(upload)
    assert not upload.exists() and str(tmp_path) not in str(refused.value)


def test_long_clips_are_refused(shelf: Shelf, tmp_path: Path):
    last = round(10 * (media.MAX_UPLOAD_S + 1))
    video = draw_video(tmp_path / "a.mp4", stamps=[0, last])  # shown as long as the first
    with pytest.raises(VideoError, match="too-long: the clip lasts 122 s"):
        shelf.accept(sent(shelf, video.read_bytes()))


def test_clips_of_large_frames_are_refused(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(media, "_MAX_UPLOAD_PIXELS", 96 * 64 - 1)
    video = draw_video(tmp_path / "a.mp4", stamps=range(10))
    with pytest.raises(VideoError, match="too-large: 96 x 64 pixels"):
        shelf.accept(sent(shelf, video.read_bytes()))


def test_the_oldest_uploads_are_deleted(shelf: Shelf, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(media, "_MAX_UPLOADS", 1)
    first, second = sent(shelf, b"a"), sent(shelf, b"b")
    assert not first.exists() and second.exists()

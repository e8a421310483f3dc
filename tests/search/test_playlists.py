"""Lists for players: what VLC and mpv read, line by line; hostile names."""

from __future__ import annotations

from pathlib import Path

import pytest

from figclip.errors import ConfigError
from figclip.search.index import Hit
from figclip.search.playlists import write_playlist


def hit(path: str, start_s: float, end_s: float) -> Hit:
    return Hit(
        path=Path(path), also_at=(), start_s=start_s, end_s=end_s, score=0.5, margin=None,
        windows=(0,), best_window=0, video="a",
    )  # fmt: skip


HITS = (hit("/videos/a party.mp4", 62.5, 64.5), hit("/videos/line\nend,\udcff.mkv", 0.0, 2.25))


def test_vlc_opens_each_at_its_start(tmp_path: Path):
    write_playlist(tmp_path / "hits.m3u", HITS)
    assert (tmp_path / "hits.m3u").read_bytes().split(b"\n") == [
        b"#EXTM3U",
        b"#EXTINF:2,1. a party.mp4, 1:02.5",
        b"#EXTVLCOPT:start-time=62.500",
        b"#EXTVLCOPT:stop-time=64.500",
        b"file:///videos/a%20party.mp4",
        b"#EXTINF:2,2. line end,\xff.mkv, 0:00.0",
        b"#EXTVLCOPT:start-time=0.000",
        b"#EXTVLCOPT:stop-time=2.250",
        b"file:///videos/line%0Aend%2C%FF.mkv",
        b"",
    ]


def test_mpv_plays_all_as_one(tmp_path: Path):
    write_playlist(tmp_path / "hits.EDL", HITS)
    assert (tmp_path / "hits.EDL").read_bytes() == (
        b"# mpv EDL v0\n"
        b"%19%/videos/a party.mp4,62.500,2.000\n"
        b"%22%/videos/line\nend,\xff.mkv,0.000,2.250\n"
    )


def test_another_suffix_is_refused(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"--playlist .*hits.txt: no list of hits is called '.txt'"
    ):
        write_playlist(tmp_path / "hits.txt", HITS)
    assert not list(tmp_path.iterdir())

"""kill -9 at random moments of `figclip index`, again and again: the same rows as undisturbed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from figclip.search import indexing  # noqa: F401 - imported once, for all forks
from figclip.search.index_file import IndexFile
from tests.processes import fork_figclip, run_forked
from tests.small_runs import write_tiny_clip
from tests.torture.contents import contents
from tests.videos import draw_video, regular_stamps

pytestmark = pytest.mark.slow
NUM_KILLS = int(os.environ.get("FIGCLIP_KILLS", "10"))
NUM_VIDEOS = 12


def rows_of(path: Path) -> dict[str, bytes]:
    """Spans and vectors of each video that an index has so far; it must be whole."""
    if not path.exists() or not path.stat().st_size:
        return {}
    with IndexFile(path) as opened:
        windows = opened.windows()
        opened.files()
    rows = {name: b"" for name in windows.hashes}
    for row, video_idx in enumerate(windows.video_idx_N):
        span, vector = windows.spans_us_N2[row].tobytes(), windows.vectors_ND[row].tobytes()
        rows[windows.hashes[video_idx]] += span + vector
    return rows


def test_killed_again_and_again_equals_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Each video as soon as it is there: more moments at which something is half done.
    monkeypatch.setattr("figclip.search.index_file._COMMIT_EVERY_S", 0.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model, clips = write_tiny_clip(tmp_path / "model"), tmp_path / "clips"
    clips.mkdir()
    for number in range(NUM_VIDEOS):
        draw_video(clips / f"{number}.mp4", stamps=regular_stamps(400 + 20 * number))
    (clips / "bad.mp4").write_bytes((clips / "0.mp4").read_bytes()[:-4000])
    whole, broken = tmp_path / "whole" / "my.index", tmp_path / "broken" / "my.index"
    arguments = ("index", model, clips, "--cpu", "--out")
    start_s = time.monotonic()
    assert run_forked(*arguments, whole, out=tmp_path).returncode == 3
    length_s, expected = time.monotonic() - start_s, rows_of(whole)
    assert len(expected) == NUM_VIDEOS
    rng, killed, sizes = random.Random(0), 0, set[int]()
    while killed < NUM_KILLS:
        child = fork_figclip(*arguments, broken, out=tmp_path)
        time.sleep(rng.uniform(0, length_s))
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:  # it got to the end before it was killed
            assert contents(broken.parent) == contents(whole.parent)
            broken.unlink()
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed += 1
        found = rows_of(broken)
        assert found.items() <= expected.items(), "a video is there in part, or another one"
        sizes.add(len(found))
    assert len(sizes) > 2, "nothing was killed on the way: nothing is tested"
    assert run_forked(*arguments, broken, out=tmp_path).returncode == 3
    assert contents(broken.parent) == contents(whole.parent)

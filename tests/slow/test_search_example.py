"""The example of searching runs from its first cell to its last, and again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "search" / "find_moments.py"


@pytest.mark.slow
def test_the_example_finds_moments_in_a_folder(tmp_path: Path):
    model = write_tiny_clip(tmp_path / "clip")
    videos = tmp_path / "videos"
    videos.mkdir()
    draw_video(videos / "a.mp4", stamps=regular_stamps(50))
    draw_video(videos / "b.mkv", stamps=regular_stamps(30, first=5))
    command = [sys.executable, EXAMPLE, model, videos]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ)
        )
        assert done.returncode == 0, done.stderr
    _, found = done.stdout.split("Index: ", 1)
    assert "not:\n  a blue dog chases a red cat\n" in found
    assert found.count(str(videos / "a.mp4")) >= 2
    with Image.open(tmp_path / "best.jpg") as picture:
        assert picture.size[0] > picture.size[1]

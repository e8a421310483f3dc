"""figclip search --serve as a process: it answers, and Ctrl-C ends it well."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from figclip.model.figclip import FiGCLIP
from tests.processes import Start
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip


@pytest.mark.slow
def test_it_answers_until_ctrl_c(tmp_path: Path, start: Start):
    clip = write_tiny_clip(tmp_path / "clip")
    shown = {"a.mp4": ["a man pushes a woman"]}
    index = write_index(tmp_path / "my.index", FiGCLIP.from_pretrained(clip), shown)
    process = start(
        [sys.executable, "-m", "figclip", "search", index, "--serve", "--port", "0",
         "--model", clip, "--cpu"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    address = re.match(
        r"(http://127\.0\.0\.1:\d+)/docs \(Ctrl-C ends it\)", process.stdout.readline()
    )
    assert address is not None
    url = f"{address[1]}/search?text=a+man+pushes+a+woman"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert json.load(answer)["hits"][0]["path"] == "/videos/a.mp4"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert process.stdout.read() == "Stopped.\n"

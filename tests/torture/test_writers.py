"""A disk that fails and a process that is killed, at any change of any writer (writers.py).

A failure is named with the file, exit code 1; no file is half-written; and the same command goes on
to the same contents as undisturbed. In the slow tier at some changes, by `make torture` at all.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import Start
from tests.torture.contents import contents
from tests.torture.effort import effort
from tests.torture.faults import COMPILER, build
from tests.torture.writers import READ_BY_OTHERS, RUN, WRITERS, World, written_world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        COMPILER is None or sys.platform != "linux", reason="faults.c needs Linux and a C compiler"
    ),
]
CASES, SEED = effort(1, 0), 0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("torture") / "world"
    return written_world(folder, only=READ_BY_OTHERS)


@pytest.mark.parametrize("name", WRITERS)
def test_faults_are_named_and_lose_nothing(library: Path, world: World, tmp_path: Path, name: str):
    arguments = [name, world.folder, tmp_path, str(CASES), str(SEED)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.cases", *arguments],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    print(name, report["changes"], report["struck"])
    assert not report["problems"], "\n".join(report["problems"])
    assert all(report["struck"].values())


def test_of_two_at_once_the_second_is_refused_and_the_first_undisturbed(
    start: Start, world: World, tmp_path: Path
):
    environment = {**os.environ, "FIGCLIP_CACHE": str(tmp_path / "cache")}
    run = tmp_path / RUN
    arguments = WRITERS["adapt"].command(world, tmp_path)
    command = [sys.executable, "-m", "figclip", *arguments]
    first = start(command, env=environment, stderr=subprocess.DEVNULL)
    while not (run / ".lock").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # the second takes its time to start
    other = [*command, "--set", "train.seed=1"]
    second = subprocess.run(other, env=environment, capture_output=True, text=True)
    assert second.returncode == 1
    expected = rf"figclip: {re.escape(str(run))}: is being written by process {first.pid} on "
    assert re.search(expected, second.stderr), second.stderr
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert contents(run) == contents(world.run)

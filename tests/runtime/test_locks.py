"""One process at a time writes an output; the second is refused by name, a dead one's taken."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from figclip.adaptation.adapt import adapt
from figclip.errors import ConfigError, OutputError
from figclip.evaluation.evaluate import evaluate
from figclip.heads.captioning.task import evaluate_captioning, finetune_captioning
from figclip.heads.situations.task import evaluate_situations, finetune_situations
from figclip.miniworld.quickstart import run_full, run_quickstart
from figclip.runtime.locks import FOLDER_LOCK, lock_file, lock_folder, one_writer
from figclip.scoring.score import score_predictions
from tests.full_disk import full_disk
from tests.processes import Start

HOLDER = """
import sys, time
from pathlib import Path
from figclip.runtime.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    time.sleep(600)
"""


def wait_for(file: Path) -> None:
    end = time.monotonic() + 60
    while not file.exists() or not file.read_bytes():
        assert time.monotonic() < end, f"{file} does not come"
        time.sleep(0.01)


def test_the_second_process_is_refused_by_name_and_a_dead_ones_lock_taken(
    start: Start, tmp_path: Path
):
    out = tmp_path / "runs" / "mine"
    first = start([sys.executable, "-c", HOLDER, out])
    wait_for(out / FOLDER_LOCK)
    with pytest.raises(OutputError) as caught, lock_folder(out):
        pass
    said = str(caught.value)
    assert said.startswith(f"{out}: is being written by process {first.pid} on ")
    assert socket.gethostname() in said and f"-c {out}" in said and "another --out" in said
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (out / FOLDER_LOCK).exists(), "nobody cleaned up"
    with lock_folder(out):
        assert json.loads((out / FOLDER_LOCK).read_text())["process"] == os.getpid()
    assert not list(out.iterdir())


def test_a_folder_that_is_used_stays_and_the_lock_goes(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "result"]
    with lock_file(tmp_path / "frames.store"):
        with pytest.raises(OutputError, match=r"frames\.store: is being written by process"):
            lock_file(tmp_path / "frames.store").__enter__()
        assert (tmp_path / ".frames.store.lock").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_that_its_holder_has_just_deleted_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    flock, opened = fcntl.flock, []

    def delayed(descriptor: int, how: int) -> None:
        if not opened:
            (tmp_path / FOLDER_LOCK).unlink()
        opened.append(descriptor)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", delayed)
    with lock_folder(tmp_path):
        assert len(opened) == 2
        with pytest.raises(OutputError), lock_folder(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_on_file_systems_without_locks_the_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    host, parent = socket.gethostname(), os.getppid()
    dead = os.fork()
    if not dead:
        os._exit(0)
    os.waitpid(dead, 0)
    taken = ((host, dead), (host, os.getpid()))
    refused = ((host, parent), (host, 1), ("elsewhere", dead))
    lock = tmp_path / FOLDER_LOCK
    for where, process in (*taken, *refused):
        owner = {"process": process, "host": where, "since": "today", "command": "figclip adapt"}
        lock.write_text(json.dumps(owner))
        if (where, process) in taken:
            with lock_folder(tmp_path):
                assert json.loads(lock.read_text())["process"] == os.getpid()
            continue
        with pytest.raises(OutputError, match=f"process {process} on {where}") as caught:
            lock_folder(tmp_path).__enter__()
        assert (f"delete {lock}" in str(caught.value)) == (where != host)
        assert json.loads(lock.read_text()) == owner


def test_damaged_words_of_the_holder_are_left_out(tmp_path: Path):
    with lock_folder(tmp_path):
        for content in ("", "{", "[]", '{"process": 1}', "\udcff"):
            (tmp_path / FOLDER_LOCK).write_text(content, errors="surrogateescape")
            with pytest.raises(OutputError, match="is being written by another process"):
                lock_folder(tmp_path).__enter__()


def test_where_nothing_can_be_written_nothing_is_left(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written into"):
        lock_folder(tmp_path / "file" / "in").__enter__()
    with full_disk(file_bytes=0), pytest.raises(OutputError, match="new: cannot be written"):
        lock_folder(tmp_path / "new").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_main_rank_holds_the_lock_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    @one_writer
    def work(out: Path, number: int) -> int:
        assert (out / FOLDER_LOCK).exists()
        return number

    assert work(tmp_path, number=1) == work(number=1, out=tmp_path) == 1
    with lock_folder(tmp_path):
        monkeypatch.setenv("RANK", "1")
        assert work(tmp_path, 2) == 2
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(OutputError):
            work(tmp_path, 3)


NOTHING: Any = None
WRITERS: dict[str, Callable[[Path], object]] = {
    "adapt": lambda out: adapt(NOTHING, data=[], out=out),
    "eval": lambda out: evaluate(NOTHING, data=[], out=out),
    "eval situations": lambda out: evaluate_situations(NOTHING, data=NOTHING, out=out),
    "eval captioning": lambda out: evaluate_captioning(NOTHING, data=NOTHING, out=out, cache=None),
    "finetune situations": lambda out: finetune_situations(
        NOTHING, model=NOTHING, data=NOTHING, out=out
    ),
    "finetune captioning": lambda out: finetune_captioning(
        NOTHING, model=NOTHING, data=NOTHING, out=out
    ),
    "score": lambda out: score_predictions(NOTHING, data=NOTHING, out=out),
    "quickstart": lambda out: run_quickstart(out, seed=0, on_progress=NOTHING),
    "quickstart --full": lambda out: run_full(out, on_progress=NOTHING),
}


@pytest.mark.parametrize("name", WRITERS)
def test_no_verb_writes_where_another_process_does(tmp_path: Path, name: str):
    with lock_folder(tmp_path), pytest.raises(OutputError, match="is being written by process"):
        WRITERS[name](tmp_path)
    assert not list(tmp_path.iterdir())

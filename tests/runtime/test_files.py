"""Files and folders are whole or absent whenever the process stops; what stops them is named."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from figclip.errors import OutputError, StoreError
from figclip.runtime import files
from figclip.runtime.files import make_folder, named_failures, staged_folder, write_atomically
from tests.full_disk import full_disk
from tests.kills import Killed, kill_at


def test_text_is_written_whole_or_not_at_all(tmp_path: Path):
    file = tmp_path / "config.json"
    write_atomically(file, "old")
    contents: list[str] = []
    for call in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            count = kill_at(patch, call)
            with contextlib.suppress(Killed):
                write_atomically(file, "new")
        contents.append(file.read_text())
        if count[0] < call:
            break
        file.write_text("old")
    assert contents == sorted(contents, reverse=True)
    assert set(contents) == {"old", "new"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError), staged_folder(target) as folder:
        (folder / "new").write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.rglob("*")] == ["model", "old"]
    with staged_folder(target) as folder:
        (folder / "new").write_text("new")
        assert (target / "old").exists()
    assert [p.name for p in tmp_path.rglob("*")] == ["model", "new"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_there_at_every_moment_while_it_is_replaced(tmp_path: Path, can_exchange: bool):
    """On file systems that cannot swap, the next attempt puts the old one back first."""
    target = tmp_path / "model"
    states: list[list[str]] = []
    for call in range(1, 100):
        shutil.rmtree(tmp_path)
        target.mkdir(parents=True)
        (target / "old").write_text("old")
        with pytest.MonkeyPatch.context() as patch:
            if not can_exchange:
                patch.setattr(files, "_exchange", lambda *_: False)
            count = kill_at(patch, call)
            with contextlib.suppress(Killed), staged_folder(target) as folder:
                (folder / "new").touch()
        if can_exchange:
            assert target.exists()
        with pytest.raises(ZeroDivisionError), staged_folder(target):
            states.append([path.name for path in target.iterdir()])
            raise ZeroDivisionError
        with staged_folder(target) as folder:
            (folder / "newer").touch()
        assert [path.name for path in tmp_path.rglob("*")] == ["model", "newer"]
        if count[0] < call:
            break
    assert states == sorted(states, reverse=True)
    assert states[0] == ["old"] and states[-1] == ["new"]


def test_who_may_read_a_folder_may_read_its_files(tmp_path: Path):
    before = os.umask(0o027)
    try:
        with staged_folder(tmp_path / "model") as folder:
            (folder / "weights").touch(mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "model" / "weights").stat().st_mode) == 0o640


def test_the_system_is_asked_to_swap(tmp_path: Path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "1").touch()
    assert files._exchange(one, other), "renameat2 is missing, or this file system cannot"
    assert (other / "1").exists()
    with pytest.raises(OSError, match="No such file"):
        files._exchange(one, tmp_path / "absent")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path):
    file = tmp_path / "result.json"
    write_atomically(file, "old")
    with full_disk(file_bytes=100):
        with pytest.raises(OutputError, match=r"result.json: cannot be written \(File too large\)"):
            write_atomically(file, "new" * 100)
        with (
            pytest.raises(OutputError, match="model: cannot be"),
            staged_folder(tmp_path / "model"),
        ):
            (tmp_path / ".model.writing" / "weights").write_bytes(bytes(1000))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(file.name, "old")]


def test_what_the_system_says_is_named_also_in_the_words_of_rust(tmp_path: Path):
    full = "x: cannot be written (No space left on device). Make room there, then run the same"
    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
    ):
        with pytest.raises(OutputError) as caught, named_failures(Path("x")):
            raise error
        assert str(caught.value).startswith(full)
    with pytest.raises(OutputError, match="Check the disk"), named_failures(Path("x")):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(KeyError), named_failures(Path("x")):
        raise KeyError
    with pytest.raises(StoreError, match="as it was"), named_failures(Path("x")):
        raise StoreError("as it was (os error 28)")
    tmp_path.joinpath("file").touch()
    with pytest.raises(OutputError, match="in: cannot be written"):
        make_folder(tmp_path / "file" / "in")

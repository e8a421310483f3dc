"""Tests' own processes: none outlives its test, and all heed Ctrl-C wherever the tests run."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import started_processes

TESTS = Path(__file__).parent
SIGNALLED = (
    "cli/test_cli.py::test_interrupted_while_libraries_are_imported_is_no_traceback",
    "training/test_loop.py::test_a_second_signal_acts_as_usual",
)
"""One test that interrupts a child, one that interrupts itself."""


def is_alive(pid: int) -> bool:
    """False also for one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_test_that_fails_leaves_no_process(tmp_path: Path):
    note = tmp_path / "pids"
    # The child of a child, which a signal to the child alone would leave.
    script = 'sleep 600 & echo "$! $$" > "$0.part"; mv "$0.part" "$0"; wait'
    with pytest.raises(ZeroDivisionError), started_processes() as start:
        start(["sh", "-c", script, note], stdout=subprocess.PIPE)
        while not note.exists():
            time.sleep(0.01)
        raise ZeroDivisionError
    pids = [int(pid) for pid in note.read_text().split()]
    end = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    assert [is_alive(pid) for pid in pids] == [False, False]


def test_what_has_ended_is_no_error():
    with started_processes() as start:
        process = start(["true"])
        assert process.wait() == 0


@pytest.mark.slow
def test_tests_pass_where_signals_are_ignored():
    """As in a background job of a script under nohup."""
    command = [sys.executable, "-m", "pytest", "-q", *(str(TESTS / name) for name in SIGNALLED)]
    shell = ["sh", "-c", "trap '' INT QUIT HUP; exec \"$@\"", "sh"]
    done = subprocess.run([*shell, *command], cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^3 passed", done.stdout, re.MULTILINE)


def test_processes_are_started_by_the_fixture_alone():
    """`subprocess.run` waits for its own; all else must end with its test."""
    pattern = re.compile(r"\bPopen\(")
    found = [path for path in sorted(TESTS.rglob("*.py")) if pattern.search(path.read_text())]
    assert found == [TESTS / "processes.py"]

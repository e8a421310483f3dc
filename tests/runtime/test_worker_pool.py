from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from figclip.errors import VideoError
from figclip.runtime.worker_pool import Done, Lost, Part, run_jobs, stream_jobs
from tests.processes import Start

LONG_S = 60.0


def square(number: int) -> int:
    return number * number


def own_pid(_: int) -> int:
    return os.getpid()


def misbehave(what: str) -> str:
    """The job says what becomes of its worker."""
    kind, _, value = what.partition(" ")
    match kind:
        case "exit":
            os._exit(int(value))
        case "signal":
            os.kill(os.getpid(), int(value))
            time.sleep(LONG_S)
        case "sleep":
            time.sleep(float(value))
        case "raise":
            raise VideoError("damaged: so", where="a.mp4", fix="Get it")
        case "note":
            Path(value).write_text(str(os.getpid()))
            time.sleep(LONG_S)
        case _:
            pass
    return what.upper()


def die_while_sending(note: str) -> bytes:
    """Waits for a go, fills the pipe and dies; does nothing for an empty note."""
    if note:
        while not Path(f"{note}.go").exists():
            time.sleep(0.02)
        Path(note).write_text(str(os.getpid()))
        threading.Timer(0.2, os._exit, [3]).start()
    return bytes(1 << 22 if note else 0)


def is_alive(pid: int) -> bool:
    """False also for one that ended, with all threads, and that nobody has waited for."""
    try:
        is_zombie = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not is_zombie or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: list[int], *, limit_s: float = 10.0) -> list[int]:
    """Those that are still there at the limit."""
    end = time.monotonic() + limit_s
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def wait_for_pid(file: Path, *, limit_s: float = 30.0) -> int:
    """What a `note` job wrote."""
    end = time.monotonic() + limit_s
    while not file.exists() or not file.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(file.read_text())


def test_every_job_gives_one_result() -> None:
    outcomes = list(run_jobs(range(40), square, num_workers=3, limit_s=LONG_S))
    assert all(isinstance(one, Done) for one in outcomes)
    assert sorted((one.job, one.result) for one in outcomes if isinstance(one, Done)) == [
        (number, number * number) for number in range(40)
    ]


def test_no_more_processes_than_asked_for_or_needed() -> None:
    assert list(run_jobs([], square, num_workers=4, limit_s=LONG_S)) == []
    pids = {
        one.result
        for one in run_jobs(range(20), own_pid, num_workers=2, limit_s=LONG_S)
        if isinstance(one, Done)
    }
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    assert wait_until_gone(list(pids)) == []


def test_a_crash_or_a_hang_costs_only_its_own_job() -> None:
    jobs = ["a", f"signal {signal.SIGSEGV}", "b", "exit 7", "c", f"sleep {LONG_S}", "d", "e"]
    start = time.monotonic()
    outcomes = {one.job: one for one in run_jobs(jobs, misbehave, num_workers=2, limit_s=1.5)}
    assert time.monotonic() - start < LONG_S / 2
    assert list(outcomes) != []
    assert outcomes.keys() == set(jobs)
    assert {job: one.result for job, one in outcomes.items() if isinstance(one, Done)} == {
        one: one.upper() for one in "abcde"
    }
    assert outcomes[f"signal {signal.SIGSEGV}"] == Lost(
        f"signal {signal.SIGSEGV}", "crashed", "its worker process ended with code -11"
    )
    assert outcomes["exit 7"] == Lost("exit 7", "crashed", "its worker process ended with code 7")
    assert outcomes[f"sleep {LONG_S}"] == Lost(f"sleep {LONG_S}", "hung", "no result after 1.5 s")


def test_each_job_has_the_whole_limit() -> None:
    # Four times 0.3 s on one worker are more than the limit of 1 s for one.
    outcomes = list(run_jobs(["sleep 0.3"] * 4, misbehave, num_workers=1, limit_s=1.0))
    assert outcomes == [Done("sleep 0.3", "SLEEP 0.3")] * 4


def test_starting_the_process_does_not_count() -> None:
    # A process takes longer than 10 ms to start, the job does not.
    assert list(run_jobs([3], square, num_workers=1, limit_s=0.01)) == [Done(3, 9)]


def test_what_the_function_raises_is_raised_here_and_ends_the_workers(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    outcomes = run_jobs([f"note {note}", "raise"], misbehave, num_workers=2, limit_s=LONG_S)
    with pytest.raises(VideoError) as caught:
        list(outcomes)
    assert (caught.value.what, caught.value.where, caught.value.fix) == (
        "damaged: so",
        "a.mp4",
        "Get it",
    )
    if note.exists():
        assert wait_until_gone([wait_for_pid(note)]) == []


def test_closing_early_ends_the_workers(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    jobs = [f"note {note}", *"abcdef"]
    with closing(run_jobs(jobs, misbehave, num_workers=2, limit_s=LONG_S)) as outcomes:
        assert next(outcomes) == Done("a", "A")
        pid = wait_for_pid(note)
        assert is_alive(pid)
    assert wait_until_gone([pid], limit_s=1.0) == []


def test_a_worker_killed_between_two_jobs_is_replaced() -> None:
    outcomes = run_jobs(range(3), own_pid, num_workers=1, limit_s=LONG_S)
    pids = []
    for one in outcomes:
        assert isinstance(one, Done)
        pids.append(one.result)
        os.kill(one.result, signal.SIGKILL)
        assert wait_until_gone([one.result]) == []
    assert len(set(pids)) == 3


def test_a_worker_that_dies_while_it_sends_is_a_crash(tmp_path: Path) -> None:
    note = str(tmp_path / "pid")
    outcomes = run_jobs(["", note], die_while_sending, num_workers=2, limit_s=LONG_S)
    assert next(outcomes) == Done("", b"")
    Path(f"{note}.go").touch()
    # Nothing is read meanwhile, so the pipe holds a part of the result at most.
    assert wait_until_gone([wait_for_pid(Path(note))]) == []
    assert list(outcomes) == [Lost(note, "crashed", "its worker process ended with code 3")]


def test_workers_end_when_their_parent_is_killed(start: Start, tmp_path: Path) -> None:
    notes = [tmp_path / "a", tmp_path / "b"]
    code = (
        "import sys; from figclip.runtime.worker_pool import run_jobs\n"
        "from tests.runtime.test_worker_pool import misbehave\n"
        "if __name__ == '__main__':\n"
        "    jobs = [f'note {path}' for path in sys.argv[1:]]\n"
        "    list(run_jobs(jobs, misbehave, num_workers=2, limit_s=600))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = start([sys.executable, script, *notes], env=environment)
    pids = [wait_for_pid(note) for note in notes]
    assert all(is_alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    assert wait_until_gone(pids) == []


def test_ctrl_c_is_not_for_workers_even_while_they_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted_import.py").write_text(
        "import os, signal\n"
        "def interrupt(_=None):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 'alive'\n"
        f"if os.getpid() != {os.getpid()}:\n"
        "    interrupt()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    interrupt = importlib.import_module("interrupted_import").interrupt
    outcomes = list(run_jobs([1, 2], interrupt, num_workers=1, limit_s=LONG_S))
    assert outcomes == [Done(1, "alive"), Done(2, "alive")]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from figclip.runtime.worker_pool import run_jobs\n"
        "print(list(run_jobs([1.5], abs, num_workers=1, limit_s=60)))\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "FigclipError: a worker process could not start: it ended with code 1" in ended.stderr
    assert 'if __name__ == "__main__":' in ended.stderr.splitlines()[-1]


def test_jobs_are_shared_out_one_at_a_time() -> None:
    # One long job must not hold back short ones queued behind it.
    jobs = ["sleep 1.0", *["x"] * 10]
    order = [one.job for one in run_jobs(jobs, misbehave, num_workers=2, limit_s=LONG_S)]
    assert order[-1] == "sleep 1.0"
    assert Counter(order) == Counter(jobs)


def count_up(job: tuple[int, str]) -> Generator[int, None, str]:
    """Gives numbers, then does what `misbehave` does."""
    yield from range(job[0])
    return misbehave(job[1])


def note_parts(file: Path) -> Generator[bytes, None, int]:
    """Large parts; the file says how many have been made."""
    for number in range(6):
        file.write_text(str(number))
        yield bytes(1 << 22)
    return 6


def test_results_come_in_parts_in_their_order():
    jobs = [(3, "a"), (0, "b"), (2, "c")]
    found: dict[str, list[object]] = {name: [] for _, name in jobs}
    for one in stream_jobs(jobs, count_up, num_workers=2, limit_s=LONG_S):
        found[one.job[1]].append(one.value if isinstance(one, Part) else one)
    for number, name in jobs:
        assert found[name] == [*range(number), Done((number, name), name.upper())]


def test_a_job_that_is_lost_midway_has_given_parts():
    jobs = [(2, "exit 3"), (1, f"sleep {LONG_S}"), (1, "")]
    found: dict[str, list[object]] = {name: [] for _, name in jobs}
    for one in stream_jobs(jobs, count_up, num_workers=2, limit_s=1.5):
        found[one.job[1]].append(one.value if isinstance(one, Part) else type(one).__name__)
    assert list(found.values()) == [[0, 1, "Lost"], [0, "Lost"], [0, "Done"]]


def test_the_limit_counts_up_to_the_next_part():
    jobs = [tuple(["sleep 0.4"] * 4)]
    *parts, done = stream_jobs(jobs, sleep_between, num_workers=1, limit_s=1.2)
    assert len(parts) == 4 and isinstance(done, Done)


def sleep_between(whats: tuple[str, ...]) -> Generator[str, None, None]:
    yield from map(misbehave, whats)


def test_a_worker_waits_until_its_part_is_taken(tmp_path: Path):
    file = tmp_path / "made"
    with closing(stream_jobs([file], note_parts, num_workers=1, limit_s=0.5)) as outcomes:
        next(outcomes)
        time.sleep(1.0)
        assert int(file.read_text()) <= 1, "made ahead of what was taken"
        assert isinstance(list(outcomes)[-1], Done), "waiting is not hanging"


def test_what_a_job_raises_midway_is_raised_here():
    with pytest.raises(VideoError, match="damaged"):
        list(stream_jobs([(1, "raise")], count_up, num_workers=1, limit_s=LONG_S))

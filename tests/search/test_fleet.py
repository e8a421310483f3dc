"""Ray: the rows of one process, also by addresses, and when workers are killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from figclip.errors import ConfigError
from figclip.search.index_file import IndexFile
from figclip.search.indexing import IndexReport, index
from tests.ray_workers import kill_busy_worker, pretended_machines
from tests.search.test_indexing import contents
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps

# Ray warns of itself.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NUM_VIDEOS, NUM_KILLS = 40, 10


@pytest.fixture(scope="module", autouse=True)
def not_nice() -> Generator[None]:
    """Ray's workers are nice to others, of which there are many while tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 3 s and more, a copy of one, and one that is cut off."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(NUM_VIDEOS):
        draw_video(folder / f"{number:02d}.mp4", stamps=regular_stamps(30 + number))
    first = (folder / "00.mp4").read_bytes()
    (folder / "copy.mp4").write_bytes(first)
    (folder / "cut.mp4").write_bytes(first[:-1500])
    return folder


@pytest.fixture(scope="module")
def here(model: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that this process makes."""
    out = tmp_path_factory.mktemp("here") / "here.index"
    index(model, [clips], out=out)
    return out


@pytest.fixture(scope="module")
def two_machines() -> Generator[str]:
    with pretended_machines(2) as address:
        yield address


def numbers(report: IndexReport) -> tuple[int, ...]:
    return report.num_files, report.num_videos, report.num_windows, len(report.quarantine)


def test_ray_gives_the_rows_of_one_process(model: Path, clips: Path, here: Path, tmp_path: Path):
    out = tmp_path / "ray.index"
    report = index(model, [clips], out=out, ray="local")
    assert numbers(report) == (NUM_VIDEOS + 2, NUM_VIDEOS, report.num_windows, 1)
    assert contents(out) == contents(here)
    again = index(model, [clips], out=out, ray="local")
    assert (again.num_unchanged, again.num_videos) == (NUM_VIDEOS + 2, 0)


def test_addresses_are_read_as_files_are(model: Path, clips: Path, tmp_path: Path):
    names = ["00.mp4", "01.mp4", "cut.mp4"]
    serve = partial(SimpleHTTPRequestHandler, directory=clips)
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        addresses = [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
        report = index(model, addresses, out=tmp_path / "ray.index", ray="local")
        server.shutdown()
    index(model, [clips / name for name in names], out=tmp_path / "here.index")
    with IndexFile(tmp_path / "ray.index") as ray, IndexFile(tmp_path / "here.index") as here:
        assert ray.content_hash() == here.content_hash()
        assert [str(file.path)[-6:] for file in ray.files()] == ["00.mp4", "01.mp4", "ut.mp4"]
    assert [one.problem.partition(":")[0] for one in report.quarantine] == ["unreadable"]


def test_killed_workers_lose_nothing(
    model: Path, clips: Path, here: Path, tmp_path: Path, two_machines: str
):
    num_killed = 0
    is_over = threading.Event()

    def kill_now_and_then() -> None:
        nonlocal num_killed
        while not is_over.wait(0.7) and num_killed < NUM_KILLS:
            num_killed += kill_busy_worker()

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    out = tmp_path / "ray.index"
    started_s = time.monotonic()
    report = index(model, [clips], out=out, ray=two_machines)
    is_over.set()
    killer.join()
    print(f"{num_killed} workers killed in {time.monotonic() - started_s:.0f} s")
    assert num_killed >= 3 and report.num_videos == NUM_VIDEOS
    assert contents(out) == contents(here)


def test_no_cluster_is_named(model: Path, clips: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="no cluster"):
        index(model, [clips], out=tmp_path / "ray.index", ray="127.0.0.1:1")

"""The same commands twice: the same contents but for times. Other threads: nearly the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from figclip.reporting.result_files import ResultFile, read_result_files
from tests.torture.contents import DATABASES, contents
from tests.torture.writers import sets, written_world

pytestmark = pytest.mark.slow

WEIGHTS_TOLERANCE = 5e-3
"""As docs/training.md says."""
SCORES_TOLERANCE = 0.1
"""One of ten items; docs/training.md says how far the many of the quickstart move."""
HOLD_TIMES = {"environment.json", "metrics.jsonl", "report.html"}

AS_QUICKSTART = [
    *("--recipe", "mini"),
    *sets("data.videos_per_batch=8", "data.frames_per_event=2", "train.keep=last"),
]
HEADS = sets(
    *("train.videos_per_batch=8", "train.epochs=4"),
    *("head.width=96", "head.heads=4", "head.max_words=30"),
)
LARGER = {
    "draw": ["--num-videos", "12"],
    "adapt": AS_QUICKSTART,
    "adapt, held to pictures": AS_QUICKSTART,
    "model folder": AS_QUICKSTART,
    "finetune situations": HEADS,
    "finetune captioning": HEADS,
    "eval": ["--sweep-alpha"],
}
"""Small tensors are computed by one thread, however many there are."""


def write(folder: Path, *, threads: int) -> Path:
    """All that writers make, in a folder of one name, which is moved then."""
    made = written_world(folder / "world", threads=threads, more=LARGER).folder
    return made.rename(folder / f"world {len(list(folder.iterdir()))}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("same bytes")


@pytest.fixture(scope="module")
def first(folder: Path) -> Path:
    return write(folder, threads=2)


def test_the_same_commands_give_the_same_but_for_times(folder: Path, first: Path):
    second = write(folder, threads=2)
    before, again = contents(first), contents(second)
    assert before.keys() == again.keys()
    assert [name for name in before if before[name] != again[name]] == []
    for path in map(Path, before):
        if path.name not in HOLD_TIMES and path.suffix not in DATABASES:
            assert (first / path).read_bytes() == (second / path).read_bytes(), path


def test_another_number_of_threads_gives_nearly_the_same(folder: Path, first: Path):
    other = write(folder, threads=1)
    assert contents(other).keys() == contents(first).keys()
    moved: dict[str, float] = {}
    for file in first.rglob("*.safetensors"):
        found = load_file(other / file.relative_to(first))
        for name, weights in load_file(file).items():
            by = np.abs(found[name].astype(np.float64) - weights).max(initial=0)
            moved[f"{file.relative_to(first)}: {name}"] = by
    assert max(moved.values()) > 0, "one thread computed both"
    assert {name: by for name, by in moved.items() if by > WEIGHTS_TOLERANCE} == {}
    for name in ("results", "scored", "captioned"):
        for one, two in zip(*(read_result_files(at / name) for at in (first, other)), strict=True):
            assert rows(one) == pytest.approx(rows(two), abs=SCORES_TOLERANCE), one.file.name


def rows(result: ResultFile) -> list[float]:
    """What the adapted model scores in the rows of the table; of ranks, nothing."""
    return [row.score.adapted for row in result.rows if row.unit == "fraction"]

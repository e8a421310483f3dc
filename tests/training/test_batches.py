from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt8
from torch.utils.data import Dataset

from figclip.errors import ConfigError, StoreError
from figclip.records import Annotation, Event, VideoRecord
from figclip.training import batches
from figclip.training.batches import (
    BatchItem,
    BatchLoader,
    BatchPlan,
    ClipBatch,
    FrameReader,
    PicturePlan,
    load_steps,
    rank_slice,
    segment_index,
)
from figclip.video.sampling import event_times_s, frame_times_s
from figclip.video.stored import StoredFrames
from tests.numbered_frames import NumberedFrames
from tests.processes import Start
from tests.small_runs import make_records

EVENTS = [3, 1, 2, 2, 1]
RECORDS = make_records(EVENTS)


def plan(num_videos: int = 5, *, per_batch: int = 2, seed: int = 0) -> BatchPlan:
    return plan_of([1] * num_videos, per_batch=per_batch, seed=seed)


def plan_of(counts: Sequence[int], *, per_batch: int, seed: int) -> BatchPlan:
    """Videos with so many annotations each."""
    records = [
        VideoRecord(
            id=f"v{i}", video="", split="train", group="", annotations=(Annotation(),) * count
        )
        for i, count in enumerate(counts)
    ]
    return BatchPlan(records, videos_per_batch=per_batch, seed=seed)


def loader(**changes: Any) -> BatchLoader:
    return BatchLoader(
        **{
            "plan": plan(),
            "frames": NumberedFrames(RECORDS),
            "num_steps": 6,
            "frames_per_event": 2,
            "workers": 0,
            **changes,
        }
    )


def read_all(batches: BatchLoader, first_step: int = 0) -> list[ClipBatch]:
    with batches.iterate(first_step) as stream:
        return list(stream)


def assert_equal(first: Sequence[ClipBatch], second: Sequence[ClipBatch]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert (one.step, one.items, one.first, one.num_local) == (
            other.step,
            other.items,
            other.first,
            other.num_local,
        )
        assert torch.equal(one.frames_NHWC, other.frames_NHWC)


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=40),
    per_batch=st.integers(1, 12),
    seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
)
def test_an_epoch_has_every_video_once_in_even_batches(
    counts: list[int], per_batch: int, seed: int, epoch: int
) -> None:
    made = plan_of(counts, per_batch=per_batch, seed=seed)
    steps = range(epoch * made.steps_per_epoch + 1, (epoch + 1) * made.steps_per_epoch + 1)
    batches = [made.batch(step) for step in steps]
    assert Counter(item.video_idx for batch in batches for item in batch) == Counter(
        range(len(counts))
    )
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= per_batch
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) == made.smallest_batch
    # No more steps than are needed.
    assert len(sizes) == -(-len(counts) // per_batch)
    for batch in batches:
        assert all(0 <= item.annotation_idx < counts[item.video_idx] for item in batch)


@pytest.mark.parametrize(("num", "per_batch"), [(23, 5), (20, 5), (3, 7)])
def test_batches_are_even_parts_of_an_order_that_is_drawn_once_an_epoch(
    num: int, per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng
    steps = -(-num // per_batch)
    expected = [
        part.tolist()
        for epoch in range(3)
        for part in np.array_split(draw([7, epoch]).permutation(num), steps)
    ]
    drawn: list[Any] = []

    def counted(seed: Any) -> np.random.Generator:
        drawn.append(seed)
        return draw(seed)

    monkeypatch.setattr(np.random, "default_rng", counted)
    batches._drawn_order.cache_clear()  # pyright: ignore[reportPrivateUsage]
    made = plan(num, per_batch=per_batch, seed=7)
    found = [[one.video_idx for one in made.batch(step)] for step in range(1, 3 * steps + 1)]
    assert found == expected
    assert drawn == [[7, 0], [7, 1], [7, 2]]


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    made = plan(30, per_batch=7, seed=4)
    forwards = [made.batch(step) for step in range(1, 16)]
    again = plan(30, per_batch=7, seed=4)
    backwards = [again.batch(step) for step in range(15, 0, -1)]
    assert forwards == backwards[::-1]
    assert forwards != [plan(30, per_batch=7, seed=5).batch(step) for step in range(1, 16)]
    # Five steps an epoch; each epoch has an order of its own.
    orders = [[item.video_idx for b in forwards[e : e + 5] for item in b] for e in (0, 5, 10)]
    assert len({tuple(order) for order in orders}) == 3


def test_order_and_annotations_of_a_seed_are_fixed() -> None:
    """Else a run of an older version would resume with other batches."""
    made = plan_of([1, 2, 3, 4, 5], per_batch=2, seed=3)
    drawn = [[(i.video_idx, i.annotation_idx) for i in made.batch(s)] for s in range(1, 7)]
    assert drawn == [
        [(4, 4), (2, 0)], [(1, 1), (3, 1)], [(0, 0)],
        [(1, 1), (4, 4)], [(0, 0), (2, 1)], [(3, 1)],
    ]  # fmt: skip


def test_annotations_are_drawn_evenly_and_whatever_the_batch_size_is() -> None:
    counts = [1, 2, 3, 5]
    draws: defaultdict[int, Counter[int]] = defaultdict(Counter)
    small = plan_of(counts, per_batch=1, seed=1)
    large = plan_of(counts, per_batch=3, seed=1)
    for epoch in range(500):
        drawn = [
            {
                item.video_idx: item.annotation_idx
                for step in range(1, made.steps_per_epoch + 1)
                for item in made.batch(epoch * made.steps_per_epoch + step)
            }
            for made in (small, large)
        ]
        assert drawn[0] == drawn[1]
        for video_idx, annotation_idx in drawn[0].items():
            draws[video_idx][annotation_idx] += 1
    for video_idx, count in enumerate(counts):
        assert set(draws[video_idx]) == set(range(count))
        # Five standard deviations of a binomial distribution.
        spread = 5 * (500 / count * (1 - 1 / count)) ** 0.5
        assert all(abs(found - 500 / count) <= spread for found in draws[video_idx].values())


def test_a_batch_holds_the_frames_of_its_videos_in_order() -> None:
    for batch in read_all(loader()):
        expected = [
            [item.video_idx, round(10 * time_s), 0]
            for item in batch.items
            for event in RECORDS[item.video_idx].annotations[0].events
            for time_s in (event.start_s + 0.5, event.start_s + 1.5)
        ]
        assert batch.frames_NHWC[:, 0, 1].tolist() == expected
        assert batch.frames_NHWC.dtype == torch.uint8
        assert batch.frames_NHWC.shape[1:] == (2, 2, 3)
        assert (batch.first, batch.num_local) == (0, len(batch.items))


def test_the_drawn_annotation_decides_which_frames_are_read() -> None:
    def annotation(start_s: float) -> Annotation:
        return Annotation(events=(Event(start_s=start_s, end_s=start_s + 1, verb="run"),))

    record = VideoRecord(
        id="a",
        video="a.mp4",
        split="train",
        group="a",
        annotations=(annotation(0.0), annotation(5.0)),
    )
    made = plan_of([2], per_batch=1, seed=0)
    batches = read_all(
        loader(plan=made, num_steps=20, frames_per_event=1, frames=NumberedFrames([record]))
    )
    found = {(b.items[0].annotation_idx, int(b.frames_NHWC[0, 0, 0, 1])) for b in batches}
    assert found == {(0, 5), (1, 55)}


def test_resuming_changes_nothing() -> None:
    alone = read_all(loader())
    assert [batch.step for batch in alone] == [1, 2, 3, 4, 5, 6]
    assert_equal(read_all(loader(), 4), alone[4:])
    assert read_all(loader(), 6) == []


def test_workers_change_nothing_and_end_when_left_early() -> None:
    with loader(workers=2, num_steps=50).iterate(2) as stream:
        batches = [next(stream) for _ in range(4)]
        assert len(multiprocessing.active_children()) == 2
    assert_equal(batches, read_all(loader(), 2))
    end = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.02)
    assert multiprocessing.active_children() == []


class SlowToPack:
    """Keeps the thread that packs it for the main process inside torch for a while."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            torch.zeros(10_000).sort()
        return SlowToPack, ()


class PackedSlowly(Dataset[int | SlowToPack]):
    """Batches of which the first is quickly had."""

    def __getitem__(self, step: int) -> int | SlowToPack:
        return SlowToPack() if step else 0


@pytest.mark.slow
def test_a_worker_left_while_it_packs_a_batch_ends_in_silence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with load_steps(PackedSlowly(), range(9), workers=1) as stream:
        assert next(stream) == 0
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""


LOSES_A_WORKER = """
import os
import signal

from torch.utils.data import Dataset

from figclip.errors import TrainingError
from figclip.training.batches import load_steps


class Lost(Dataset[int]):
    def __getitem__(self, step: int) -> int:
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return step


if __name__ == "__main__":
    try:
        with load_steps(Lost(), range(99), workers=2) as stream:
            list(stream)
    except TrainingError as error:
        kept = error  # and by its traceback the other worker
        print(error)
"""


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error_that_holds_nobody_up(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "loses_a_worker.py"
    script.write_text(LOSES_A_WORKER)
    process = start([sys.executable, script], stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate(timeout=120)
    assert "a process that reads frames is gone: DataLoader worker (pid" in said
    assert "lower data.loader_workers" in said
    assert process.returncode == 0


def test_the_shares_of_all_ranks_make_the_global_batch() -> None:
    made = plan_of([1] * 5, per_batch=5, seed=0)
    [whole] = read_all(loader(plan=made, num_steps=1))
    shares = [
        read_all(loader(plan=made, num_steps=1, rank=rank, num_ranks=3))[0] for rank in range(3)
    ]
    assert all(share.items == whole.items for share in shares)
    assert [share.num_local for share in shares] == [1, 2, 2]
    assert [share.first for share in shares] == [0, 1, 3]
    assert torch.equal(torch.cat([share.frames_NHWC for share in shares]), whole.frames_NHWC)


@given(num_items=st.integers(0, 60), num_ranks=st.integers(1, 9))
def test_rank_slices_partition(num_items: int, num_ranks: int) -> None:
    slices = [rank_slice(num_items, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    assert [i for first, last in slices for i in range(first, last)] == list(range(num_items))
    sizes = [last - first for first, last in slices]
    assert max(sizes) - min(sizes) <= 1


def test_more_ranks_than_videos_are_refused_before_any_work() -> None:
    # Batches of 2, 2 and 1: the first two could be shared.
    with pytest.raises(ConfigError, match="a batch of 1 videos cannot be shared by 2 processes"):
        loader(num_ranks=2, rank=1)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_error_of_reading_keeps_its_words(workers: int) -> None:
    broken = loader(frames=NumberedFrames(RECORDS, broken_video=3), workers=workers)
    with pytest.raises(StoreError) as caught:
        read_all(broken)
    assert str(caught.value) == "x.store: a frame is damaged. Make it again"
    assert multiprocessing.active_children() == [], "the error's traceback keeps no workers"


def test_reading_leaves_the_random_numbers_of_torch_alone() -> None:
    before = torch.random.get_rng_state()
    read_all(loader())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_times_of_frames() -> None:
    event = Event(start_s=2.0, end_s=4.0, verb="run")
    assert event_times_s(event, 4) == [2.25, 2.75, 3.25, 3.75]
    later = Event(start_s=8.0, end_s=9.0, verb="sit")
    annotation = Annotation(events=(event, later))
    assert frame_times_s(annotation, frames_per_event=1) == [3.0, 8.5]
    assert frame_times_s(Annotation(captions=("A man sits.",)), frames_per_event=4) == []


def test_segment_index() -> None:
    assert segment_index([2, 0, 3]).tolist() == [0, 0, 2, 2, 2]


def test_items_compare_by_value_and_readers_by_what_they_can() -> None:
    assert BatchItem(1, 2) == BatchItem(1, 2) != BatchItem(1, 3)
    assert isinstance(NumberedFrames(RECORDS), FrameReader)
    assert not isinstance(object(), FrameReader)


class NumberedPictures(StoredFrames):
    """Frames that tell their clip and their time."""

    def read(self, idx: int, times_s: Sequence[float]) -> UInt8[np.ndarray, "N S S 3"]:
        values = [10 * idx + round(2 * time_s) for time_s in times_s]
        return np.broadcast_to(
            np.array(values, np.uint8)[:, None, None, None], (len(values), 2, 2, 3)
        )


def pictures(num: int, *, a_step: int, seed: int = 0) -> PicturePlan:
    frames = [(idx, 0.5 * (idx % 3)) for idx in range(num)]
    source = NumberedPictures(stores=(), store_of=(), key_of=())
    return PicturePlan(source=source, pictures=frames, num_a_step=a_step, seed=seed)


@given(num=st.integers(1, 9), a_step=st.integers(1, 12), seed=st.integers(0, 3))
def test_pictures_come_in_turn_and_in_another_order_each_time(num: int, a_step: int, seed: int):
    plan = pictures(num, a_step=a_step, seed=seed)
    each = min(num, a_step)
    drawn = [idx for step in range(1, 2 * num + 1) for idx in plan.draw(step)]
    assert len(drawn) == 2 * num * each
    for turn in range(2 * each):
        assert sorted(drawn[turn * num : (turn + 1) * num]) == list(range(num))


def test_orders_of_pictures_differ_by_turn_and_seed():
    orders = {
        pictures(9, a_step=9, seed=seed).draw(step) for seed in range(3) for step in range(1, 4)
    }
    assert len(orders) == 9


def test_batches_bring_the_pictures_of_their_step_by_rank():
    plan, even = pictures(7, a_step=3), plan_of([1] * 4, per_batch=2, seed=0)
    whole = read_all(loader(plan=even, pictures=plan))
    shares = [
        read_all(loader(plan=even, pictures=plan, rank=rank, num_ranks=2)) for rank in range(2)
    ]
    for step, batch in enumerate(whole, start=1):
        assert batch.pictures is not None and batch.pictures.picture_idxs == plan.draw(step)
        values = [10 * idx + idx % 3 for idx in plan.draw(step)]
        assert batch.pictures.frames_NHWC[:, 0, 0, 0].tolist() == values
        parts = [one[step - 1].pictures for one in shares]
        assert [part.first for part in parts if part] == [0, 1]
        joined = torch.cat([part.frames_NHWC for part in parts if part])
        assert torch.equal(joined, batch.pictures.frames_NHWC)


def test_a_rank_without_a_picture_has_an_empty_share():
    even = plan_of([1] * 4, per_batch=2, seed=0)
    first = read_all(loader(plan=even, pictures=pictures(1, a_step=1), rank=0, num_ranks=2))[
        0
    ].pictures
    assert first is not None and first.frames_NHWC.shape == (0, 2, 2, 3)

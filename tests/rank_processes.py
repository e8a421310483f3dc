"""Two real processes of a run (gloo, CPU), and each one's share of a small run's batch."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from accelerate import Accelerator

from figclip.training.batches import ClipBatch, PictureBatch, rank_slice
from tests.small_runs import SmallRun

NUM_RANKS = 2


def spawn_ranks(work: Callable[..., None], *arguments: Any, deadline_s: float) -> None:
    """Run `work(rank, port, *arguments)` in two processes; both are killed at the deadline."""
    context = torch.multiprocessing.spawn(
        work, (_free_port(), *arguments), nprocs=NUM_RANKS, join=False
    )
    assert context is not None
    deadline = time.monotonic() + deadline_s
    while not context.join(timeout=1.0):
        if time.monotonic() > deadline:
            for pid in context.pids():
                os.kill(pid, signal.SIGKILL)
            pytest.fail("the two processes wait for each other")


def start_rank(rank: int, port: int) -> Accelerator:
    """What torchrun and figclip do when one of the two processes starts."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(NUM_RANKS),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == NUM_RANKS
    return accelerator


def share(run: SmallRun, step: int, accelerator: Accelerator) -> ClipBatch:
    """A process's part of the whole batch, whose videos come in another order at every step.

    Videos 0 and 1 share a caption; in some orders they are in different processes.
    """
    whole = run.batch
    order = np.random.default_rng(step).permutation(len(whole.items))
    first, last = rank_slice(
        len(order), rank=accelerator.process_index, num_ranks=accelerator.num_processes
    )
    counts = [len(run.texts.event_texts(i.video_idx, 0).caption_P) for i in whole.items]
    per_event = len(whole.frames_NHWC) // sum(counts)
    frames = whole.frames_NHWC.split([per_event * count for count in counts])
    assert whole.pictures is not None
    drawn = whole.pictures.picture_idxs
    first_picture, last_picture = rank_slice(
        len(drawn), rank=accelerator.process_index, num_ranks=accelerator.num_processes
    )
    pictures_NHWC = whole.pictures.frames_NHWC[first_picture:last_picture]
    return ClipBatch(
        step,
        tuple(whole.items[i] for i in order),
        first,
        last - first,
        torch.cat([frames[i] for i in order[first:last]]),
        PictureBatch(drawn, first_picture, pictures_NHWC),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

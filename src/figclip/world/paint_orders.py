"""Pictures and videos that were ordered, drawn by several processes; done ones are not redone."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from figclip.world.drawing import draw_clip, draw_still, write_video
from figclip.world.situations import Situation

VIDEO_PX, STILL_PX = 192, 128
FPS = 6
# Ctrl-C waits for the tasks at work.
_ORDERS_A_TASK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One file to draw.

    Attributes:
        path: Where.
        situations: The events of a video; of a picture, one.
        seed: Of what the situations leave open.
        is_video: Whether it moves.
    """

    path: Path
    situations: tuple[Situation, ...]
    seed: int
    is_video: bool


@dataclass(frozen=True, slots=True)
class PaintOrders:
    """Collects orders; implements `layouts.painting.Painter`."""

    orders: list[Order] = field(default_factory=list[Order])

    @property
    def still_px(self) -> int:
        """Side of pictures in pixels."""
        return STILL_PX

    def paint_video(self, path: Path, situations: Sequence[Situation], *, seed: int) -> None:
        """Orders a video of the events."""
        self.orders.append(Order(path=path, situations=tuple(situations), seed=seed, is_video=True))

    def paint_image(self, path: Path, situation: Situation, *, seed: int) -> None:
        """Orders a picture."""
        self.orders.append(Order(path=path, situations=(situation,), seed=seed, is_video=False))


def paint(
    orders: Sequence[Order], *, workers: int, on_progress: Callable[[int, int], None]
) -> None:
    """Draws what does not exist yet. Every file is whole or absent, also when this is killed.

    Args:
        orders: No two of one path.
        workers: Processes; 0 draws in this one.
        on_progress: Told how many files of how many are there.
    """
    for folder in {order.path.parent for order in orders}:
        folder.mkdir(parents=True, exist_ok=True)
    missing = [order for order in orders if not order.path.exists()]
    parts = [missing[i : i + _ORDERS_A_TASK] for i in range(0, len(missing), _ORDERS_A_TASK)]
    num_done = len(orders) - len(missing)
    on_progress(num_done, len(orders))
    if not workers:
        for part in parts:
            num_done += _paint_all(part)
            on_progress(num_done, len(orders))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_leave_signals) as pool:
        tasks = [pool.submit(_paint_all, part) for part in parts]
        try:
            for task in as_completed(tasks):
                num_done += task.result()
                on_progress(num_done, len(orders))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _leave_signals() -> None:
    """Ctrl-C is for the process that the user sees; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _paint_all(orders: Sequence[Order]) -> int:
    """Draws some files; returns their number."""
    for order in orders:
        if order.is_video:
            frames = draw_clip(order.situations, seed=order.seed, fps=FPS, size_px=VIDEO_PX)
            write_video(order.path, frames, fps=FPS)
        else:
            picture = draw_still(order.situations[0], seed=order.seed, size_px=STILL_PX)
            aside = order.path.with_name(f"{order.path.name}.part")
            picture.save(aside, format=order.path.suffix[1:])
            aside.replace(order.path)
    return len(orders)

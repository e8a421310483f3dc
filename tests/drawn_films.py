"""Drawn untrimmed videos with dense captions, shared by tests of heads for captioning."""

from __future__ import annotations

import random
from pathlib import Path

from figclip.evaluation.sources import DataSource
from figclip.miniworld.annotated_videos import write_dense_captions
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import sample_film


def draw_films(folder: Path, *, train: int, valid: int) -> DataSource:
    """Draw films in the layout of ActivityNet Captions."""
    rng, orders = random.Random(0), PaintOrders()
    write_dense_captions(
        folder,
        train=[sample_film(rng, held_out=False) for _ in range(train)],
        valid=[sample_film(rng, held_out=True) for _ in range(valid)],
        painter=orders,
        seed=0,
    )
    paint(orders.orders, workers=0, on_progress=lambda done, total: None)
    return DataSource(name="activitynet", path=folder, videos=folder / "videos")

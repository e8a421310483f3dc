"""Writes videos of one event and the test lists of HMDB51, with verbs as classes."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from figclip.miniworld.annotated_videos import Painter, media_seed
from figclip.miniworld.situations import Situation, whole_events

NUM_SPLITS = 3

_TRAIN_ID, _TEST_ID = 1, 2


def write_hmdb51(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/splits/{verb}_test_split{1..3}.txt` and `out/videos/{verb}/….mp4`.

    The videos of a verb are tested in turn: the first in split 1, the next in split 2. All others
    are on a split's list as training videos. The lists say `.avi`, as the official ones do.

    Args:
        out: Folder.
        situations: One a video; at least three of every verb that is there.
        painter: Draws the videos.
        seed: Of the pictures.
    """
    names_of: defaultdict[str, list[str]] = defaultdict(list)
    for idx, situation in enumerate(situations):
        rng = random.Random(f"{seed}:hmdb51:{idx}")
        verb = situation.verb
        stem = f"film_{idx:04d}_{verb}_f_cm_np1_fr_med_0"
        names_of[verb].append(f"{stem}.avi")
        path = out / f"videos/{verb}/{stem}.mp4"
        painter.order(path, whole_events([situation]), seed=media_seed(rng))
    (out / "splits").mkdir(parents=True, exist_ok=True)
    for verb, names in names_of.items():
        assert len(names) >= NUM_SPLITS, f"only {len(names)} videos of {verb}"
        for split in range(NUM_SPLITS):
            lines = [
                f"{name} {_TEST_ID if place % NUM_SPLITS == split else _TRAIN_ID} \n"
                for place, name in enumerate(names)
            ]
            path = out / f"splits/{verb}_test_split{split + 1}.txt"
            path.write_text("".join(lines), encoding="utf-8")

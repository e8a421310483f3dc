"""Writes films as ActivityNet Captions lays out its videos: events in time, a sentence of each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from figclip.errors import ConfigError
from figclip.miniworld.grammar import Film
from figclip.miniworld.layouts.own_files import Painter, media_seed, write_json
from figclip.miniworld.layouts.vidsitu import youtube_id
from figclip.miniworld.wording import EVALUATION_STYLES, natural_sentence

TRAIN_FILES, VALID_FILES = ("train.json",), ("val_1.json", "val_2.json")
"""Files of each split, one for each annotator."""

DISAGREEMENT_S = 0.2
"""By how much the second annotator's times differ at most."""


def write_dense_captions(
    out: Path, *, train: Sequence[Film], valid: Sequence[Film], painter: Painter, seed: int
) -> None:
    """Writes `out/{train,val_1,val_2}.json` and `out/videos/v_{YouTube id}.mp4`.

    Each event has a sentence of all facts, in a style of its own; empty shots have none. Times are
    in hundredths of a second, as in the official files. Both val files annotate the same videos:
    the times of `val_1.json` are those of the shots, in `val_2.json` each is a little earlier or
    later. Id, words and pictures of a film depend on the seed, the split and the position only.

    Raises:
        ConfigError: A split is empty.
    """
    if not train or not valid:
        empty = "train" if not train else "valid"
        what = f"{len(train)} + {len(valid)} films leave the split {empty} empty"
        raise ConfigError(what, where="ActivityNet layout", fix="Give at least one film of each")
    for files, films in ((TRAIN_FILES, train), (VALID_FILES, valid)):
        annotations: dict[str, dict[str, object]] = {file: {} for file in files}
        for idx, film in enumerate(films):
            rng = random.Random(f"{seed}:activitynet:{files[0]}:{idx}")
            name = f"v_{youtube_id(rng)}"
            painter.paint_film(out / f"videos/{name}.mp4", film, seed=media_seed(rng))
            cuts = [round(cut, 2) for cut in accumulate((s.duration_s for s in film), initial=0.0)]
            for file, entries in annotations.items():
                seen = cuts if file == files[0] else _seen_by_another(cuts, rng)
                entries[name] = {"duration": cuts[-1], **_events(film, cuts=seen, rng=rng)}
        for file, entries in annotations.items():
            write_json(out / file, entries)


def _seen_by_another(cuts: Sequence[float], rng: random.Random) -> list[float]:
    """The cuts as a second person marks them, inside the film and in order."""
    moved = (cut + rng.uniform(-DISAGREEMENT_S, DISAGREEMENT_S) for cut in cuts)
    return sorted(round(min(max(cut, 0.0), cuts[-1]), 2) for cut in moved)


def _events(film: Film, *, cuts: Sequence[float], rng: random.Random) -> dict[str, object]:
    """Spans and sentences of the shots that have an event; shot i is from cut i to cut i + 1."""
    events = [
        (list(span), shot.situation)
        for shot, span in zip(film, pairwise(cuts), strict=True)
        if shot.situation is not None
    ]
    return {
        "timestamps": [span for span, _ in events],
        "sentences": [
            f"{natural_sentence(situation, rng.choice(EVALUATION_STYLES)).capitalize()}."
            for _, situation in events
        ],
    }

"""Writes pairs of stories as VELOCITI lays out its tests."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from figclip.miniworld.annotated_videos import Painter, media_seed, youtube_id
from figclip.miniworld.situations import EVENT_S, NUM_EVENTS, Story, whole_events
from figclip.miniworld.wording import EVALUATION_STYLES, Fact, Style, natural_sentence
from tests.layouts.story_pairs import StoryPair
from tests.layouts.writing import both_ways, write_table

_ORDERS = ("first {}, then {}", "{} before {}", "{} and then {}")
_CLAUSE = Style("{agent} {does} {patient} {way} {manner}")
_CLAUSE_FACTS: frozenset[Fact] = frozenset({"colour", "manner"})


def write_velociti(
    out: Path,
    pairs: Sequence[StoryPair],
    *,
    painter: Painter,
    seed: int,
    styles: Sequence[Style] = EVALUATION_STYLES,
) -> None:
    """Writes `out/{test}.csv` of every test that there are pairs of, and `out/videos/….mp4`.

    A pair is two rows in sequence: two videos that differ in the changed event only, with
    sentences exchanged. `event` names the (first) event that the sentence is about.

    Args:
        out: Folder.
        pairs: The tests and their stories.
        painter: Draws the videos.
        seed: Of ids, styles and pictures.
        styles: Of the sentences, which tell all facts; those of `chrono` have their own.
    """
    tables: defaultdict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    for idx, pair in enumerate(pairs):
        rng = random.Random(f"{seed}:velociti:{idx}")
        sentences = _sentences(pair, rng, styles=styles)
        video_seed = media_seed(rng)
        for told in both_ways((pair.first, pair.second), sentences):
            name = f"v_{youtube_id(rng)}_seg_0_{NUM_EVENTS * EVENT_S}"
            painter.order(out / f"videos/{name}.mp4", whole_events(told.seen), seed=video_seed)
            event = f"Ev{pair.event_idxs[0] + 1}"
            tables[pair.test].append((name, event, told.true, told.false))
    for test, rows in tables.items():
        header = ("video_id", "event", "pos", "neg")
        write_table(out / f"{test}.csv", header=header, rows=rows)


def _sentences(pair: StoryPair, rng: random.Random, *, styles: Sequence[Style]) -> tuple[str, str]:
    """One sentence of each side, in the same words."""
    if pair.test == "chrono":
        order = rng.choice(_ORDERS)

        def wording(story: Story) -> str:
            clauses = [
                natural_sentence(story[idx], _CLAUSE, tells=_CLAUSE_FACTS)
                for idx in pair.event_idxs
            ]
            return order.format(*clauses)
    else:
        style, (event_idx,) = rng.choice(styles), pair.event_idxs

        def wording(story: Story) -> str:
            return natural_sentence(story[event_idx], style)

    return wording(pair.first), wording(pair.second)

"""Who does what to whom, found in 2,000 clips: base beside adapted, with `--not` and without.

    figclip quickstart --out quickstart
    python benchmarks/search_mini_world.py quickstart --out search-mini-world

Pairs of clips differ in one thing: who does it to whom, the verb, the direction, or the manner.
Each clip is searched for by its own sentence, in a style that was never trained on; with `--not`,
its twin's sentence is what it must not be. Told are how often it comes first of all clips (R@1),
and how often before its twin (pair).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

import figclip
from figclip.metrics.intervals import paired_bootstrap
from figclip.miniworld.annotated_videos import media_seed
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import EditKind, sample_pair, whole_events
from figclip.miniworld.wording import evaluation_sentence, facts_to_tell
from figclip.search.index import NUM_RERANKED

KINDS: tuple[EditKind, ...] = ("role_swap", "verb", "direction", "manner")
PAIRS_OF_KIND = 250
SEED = 9002
"""Apart from the seeds of `miniworld/world_files.py`, and from 9001, on which --not was tuned."""
MEASURES = ("R@1", "pair")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A sentence and its counterpart, and the clips that show them."""

    text: str
    counterpart: str
    clip: str
    twin: str
    kind: EditKind
    pair: str


def draw(folder: Path, *, seed: int) -> list[Query]:
    """Draw the clips; no two read alike."""
    rng = random.Random(f"{seed}:search")
    orders, told = PaintOrders(), set[str]()
    queries: list[Query] = []
    for kind in KINDS:
        number = 0
        while number < PAIRS_OF_KIND:
            drawn = sample_pair(rng, kind, held_out=None)
            words_seed, clip_seed = media_seed(rng), media_seed(rng)
            sides = drawn.first, drawn.second
            texts = [
                evaluation_sentence(one, facts_to_tell(kind), random.Random(words_seed))
                for one in sides
            ]
            if not told.isdisjoint(texts):
                continue
            told.update(texts)
            clips = [f"{kind}-{number:03d}-{side}.mp4" for side in range(2)]
            for clip, side in zip(clips, sides, strict=True):
                orders.order(folder / clip, whole_events([side]), seed=clip_seed)
            for own, other in ((0, 1), (1, 0)):
                queries.append(
                    Query(
                        text=texts[own],
                        counterpart=texts[other],
                        clip=clips[own],
                        twin=clips[other],
                        kind=kind,
                        pair=f"{kind} {number}",
                    )
                )
            number += 1
    paint(orders.orders, workers=2, on_progress=lambda done, total: None)
    return queries


def found(index: figclip.Index, query: Query, *, against: bool) -> tuple[float, float]:
    """Whether the own clip comes first of all, and before its twin."""
    counterparts = [query.counterpart] if against else []
    hits = index.search(text=query.text, against=counterparts, k=NUM_RERANKED)
    place = {hit.path.name: number for number, hit in enumerate(hits)}
    own, twin = (place.get(clip, NUM_RERANKED) for clip in (query.clip, query.twin))
    return float(own == 0), float(own < twin)


def score(model: Path, clips: Path, out: Path, queries: list[Query]) -> dict[str, Float64]:
    """Of each way to search, a row for each query: R@1 and pair."""
    figclip.index(model, [clips], out=out)
    index = figclip.Index.open(out)
    ways = {"": False, " --not": True}
    return {
        way: np.array([found(index, query, against=against) for query in queries])
        for way, against in ways.items()
    }


def lines(scores: dict[str, Float64], queries: list[Query]) -> Iterator[str]:
    """A table: scores, and differences to the base without `--not`, with intervals over pairs."""
    kinds = np.array([query.kind for query in queries])
    yield "| searched with | " + " | ".join(f"{m} | difference" for m in MEASURES) + " |"
    yield "|---" * (1 + 2 * len(MEASURES)) + "|"
    base = scores["base"]
    for name, values in scores.items():
        intervals = paired_bootstrap(base, values, group_of_item=[one.pair for one in queries])
        cells = [
            f"{100 * mean:.1f} | {100 * one.difference:+.1f} "
            f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
            for mean, one in zip(values.mean(axis=0), intervals, strict=True)
        ]
        yield f"| {name} | {' | '.join(cells)} |"
    yield "\nOf each kind, R@1 / pair:\n"
    yield f"| searched with | {' | '.join(KINDS)} |"
    yield "|---" * (1 + len(KINDS)) + "|"
    for name, values in scores.items():
        of_kinds = [100 * values[kinds == kind].mean(axis=0) for kind in KINDS]
        yield f"| {name} | {' | '.join(f'{first:.1f} / {pair:.1f}' for first, pair in of_kinds)} |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    models = {
        "base": arguments.quickstart / "mini-clip-0",
        "adapted": arguments.quickstart / "run-base0-seed0",
    }
    queries = draw(arguments.out / "clips", seed=arguments.seed)
    scores: dict[str, Float64] = {}
    for name, model in models.items():
        of_model = score(model, arguments.out / "clips", arguments.out / f"{name}.index", queries)
        scores |= {f"{name}{way}": values for way, values in of_model.items()}
    print("\n".join(lines(scores, queries)))


if __name__ == "__main__":
    main()

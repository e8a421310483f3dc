"""Writes pairs of situations as ARO lays out Visual Genome Relation and Attribution."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from figclip.miniworld.annotated_videos import media_seed, write_json
from figclip.miniworld.situations import VERBS, Actor, Situation, SituationPair, actors_of
from figclip.miniworld.wording import Fact, noun_phrase
from tests.layouts.plain_painter import PlainPainter
from tests.layouts.writing import Told, both_ways

_KIND_ONLY: frozenset[Fact] = frozenset()
_KIND_AND_COLOUR: frozenset[Fact] = frozenset({"colour"})


def write_aro(
    out: Path,
    *,
    relations: Sequence[SituationPair],
    attributions: Sequence[SituationPair],
    painter: PlainPainter,
    seed: int,
) -> None:
    """Writes the two JSON files and `out/images/….png`; boxes are whole pictures.

    Captions are worded as ARO's: `the dog is chasing the cat`, `the red cat and the blue dog`. A
    pair is two items in sequence. ARO's scorer leaves pairs of colours with fewer than 25 items
    out of the mean; there are 56 pairs in either order.

    Args:
        out: Folder.
        relations: Role swaps; the relation is the verb.
        attributions: Attribute swaps; the attributes are the colours, in the true caption's order.
        painter: Draws the pictures.
        seed: Of the order of colours and of the pictures.
    """
    wanted = {"relation": ("role_swap", relations), "attribution": ("attribute_swap", attributions)}
    for part, (kind, pairs) in wanted.items():
        items: list[dict[str, object]] = []
        for idx, pair in enumerate(pairs):
            assert pair.kind == kind, f"{part} holds {kind}, not {pair.kind}"
            rng = random.Random(f"{seed}:aro:{part}:{idx}")
            image_seed, agent_first = media_seed(rng), rng.random() < 0.5
            for told in _told(pair, agent_first=agent_first):
                image = f"{part}_{len(items):06d}.png"
                painter.order(out / "images" / image, told.seen, seed=image_seed)
                extra = _extra(told.seen, part=part, agent_first=agent_first)
                items.append({**_entry(image, told, size_px=painter.still_px), **extra})
        write_json(out / f"visual_genome_{part}.json", items)


def _told(pair: SituationPair, *, agent_first: bool) -> tuple[Told[Situation], Told[Situation]]:
    """Both sides in ARO's words."""

    def caption(situation: Situation) -> str:
        if pair.kind == "role_swap":
            agent, patient = (_the(actor, _KIND_ONLY) for actor in actors_of(situation))
            return f"{agent} is {VERBS[situation.verb].doing} {patient}"
        actors = _ordered(situation, agent_first=agent_first)
        return " and ".join(_the(actor, _KIND_AND_COLOUR) for actor in actors)

    return both_ways((pair.first, pair.second), (caption(pair.first), caption(pair.second)))


def _entry(image: str, told: Told[Situation], *, size_px: int) -> dict[str, object]:
    """What items of both files have."""
    return {
        "image_path": image,
        "bbox_x": 0,
        "bbox_y": 0,
        "bbox_w": size_px,
        "bbox_h": size_px,
        "true_caption": told.true,
        "false_caption": told.false,
    }


def _extra(situation: Situation, *, part: str, agent_first: bool) -> dict[str, object]:
    """What the part is scored by."""
    if part == "relation":
        return {"relation_name": VERBS[situation.verb].doing}
    actors = _ordered(situation, agent_first=agent_first)
    return {"attributes": [actor.colour for actor in actors]}


def _ordered(situation: Situation, *, agent_first: bool) -> tuple[Actor, ...]:
    """The actors in the order that a caption names them."""
    actors = actors_of(situation)
    return actors if agent_first else actors[::-1]


def _the(actor: Actor, tells: frozenset[Fact]) -> str:
    """`the red cat`."""
    return f"the {noun_phrase(actor, tells=tells)}"

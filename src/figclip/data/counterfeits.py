"""Counterfeits of annotated events, one kind for each thing that a model may fail to see.

Other verbs, fillers and scenes are drawn by seed from a set of videos, in proportion to how often
they stand in the same place, so that the text alone says little about which event is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from figclip.config import NegativePolicy
from figclip.data.captions import trimmed_role_name
from figclip.data.event_edits import role_swap
from figclip.data.filler_negatives import (
    SCENE_SLOT,
    FillerPool,
    Place,
    build_filler_pool,
    filler_negatives,
)
from figclip.data.negatives import negative_events
from figclip.data.sense_pool import SensePool, build_sense_pool
from figclip.records import MODIFIER_SLOT, Event, VideoRecord

Kind = Literal["role swap", "verb", "filler", "direction", "manner", "scene"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VERB_POLICY: NegativePolicy = "balanced"
"""Verbs that the text alone does not give away, see `data.negatives`."""

WHY_NONE: Mapping[Kind, str] = {
    "role swap": "no two roles to exchange that say different things",
    "verb": "no other verb to exchange with: too few take the event's roles and modifiers",
    "filler": "no numbered role that could say something else of the set",
    "direction": "no direction, or the set has no other",
    "manner": "no manner, or the set has no other",
    "scene": "no scene, or the set has no other",
}
"""Why an event has no counterfeit of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterfeitPools:
    """What counterfeits are made of.

    Attributes:
        senses: Verbs.
        fillers: Texts of roles and scenes.
    """

    senses: SensePool
    fillers: FillerPool


def build_counterfeit_pools(records: Iterable[VideoRecord]) -> CounterfeitPools:
    """Collect verbs and fillers of all events of all annotations.

    Args:
        records: The videos whose words may be drawn.
    """
    records = tuple(records)
    return CounterfeitPools(senses=build_sense_pool(records), fillers=build_filler_pool(records))


def counterfeit_events(
    event: Event,
    kind: Kind,
    *,
    video: VideoRecord,
    pools: CounterfeitPools,
    num_negatives: int,
    seed: int,
    key: str,
) -> tuple[Event | None, ...]:
    """Draw counterfeits of an event.

    `role swap` exchanges who and whom; `verb` puts in another sense with its role names
    (`negatives.negative_events`); the others put another text into one numbered role, direction,
    manner or the scene (`filler_negatives`, whose exclusions hold: nothing that the video says
    anywhere). What means the same (`quickly` and `fast`, hugging and being hugged) is not known to:
    for every model alike, some counterfeits are true.

    Args:
        event: The true event.
        kind: What is changed.
        video: The video that it belongs to.
        pools: What to draw from.
        num_negatives: K, >= 1; of role swaps there is only one.
        seed: Seed of the run.
        key: Name of the event (`records.event_key`), unique in the run.

    Returns:
        K events, 1 for `role swap`; None marks one that could not be drawn, these come last.
    """
    if kind == "role swap":
        return (role_swap(event),)
    if kind == "verb":
        return negative_events(
            event,
            video=video,
            pool=pools.senses,
            policy=VERB_POLICY,
            num_negatives=num_negatives,
            seed=seed,
            key=key,
        )
    return filler_negatives(
        event,
        video=video,
        pool=pools.fillers,
        num_negatives=num_negatives,
        seed=seed,
        key=f"{kind}/{key}",
        where=lambda place: _kind_of(place) == kind,
    )


def _kind_of(place: Place) -> Kind | None:
    """Which kind of counterfeit changes what stands in a place."""
    if place.slot == SCENE_SLOT:
        return "scene"
    if place.slot != MODIFIER_SLOT:
        return "filler"
    # Real names come with remarks: `direction (usually up or down)`.
    name = trimmed_role_name(place.name)
    return name if name == "direction" or name == "manner" else None

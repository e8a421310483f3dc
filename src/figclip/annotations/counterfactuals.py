"""Make false versions of an annotated event, one for each thing that a model may fail to see.

Other verbs, fillers and scenes are drawn by seed from a set of videos, in proportion to how often
they occur in the same place, so that the text alone says little about which event is true. How much
it says all the same is measured on the text features at the end of this file, which describe an
event's caption without its video.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from figclip.annotations.captions import TEMPLATES, caption_event, trimmed_role_name
from figclip.annotations.filler_negatives import (
    SCENE_SLOT,
    FillerPool,
    Place,
    build_filler_pool,
    filler_negatives,
)
from figclip.annotations.roles import clean_filler, filled_roles, filled_scene
from figclip.annotations.verb_negatives import (
    SensePool,
    build_sense_pool,
    negative_events,
    role_swap,
)
from figclip.config import NegativePolicy
from figclip.records import MODIFIER_SLOT, Event, VideoRecord

Kind = Literal["role swap", "verb", "filler", "direction", "manner", "scene"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VERB_POLICY: NegativePolicy = "balanced"
"""Verbs that the text alone does not give away, see `annotations.verb_negatives`."""

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
    """What counterfeits are made of."""

    senses: SensePool
    fillers: FillerPool


def build_counterfeit_pools(records: Iterable[VideoRecord]) -> CounterfeitPools:
    """Collect verbs and fillers of all events of all annotations."""
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

    `key` names the event (`records.event_key`) and is unique in the run. K is `num_negatives`.

    None among the K events (1 of `role swap`) could not be drawn; these come last.
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


Features = Mapping[str, float]


def coarse_features(event: Event) -> dict[str, float]:
    """Sense, role names and number of words."""
    caption = caption_event(event, template=TEMPLATES["default"])
    names = [f"role={trimmed_role_name(role.name)}" for role in filled_roles(event)]
    names.append(f"sense={event.verb}/{event.gloss}/{event.sense}")
    if filled_scene(event):
        names.append("role=scene")
    # Scaled to about the size of a one-hot feature, else the regulariser treats it unlike them.
    return dict.fromkeys(names, 1.0) | {"words": len(caption.split()) / 20}


def fine_features(event: Event) -> dict[str, float]:
    """The coarse ones, and every pair of the sense with a modifier, the scene and the slots."""
    features = coarse_features(event)
    roles = filled_roles(event)
    slots = "+".join(role.slot for role in roles if not role.is_modifier)
    parts = [f"slots={slots}", *(f"mod={role.name}" for role in roles if role.is_modifier)]
    parts += ["scene"] if filled_scene(event) else []
    return features | {f"{event.verb}/{event.gloss}&{part}": 1.0 for part in parts}


def verb_word_features(event: Event) -> dict[str, float]:
    """The coarse ones, and every pair of the verb with a word of the fillers."""
    texts = [role.text for role in filled_roles(event)] + [filled_scene(event)]
    words = {word.casefold() for text in texts for word in text.split()}
    return coarse_features(event) | {f"{event.verb}&{word}": 1.0 for word in words}


def word_features(event: Event) -> dict[str, float]:
    """The fine ones, every word, and every pair of a word with the role that it stands in."""
    texts = [(trimmed_role_name(role.name), role.text) for role in filled_roles(event)]
    texts += [("action", clean_filler(event.verb)), ("scene", filled_scene(event))]
    told = [(name, word) for name, text in texts for word in text.casefold().split()]
    words = {f"word={word}": 1.0 for _, word in told}
    return fine_features(event) | words | {f"{name} is {word}": 1.0 for name, word in told}


def feature_difference(first: Features, second: Features) -> dict[str, float]:
    """First minus second, without what is equal."""
    return {
        name: difference
        for name in first.keys() | second.keys()
        if (difference := first.get(name, 0.0) - second.get(name, 0.0))
    }

"""The rule-based dense captions that VidSitu's annotations of a story lead to."""

from __future__ import annotations

import random
from collections.abc import Sequence

from figclip.data.captions import TEMPLATES, Template, caption_event
from figclip.records import Event, Role
from figclip.world.annotators import SCENE_ROLE, annotate
from figclip.world.situations import VERBS, Situation
from figclip.world.wording import Fact, noun_phrase


def dense_captions(
    story: Sequence[Situation], rng: random.Random, *, template: Template = TEMPLATES["default"]
) -> tuple[str, ...]:
    """One caption an event, as adaptation would get it.

    Args:
        story: The events of a video, or a single situation.
        rng: The annotator.
        template: Wording of the captions.
    """
    annotated = annotate(story, rng)
    return tuple(
        caption_event(_event(situation, args), template=template)
        for situation, args in zip(story, annotated, strict=True)
    )


def template_sentence(situation: Situation, tells: frozenset[Fact], rng: random.Random) -> str:
    """The facts in the words of the template, without an annotator's whims; a `wording.Wording`."""
    verb = VERBS[situation.verb]
    texts = {f"Arg0 ({verb.agent_role})": noun_phrase(situation.agent, tells=tells)}
    if situation.patient is not None:
        texts[f"Arg1 ({verb.patient_role})"] = noun_phrase(situation.patient, tells=tells)
    if verb.moves and "direction" in tells:
        texts["ArgM (direction)"] = situation.direction
    if "manner" in tells:
        texts["ArgM (manner)"] = situation.manner
    texts[SCENE_ROLE] = situation.scene if "scene" in tells else ""
    return caption_event(_event(situation, texts), template=TEMPLATES["default"])


def _event(situation: Situation, args: dict[str, str]) -> Event:
    """The annotated event; its times are of no matter here."""
    roles = tuple(_role(name, text) for name, text in args.items() if name != SCENE_ROLE)
    return Event(start_s=0.0, end_s=1.0, verb=situation.verb, roles=roles, scene=args[SCENE_ROLE])


def _role(slot_and_name: str, text: str) -> Role:
    """The role of `Arg0 (chaser)`."""
    slot, _, name = slot_and_name.removesuffix(")").partition(" (")
    return Role(name=name, text=text, slot=slot)

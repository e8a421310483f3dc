"""What can happen in the mini world: who does what to whom, which way, how and where.

Words only: `drawing` shows a situation, `wording` tells it, `grammar` chooses which there are.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("cat", "dog", "rabbit", "bear", "bird", "frog", "robot", "man", "woman")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES = ("small", "big")
SCENES = ("park", "beach", "street", "forest", "desert", "snow", "kitchen", "cave")
DIRECTIONS = ("left", "right")
MANNERS = ("slowly", "quickly", "happily", "angrily")

EVENT_S = 2
"""Seconds that an event takes from beginning to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Someone in the picture: one of `KINDS`, `COLOURS` and `SIZES`; people wear the colour."""

    kind: str
    colour: str
    size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbSense:
    """A verb as VidSitu's files would have it.

    Attributes:
        verb: Base form.
        gloss: What tells its senses apart, as in `push (move by force)`.
        agent_role: Name of the first role, `pusher`.
        patient_role: Name of the second, `thing pushed`; empty for verbs of one actor.
        moves: Whether the actors move left or right, so that a direction is seen.
    """

    verb: str
    gloss: str
    agent_role: str
    patient_role: str = ""
    moves: bool = True

    @property
    def sense(self) -> str:
        """Identifier of the sense, `push.01`."""
        return f"{self.verb.replace(' ', '_')}.01"

    @property
    def is_transitive(self) -> bool:
        """Whether it has a patient."""
        return bool(self.patient_role)


VERBS: dict[str, VerbSense] = {
    sense.verb: sense
    for sense in (
        VerbSense(verb="walk", gloss="go on foot", agent_role="walker"),
        VerbSense(verb="run", gloss="go fast on foot", agent_role="runner"),
        VerbSense(verb="jump", gloss="leap off the ground", agent_role="jumper"),
        VerbSense(verb="crawl", gloss="go on hands and knees", agent_role="crawler"),
        VerbSense(verb="sleep", gloss="be asleep", agent_role="sleeper", moves=False),
        VerbSense(verb="sit", gloss="rest on the ground", agent_role="sitter", moves=False),
        VerbSense(verb="dance", gloss="move to music", agent_role="dancer", moves=False),
        VerbSense(verb="fall", gloss="drop to the ground", agent_role="faller", moves=False),
        VerbSense(verb="chase", gloss="run after", agent_role="chaser", patient_role="one chased"),
        VerbSense(
            verb="follow", gloss="walk behind", agent_role="follower", patient_role="one followed"
        ),
        VerbSense(
            verb="push", gloss="move by force", agent_role="pusher", patient_role="thing pushed"
        ),
        VerbSense(
            verb="pull", gloss="drag along", agent_role="puller", patient_role="thing pulled"
        ),
        VerbSense(
            verb="carry", gloss="hold up and go", agent_role="carrier", patient_role="thing carried"
        ),
        VerbSense(
            verb="kick", gloss="strike with a foot", agent_role="kicker", patient_role="one kicked"
        ),
        VerbSense(
            verb="hit",
            gloss="strike with a stick",
            agent_role="hitter",
            patient_role="one hit",
        ),
        VerbSense(verb="greet", gloss="wave at", agent_role="greeter", patient_role="one greeted"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What happens in one event.

    Attributes:
        verb: Key of `VERBS`.
        agent: Who does it.
        patient: To whom; None for verbs of one actor.
        direction: One of `DIRECTIONS`: where they go, or look if they stay.
        manner: One of `MANNERS`.
        scene: One of `SCENES`.
    """

    verb: str
    agent: Actor
    patient: Actor | None
    direction: str
    manner: str
    scene: str

    def __post_init__(self) -> None:
        assert (self.patient is not None) == VERBS[self.verb].is_transitive

"""Annotations that must teach no detail: sparse ones, and those of other videos."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from figclip.annotations.roles import filled_roles, filled_scene
from figclip.annotations.splits import TRAIN_SPLIT
from figclip.annotations.vidsitu import load_source
from figclip.records import Event, VideoRecord
from figclip.runtime.files import write_atomically

ControlName = Literal["sparse", "shuffled"]
_SEEN, _SEEN_SENSE = "be", "be.01"


def write_control(source: Path, out: Path, *, control: ControlName, seed: int) -> None:
    """Writes annotations of the same training videos, as figclip's own JSON Lines.

    `sparse`: each event is told as web text tells a picture: one who is seen, and half of the time
    the scene; no deed, no roles, no direction, no manner. `shuffled`: each video gets the events of
    another one.

    One annotation of a video is used.
    """
    records = [one for one in load_source(source).records if one.split == TRAIN_SPLIT]
    rng = random.Random(f"{seed}:{control}")
    events = [record.annotations[0].events for record in records]
    if control == "shuffled":
        events = _shuffled(events, rng)
    else:
        events = [tuple(_sparse(event, rng) for event in of_video) for of_video in events]
    pairs = zip(records, events, strict=True)
    write_atomically(out, "".join(_line(record, of_video) + "\n" for record, of_video in pairs))


def _shuffled(events: Sequence[tuple[Event, ...]], rng: random.Random) -> list[tuple[Event, ...]]:
    """Everyone's are somebody else's: a random order, each video taking the next one's."""
    order = rng.sample(range(len(events)), len(events))
    taken = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [events[taken[idx]] for idx in range(len(events))]


def _sparse(event: Event, rng: random.Random) -> Event:
    """Somebody is there."""
    someone = [role for role in filled_roles(event) if not role.is_modifier]
    seen = replace(rng.choice(someone), name="one seen", slot="Arg0")
    scene = filled_scene(event) if rng.random() < 0.5 else ""
    return Event(
        start_s=event.start_s,
        end_s=event.end_s,
        verb=_SEEN,
        sense=_SEEN_SENSE,
        roles=(seen,),
        scene=scene,
    )


def _line(record: VideoRecord, events: Sequence[Event]) -> str:
    """A video in figclip's own format; VidSitu's segments name their file without its ending."""
    content = {
        "id": record.id,
        "video": f"{record.video}.mp4",
        "split": record.split,
        "group": record.group,
        "events": [
            {
                "start_s": event.start_s,
                "end_s": event.end_s,
                "verb": event.verb,
                "sense": event.sense,
                "roles": {role.name: role.text for role in event.roles},
                "slots": {role.name: role.slot for role in event.roles},
                "scene": event.scene,
            }
            for event in events
        ],
    }
    return json.dumps(content)

"""Draws a contact sheet of the mini world: every verb at four moments.

python docs/world_sheet.py sheet.png
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from PIL import Image

from figclip.miniworld import situations as world
from figclip.miniworld.drawing.frames import draw_frame

CELL_PX = 160
NUM_COLUMNS = 8


def situation_of(verb: str, rng: random.Random) -> world.Situation:
    """A verb with everything else drawn by chance."""
    kinds, colours = rng.sample(world.KINDS, 2), rng.sample(world.COLOURS, 2)
    agent, patient = (
        world.Actor(kind=kind, colour=colour, size=rng.choice(world.SIZES))
        for kind, colour in zip(kinds, colours, strict=True)
    )
    return world.Situation(
        verb=verb,
        agent=agent,
        patient=patient if world.VERBS[verb].is_transitive else None,
        direction=rng.choice(world.DIRECTIONS),
        manner=rng.choice(world.MANNERS),
        scene=rng.choice(world.SCENES),
    )


def main(out: Path) -> None:
    """Writes the sheet."""
    rng = random.Random(7)
    frames = [
        draw_frame(situation, phase, seed=idx, size_px=CELL_PX)
        for idx, situation in enumerate(situation_of(verb, rng) for verb in world.VERBS)
        for phase in (0.05, 0.3, 0.55, 0.8)
    ]
    sheet = Image.new("RGB", (NUM_COLUMNS * CELL_PX, -(-len(frames) // NUM_COLUMNS) * CELL_PX))
    for idx, frame in enumerate(frames):
        sheet.paste(frame, (idx % NUM_COLUMNS * CELL_PX, idx // NUM_COLUMNS * CELL_PX))
    sheet.save(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

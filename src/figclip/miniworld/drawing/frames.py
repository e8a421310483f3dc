"""Draw situations as pictures and films, scenery and staged actors, and encode them as video."""

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.miniworld.drawing.actors import NUM_LOOKS, actor_sprite
from figclip.miniworld.drawing.enactments import Figure, Rope, Sign, stage
from figclip.miniworld.drawing.marks import mark_sprite, rope_sprite, shadow_sprite
from figclip.miniworld.drawing.scenes import scene_picture
from figclip.miniworld.situations import EVENT_S, Actor, Film, Situation
from figclip.video.container import write_h264

FRAME_PX = 224

# Marks that would read wrongly in a mirror.
_LETTERS = ("snooze", "notes")


def draw_frame(
    situation: Situation, phase: float, *, seed: int, size_px: int = FRAME_PX
) -> Image.Image:
    """One moment of a situation, `phase` in [0, 1); the same arguments give the same pixels.

    All that the situation tells is visible in it. The seed varies the rest: the scenery's layout,
    the light, where in the picture the actors are, people's skin and hair.
    """
    return _draw(situation, phase, scenery_seed=seed, place_seed=f"{seed}", size_px=size_px)


def draw_still(situation: Situation, *, seed: int, size_px: int) -> Image.Image:
    """A single picture of a situation, at a moment that the seed chooses; as `draw_frame`."""
    phase = random.Random(f"moment:{seed}").random()
    return draw_frame(situation, phase, seed=seed, size_px=size_px)


def draw_film(film: Film, *, seed: int, fps: int, size_px: int = FRAME_PX) -> Iterator[Image.Image]:
    """The frames of a film in order, `duration_s * fps` for each shot, which is a whole number.

    Shots in one scene have the same scenery; where the actors are changes from shot to shot. Events
    go at their own pace however long they are shown. A frame is the moment in the middle of the
    time that it is shown for.
    """
    for shot_idx, shot in enumerate(film):
        num_frames = round(shot.duration_s * fps)
        assert abs(num_frames - shot.duration_s * fps) < 1e-6, "the shot ends within a frame"
        for frame_idx in range(num_frames):
            if shot.situation is None:
                # A copy, as the kept picture is not to be written on.
                yield scene_picture(shot.scene, seed=seed, size_px=size_px).copy()
            else:
                yield _draw(
                    shot.situation,
                    (frame_idx + 0.5) / (EVENT_S * fps),
                    scenery_seed=seed,
                    place_seed=f"{seed}:{shot_idx}",
                    size_px=size_px,
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """From places on the stage to pixels."""

    size_px: int
    middle: float
    ground: float
    is_mirrored: bool

    def pixel(self, place: complex) -> complex:
        """Pixels to the right and down."""
        x = 0.5 + self.middle + place.real
        return self.size_px * complex(
            1 - x if self.is_mirrored else x, 1 - self.ground - place.imag
        )


def _draw(
    situation: Situation, phase: float, *, scenery_seed: int, place_seed: str, size_px: int
) -> Image.Image:
    """The picture of a moment."""
    rng = random.Random(f"place:{place_seed}")
    staged = stage(situation, phase)
    view = _View(
        size_px=size_px,
        middle=rng.uniform(-0.04, 0.04),
        ground=rng.uniform(0.12, 0.17),
        is_mirrored=situation.direction == "left",
    )
    canvas = scene_picture(situation.scene, seed=scenery_seed, size_px=size_px).copy()
    for figure in staged.figures:
        _cast_shadow(canvas, figure, view)
    for thing in staged.behind:
        _put(canvas, thing, view)
    # The agent last: it is who acts, and its hands lie upon the other.
    for figure in reversed(staged.figures):
        _put_figure(canvas, figure, view, look=_look(figure.actor, scenery_seed))
    for thing in staged.before:
        _put(canvas, thing, view)
    return canvas


def _look(actor: Actor, seed: int) -> int:
    """Skin and hair, the same in all events of a film."""
    return random.Random(f"look:{seed}:{actor.kind}:{actor.colour}").randrange(NUM_LOOKS)


def _cast_shadow(canvas: Image.Image, figure: Figure, view: _View) -> None:
    """On the ground below, smaller the higher someone is."""
    width = figure.height * max(0.3, 0.78 - 1.2 * (figure.place.imag - figure.ground))
    spot = view.pixel(complex(figure.place.real, figure.ground - 0.008))
    sprite = shadow_sprite(width_px=max(6, round(width * view.size_px)))
    sprite.put_on(canvas, spot.real, spot.imag)


def _put_figure(canvas: Image.Image, figure: Figure, view: _View, *, look: int) -> None:
    """One actor."""
    sprite = actor_sprite(
        figure.actor,
        figure.pose,
        mood=figure.mood,
        look=look,
        height_px=round(figure.height * view.size_px),
    )
    if figure.is_turned != view.is_mirrored:
        sprite = sprite.mirrored()
    spot = view.pixel(figure.place)
    sprite.put_on(canvas, spot.real, spot.imag)


def _put(canvas: Image.Image, thing: Sign | Rope, view: _View) -> None:
    """One mark or rope."""
    if isinstance(thing, Rope):
        start, end = view.pixel(thing.start), view.pixel(thing.end)
        sprite = rope_sprite(start, end, width_px=max(1.0, 0.013 * view.size_px))
        sprite.put_on(canvas, 0, 0)
        return
    sprite = mark_sprite(thing.name, side_px=max(5, round(thing.side * view.size_px)))
    spot = view.pixel(thing.place)
    if view.is_mirrored and thing.name not in _LETTERS:
        sprite = sprite.mirrored()
    sprite.put_on(canvas, spot.real, spot.imag)


def write_video(path: Path, frames: Iterable[Image.Image], *, fps: int) -> None:
    """Writes an MP4 (H.264, yuv420p), whole or not at all; frame n is shown at n / fps seconds.

    Frames are RGB, of one even size, at least one. The folder must exist.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        # The preset: half the time of `veryfast`, twice the bytes, the same PSNR.
        write_h264(str(aside), map(np.asarray, frames), fps=fps, crf="18", preset="ultrafast")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)

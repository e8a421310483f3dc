"""The renderer: what is told is seen, left mirrors right, and the same arguments give the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from figclip.miniworld.drawing.actors import actor_sprite, joints
from figclip.miniworld.drawing.enactments import Rope, stage
from figclip.miniworld.drawing.frames import draw_film, draw_frame, draw_still, write_video
from figclip.miniworld.drawing.scenes import scene_picture
from figclip.miniworld.situations import (
    COLOURS,
    DIRECTIONS,
    EVENT_S,
    KINDS,
    MANNERS,
    SCENES,
    SIZES,
    VERBS,
    Actor,
    Shot,
    Situation,
    whole_events,
)

CAT = Actor(kind="cat", colour="red", size="small")
DOG = Actor(kind="dog", colour="blue", size="big")
ALONE = [verb for verb, sense in VERBS.items() if not sense.is_transitive]
IN_PAIRS = [verb for verb, sense in VERBS.items() if sense.is_transitive]
PHASES = (0.0, 0.3, 0.6, 0.95)

ONE_FRAME_HASHED = """
import hashlib
from figclip.miniworld.drawing.frames import draw_frame
from figclip.miniworld.situations import Actor, Situation
pixels = b""
for scene, verb in (("park", "push"), ("cave", "greet")):
    situation = Situation(
        verb=verb,
        agent=Actor(kind="woman", colour="red", size="small"),
        patient=Actor(kind="dog", colour="black", size="big"),
        direction="left",
        manner="quickly",
        scene=scene,
    )
    pixels += draw_frame(situation, 0.4, seed=5, size_px=64).tobytes()
digest = hashlib.sha256(pixels).hexdigest()
"""


def told(verb: str, **changes: object) -> Situation:
    """A situation of a cat, and of a dog where the verb has a patient."""
    situation = Situation(
        verb=verb,
        agent=CAT,
        patient=DOG if VERBS[verb].is_transitive else None,
        direction="right",
        manner="happily",
        scene="park",
    )
    return replace(situation, **changes)  # type: ignore[arg-type]


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@cache
def small_frame(situation: Situation, phase: float) -> np.ndarray:
    return pixels(draw_frame(situation, phase, seed=3, size_px=64))


def num_changed(situation: Situation, other: Situation, *, phase: float = 0.3) -> int:
    """How many of the 4096 pixels of 64 x 64 clearly differ."""
    first, second = small_frame(situation, phase), small_frame(other, phase)
    return int((np.abs(first - second).max(-1) > 40).sum())


def foreground(situation: Situation, phase: float, *, seed: int = 3) -> np.ndarray:
    """Mask of the pixels that differ from the empty scenery."""
    empty = pixels(scene_picture(situation.scene, seed=seed, size_px=128))
    return np.abs(pixels(draw_frame(situation, phase, seed=seed, size_px=128)) - empty).max(-1) > 30


def test_same_pixels_in_another_process():
    names: dict[str, str] = {}
    exec(ONE_FRAME_HASHED, names)
    done = subprocess.run(
        [sys.executable, "-c", ONE_FRAME_HASHED + "print(digest)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert done.stdout.strip() == names["digest"]


def test_order_of_drawing_does_not_matter():
    situations = [told(verb) for verb in VERBS]
    forward = [draw_frame(s, 0.3, seed=9, size_px=48).tobytes() for s in situations]
    backward = [draw_frame(s, 0.3, seed=9, size_px=48).tobytes() for s in situations[::-1]]
    assert forward == backward[::-1]


@pytest.mark.parametrize("verb", VERBS)
def test_every_moment_draws(verb: str):
    for manner, direction, size in product(MANNERS, DIRECTIONS, SIZES):
        agent = Actor(kind="rabbit", colour="white", size=size)
        situation = told(verb, manner=manner, direction=direction, agent=agent)
        empty = pixels(scene_picture("park", seed=1, size_px=48))
        for phase in PHASES:
            frame = draw_frame(situation, phase, seed=1, size_px=48)
            assert frame.size == (48, 48) and frame.mode == "RGB"
            assert (np.abs(pixels(frame) - empty).max(-1) > 40).sum() > 40


@pytest.mark.slow
def test_every_actor_shows_in_every_scene():
    for kind, colour, scene in product(KINDS, COLOURS, SCENES):
        actor = Actor(kind=kind, colour=colour, size="small")
        mask = foreground(told("walk", agent=actor, scene=scene, direction="right"), 0.3)
        # A small actor is a quarter of 128 px high, and at least 8 px wide.
        assert mask.sum() > 200, (kind, colour, scene)


@pytest.mark.parametrize("size_px", [33, 64, 224])
def test_sizes(size_px: int):
    assert draw_frame(told("hit"), 0.5, seed=0, size_px=size_px).size == (size_px, size_px)


@pytest.mark.parametrize("place", ["agent", "patient"])
@pytest.mark.parametrize(
    ("fact", "values"), [("kind", KINDS), ("colour", COLOURS), ("size", SIZES)]
)
def test_facts_of_actors_show(place: str, fact: str, values: tuple[str, ...]):
    actor = Actor(kind="bear", colour="green", size="small")
    for value, other in combinations(values, 2):
        pair = [told("greet", **{place: replace(actor, **{fact: v})}) for v in (value, other)]
        assert num_changed(*pair) > 30, (value, other)


@pytest.mark.parametrize("verbs", [ALONE, IN_PAIRS])
def test_verbs_show_at_any_moment(verbs: list[str]):
    for (verb, other), phase in product(combinations(verbs, 2), PHASES):
        assert num_changed(told(verb), told(other), phase=phase) > 60, (verb, other, phase)


@pytest.mark.parametrize("verb", VERBS)
def test_direction_manner_and_scene_show(verb: str):
    for phase in PHASES:
        assert num_changed(told(verb), told(verb, direction="left"), phase=phase) > 60
        for manner, other in combinations(MANNERS, 2):
            pair = told(verb, manner=manner), told(verb, manner=other)
            assert num_changed(*pair, phase=phase) > 15, (manner, other, phase)
    for scene, other in combinations(SCENES, 2):
        assert num_changed(told(verb, scene=scene), told(verb, scene=other)) > 1000


@pytest.mark.parametrize("verb", IN_PAIRS)
def test_roles_show_even_between_twins_in_size(verb: str):
    agent, patient = replace(CAT, size="big"), DOG
    swapped = told(verb, agent=patient, patient=agent)
    for phase in PHASES:
        assert num_changed(told(verb, agent=agent), swapped, phase=phase) > 60


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("sleep", "dance")])
def test_left_is_the_mirror_of_right(verb: str):
    # Sleep and dance have letters and notes beside them, which are not mirrored.
    for phase in PHASES:
        right = foreground(told(verb), phase)
        left = foreground(told(verb, direction="left"), phase)[:, ::-1]
        # The sceneries behind are not mirrored, which costs a few pixels.
        assert (left & right).sum() > 0.9 * (left | right).sum()


@pytest.mark.parametrize(("verb", "manner"), list(product(VERBS, MANNERS)))
def test_who_moves_goes_forward(verb: str, manner: str):
    situation = told(verb, manner=manner)
    places = [stage(situation, phase).figures[0].place.real for phase in (0, 0.99)]
    if not VERBS[verb].moves or verb == "greet":
        assert places[1] == pytest.approx(places[0], abs=0.08)
    else:
        assert places[1] > places[0] + 0.008


@pytest.mark.parametrize("verb", ["walk", "run", "jump", "crawl", "chase", "follow", "carry"])
def test_quickly_goes_further_than_slowly(verb: str):
    ways = {}
    for manner in MANNERS:
        first, last = (stage(told(verb, manner=manner), phase).figures for phase in (0, 0.99))
        ways[manner] = last[0].place.real - first[0].place.real
    assert ways["slowly"] < 0.7 * ways["happily"]
    assert ways["happily"] < ways["quickly"]


@pytest.mark.slow
def test_nobody_leaves_the_picture():
    for verb, manner, size, other_size in product(VERBS, MANNERS, SIZES, SIZES):
        situation = told(verb, manner=manner, agent=replace(CAT, size=size))
        if situation.patient is not None:
            situation = replace(situation, patient=replace(DOG, size=other_size))
        for phase in PHASES:
            for figure in stage(situation, phase).figures:
                body = joints(figure.pose)
                for joint in (body.head, body.hip, body.near_leg[2], body.near_arm[2]):
                    point = figure.point(joint)
                    assert abs(point.real) < 0.5, (verb, manner, phase)
                    assert figure.ground - 0.001 <= point.imag < 0.8, (verb, manner, phase)


@pytest.mark.slow
def test_sprites_are_not_cut_off():
    poses = {
        figure.pose
        for verb, phase in product(VERBS, np.arange(0, 1, 0.05).tolist())
        for figure in stage(told(verb), phase).figures
    }
    assert len(poses) > 60
    # Long ears, a crest and a cap reach furthest.
    for pose, kind in product(poses, ("rabbit", "bird", "man")):
        actor = replace(CAT, kind=kind)
        sprite = actor_sprite(actor, pose, mood="calm", look=0, height_px=40)
        alpha = np.asarray(sprite.image.getchannel("A"))
        left, top = sprite.anchor_px
        right, bottom = alpha.shape[1] - left, alpha.shape[0] - top
        # The canvas: 0.9 and 1.1 of the height to the sides, 1.65 up, 0.3 down.
        assert left < 36 and right < 44 and top < 66 and bottom < 12, (pose, kind)


@pytest.mark.parametrize(("size", "other_size"), list(product(SIZES, SIZES)))
def test_pairs_touch_where_the_verb_says_so(size: str, other_size: str):
    sizes = {"agent": replace(CAT, size=size), "patient": replace(DOG, size=other_size)}
    pusher, pushed = stage(told("push", **sizes), 0.5).figures
    hand = pusher.point(joints(pusher.pose).near_arm[2])
    assert 0 < pushed.place.real - hand.real < 0.3 * pushed.height

    puller = stage(told("pull", **sizes), 0.5)
    rope = next(thing for thing in puller.before if isinstance(thing, Rope))
    grip = puller.figures[1].point(joints(puller.figures[1].pose).near_arm[2])
    assert abs(rope.start - grip) < 0.03
    assert puller.figures[0].place.real > puller.figures[1].place.real

    carrier, carried = stage(told("carry", **sizes), 0.5).figures
    assert carried.place.imag > carrier.point(joints(carrier.pose).head).imag


def test_seed_varies_scenery_and_place():
    situation = told("walk")
    sceneries = {scene_picture("park", seed=seed, size_px=64).tobytes() for seed in range(8)}
    middles = {
        round(float(np.nonzero(foreground(situation, 0.3, seed=seed))[1].mean()))
        for seed in range(8)
    }
    assert len(sceneries) == 8
    assert len(middles) > 3


def test_stills_are_frames_at_any_moment():
    situation = told("kick")
    stills = [draw_still(situation, seed=seed, size_px=32).tobytes() for seed in range(6)]
    starts = [draw_frame(situation, 0.0, seed=seed, size_px=32).tobytes() for seed in range(6)]
    assert len(set(stills)) == 6
    assert stills != starts
    assert stills[2] == draw_still(situation, seed=2, size_px=32).tobytes()


def test_clip_keeps_its_scenery_from_event_to_event():
    situations = [told("walk"), told("kick"), told("sleep"), told("hit"), told("fall")]
    frames = [
        pixels(frame) for frame in draw_film(whole_events(situations), seed=4, fps=4, size_px=64)
    ]
    assert len(frames) == 5 * EVENT_S * 4
    empty = pixels(scene_picture("park", seed=4, size_px=64))
    for frame in frames:
        assert (frame == empty).all(-1).mean() > 0.6


def test_empty_shots_show_the_scenery_of_their_scene():
    film = (
        Shot(situation=None, scene="park", duration_s=0.5),
        Shot(situation=told("walk"), scene="park", duration_s=1.5),
        Shot(situation=None, scene="cave", duration_s=1.0),
    )
    frames = [frame.tobytes() for frame in draw_film(film, seed=4, fps=4, size_px=64)]
    park, cave = (scene_picture(scene, seed=4, size_px=64).tobytes() for scene in ("park", "cave"))
    assert frames[:2] == [park] * 2 and frames[8:] == [cave] * 4
    assert len(set(frames[2:8])) == 6 and park not in frames[2:8]


def test_a_frame_may_be_written_on():
    film = (Shot(situation=None, scene="park", duration_s=1.0),)
    first, second = draw_film(film, seed=4, fps=2, size_px=64)
    before = second.tobytes()
    first.paste((0, 0, 0), (0, 0, 64, 64))
    (third, _) = draw_film(film, seed=4, fps=2, size_px=64)
    assert second.tobytes() == third.tobytes() == before


def test_a_short_event_is_the_first_part_of_a_whole_one():
    event = told("jump", manner="quickly")
    short = (Shot(situation=event, scene="park", duration_s=1.25),)
    frames = [
        [frame.tobytes() for frame in draw_film(film, seed=6, fps=4, size_px=64)]
        for film in (short, whole_events([event]))
    ]
    assert len(frames[0]) == 5 and len(frames[1]) == 8
    assert frames[0] == frames[1][:5]


def test_a_frame_is_the_moment_in_the_middle_of_its_time():
    film = whole_events([told("jump")])
    coarse, fine = (
        [frame.tobytes() for frame in draw_film(film, seed=3, fps=fps, size_px=64)]
        for fps in (2, 6)
    )
    assert coarse == fine[1::3] and len(set(coarse)) == 4


def test_shots_are_whole_frames():
    film = (Shot(situation=None, scene="park", duration_s=0.3),)
    with pytest.raises(AssertionError, match="within a frame"):
        list(draw_film(film, seed=0, fps=4, size_px=32))


def test_clip_looks_the_same_in_both_roles():
    woman = Actor(kind="woman", colour="purple", size="big")
    events = [told("walk", agent=woman, direction="left"), told("walk", agent=woman)]
    frames = [pixels(frame) for frame in draw_film(whole_events(events), seed=8, fps=1, size_px=64)]
    colours = [{tuple(pixel) for pixel in frame.reshape(-1, 3)} for frame in frames]
    assert len(colours[0] & colours[2]) > 0.7 * len(colours[0])


def test_video_has_the_frames(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    frames = list(draw_film(whole_events([told("run"), told("push")]), seed=1, fps=5, size_px=64))
    write_video(path, iter(frames), fps=5)
    with av.open(str(path)) as container:
        assert "mp4" in container.format.name
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        decoded = list(container.decode(stream))
    assert [float(frame.time or 0) for frame in decoded] == pytest.approx(
        [idx / 5 for idx in range(20)]
    )
    for frame, image in zip(decoded, frames, strict=True):
        difference = np.abs(frame.to_ndarray(format="rgb24").astype(int) - pixels(image))
        assert difference.mean() < 8
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_video_is_whole_or_not_there(tmp_path: Path):
    def broken() -> Iterator[Image.Image]:
        yield from draw_film(whole_events([told("run")]), seed=1, fps=2, size_px=32)
        raise RuntimeError("the frames ran out")

    with pytest.raises(RuntimeError, match="ran out"):
        write_video(tmp_path / "clip.mp4", broken(), fps=2)
    assert not list(tmp_path.iterdir())


def test_video_does_not_depend_on_the_run(tmp_path: Path):
    digests = set()
    for name in ("one.mp4", "two.mp4"):
        write_video(
            tmp_path / name,
            draw_film(whole_events([told("jump")]), seed=1, fps=5, size_px=64),
            fps=5,
        )
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1

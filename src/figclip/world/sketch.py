"""A few drawn clips in VidSitu's official layout, for the quickstart and the tests.

A clip lasts 10 s: five events of 2 s, each with an agent, often a patient, a verb seen in how they
move, a direction, a manner (the speed) and a scene.
"""

from __future__ import annotations

import json
import random
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from figclip.errors import ConfigError
from figclip.world.sketch_figures import (
    ACTORS,
    COLOURS,
    FRAME_PX,
    PROPS,
    SCENES,
    SIZES_PX,
    Figure,
    render,
)
from figclip.world.sketch_verbs import AGENTLESS, MANNERS, VERBS, Deed

FPS = 10
EVENT_S = 2
NUM_EVENTS = 5
NUM_ANNOTATORS = {"train": 1, "valid": 3}
NUM_VERB_CHOICES = {"train": 1, "valid": 10}

_ABSENT = "-"
_ABSENT_RATE = 0.05
_ID_LETTERS = string.ascii_letters + string.digits + "_-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """One clip with all that its annotations tell; start_s counts in the YouTube video."""

    id: str
    youtube_id: str
    start_s: int
    deeds: tuple[Deed, ...]


def draw_sketch(out: Path, *, num_videos: int, num_valid: int, seed: int) -> None:
    """Writes clips and their annotations as the official VidSitu files lay them out.

    `out/annotations` gets the annotation, split, vinfo and vocabulary files, `out/videos` one
    `{segment id}.mp4` of 10 s a segment. Two of three segments share their YouTube id. A segment
    depends on the seed, its split and its position only, not on how many there are.

    Args:
        out: Folder; files of the same name in it are overwritten.
        num_videos: Number of segments, training and validation together.
        num_valid: How many of these are the official validation split (three annotators each), at
            least 1 and fewer than num_videos.
        seed: Of all that is drawn.

    Raises:
        ConfigError: One of the two splits would be empty.
    """
    if not 1 <= num_valid < num_videos:
        raise ConfigError(
            f"{num_valid} validation videos of {num_videos} leave a split empty",
            where="draw_sketch",
            fix="Ask for at least one training and one validation video",
        )
    splits = {
        "train": [_segment(seed, "train", idx) for idx in range(num_videos - num_valid)],
        "valid": [_segment(seed, "valid", idx) for idx in range(num_valid)],
    }
    for split, segments in splits.items():
        _write_annotations(out / "annotations", split=split, segments=segments, seed=seed)
    _write_vocabulary(out / "annotations", splits["train"])
    (out / "videos").mkdir(parents=True, exist_ok=True)
    for segment in (*splits["train"], *splits["valid"]):
        _write_video(out / "videos" / f"{segment.id}.mp4", draw_frames(segment.deeds))


def draw_frames(deeds: Sequence[Deed]) -> Iterator[Image.Image]:
    """The RGB frames of a clip in order, `EVENT_S * FPS` for each event."""
    num_frames = EVENT_S * FPS
    for deed in deeds:
        for frame_idx in range(num_frames):
            yield render(deed.verb.draw(deed, frame_idx / num_frames), deed.scene)


def _segment(seed: int, split: str, idx: int) -> _Segment:
    """The segment at a position of a split."""
    # Segments 0 and 1 are of one YouTube video, 2 is alone, 3 and 4 are of one video, ….
    group_idx, part = 2 * (idx // 3) + (idx % 3 == 2), idx % 3 % 2
    rng = random.Random(f"{seed}:{split}:group:{group_idx}")
    letters = [rng.choice(_ID_LETTERS) for _ in range(11)]
    # What breaks naive parsers of ids must occur in small sets too.
    if group_idx % 2 == 0:
        letters[5] = "_"
    else:
        letters[0] = "-"
    youtube_id = "".join(letters)
    start_s = 5 * rng.randrange(20) + 10 * part
    rng = random.Random(f"{seed}:{split}:segment:{idx}")
    return _Segment(
        id=f"v_{youtube_id}_seg_{start_s}_{start_s + NUM_EVENTS * EVENT_S}",
        youtube_id=youtube_id,
        start_s=start_s,
        deeds=_deeds(rng),
    )


def _deeds(rng: random.Random) -> tuple[Deed, ...]:
    """Five different events of one small cast, at one or two places."""
    kinds = [*rng.sample(ACTORS, 2), rng.choice(PROPS)]
    colours = rng.sample(list(COLOURS), 3)
    cast = tuple(
        Figure(kind=kind, colour=colour, size=rng.choice(list(SIZES_PX)))
        for kind, colour in zip(kinds, colours, strict=True)
    )
    scene, other_scene = rng.sample(SCENES, 2)
    changes_scene = rng.random() < 0.25
    deeds: list[Deed] = []
    while len(deeds) < NUM_EVENTS:
        deed = _deed(rng, cast, other_scene if changes_scene and len(deeds) > 2 else scene)
        last = deeds[-1] if deeds else None
        # Same verb, roles swapped: what a bag of words cannot tell apart.
        if last and last.patient in cast[:2] and rng.random() < 0.3:
            deed = replace(last, agent=last.patient, patient=last.agent, scene=deed.scene)
        if deed not in deeds:
            deeds.append(deed)
    return tuple(deeds)


def _deed(rng: random.Random, cast: tuple[Figure, ...], scene: str) -> Deed:
    """One event; the last of the cast is a thing and never acts."""
    verb = rng.choice(VERBS)
    actors, prop = list(cast[:-1]), cast[-1]
    rng.shuffle(actors)
    return Deed(
        verb=verb,
        agent=rng.choice([actors[0], prop]) if verb.sense in AGENTLESS else actors[0],
        patient=rng.choice([actors[1], prop]) if verb.has_patient else None,
        direction=rng.choice(verb.directions),
        manner=rng.choice(MANNERS),
        scene=scene,
    )


def _write_annotations(folder: Path, *, split: str, segments: list[_Segment], seed: int) -> None:
    """The annotation, split and vinfo files of one split."""
    annotations: list[object] = []
    vinfos: list[object] = []
    for idx, segment in enumerate(segments):
        for annotator in range(NUM_ANNOTATORS[split]):
            rng = random.Random(f"{seed}:{split}:annotator:{idx}:{annotator}")
            annotations.append(_annotation(segment, rng, annotator=annotator))
        rng = random.Random(f"{seed}:{split}:vinfo:{idx}")
        vinfos.append(_vinfo(segment, rng, num_choices=NUM_VERB_CHOICES[split]))
    _write_json(folder / f"vseg_ann_files/vsann_{split}_lb.json", annotations)
    _write_json(folder / f"split_files/vseg_split_{split}_lb.json", [s.id for s in segments])
    _write_json(folder / f"vinfo_files/vinfo_{split}_lb.json", vinfos)


def _annotation(segment: _Segment, rng: random.Random, *, annotator: int) -> dict[str, object]:
    """What one annotator says of a segment; later annotators see less."""
    events: dict[str, object] = {}
    for event_idx, deed in enumerate(segment.deeds):
        args = {
            role: _value(deed, field, rng, annotator=annotator)
            for role, field in deed.verb.roles.items()
        }
        relation = _relation(segment.deeds, event_idx)
        events[f"Ev{event_idx + 1}"] = {
            "vid_uid": f"{segment.youtube_id}1",
            "vid_seg_int": segment.id,
            **({"EvRel": relation} if relation else {}),
            "Args": args,
            "Arg_List": {role: str(place) for place, role in enumerate(args)},
            "Verb": deed.verb.label,
            "VerbID": deed.verb.sense,
        }
    return events


def _value(deed: Deed, field: str, rng: random.Random, *, annotator: int) -> str:
    """The text of a role, or the dash that the real files have where there is none."""
    value = getattr(deed, field)
    if isinstance(value, Figure):
        # The second annotator does not tell sizes.
        return value.text.split(" ", 1)[1] if annotator == 1 else value.text
    skips = _ABSENT_RATE * (1 + 4 * (annotator == 2))
    return _ABSENT if field in ("direction", "manner") and rng.random() < skips else value


def _relation(deeds: Sequence[Deed], event_idx: int) -> str:
    """VidSitu's relation of an event to the middle one, which itself has none."""
    middle_idx = NUM_EVENTS // 2
    deed, middle = deeds[event_idx], deeds[middle_idx]
    if event_idx == middle_idx:
        return ""
    if not {deed.agent, deed.patient} & {middle.agent, middle.patient} - {None}:
        return "NoRel"
    if deed.agent == middle.agent:
        return "Enables"
    return "Causes" if event_idx < middle_idx else "Reaction To"


def _vinfo(segment: _Segment, rng: random.Random, *, num_choices: int) -> dict[str, object]:
    """A row of the vinfo file: most annotators choose the verb that was drawn."""
    choices = {
        f"Ev{event_idx + 1}": [
            deed.verb if choice == 0 or rng.random() < 0.8 else rng.choice(VERBS)
            for choice in range(num_choices)
        ]
        for event_idx, deed in enumerate(segment.deeds)
    }
    return {
        "vid_uid": f"{segment.youtube_id}1",
        "name": segment.youtube_id,
        "start": segment.start_s,
        "end": segment.start_s + NUM_EVENTS * EVENT_S,
        "vid_seg_int": segment.id,
        "vb_to_use": {event: verbs[0].label for event, verbs in choices.items()},
        "vb_lst": {event: [verb.label for verb in verbs] for event, verbs in choices.items()},
        "vbid_lst": {event: [verb.sense for verb in verbs] for event, verbs in choices.items()},
    }


def _write_vocabulary(folder: Path, train: list[_Segment]) -> None:
    """All senses, by how often the training split has them."""
    counts = Counter(deed.verb.sense for segment in train for deed in segment.deeds)
    senses = sorted((verb.sense for verb in VERBS), key=lambda sense: (-counts[sense], sense))
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *senses]
    _write_json(
        folder / "vsitu_vocab/verb_voc.json", {symbol: i for i, symbol in enumerate(symbols)}
    )


def _write_json(path: Path, content: object) -> None:
    """The content, readable, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write_video(path: Path, frames: Iterator[Image.Image]) -> None:
    """An MP4 whose n-th frame is shown at n / FPS seconds."""
    with av.open(str(path), mode="w") as container:
        # One thread: the file must not depend on the machine's number of cores.
        options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width = stream.height = FRAME_PX
        stream.pix_fmt = "yuv420p"
        for frame_idx, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
            frame.pts, frame.time_base = frame_idx, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

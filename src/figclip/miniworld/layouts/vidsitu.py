"""Write stories as VidSitu lays out its annotations and its segments, with YouTube ids."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figclip.errors import ConfigError
from figclip.miniworld.captions import annotate
from figclip.miniworld.grammar import NUM_EVENTS, Story, actors_of
from figclip.miniworld.layouts.own_files import Painter, media_seed, write_json
from figclip.miniworld.situations import VERBS, VerbSense

_LETTERS = string.ascii_letters + string.digits + "_-"


def youtube_id(rng: random.Random) -> str:
    """Eleven characters; a `_` inside and often a `-` in front break naive parsers."""
    letters = [rng.choice(_LETTERS) for _ in range(11)]
    letters[5] = "_"
    if rng.random() < 0.5:
        letters[0] = "-"
    return "".join(letters)


EVENT_S = 2
NUM_ANNOTATORS = {"train": 1, "valid": 3}
NUM_VERB_CHOICES = {"train": 1, "valid": 10}

_VERB_AGREEMENT = 0.8
_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """A story cut from a YouTube video at a time in seconds."""

    id: str
    youtube_id: str
    start_s: int
    story: Story
    seed: int


def write_vidsitu(
    out: Path, *, train: Sequence[Story], valid: Sequence[Story], painter: Painter, seed: int
) -> None:
    """Writes `out/annotations` (the official files) and `out/videos/{segment id}.mp4`, 10 s each.

    `train` has one annotation a segment, `valid` three annotators and ten choices of the verb. Two
    of three segments are of one YouTube video. Ids, words and pictures of a segment depend on the
    seed, the split and the position only.

    Raises:
        ConfigError: A split is empty.
    """
    stories: dict[str, Sequence[Story]] = {"train": train, "valid": valid}
    if not train or not valid:
        empty = "train" if not train else "valid"
        what = f"{len(train)} + {len(valid)} videos leave the split {empty} empty"
        raise ConfigError(what, where="VidSitu layout", fix="Give at least one story of each")
    splits = {
        split: [_segment(story, seed, split, idx) for idx, story in enumerate(members)]
        for split, members in stories.items()
    }
    folder = out / "annotations"
    for split, segments in splits.items():
        _write_split(folder, split=split, segments=segments, seed=seed)
    _write_vocabulary(folder, train)
    for segment in (*splits["train"], *splits["valid"]):
        painter.paint_video(out / f"videos/{segment.id}.mp4", segment.story, seed=segment.seed)


def _segment(story: Story, seed: int, split: str, idx: int) -> _Segment:
    """The segment at a position of a split."""
    # Segments 0 and 1 are of one YouTube video, 2 is alone, 3 and 4 are of one video, ….
    group_idx, part = 2 * (idx // 3) + (idx % 3 == 2), idx % 3 % 2
    rng = random.Random(f"{seed}:vidsitu:{split}:group:{group_idx}")
    name = youtube_id(rng)
    start_s = 5 * rng.randrange(20) + NUM_EVENTS * EVENT_S * part
    rng = random.Random(f"{seed}:vidsitu:{split}:segment:{idx}")
    return _Segment(
        id=f"v_{name}_seg_{start_s}_{start_s + NUM_EVENTS * EVENT_S}",
        youtube_id=name,
        start_s=start_s,
        story=story,
        seed=media_seed(rng),
    )


def _write_split(folder: Path, *, split: str, segments: list[_Segment], seed: int) -> None:
    """The annotation, split and vinfo files of one split."""
    annotations: list[object] = []
    vinfos: list[object] = []
    for idx, segment in enumerate(segments):
        for annotator in range(NUM_ANNOTATORS[split]):
            rng = random.Random(f"{seed}:vidsitu:{split}:annotator:{idx}:{annotator}")
            annotations.append(_annotation(segment, rng))
        rng = random.Random(f"{seed}:vidsitu:{split}:vinfo:{idx}")
        vinfos.append(_vinfo(segment, rng, num_choices=NUM_VERB_CHOICES[split]))
    write_json(folder / f"vseg_ann_files/vsann_{split}_lb.json", annotations)
    write_json(folder / f"split_files/vseg_split_{split}_lb.json", [one.id for one in segments])
    write_json(folder / f"vinfo_files/vinfo_{split}_lb.json", vinfos)


def _annotation(segment: _Segment, rng: random.Random) -> dict[str, object]:
    """What one annotator says of a segment."""
    events: dict[str, object] = {}
    for event_idx, args in enumerate(annotate(segment.story, rng)):
        verb = VERBS[segment.story[event_idx].verb]
        relation = _relation(segment.story, event_idx)
        events[f"Ev{event_idx + 1}"] = {
            "vid_uid": f"{segment.youtube_id}1",
            "vid_seg_int": segment.id,
            **({"EvRel": relation} if relation else {}),
            "Args": args,
            "Arg_List": {role: str(place) for place, role in enumerate(args)},
            "Verb": _label(verb),
            "VerbID": verb.sense,
        }
    return events


def _relation(story: Story, event_idx: int) -> str:
    """VidSitu's relation of an event to the middle one, which itself has none."""
    middle_idx = NUM_EVENTS // 2
    event, middle = story[event_idx], story[middle_idx]
    if event_idx == middle_idx:
        return ""
    if not set(actors_of(event)) & set(actors_of(middle)):
        return "NoRel"
    if event.agent == middle.agent:
        return "Enables"
    return "Causes" if event_idx < middle_idx else "Reaction To"


def _vinfo(segment: _Segment, rng: random.Random, *, num_choices: int) -> dict[str, object]:
    """A row of the vinfo file: most annotators choose the verb that is shown."""
    choices: dict[str, list[VerbSense]] = {}
    for event_idx, event in enumerate(segment.story):
        choices[f"Ev{event_idx + 1}"] = [
            VERBS[event.verb]
            if choice == 0 or rng.random() < _VERB_AGREEMENT
            else rng.choice(list(VERBS.values()))
            for choice in range(num_choices)
        ]
    return {
        "vid_uid": f"{segment.youtube_id}1",
        "name": segment.youtube_id,
        "start": segment.start_s,
        "end": segment.start_s + NUM_EVENTS * EVENT_S,
        "vid_seg_int": segment.id,
        "vb_to_use": {event: _label(verbs[0]) for event, verbs in choices.items()},
        "vb_lst": {event: [_label(verb) for verb in verbs] for event, verbs in choices.items()},
        "vbid_lst": {event: [verb.sense for verb in verbs] for event, verbs in choices.items()},
    }


def _write_vocabulary(folder: Path, train: Sequence[Story]) -> None:
    """All senses, by how often the training split has them."""
    counts = Counter(VERBS[event.verb].sense for story in train for event in story)
    senses = sorted((verb.sense for verb in VERBS.values()), key=lambda one: (-counts[one], one))
    numbers = {symbol: number for number, symbol in enumerate((*_SYMBOLS, *senses))}
    write_json(folder / "vsitu_vocab/verb_voc.json", numbers)


def _label(verb: VerbSense) -> str:
    """As annotations write it: `push (move by force)`."""
    return f"{verb.verb} ({verb.gloss})"

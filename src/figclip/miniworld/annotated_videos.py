"""Write annotated videos: stories as VidSitu lays them out, films as ActivityNet Captions does.

Also the annotations of controls, which must teach no detail: sparse ones, and those of other
videos. Files come out with the same bytes for the same content. Writers order pictures and videos
from a painter and draw none themselves.
"""

import json
import random
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from figclip.annotations.roles import filled_roles, filled_scene
from figclip.annotations.splits import TRAIN_SPLIT
from figclip.annotations.vidsitu import load_source
from figclip.errors import ConfigError
from figclip.miniworld.situations import (
    EVENT_S,
    NUM_EVENTS,
    VERBS,
    Film,
    Situation,
    Story,
    Verb,
    actors_of,
    whole_events,
)
from figclip.miniworld.wording import EVALUATION_STYLES, annotate, natural_sentence
from figclip.records import Event
from figclip.runtime.files import make_folder, write_atomically


@runtime_checkable
class Painter(Protocol):
    """Makes the media files of a layout, or sees to it that they are made."""

    def order(self, path: Path, shown: Film | Situation, *, seed: int) -> None:
        """Orders a video of a film, or a square picture in the format of the suffix.

        Its folder need not exist.
        """
        ...


def media_seed(rng: random.Random) -> int:
    """A seed for one medium, or for two that are to differ in nothing but what they show."""
    return rng.randrange(2**32)


def write_json(path: Path, content: object) -> None:
    """The content as JSON, readable, with its folder."""
    make_folder(path.parent)
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def write_json_lines(path: Path, rows: Iterable[object]) -> None:
    """One JSON value a line, with the folder."""
    make_folder(path.parent)
    write_atomically(path, "".join(f"{json.dumps(row)}\n" for row in rows))


_LETTERS = string.ascii_letters + string.digits + "_-"


def youtube_id(rng: random.Random) -> str:
    """Eleven characters; a `_` inside and often a `-` in front break naive parsers."""
    letters = [rng.choice(_LETTERS) for _ in range(11)]
    letters[5] = "_"
    if rng.random() < 0.5:
        letters[0] = "-"
    return "".join(letters)


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
    """
    _check_filled("VidSitu", train, valid)
    folder = out / "annotations"
    for split, stories in (("train", train), ("valid", valid)):
        segments = [_segment(story, seed, split, idx) for idx, story in enumerate(stories)]
        _write_split(folder, split=split, segments=segments, seed=seed)
        for one in segments:
            painter.order(out / f"videos/{one.id}.mp4", whole_events(one.story), seed=one.seed)
    # All senses, by how often the training split has them.
    counts = Counter(VERBS[event.verb].sense for story in train for event in story)
    senses = sorted((verb.sense for verb in VERBS.values()), key=lambda one: (-counts[one], one))
    numbers = {symbol: number for number, symbol in enumerate((*_SYMBOLS, *senses))}
    write_json(folder / "vsitu_vocab/verb_voc.json", numbers)


def _check_filled(layout: str, train: Sequence[object], valid: Sequence[object]) -> None:
    """Refuse an empty split."""
    if not train or not valid:
        empty = "train" if not train else "valid"
        what = f"{len(train)} + {len(valid)} videos leave the split {empty} empty"
        raise ConfigError(what, where=f"{layout} layout", fix="Give at least one of each")


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
    choices: dict[str, list[Verb]] = {}
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


def _label(verb: Verb) -> str:
    """As annotations write it: `push (move by force)`."""
    return f"{verb.verb} ({verb.gloss})"


DISAGREEMENT_S = 0.2
"""By how much the second annotator's times differ at most."""


def write_dense_captions(
    out: Path, *, train: Sequence[Film], valid: Sequence[Film], painter: Painter, seed: int
) -> None:
    """Writes `out/{train,val_1,val_2}.json` and `out/videos/v_{YouTube id}.mp4`.

    Each event has a sentence of all facts, in a style of its own; empty shots have none. Times are
    in hundredths of a second, as in the official files. Both val files annotate the same videos:
    the times of `val_1.json` are those of the shots, in `val_2.json` each is a little earlier or
    later. Id, words and pictures of a film depend on the seed, the split and the position only.
    """
    _check_filled("ActivityNet", train, valid)
    for files, films in ((("train.json",), train), (("val_1.json", "val_2.json"), valid)):
        annotations: dict[str, dict[str, object]] = {file: {} for file in files}
        for idx, film in enumerate(films):
            rng = random.Random(f"{seed}:activitynet:{files[0]}:{idx}")
            name = f"v_{youtube_id(rng)}"
            painter.order(out / f"videos/{name}.mp4", film, seed=media_seed(rng))
            cuts = [round(cut, 2) for cut in accumulate((s.duration_s for s in film), initial=0.0)]
            for file, entries in annotations.items():
                seen = cuts if file == files[0] else _seen_by_another(cuts, rng)
                entries[name] = {"duration": cuts[-1], **_events(film, cuts=seen, rng=rng)}
        for file, entries in annotations.items():
            write_json(out / file, entries)


def _seen_by_another(cuts: Sequence[float], rng: random.Random) -> list[float]:
    """The cuts as a second person marks them, inside the film and in order."""
    moved = (cut + rng.uniform(-DISAGREEMENT_S, DISAGREEMENT_S) for cut in cuts)
    return sorted(round(min(max(cut, 0.0), cuts[-1]), 2) for cut in moved)


def _events(film: Film, *, cuts: Sequence[float], rng: random.Random) -> dict[str, object]:
    """Spans and sentences of the shots that have an event; shot i is from cut i to cut i + 1."""
    events = [
        (list(span), shot.situation)
        for shot, span in zip(film, pairwise(cuts), strict=True)
        if shot.situation is not None
    ]
    return {
        "timestamps": [span for span, _ in events],
        "sentences": [
            f"{natural_sentence(situation, rng.choice(EVALUATION_STYLES)).capitalize()}."
            for _, situation in events
        ],
    }


ControlName = Literal["sparse", "shuffled"]


def write_control(source: Path, out: Path, *, control: ControlName, seed: int) -> None:
    """Writes annotations of the same training videos, one each, as figclip's own JSON Lines.

    `sparse`: each event is told as web text tells a picture: one who is seen, and half of the time
    the scene; no deed, no roles, no direction, no manner. `shuffled`: each video gets the events of
    another one.
    """
    records = [one for one in load_source(source).records if one.split == TRAIN_SPLIT]
    rng = random.Random(f"{seed}:{control}")
    events = [record.annotations[0].events for record in records]
    if control == "shuffled":
        # Everyone's are somebody else's: a random order, each video taking the next one's.
        order = rng.sample(range(len(events)), len(events))
        taken = dict(zip(order, [*order[1:], order[0]], strict=True))
        events = [events[taken[idx]] for idx in range(len(events))]
    else:
        events = [tuple(_sparse(event, rng) for event in of_video) for of_video in events]
    rows = [
        {
            "id": record.id,
            # VidSitu's segments name their file without its ending.
            "video": f"{record.video}.mp4",
            "split": record.split,
            "group": record.group,
            "events": [_row(event) for event in of_video],
        }
        for record, of_video in zip(records, events, strict=True)
    ]
    write_json_lines(out, rows)


def _sparse(event: Event, rng: random.Random) -> Event:
    """Somebody is there."""
    someone = [role for role in filled_roles(event) if not role.is_modifier]
    seen = replace(rng.choice(someone), name="one seen", slot="Arg0")
    scene = filled_scene(event) if rng.random() < 0.5 else ""
    return replace(event, verb="be", sense="be.01", roles=(seen,), scene=scene)


def _row(event: Event) -> dict[str, object]:
    """An event in figclip's own format."""
    return {
        "start_s": event.start_s,
        "end_s": event.end_s,
        "verb": event.verb,
        "sense": event.sense,
        "roles": {role.name: role.text for role in event.roles},
        "slots": {role.name: role.slot for role in event.roles},
        "scene": event.scene,
    }

"""Writes small annotation files for tests: official VidSitu layouts and figclip's own formats.

All content is made up. `write_vidsitu(folder, dirt=True)` holds every oddity that the real files
hold.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

# 11 characters each; `_` and `-` at every place where naive splitting goes wrong.
YOUTUBE_IDS = ("aB3_dE-7hIj", "-starts_4th", "_lead_ing_1", "plainId0001", "x_seg_0_10z")

# Verb, VerbID and arguments of made-up events: names with commas and nested parentheses.
_EVENTS = (
    (
        "juggle (toss (and catch))",
        "juggle.01",
        {
            "Arg0 (juggler(s))": "clown in a striped coat",
            "Arg1 (things tossed, caught)": "three lemons",
            "ArgM (manner)": "calmly",
            "Scene of the Event": "rooftop garden",
        },
    ),
    (
        "whistle (make a sound, shrill)",
        "whistle.02",
        {
            "Arg0 (whistler)": "boy on a ladder",
            "Arg2 (hearer (if any, not the tune))": "clown in a striped coat",
            "ArgM (location)": "beside the chimney",
        },
    ),
    (
        "topple (fall)",
        "topple.01",
        {
            "Arg1 (thing falling)": "ladder",
            "ArgM (direction)": "sideways",
            "Scene of the Event": "rooftop garden",
        },
    ),
    (
        "catch (get hold of!)",
        "catch.03",
        {
            "Arg0 (catcher)": "clown in a striped coat",
            "Arg1 (thing caught)": "boy on a ladder",
            "Scene of the Event": "rooftop garden",
        },
    ),
    (
        "bow (bend)",
        "bow.01",
        {"Arg0 (bower)": "clown in a striped coat", "ArgM (direction)": "forward"},
    ),
)
_RELATIONS = ("Enables", "Causes", "", "Reaction To", "NoRel")


def segment_id(youtube_id: str = YOUTUBE_IDS[0], *, start_s: int = 0) -> str:
    """Id of a segment of 10 s."""
    return f"v_{youtube_id}_seg_{start_s}_{start_s + 10}"


def vidsitu_event(
    segment: str,
    *,
    verb: str = "walk (on foot)",
    verb_id: str | None = "walk.01",
    args: Mapping[str, object] | None = None,
    relation: str | None = None,
) -> dict[str, object]:
    """One official event with all official keys; `verb_id=None` leaves that key out."""
    args = {"Arg0 (walker)": "tall woman"} if args is None else args
    event: dict[str, object] = {"vid_uid": segment[2:13] + "1", "vid_seg_int": segment}
    if relation:
        event["EvRel"] = relation
    event["Args"] = dict(args)
    event["Arg_List"] = {name: str(index) for index, name in enumerate(args)}
    event["Verb"] = verb
    if verb_id is not None:
        event["VerbID"] = verb_id
    return event


def vidsitu_entry(
    segment: str, *, first: int = 0, relations: bool = True
) -> dict[str, dict[str, object]]:
    """One official annotation of five events; `first` turns the made-up story by that many."""
    entry: dict[str, dict[str, object]] = {}
    for index, relation in enumerate(_RELATIONS):
        verb, verb_id, args = _EVENTS[(first + index) % len(_EVENTS)]
        entry[f"Ev{index + 1}"] = vidsitu_event(
            segment,
            verb=verb,
            verb_id=verb_id,
            args=args,
            relation=relation if relations else None,
        )
    return entry


def dirty_entries() -> list[dict[str, dict[str, object]]]:
    """Annotations of train segments that hold what the real files hold besides clean ones.

    In order: an annotation equal to the first train one but without relations; events without
    scene, Arg0, vid_uid, EvRel and VerbID, fillers that say nothing or are padded with spaces, and
    a verb outside the vocabulary; an annotation of one event; a segment in no split file.
    """
    again = vidsitu_entry(segment_id(), relations=False)
    odd_segment = segment_id(YOUTUBE_IDS[1], start_s=40)
    odd = vidsitu_entry(odd_segment, first=2, relations=False)
    nothing = ("-", '"-"', "...", "Unkown", "not applicable", "<none>", "no one")
    odd["Ev1"]["Args"] = {f"Arg{index} (thing {index})": text for index, text in enumerate(nothing)}
    odd["Ev2"]["Args"] = {"Arg1 (wait-er (not waiter, the other sense))": f"unknown  man{' ' * 99}"}
    odd["Ev3"] = vidsitu_event(odd_segment, verb="yodel (sing)", verb_id="yodel.77", args={})
    # vinfo names the first; nothing names the second.
    del odd["Ev4"]["VerbID"], odd["Ev4"]["vid_uid"]
    odd["Ev5"] = vidsitu_event(odd_segment, verb="dawdle (be slow)", verb_id=None)
    partial_segment = segment_id(YOUTUBE_IDS[2], start_s=120)
    partial = {"Ev4": vidsitu_event(partial_segment, relation="Causes")}
    unlisted = vidsitu_entry(segment_id(YOUTUBE_IDS[3], start_s=5))
    return [again, odd, partial, unlisted]


def write_vidsitu(
    folder: Path, *, num_train: int = 2, num_valid: int = 1, flat: bool = False, dirt: bool = False
) -> Path:
    """Writes a folder of official VidSitu files and returns it.

    Args:
        folder: Made when missing.
        num_train: Train segments, all of one YouTube video.
        num_valid: Valid segments, all of another; three annotations each, as in the official file.
        flat: All files in the folder instead of the official sub-folders.
        dirt: Adds `dirty_entries` to the train file.
    """
    train = [segment_id(start_s=20 * index) for index in range(num_train)]
    valid = [segment_id(YOUTUBE_IDS[4], start_s=20 * index) for index in range(num_valid)]
    train_entries = [vidsitu_entry(segment, first=index) for index, segment in enumerate(train)]
    valid_entries = [
        vidsitu_entry(segment, first=annotator) for segment in valid for annotator in range(3)
    ]
    if dirt:
        train_entries += dirty_entries()
        train += [segment_id(YOUTUBE_IDS[1], start_s=40), segment_id(YOUTUBE_IDS[2], start_s=120)]
    # A segment that the split lists and nobody annotated, as 100 of the real valid split.
    valid.append(segment_id(YOUTUBE_IDS[4], start_s=500))
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "walk.01", *(event[1] for event in _EVENTS)]
    files: dict[str, object] = {
        "vseg_ann_files/vsann_train_lb.json": train_entries,
        "vseg_ann_files/vsann_valid_lb.json": valid_entries,
        "split_files/vseg_split_train_lb.json": train,
        "split_files/vseg_split_valid_lb.json": valid,
        "split_files/vseg_testevrel_noann_lb.json": [segment_id("testOnly_01")],
        "vinfo_files/vinfo_valid_lb.json": [_vinfo_row(segment) for segment in valid],
        "vsitu_vocab/verb_voc.json": {verb_id: index for index, verb_id in enumerate(vocabulary)},
    }
    for name, value in files.items():
        path = folder / (Path(name).name if flat else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    return folder


def _vinfo_row(segment: str) -> dict[str, object]:
    """A row of vinfo: the verbs that ten annotators chose, and a bare NaN as the real file has."""
    names = [f"Ev{number}" for number in range(1, 6)]
    return {
        "vid_seg_int": segment,
        "clip_name": float("nan"),
        "vb_lst": {name: [event[0] for event in _EVENTS] * 2 for name in names},
        "vbid_lst": {name: [event[1] for event in _EVENTS] * 2 for name in names},
    }


def own_event(**changes: object) -> dict[str, object]:
    """One event of figclip's own format; a key set to None is left out."""
    event: dict[str, object] = {
        "start_s": 0.0,
        "end_s": 2.5,
        "verb": "pour (let flow)",
        "sense": "pour.01",
        "roles": {"pourer": "nurse in green", "liquid": "tea", "direction": "down"},
        "scene": "tent",
    }
    return {key: value for key, value in {**event, **changes}.items() if value is not None}


def own_video(**changes: object) -> dict[str, object]:
    """One line of figclip's own format; a key set to None is left out."""
    video: dict[str, object] = {
        "id": "a1",
        "video": "clips/a1.mp4",
        "split": "train",
        "group": "film7",
        "events": [own_event(), own_event(start_s=2.5, end_s=4, verb="drink", sense=None)],
        "captions": ["A nurse pours tea."],
    }
    return {key: value for key, value in {**video, **changes}.items() if value is not None}


def write_jsonl(path: Path, videos: Sequence[object]) -> Path:
    """Writes one JSON value a line."""
    lines = [json.dumps(video, ensure_ascii=False) for video in videos]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Writes one event a row, with the union of the rows' keys as columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path

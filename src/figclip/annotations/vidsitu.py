"""Read VidSitu's official annotation files; `load_source` also takes figclip's own.

A segment is a clip of 10 s, annotated as five events of 2 s. Where the real files depart from clean
annotations, a rule decides, `AnnotationSet.notices` counts it, and `docs/annotations.md` lists it.
No pickles are read.

Source:
    Sadhu et al., Visual Semantic Role Labeling for Video Understanding, CVPR 2021;
    github.com/TheShadow29/VidSitu.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import PurePath

from figclip.annotations.own_files import counted, load_annotations, split_notices, split_verb
from figclip.annotations.reading import (
    Place,
    check_text,
    is_list,
    is_object,
    raise_problems,
    read_json,
    read_json_list,
)
from figclip.annotations.roles import SCENE_ROLE
from figclip.errors import shown
from figclip.records import Annotation, AnnotationSet, Event, Role, VideoRecord
from figclip.runtime.garbage import uncollected

SUBFOLDERS = ("", "vseg_ann_files", "split_files", "vinfo_files", "vsitu_vocab")

# The YouTube id has 11 characters and may hold `_` and `-`, so splitting at `_` would fail.
_SEGMENT = re.compile(
    r"v_(?P<youtube_id>[A-Za-z0-9_-]{11})_seg_(?P<start>[0-9]{1,6})_(?P<end>[0-9]{1,6})"
)
_ANNOTATION_FILE = re.compile(r"vsann_(?P<split>[A-Za-z0-9]+)(?:_.*)?\.json")
# Not `vseg_testevrel_noann_lb.json`: another list of ids, a subset of the split's.
_SPLIT_FILE = re.compile(r"vseg_split_(?P<split>[A-Za-z0-9]+)(?:_.*)?\.json")
_VINFO_FILE = re.compile(r"(?P<split>)vinfo_.*\.json")
_VOCABULARY_FILE = re.compile(r"(?P<split>)verb_voc\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentId:
    """The parts of a segment id; times are those in the YouTube video."""

    youtube_id: str
    start_s: int
    end_s: int


def parse_segment_id(text: str) -> SegmentId | None:
    """Parses `v_{youtube id}_seg_{start}_{end}`; None when the text is no such id."""
    match = _SEGMENT.fullmatch(text)
    if match is None:
        return None
    return SegmentId(
        youtube_id=match["youtube_id"], start_s=int(match["start"]), end_s=int(match["end"])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialFile:
    """One file, on the disk or in the archive that a store keeps."""

    path: Traversable
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class VidsituFiles:
    """The official files of a folder: those of a split with the split that their name says.

    `splits` list segment ids; `vinfos` also name the verbs that annotators chose. An official
    folder has at most one vocabulary of verb ids.
    """

    annotations: tuple[tuple[str, OfficialFile], ...]
    splits: tuple[tuple[str, OfficialFile], ...]
    vinfos: tuple[OfficialFile, ...]
    vocabularies: tuple[OfficialFile, ...]

    @property
    def all(self) -> tuple[OfficialFile, ...]:
        """Every file, each once."""
        named = (file for _, file in (*self.annotations, *self.splits))
        return (*named, *self.vinfos, *self.vocabularies)


def find_files(folder: Traversable, place: Place) -> VidsituFiles:
    """Looks in the folder and in its official sub-folders, not deeper."""
    folders = [folder / subfolder if subfolder else folder for subfolder in SUBFOLDERS]
    paths = sorted(
        (path for one in folders if one.is_dir() for path in one.iterdir() if path.is_file()),
        key=lambda path: PurePath(str(path)).parts,
    )

    def matching(pattern: re.Pattern[str]) -> Iterator[tuple[str, OfficialFile]]:
        for path in paths:
            if match := pattern.fullmatch(path.name):
                yield match["split"], OfficialFile(path=path, place=place.at(str(path)))

    return VidsituFiles(
        annotations=tuple(matching(_ANNOTATION_FILE)),
        splits=tuple(matching(_SPLIT_FILE)),
        vinfos=tuple(file for _, file in matching(_VINFO_FILE)),
        vocabularies=tuple(file for _, file in matching(_VOCABULARY_FILE)),
    )


def read_splits(
    files: tuple[tuple[str, OfficialFile], ...],
) -> tuple[dict[str, str], dict[str, int]]:
    """The split of every listed segment, and the number of segments of every split."""
    split_by_segment: dict[str, str] = {}
    for split, file in files:
        for index, segment in enumerate(read_json_list(file.path, file.place)):
            name = f"[{index}]"
            if not isinstance(segment, str) or parse_segment_id(segment) is None:
                what = f"is {shown(segment)}, which is no segment id"
                fix = "Write v_{YouTube id}_seg_{start}_{end}"
                file.place.add(name, what=what, fix=fix)
            elif split_by_segment.setdefault(segment, split) != split:
                what = f"puts {segment} into {split}, but it is in {split_by_segment[segment]}"
                file.place.add(name, what=what, fix="Leave it in one split")
    return split_by_segment, dict(Counter(split_by_segment.values()))


def read_verb_ids(files: tuple[OfficialFile, ...]) -> tuple[dict[str, str], int]:
    """The VerbID of every verb that vinfo files pair with exactly one.

    Returns:
        VerbID by verb, and the number of bare NaN values, which official files hold for a missing
        clip name. They are read as missing.
    """
    num_nan = 0

    def as_missing(name: str) -> None:
        nonlocal num_nan
        num_nan += 1

    ids_by_verb: defaultdict[str, set[str]] = defaultdict(set)
    for file in files:
        for index, row in enumerate(read_json_list(file.path, file.place, constant=as_missing)):
            for verb, verb_id in _verb_pairs(row, file.place.inside(f"[{index}].")):
                ids_by_verb[verb].add(verb_id)
    return {verb: min(ids) for verb, ids in ids_by_verb.items() if len(ids) == 1}, num_nan


def _verb_pairs(row: object, place: Place) -> Iterator[tuple[str, str]]:
    """The verbs that annotators chose for one segment, with their VerbIDs."""
    verbs = row.get("vb_lst") if is_object(row) else None
    ids = row.get("vbid_lst") if is_object(row) else None
    if not is_object(verbs) or not is_object(ids):
        place.add(
            "vb_lst", what="or vbid_lst is missing", fix="Remove the vinfo file to do without"
        )
        return
    for event, chosen in verbs.items():
        chosen_ids = ids.get(event)
        if not is_list(chosen) or not is_list(chosen_ids) or len(chosen) != len(chosen_ids):
            what = f"and vbid_lst.{event} do not pair up"
            place.add(f"vb_lst.{event}", what=what, fix="Remove the vinfo file to do without")
            continue
        for verb, verb_id in zip(chosen, chosen_ids, strict=True):
            if isinstance(verb, str) and isinstance(verb_id, str):
                yield verb, verb_id


def read_vocabulary(files: tuple[OfficialFile, ...]) -> frozenset[str]:
    """The VerbIDs of the vocabulary; empty when there is no such file."""
    verb_ids: set[str] = set()
    for file in files:
        value = read_json(file.path, file.place)
        if is_object(value):
            verb_ids.update(value)
        elif value is not None:
            file.place.add("", what="must hold an object", fix="Its keys are the VerbIDs")
    return frozenset(verb_ids)


EVENT_NAMES = ("Ev1", "Ev2", "Ev3", "Ev4", "Ev5")
EVENT_S = 2.0
SEGMENT_S = 10

# Greedy to the last parenthesis: role names hold commas and parentheses of their own.
_ROLE = re.compile(r"(?P<slot>Arg[0-9M]) \((?P<name>.*)\)", re.DOTALL)
_EVENT_KEYS = frozenset({"vid_uid", "vid_seg_int", "EvRel", "Args", "Arg_List", "Verb", "VerbID"})


def load_source(path: Traversable) -> AnnotationSet:
    """Reads annotations of either kind: own format for a file, VidSitu for a folder.

    `path` is on the disk, or in the archive that a store keeps (`annotations.archive`).

    Raises:
        AnnotationError: Lists every problem of the source.
    """
    with uncollected():
        return load_vidsitu(path) if path.is_dir() else load_annotations(path)


def load_vidsitu(folder: Traversable) -> AnnotationSet:
    """Reads a folder of official VidSitu files.

    The files are `vsann_{split}….json` (needed), `vseg_split_{split}….json`, `vinfo_….json` and
    `verb_voc.json`, in the official sub-folders or flat in the folder.

    Returns:
        A record a segment, in the order of the files by name, with its different annotations.
        `video` is the segment id and `group` the YouTube id. Spans count from the segment's start.
    """
    place, tally = Place(str(folder)), _Tally()
    files = find_files(folder, place)
    if not files.annotations:
        fix = "Put them there or in vseg_ann_files/; annotations of your own are a .jsonl or .csv"
        place.add("", what="holds no VidSitu annotation file vsann_*.json", fix=fix)
    split_by_segment, split_sizes = read_splits(files.splits)
    entries: list[_Entry] = []
    for file_split, file in files.annotations:
        for index, value in enumerate(read_json_list(file.path, file.place)):
            entry = _parse_entry(value, file.place.inside(f"[{index}]."), tally=tally)
            if entry:
                entries.append(replace(entry, file_split=file_split))
    if any(not event.sense for entry in entries for event in entry.events):
        verb_ids, tally.vinfo_nan = read_verb_ids(files.vinfos)
        entries = [_complete_senses(entry, verb_ids, tally) for entry in entries]
    records = _records(entries, split_by_segment, tally)
    _count_unknown_verbs(records, read_vocabulary(files.vocabularies), tally)
    if not records and not place.problems:
        place.add("", what="holds no annotations", fix="Check that the files are whole")
    raise_problems(place)
    return AnnotationSet(
        name="vidsitu",
        source=str(folder),
        records=records,
        split_sizes=split_sizes,
        notices=(*tally.notices(), *split_notices(records)),
    )


@dataclass(slots=True)
class _Tally:
    """What was handled by rule, counted."""

    partial: int = 0
    merged: int = 0
    sense_completed: int = 0
    sense_missing: int = 0
    sense_outside: int = 0
    vinfo_nan: int = 0
    other_split: int = 0
    no_split: int = 0
    unknown_keys: Counter[str] = field(default_factory=Counter[str])

    def notices(self) -> tuple[str, ...]:
        """One sentence for each count that is not zero."""
        keys = ", ".join(shown(key) for key in sorted(self.unknown_keys)[:5])
        sentences = (
            (self.partial, "annotation", "without all five events: kept as annotated"),
            (self.merged, "annotation", "equal to another of the segment: merged with it"),
            (self.sense_completed, "event", "without VerbID: completed from vinfo"),
            (self.sense_missing, "event", "without VerbID, not named by vinfo either: left empty"),
            (self.sense_outside, "event", "with a verb outside the vocabulary: kept"),
            (self.vinfo_nan, "value", "NaN in vinfo: read as missing"),
            (
                self.other_split,
                "segment",
                "annotated in a file of another split: the split file, else the first file, "
                "decides",
            ),
            (self.no_split, "segment", "in no split file: the annotation file's name decides"),
            (self.unknown_keys.total(), "key", f"of unknown meaning: ignored ({keys})"),
        )
        return tuple(notice for sentence in sentences for notice in counted(*sentence))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One annotation of one segment, and the split that its file's name says."""

    segment: str
    events: tuple[Event, ...]
    file_split: str = ""


def _parse_entry(value: object, place: Place, *, tally: _Tally) -> _Entry | None:
    """One entry of an annotation file; None, with the problems noted, when it has any."""
    if not is_object(value) or not value:
        place.add("", what="must be an object of events Ev1 … Ev5", fix="Add them, or remove it")
        return None
    before = len(place.problems)
    segments: list[str] = []
    events: list[Event] = []
    for name in sorted(value):
        raw, at = value[name], place.inside(f"{name}.")
        if name not in EVENT_NAMES:
            place.add(name, what="is an unknown event", fix="Valid are Ev1 … Ev5")
        elif not is_object(raw):
            at.refuse("", raw, wanted="an object", fix="Take the official entry")
        else:
            segment = _segment(raw, at)
            segments.append(segment)
            named = place.at(f"{place.where}: {segment} {name}") if segment else at
            events.append(_parse_event(raw, named, event_idx=EVENT_NAMES.index(name)))
            tally.unknown_keys.update(raw.keys() - _EVENT_KEYS)
    if len(set(segments)) > 1 and all(segments):
        what = f"of one annotation name several segments: {', '.join(sorted(set(segments)))}"
        place.add("vid_seg_int", what=what, fix="Make them one entry a segment")
    if len(place.problems) > before:
        return None
    tally.partial += len(events) < len(EVENT_NAMES)
    return _Entry(segment=segments[0], events=tuple(events))


def _segment(raw: dict[str, object], place: Place) -> str:
    """The segment id of an event; empty, with the problem noted, when it is none."""
    segment = raw.get("vid_seg_int")
    parts = parse_segment_id(segment) if isinstance(segment, str) else None
    if not isinstance(segment, str) or parts is None:
        what = f"is {shown(segment)}, which is no segment id"
        place.add("vid_seg_int", what=what, fix="Write v_{YouTube id}_seg_{start}_{end}")
        return ""
    if parts.end_s - parts.start_s != SEGMENT_S:
        what = f"{segment} is not {SEGMENT_S} s long, so its events are not {EVENT_S:g} s"
        place.add("vid_seg_int", what=what, fix="Write it as annotations of your own, with times")
    return segment


def _parse_event(raw: dict[str, object], place: Place, *, event_idx: int) -> Event:
    """One event; what has a problem is noted and empty."""
    verb, gloss = split_verb(check_text(raw.get("Verb", ""), "Verb", place=place))
    if (not verb or verb.startswith("(")) and isinstance(raw.get("Verb", ""), str):
        place.add("Verb", what="is missing or empty", fix="Write verb (gloss)")
    args = raw.get("Args")
    roles: list[Role] = []
    scene = ""
    if not is_object(args):
        place.refuse("Args", args, wanted="an object", fix='Write {"Arg0 (walker)": …}')
        args = {}
    for key, value in args.items():
        text = check_text(value, f"Args.{key[:40]}", place=place)
        slot, name = _parse_role(key)
        if key == SCENE_ROLE:
            scene = text
        elif slot:
            roles.append(Role(name=name, text=text, slot=slot))
        else:
            fix = f"Valid are ArgN (name), ArgM (name) and {SCENE_ROLE}"
            place.add(f"Args.{key[:40]}", what="is no role", fix=fix)
    return Event(
        start_s=EVENT_S * event_idx,
        end_s=EVENT_S * (event_idx + 1),
        verb=verb,
        gloss=gloss,
        sense=check_text(raw.get("VerbID", ""), "VerbID", place=place),
        roles=tuple(roles),
        scene=scene,
        relation=check_text(raw.get("EvRel", ""), "EvRel", place=place),
    )


@lru_cache(maxsize=8192)
def _parse_role(key: str) -> tuple[str, str]:
    """Slot and name of `Arg1 (vehicle or path)`; both empty when the key is not of this form."""
    match = _ROLE.fullmatch(key)
    return (match["slot"], match["name"]) if match and match["name"].strip() else ("", "")


def _complete_senses(entry: _Entry, verb_ids: dict[str, str], tally: _Tally) -> _Entry:
    """Fills empty senses with the VerbID that vinfo pairs with the verb."""

    def complete(event: Event) -> Event:
        if event.sense:
            return event
        sense = verb_ids.get(f"{event.verb} ({event.gloss})" if event.gloss else event.verb, "")
        tally.sense_completed += bool(sense)
        tally.sense_missing += not sense
        return replace(event, sense=sense)

    return replace(entry, events=tuple(map(complete, entry.events)))


def _records(
    entries: list[_Entry], split_by_segment: dict[str, str], tally: _Tally
) -> tuple[VideoRecord, ...]:
    """Joins the annotations of each segment and settles its split."""
    by_segment: defaultdict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_segment[entry.segment].append(entry)
    records: list[VideoRecord] = []
    for segment, found in by_segment.items():
        file_split = found[0].file_split
        split = split_by_segment.get(segment, file_split)
        tally.no_split += bool(split_by_segment) and segment not in split_by_segment
        # A file named after `test` may hold `testsrl`.
        tally.other_split += not all(split.startswith(entry.file_split) for entry in found)
        parts = parse_segment_id(segment)
        assert parts is not None, "entries hold parsed segment ids only"
        merged = _merge([entry.events for entry in found])
        tally.merged += len(found) - len(merged)
        records.append(
            VideoRecord(
                id=segment,
                video=segment,
                split=split,
                group=parts.youtube_id,
                annotations=tuple(Annotation(events=events) for events in merged),
            )
        )
    return tuple(records)


def _merge(annotations: list[tuple[Event, ...]]) -> list[tuple[Event, ...]]:
    """Drops annotations equal to another but for relations that only one of them has."""
    merged: list[tuple[Event, ...]] = []
    first_idxs: dict[tuple[Event, ...], int] = {}
    seen: set[tuple[Event, ...]] = set()
    for events in annotations:
        bare = _without_relations(events)
        first_idx = first_idxs.setdefault(bare, len(merged))
        if first_idx == len(merged):
            merged.append(events)
        elif events != bare and merged[first_idx] == bare:
            merged[first_idx] = events
        elif events != bare and events not in seen:
            merged.append(events)
        seen.add(events)
    return merged


def _without_relations(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The events as an annotator without relations would have left them."""
    return tuple(replace(event, relation="") for event in events)


def _count_unknown_verbs(
    records: tuple[VideoRecord, ...], vocabulary: frozenset[str], tally: _Tally
) -> None:
    """Counts the events whose VerbID the vocabulary lacks; without a vocabulary none is."""
    tally.sense_outside = sum(
        bool(vocabulary and event.sense) and event.sense not in vocabulary
        for record in records
        for annotation in record.annotations
        for event in annotation.events
    )

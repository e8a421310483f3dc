"""Ground truth of video situation recognition: what annotators say of verbs, roles and relations.

Unlike `annotations.vidsitu`, which prepares annotations for training, nothing is merged or
completed here: scores depend on every annotator, on the order of the annotations in the file and of
the split, and on what is missing.

Source:
    github.com/TheShadow29/VidSitu @ b794988, `vidsitu_code/evl_fns.py`. What its evaluator would
    stop at is named here, but for segments without annotation: those are not scored.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from typing import Literal, get_args

import numpy as np

from figclip.annotations.own_files import counted
from figclip.annotations.reading import (
    Place,
    check_text,
    is_list,
    is_object,
    raise_problems,
    read_json_list,
)
from figclip.annotations.roles import SCENE_ROLE, short_role
from figclip.annotations.vidsitu import EVENT_NAMES, OfficialFile, find_files, parse_segment_id
from figclip.errors import shown
from figclip.records import AnnotationSet, Event, VideoRecord
from figclip.runtime.reading import refuse_constant

Part = Literal["verbs", "roles", "relations"]
PARTS: tuple[Part, ...] = get_args(Part)

MAX_VERBS = 10
"""Annotators whose choice of a verb counts: the first ten."""
MIN_VERBS = 9
"""Annotators that the evaluator wants of the first event."""
NUM_KEPT = 3
"""Annotators whose roles and relations count."""
KEPT_SEED = 5

SCORED_ROLES = ("Arg0", "Arg1", "Arg2", "ALoc", "AScn")
"""The roles that VidSitu scores, by the short names of its prediction files."""
UNSCORED_ROLES = ("Arg3", "Arg4", "Arg5", "ADir", "APrp", "AMnr", "AGol")
"""The roles that VidSitu has and does not score."""

_OFFICIAL_ROLES = frozenset((*SCORED_ROLES, *UNSCORED_ROLES))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueEvent:
    """What one annotator says of one event.

    Attributes:
        verb_id: `deflect.01`; for own annotations without sense, the verb.
        roles: Text by name, in the order of the annotation: `Arg1 (vehicle or path)`,
            `ArgM (manner)`, `Scene of the Event`.
        relation: To the middle event (`Causes`, …); empty when not annotated.
    """

    verb_id: str = ""
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    relation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueVideo:
    """A video with what all annotators say of it.

    Attributes:
        id: Segment id, or the id of an own video.
        group: Videos of one group are resampled together.
        event_names: `Ev1`, `Ev2`, …; every annotation has these events.
        annotations: An entry per annotator, in the order of the file; empty when not annotated.
        verb_ids: What each event's annotators chose, the first ten; empty when unknown.
    """

    id: str
    group: str
    event_names: tuple[str, ...]
    annotations: tuple[tuple[TrueEvent, ...], ...] = ()
    verb_ids: tuple[tuple[str, ...], ...] = ()

    def has(self, part: Part) -> bool:
        """True when annotators say something of this part."""
        if part == "verbs":
            return bool(self.verb_ids)
        if part == "roles":
            return bool(self.annotations)
        return any(event.relation for events in self.annotations for event in events)


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationTruth:
    """The ground truth of one split of `vidsitu` or `events`.

    `source` is the name of the path that was read, without its folder. Videos are in the order of
    the split, annotated or not: predictions refer to them by position. Notices say what was handled
    by rule, one sentence each.
    """

    name: str
    source: str
    split: str | None
    hash: str
    videos: tuple[TrueVideo, ...]
    notices: tuple[str, ...] = ()


def related_events(num_events: int) -> tuple[int, ...]:
    """Positions of the events that have a relation to the middle one: all others."""
    return tuple(idx for idx in range(num_events) if idx != num_events // 2)


def load_situation_truth(
    folder: Traversable, split: str, *, parts: Collection[Part] = PARTS
) -> SituationTruth:
    """Reads the official VidSitu files of one split, every annotator as he wrote.

    Read are `vseg_split_{split}….json`; for verbs `vinfo_{split}….json`; for roles and relations
    `vsann_{split}_lb.json`, or the only file of the split. They lie in the official sub-folders or
    flat in the folder, which may be in the archive that a store keeps (`annotations.archive`). What
    only other `parts` need is not looked at.

    Raises:
        AnnotationError: Lists every problem of the files: no file of the split, several, or what
            VidSitu's own evaluator would stop at.
    """
    place = Place(str(folder))
    if not folder.is_dir():
        place.add("", what="is no folder", fix="Give the folder of the official files")
    raise_problems(place)
    found = find_files(folder, place)
    files = _SplitFiles(split=split, place=place)
    segments = _read_segments(files.only("vseg_split", [file for _, file in found.splits]))
    verb_ids: dict[str, tuple[tuple[str, ...], ...]] = {}
    annotations: dict[str, list[tuple[TrueEvent, ...]]] = {}
    if "verbs" in parts:
        verb_ids = _read_verb_ids(files.only("vinfo", found.vinfos), segments)
    if "roles" in parts or "relations" in parts:
        file = files.only("vsann", [file for _, file in found.annotations])
        annotations = _read_annotations(file, segments, parts=parts)
    videos = tuple(
        TrueVideo(
            id=segment,
            group=group,
            event_names=EVENT_NAMES,
            annotations=tuple(annotations.get(segment, ())),
            verb_ids=verb_ids.get(segment, ()),
        )
        for segment, group in segments.items()
    )
    if "roles" in parts:
        _check_role_names(videos, place)
    if "relations" in parts:
        _check_relations(videos, place)
    raise_problems(place)
    return SituationTruth(
        name="vidsitu",
        source=folder.resolve().name if isinstance(folder, Path) else folder.name,
        split=split,
        hash=files.hash(),
        videos=videos,
        notices=tuple(files.notices),
    )


def situation_truth_of(annotations: AnnotationSet | Sequence[VideoRecord]) -> SituationTruth:
    """The ground truth that annotations of ours are, VidSitu's as we read them or anyone's own.

    Verbs are those of the annotations: the sense of an event, or its verb where it has none. Roles
    that VidSitu has no name for are scored under their own, see `short_role`. Annotations whose
    events have other spans than those of the video's first speak of other events: they are left
    out, with a notice.
    """
    named = annotations if isinstance(annotations, AnnotationSet) else None
    records = annotations.records if isinstance(annotations, AnnotationSet) else annotations
    num_other = 0
    videos: list[TrueVideo] = []
    for record in records:
        lists = [one.events for one in record.annotations if one.events]
        kept = [events for events in lists if _spans(events) == _spans(lists[0])]
        num_other += len(lists) - len(kept)
        videos.append(_own_video(record, kept))
    splits = {record.split for record in records}
    content = repr([(one.id, one.annotations) for one in videos]).encode("utf-8", "surrogatepass")
    return SituationTruth(
        name="events" if named is None else named.name,
        source="" if named is None else PurePath(named.source).name,
        split=splits.pop() if len(splits) == 1 else None,
        hash=hashlib.blake2b(content, digest_size=16).hexdigest(),
        videos=tuple(videos),
        notices=(
            *(() if named is None else named.notices),
            *counted(num_other, "annotation", "of other events than its video's first: left out"),
        ),
    )


def kept_annotations(videos: Sequence[TrueVideo]) -> tuple[tuple[tuple[TrueEvent, ...], ...], ...]:
    """The annotations of each video that roles are scored against: at most three, in this order.

    All are shuffled with one seed, video after video, so that a subset of the videos draws others.

    Source:
        evl_fns.py:402-406 and :472-474; its index 3, which it means to leave out, never counts.
    """
    random = np.random.RandomState(KEPT_SEED)
    orders: list[list[int]] = [
        random.permutation(len(video.annotations)).tolist() for video in videos
    ]
    return tuple(
        tuple(video.annotations[idx] for idx in order[:NUM_KEPT])
        for video, order in zip(videos, orders, strict=True)
    )


@dataclass(slots=True)
class _SplitFiles:
    """The files of one split, with what is said of them."""

    split: str
    place: Place
    read: list[Traversable] = field(default_factory=list[Traversable])
    notices: list[str] = field(default_factory=list[str])

    def only(self, prefix: str, files: Sequence[OfficialFile]) -> OfficialFile | None:
        """The file of one kind; None, with the problem noted, when there is none or no telling."""
        stem = f"{prefix}_{self.split}"
        paths = {file.path.name: file for file in files if _is_of(file, stem)}
        chosen = paths.get(f"{stem}_lb.json") or paths.get(f"{stem}.json")
        if chosen is None and len(paths) == 1:
            (chosen,) = paths.values()
        if chosen is None:
            what = "holds no" if not paths else f"holds {', '.join(paths)}, but no"
            self.place.add(
                "", what=f"{what} {stem}_lb.json", fix="Take it from the official archive"
            )
            return None
        self.read.append(chosen.path)
        others = [name for name in paths if name != chosen.path.name]
        if others:
            self.notices.append(f"{chosen.path.name} is read, not {', '.join(others)}")
        return chosen

    def hash(self) -> str:
        """Hash of the split's name and the bytes of all files read."""
        digest = hashlib.blake2b(self.split.encode(), digest_size=16)
        for path in self.read:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def _is_of(file: OfficialFile, stem: str) -> bool:
    """True for `{stem}.json` and `{stem}_….json`."""
    name = PurePath(file.path.name).stem
    return name == stem or name.startswith(f"{stem}_")


def _rows(
    file: OfficialFile | None, *, constant: Callable[[str], object] = refuse_constant
) -> list[object]:
    """The entries of a file; none of one that is not there, which was noted."""
    return [] if file is None else read_json_list(file.path, file.place, constant=constant)


def _read_segments(file: OfficialFile | None) -> dict[str, str]:
    segments: dict[str, str] = {}
    for index, segment in enumerate(_rows(file)):
        parts = parse_segment_id(segment) if isinstance(segment, str) else None
        assert file is not None
        if not isinstance(segment, str) or parts is None:
            what = f"is {shown(segment)}, which is no segment id"
            fix = "Write v_{YouTube id}_seg_{start}_{end}"
            file.place.add(f"[{index}]", what=what, fix=fix)
        elif segment in segments:
            file.place.add(f"[{index}]", what=f"lists {segment} again", fix="List it once")
        else:
            segments[segment] = parts.youtube_id
    return segments


def _read_verb_ids(
    file: OfficialFile | None, segments: Collection[str]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The verbs that annotators chose for the events of each segment of the split."""
    chosen: dict[str, tuple[tuple[str, ...], ...]] = {}
    # Official files hold a bare NaN where a clip has no name.
    for index, row in enumerate(_rows(file, constant=lambda _: None)):
        assert file is not None
        segment = row.get("vid_seg_int") if is_object(row) else None
        if not is_object(row) or not isinstance(segment, str):
            fix = "Take the official file"
            file.place.add(f"[{index}]", what="must be an object with vid_seg_int", fix=fix)
        elif segment in segments:
            at = file.place.at(f"{file.place.where}: {segment}")
            if segment in chosen:
                at.add("", what="stands twice in the file", fix="Remove one of them")
            chosen[segment] = _verbs_of_events(row.get("vbid_lst"), at)
    return chosen


def _verbs_of_events(value: object, place: Place) -> tuple[tuple[str, ...], ...]:
    verbs: list[tuple[str, ...]] = []
    for name in EVENT_NAMES:
        listed = value.get(name) if is_object(value) else None
        if not is_list(listed) or not all(isinstance(one, str) for one in listed):
            fix = "Take the official file"
            place.add(f"vbid_lst.{name}", what="must be a list of verb ids", fix=fix)
            continue
        if name == EVENT_NAMES[0] and len(listed) < MIN_VERBS:
            what = f"names {len(listed)} annotators, fewer than {MIN_VERBS}"
            place.add(f"vbid_lst.{name}", what=what, fix="Take the file of valid or a test split")
        verbs.append(tuple(str(one) for one in listed[:MAX_VERBS]))
    return tuple(verbs)


def _read_annotations(
    file: OfficialFile | None, segments: Collection[str], *, parts: Collection[Part]
) -> dict[str, list[tuple[TrueEvent, ...]]]:
    """The annotations of each segment of the split, in the order of the file."""
    found: dict[str, list[tuple[TrueEvent, ...]]] = {}
    for index, entry in enumerate(_rows(file)):
        assert file is not None
        first = entry.get(EVENT_NAMES[0]) if is_object(entry) else None
        segment = first.get("vid_seg_int") if is_object(first) else None
        if not is_object(entry) or not isinstance(segment, str):
            what = "must be an object whose Ev1 has a vid_seg_int"
            file.place.add(f"[{index}]", what=what, fix="Take the official entry")
        elif segment in segments:
            at = file.place.at(f"{file.place.where}[{index}]: {segment}")
            events = [
                _true_event(entry.get(name), at.inside(f"{name}."), parts=parts, idx=idx)
                for idx, name in enumerate(EVENT_NAMES)
            ]
            found.setdefault(segment, []).append(tuple(events))
    return found


def _true_event(value: object, place: Place, *, parts: Collection[Part], idx: int) -> TrueEvent:
    """One event of one annotation; what has a problem is noted and empty."""
    if not is_object(value):
        what = f"must be an object, got {shown(value)}" if value is not None else "is missing"
        place.add("", what=what, fix="Every annotation has Ev1 … Ev5")
        return TrueEvent()
    verb_id = relation = ""
    roles: dict[str, str] = {}
    if "roles" in parts:
        verb_id = check_text(value.get("VerbID"), "VerbID", place=place)
        roles = _true_roles(value.get("Args"), place)
    if "relations" in parts and idx in related_events(len(EVENT_NAMES)) and "EvRel" in value:
        relation = check_text(value["EvRel"], "EvRel", place=place)
    return TrueEvent(verb_id=verb_id, roles=roles, relation=relation)


def _true_roles(value: object, place: Place) -> dict[str, str]:
    if not is_object(value):
        place.refuse("Args", value, wanted="an object", fix='Write {"Arg0 (walker)": …}')
        return {}
    roles: dict[str, str] = {}
    for name, text in value.items():
        if short_role(name) not in _OFFICIAL_ROLES:
            fix = "VidSitu has Arg0 … Arg5, five modifiers ArgM and the scene"
            place.add(f"Args.{name[:40]}", what="is no role of VidSitu", fix=fix)
        roles[name] = check_text(text, f"Args.{name[:40]}", place=place)
    return roles


def _check_role_names(videos: Sequence[TrueVideo], place: Place) -> None:
    """Notes the scored roles of a first kept annotation that another kept one does not have."""
    for video, kept in zip(videos, kept_annotations(videos), strict=True):
        for idx, events in enumerate(zip(*kept, strict=True)):
            for name in events[0].roles:
                if short_role(name) in UNSCORED_ROLES:
                    continue
                if not all(name in event.roles for event in events):
                    at = place.at(f"{place.where}: {video.id} {video.event_names[idx]}")
                    what = "is a role that not all annotators of the event give"
                    at.add(f"Args.{name[:40]}", what=what, fix="Add it, as - if it is not seen")


def _check_relations(videos: Sequence[TrueVideo], place: Place) -> None:
    """Notes the relations that are missing where others of the segment are there."""
    for video in videos:
        if not video.has("relations"):
            continue
        for idx in related_events(len(video.event_names)):
            if not all(events[idx].relation for events in video.annotations):
                at = place.at(f"{place.where}: {video.id} {video.event_names[idx]}")
                fix = "Take the official entries, or remove EvRel from all of them"
                at.add("EvRel", what="is missing in one of the annotations", fix=fix)


def _own_video(record: VideoRecord, kept: Sequence[tuple[Event, ...]]) -> TrueVideo:
    annotations = tuple(tuple(_own_event(event) for event in events) for events in kept)
    num_events = len(kept[0]) if kept else 0
    return TrueVideo(
        id=record.id,
        group=record.group or record.id,
        event_names=tuple(f"Ev{number}" for number in range(1, num_events + 1)),
        annotations=annotations,
        verb_ids=tuple(
            tuple(events[idx].verb_id for events in annotations[:MAX_VERBS])
            for idx in range(num_events)
        ),
    )


def _own_event(event: Event) -> TrueEvent:
    """One event of ours, its roles named as VidSitu names them."""
    roles = {f"{role.slot} ({role.name})": role.text for role in event.roles}
    if event.scene:
        roles[SCENE_ROLE] = event.scene
    return TrueEvent(verb_id=event.sense or event.verb, roles=roles, relation=event.relation)


def _spans(events: Sequence[Event]) -> list[tuple[float, float]]:
    return [(event.start_s, event.end_s) for event in events]

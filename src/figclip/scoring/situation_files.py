"""Predictions of verbs, roles and relations, in VidSitu's own format.

A file is a list with one object per video. `ann_idx` is the position of the video in the split:

- verbs: `pred_vbs_ev`, of each event a list of verb ids, best first; `pred_scores_ev`, their
  scores, which no metric uses
- roles: `vb_output`, an object with an object for each event `Ev1` …: `vb_id`, and texts by the
  short names of roles (`Arg0`, `ALoc`, `AScn`, …)
- relations: `pred_evrels_ev`, of each event but the middle one a list of labels, one per annotator

All that is wrong with a file is one `PredictionError`.

VidSitu pickles this; read are JSON and such pickles, written is JSON.

Source:
    github.com/TheShadow29/VidSitu @ b794988, `docs/README.md` and `vidsitu_code/evl_fns.py`.

A pickle is a program. Only programs that build lists, dicts, tuples, text, numbers, booleans and
None are run: nothing is imported and nothing is called, so a file cannot do more than describe a
value. How much it may describe is bounded, because a short pickle can name one list in itself, or a
long list a million times.
"""

import json
import math
import pickle
import pickletools
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from figclip.annotations.own_files import counted
from figclip.annotations.reading import (
    Place,
    check_text,
    is_list,
    is_object,
    nearest,
    raise_problems,
    read_text,
)
from figclip.annotations.roles import short_role
from figclip.datasets.situations import (
    NUM_KEPT,
    SCORED_ROLES,
    UNSCORED_ROLES,
    Part,
    SituationTruth,
    TrueVideo,
    related_events,
)
from figclip.errors import PredictionError, shown
from figclip.runtime.files import write_atomically
from figclip.runtime.reading import parse_json, read_bytes

MAX_BYTES = 64_000_000
MAX_VALUES = 2_000_000
"""Values that a file may hold, counted as often as they are named; long text counts for more.
No more instructions than that are run, either."""

MAX_TUPLES = 50_000
"""Tuples that a pickle may hold. The key of a dict may be a tuple in a tuple in a tuple, …, and
Python hashes that by recursion in C: 200,000 deep it crashes (2026)."""

_CHARS_A_VALUE = 64
_TUPLES = frozenset({"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_PLAIN = _TUPLES.union(
    _PUTS,
    "PROTO FRAME MARK STOP MEMOIZE GET BINGET LONG_BINGET NONE NEWTRUE NEWFALSE".split(),
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT".split(),
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 EMPTY_LIST LIST APPEND APPENDS".split(),
    "EMPTY_DICT DICT SETITEM SETITEMS".split(),
)
"""The instructions that build plain values."""
# What official pickles of protocol 2 and later begin with.
_FIRST_BYTE = b"\x80"


def is_pickle(data: bytes) -> bool:
    """True for the bytes of a pickle of protocol 2 or later, which no JSON begins with."""
    return data.startswith(_FIRST_BYTE)


def load_plain_pickle(data: bytes) -> object:
    """The value that a pickle describes, as JSON would give it: a tuple becomes a list.

    Raises:
        NotPlainError: More than plain values.
        ValueError: Damaged, or too much. All messages are fit for a problem's `what`.
    """
    if len(data) > MAX_BYTES:
        raise _TooLargeError(f"is larger than {MAX_BYTES:,} bytes")
    damages = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError)
    try:
        _check_instructions(data)
        value = pickle.loads(data)
    except (NotPlainError, _TooLargeError):
        raise
    except (*damages, pickle.UnpicklingError) as error:
        raise ValueError(f"is no pickle, or a damaged one ({error})") from error
    _check_size(value)
    try:
        return _as_json(value)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


class NotPlainError(ValueError):
    """The pickle holds what is no plain value."""


class _TooLargeError(ValueError):
    """The pickle describes too much."""


def _check_instructions(data: bytes) -> None:
    """Refuses a pickle that does more than build plain values, or takes too much to build them."""
    num_tuples = 0
    for number, (opcode, argument, position) in enumerate(pickletools.genops(data)):
        if number > MAX_VALUES:
            raise _TooLargeError(f"takes more than {MAX_VALUES:,} instructions")
        if opcode.name not in _PLAIN:
            found = f" {shown(argument)}" if isinstance(argument, str) else ""
            what = f"holds more than lists, dicts, text and numbers: {opcode.name}{found}"
            raise NotPlainError(f"{what} at byte {position}")
        num_tuples += opcode.name in _TUPLES
        if num_tuples > MAX_TUPLES:
            raise _TooLargeError(f"takes more than {MAX_TUPLES:,} tuples")
        # The unpickler makes room for all places before the one that is named.
        if opcode.name in _PUTS and isinstance(argument, int) and argument > MAX_VALUES:
            raise _TooLargeError(f"takes more than {MAX_VALUES:,} places of memory")


def _check_size(value: object) -> None:
    """Refuses a value that is endless or far too large once written out."""
    size, rest = 0, [value]
    while rest:
        one = rest.pop()
        size += 1
        if isinstance(one, str):
            size += len(one) // _CHARS_A_VALUE
        elif isinstance(one, list | tuple):
            rest.extend(one)
        elif is_object(one):
            rest.extend(one.values())
        if size + len(rest) > MAX_VALUES:
            raise _TooLargeError(f"describes more than {MAX_VALUES:,} values")


def _as_json(value: object) -> object:
    """The value with lists for tuples; keys that are no text are refused."""
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    if not is_object(value):
        return value
    for key in value:
        if not isinstance(key, str):
            raise NotPlainError(f"has a dict with the key {shown(key)}, which is no text")
    return {key: _as_json(one) for key, one in value.items()}


NUM_VERBS = 5
"""Verbs of an event that count."""

_KEYS: dict[str, Part] = {
    "pred_vbs_ev": "verbs",
    "vb_output": "roles",
    "pred_evrels_ev": "relations",
}
_PICKLE_SUFFIXES = (".pkl", ".pickle")
_TO_JSON = (
    'If you trust whoever made it, convert it: python -c "import json, pickle, sys; '
    "json.dump(pickle.load(open(sys.argv[1], 'rb')), open(sys.argv[2], 'w'), "
    'default=lambda one: one.tolist())" '
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbPrediction:
    """Verb ids of each event of a video, best first, with their scores where given.

    `video_idx` is the position of the video in the split.
    """

    video_idx: int
    verb_ids: tuple[tuple[str, ...], ...]
    scores: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedEvent:
    """Roles of one event by short name, and the verb they were written for; empty if not given."""

    verb_id: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePrediction:
    """Roles of one video, of each event; none when nothing was predicted for the video."""

    video_idx: int
    events: tuple[PredictedEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationPrediction:
    """Relations of one video.

    `labels`: For each event but the middle one, one label for all annotators, or one for each.
    """

    video_idx: int
    labels: tuple[tuple[str, ...], ...]


Prediction = TypeVar("Prediction", VerbPrediction, RolePrediction, RelationPrediction)
AnyPrediction = VerbPrediction | RolePrediction | RelationPrediction
_ParseOne = Callable[[dict[str, object], "_Target"], Prediction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions(Generic[Prediction]):
    """Predictions of one kind, in the order of the split, at most one per video.

    Videos may be missing if `is_partial`; they are then left out.
    """

    videos: tuple[Prediction, ...]
    notices: tuple[str, ...] = ()
    is_partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFile:
    """A file as it was read, an entry per video, not yet compared with a split."""

    path: Path
    part: Part
    rows: list[object]
    is_partial: bool


def load_prediction_file(path: Path, *, is_partial: bool = False) -> PredictionFile:
    """Reads a JSON file or a pickle of plain values, and finds out what it predicts.

    With `is_partial`, videos of the split may be missing.

    Raises:
        PredictionError: The file cannot be read, is no list, or of none of the three kinds.
    """
    file = Place(str(path), error=PredictionError)
    content = _read_content(path, file)
    raise_problems(file)
    rows = content if is_list(content) else []
    for row in rows:
        for key, part in _KEYS.items():
            if is_object(row) and key in row:
                return PredictionFile(path=path, part=part, rows=rows, is_partial=is_partial)
    what = "holds no predictions" if is_list(content) else f"must be a list, got {shown(content)}"
    file.add("", what=what, fix=f"Write a list of objects with one of {', '.join(_KEYS)}")
    raise PredictionError(file.problems)


@dataclass(frozen=True, slots=True)
class _Target:
    """What an entry is about, and where it stands."""

    video_idx: int
    video: TrueVideo
    place: Place


def verb_predictions(file: PredictionFile, truth: SituationTruth) -> Predictions[VerbPrediction]:
    """The verbs of a file, checked against a split."""
    found, notices = _parse_rows(file, truth, _parse_verbs)
    known = {verb for video in truth.videos for verbs in video.verb_ids for verb in verbs}
    chosen = [verbs for one in found for verbs in one.verb_ids]
    num_short = sum(len(verbs) < NUM_VERBS for verbs in chosen)
    notices += counted(num_short, "event", f"with fewer than {NUM_VERBS} verbs: scored so")
    if known.isdisjoint(verb for verbs in chosen for verb in verbs):
        notices += ("No predicted verb is one that an annotator chose",)
    return Predictions(videos=found, notices=notices, is_partial=file.is_partial)


def role_predictions(file: PredictionFile, truth: SituationTruth) -> Predictions[RolePrediction]:
    """The roles of a file, checked against a split."""
    own = {
        short_role(name)
        for video in truth.videos
        for events in video.annotations
        for event in events
        for name in event.roles
    }
    valid = dict.fromkeys((*SCORED_ROLES, *UNSCORED_ROLES, *sorted(own)))
    found, notices = _parse_rows(file, truth, partial(_parse_roles, valid=valid))
    num_empty = sum(not one.events for one in found)
    num_nameless = sum("" in event.texts for one in found for event in one.events)
    notices += counted(num_empty, "video", "without predicted events: all texts count as empty")
    notices += counted(num_nameless, "event", "with words before the first role: not scored")
    return Predictions(videos=found, notices=notices, is_partial=file.is_partial)


def relation_predictions(
    file: PredictionFile, truth: SituationTruth
) -> Predictions[RelationPrediction]:
    """The relations of a file, checked against a split."""
    found, notices = _parse_rows(file, truth, _parse_relations)
    known = {
        event.relation for video in truth.videos for events in video.annotations for event in events
    }
    labels = Counter(label for one in found for listed in one.labels for label in listed)
    for label in sorted(labels.keys() - known):
        notices += counted(labels[label], "label", f"{shown(label)}, which no annotator gave")
    return Predictions(videos=found, notices=notices, is_partial=file.is_partial)


def write_situation_predictions(path: Path, predictions: Sequence[AnyPrediction]) -> None:
    """Writes predictions as JSON of VidSitu's content, atomically.

    A relation that is one label for all annotators is written for three, as official splits have.

    Raises:
        ValueError: A score is not finite.
    """
    rows = [_row(one) for one in predictions]
    write_atomically(path, json.dumps(rows, allow_nan=False) + "\n")


def _row(one: AnyPrediction) -> dict[str, object]:
    if isinstance(one, VerbPrediction):
        scores = {"pred_scores_ev": one.scores} if one.scores else {}
        return {"pred_vbs_ev": one.verb_ids, **scores, "ann_idx": one.video_idx}
    if isinstance(one, RelationPrediction):
        labels = [listed * NUM_KEPT if len(listed) == 1 else listed for listed in one.labels]
        return {"pred_evrels_ev": labels, "ann_idx": one.video_idx}
    events = {
        f"Ev{number}": {"vb_id": event.verb_id, **event.texts}
        for number, event in enumerate(one.events, start=1)
    }
    return {"ann_idx": one.video_idx, "vb_output": events}


def _read_content(path: Path, file: Place) -> object:
    """The plain values of a JSON file or a pickle; None, with the problem noted, if it has one."""
    try:
        data = read_bytes(path, limit=MAX_BYTES)
        if path.suffix in _PICKLE_SUFFIXES or is_pickle(data):
            return load_plain_pickle(data)
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        file.add("", what=what, fix="Check the path; give the file of one split")
        return None
    except NotPlainError as error:
        names = shlex.join([path.name, path.with_suffix(".json").name])
        file.add("", what=str(error), fix=f"{_TO_JSON}{names}")
        return None
    except ValueError as error:
        file.add("", what=str(error), fix="Write it again, best as JSON")
        return None
    text = read_text(path, file)
    try:
        # NaN is no JSON, but Python writes it: each is named where it stands.
        return None if file.problems else parse_json(text, constant=float)
    except ValueError as error:
        file.add("", what=str(error), fix="Write it again as JSON")
        return None


def _parse_rows(
    file: PredictionFile, truth: SituationTruth, parse_one: _ParseOne[Prediction]
) -> tuple[tuple[Prediction, ...], tuple[str, ...]]:
    """All entries of a file in the order of the split, and what is to be said of them."""
    place = Place(str(file.path), error=PredictionError)
    key = next(key for key, part in _KEYS.items() if part == file.part)
    needed = [video.has(file.part) for video in truth.videos]
    found: dict[int, Prediction] = {}
    num_repeated = 0
    for index, row in enumerate(file.rows):
        at = place.at(f"{place.where}[{index}]")
        video_idx = _video_idx(row, len(truth.videos), at)
        if video_idx is None or not is_object(row):
            continue
        video = truth.videos[video_idx]
        at = at.at(f"{at.where}: {video.id}")
        if key not in row:
            at.add(key, what="is missing", fix="All entries of a file predict the same")
            continue
        if not needed[video_idx]:
            continue
        one = parse_one(row, _Target(video_idx, video, at))
        num_repeated += video_idx in found
        if found.setdefault(video_idx, one) != one:
            what = f"is {video_idx} again, with another prediction"
            at.add("ann_idx", what=what, fix="Keep one of them")
    missing = [idx for idx, is_needed in enumerate(needed) if is_needed and idx not in found]
    lacks = f"no prediction for {len(missing):,} of {sum(needed):,} videos"
    if missing and not file.is_partial:
        first = f"{truth.videos[missing[0]].id} (ann_idx {missing[0]})"
        fix = "Predict all, or add --partial: the others are then left out"
        place.add("", what=f"has {lacks}: {first}, …", fix=fix)
    raise_problems(place)
    notices = counted(num_repeated, "prediction", "equal to another of its video: counted once")
    if missing:
        notices += (f"There is {lacks}: left out",)
    return tuple(found[idx] for idx in sorted(found)), notices


def _video_idx(row: object, num_videos: int, place: Place) -> int | None:
    """The position that an entry refers to; None, with the problem noted, when it does not."""
    if not is_object(row):
        place.refuse("", row, wanted="an object", fix='Write {"ann_idx": 0, …}')
        return None
    idx = row.get("ann_idx")
    if isinstance(idx, bool) or not isinstance(idx, int):
        what = "is missing" if "ann_idx" not in row else f"must be a whole number, got {shown(idx)}"
        place.add("ann_idx", what=what, fix="It is the position of the video in the split file")
        return None
    if not 0 <= idx < num_videos:
        what = f"is {shown(idx)}, but the split has {num_videos:,} videos, counted from 0"
        place.add("ann_idx", what=what, fix="Take the split file that the predictions were made of")
        return None
    return idx


def _parse_verbs(row: dict[str, object], target: _Target) -> VerbPrediction:
    num_events = len(target.video.event_names)
    verb_ids = _event_lists(row, "pred_vbs_ev", num_events=num_events, place=target.place)
    scores: list[tuple[str, list[object]]] = []
    if row.get("pred_scores_ev") is not None:
        scores = _event_lists(row, "pred_scores_ev", num_events=num_events, place=target.place)
    return VerbPrediction(
        video_idx=target.video_idx,
        verb_ids=tuple(_texts(listed, name, target.place) for name, listed in verb_ids),
        scores=tuple(
            tuple(_score(one, f"{name}[{idx}]", target.place) for idx, one in enumerate(listed))
            for name, listed in scores
        ),
    )


def _parse_relations(row: dict[str, object], target: _Target) -> RelationPrediction:
    num_related = len(related_events(len(target.video.event_names)))
    num_kept = min(NUM_KEPT, len(target.video.annotations))
    labels: list[tuple[str, ...]] = []
    lists = _event_lists(row, "pred_evrels_ev", num_events=num_related, place=target.place)
    for name, listed in lists:
        texts = _texts(listed, name, target.place)
        if not texts or (len(set(texts)) > 1 and len(texts) != num_kept):
            what = f"has {len(texts)} labels for {num_kept} annotators"
            target.place.add(name, what=what, fix="Give one for each, or the same for all")
        labels.append(texts[:1] if len(set(texts)) == 1 else texts)
    return RelationPrediction(video_idx=target.video_idx, labels=tuple(labels))


def _parse_roles(
    row: dict[str, object], target: _Target, *, valid: Collection[str]
) -> RolePrediction:
    value = row["vb_output"]
    if not is_object(value):
        target.place.refuse("vb_output", value, wanted="an object", fix='Write {"Ev1": {…}, …}')
        return RolePrediction(video_idx=target.video_idx, events=())
    at = target.place.inside("vb_output.")
    for name in value:
        if name not in target.video.event_names:
            what = "is no event of the video"
            at.add(name[:40], what=what, fix=f"It has {', '.join(target.video.event_names)}")
    events: list[PredictedEvent] = []
    for name in target.video.event_names if value else ():
        if name in value:
            events.append(_parse_event(value[name], at.inside(f"{name}."), valid))
        else:
            at.add(name, what="is missing", fix="Write {} if nothing is predicted for it")
    return RolePrediction(video_idx=target.video_idx, events=tuple(events))


def _parse_event(value: object, place: Place, valid: Collection[str]) -> PredictedEvent:
    if not is_object(value):
        place.refuse("", value, wanted="an object", fix='Write {"vb_id": …, "Arg0": …}')
        return PredictedEvent()
    if "Args" in value:
        what = "is how annotations are written, not predictions"
        place.add("Args", what=what, fix='Write the texts beside vb_id, by short names: "Arg0": …')
        return PredictedEvent()
    verb_id = check_text(value.get("vb_id", ""), "vb_id", place=place)
    texts: dict[str, str] = {}
    for name, text in value.items():
        if name == "vb_id":
            continue
        # VidSitu's own decoder leaves words before the first role under an empty name.
        if name and name not in valid:
            place.add(name[:40], what="is no role", fix=nearest(name, valid))
        texts[name] = check_text(text, name[:40], place=place)
    return PredictedEvent(verb_id=verb_id, texts=texts)


def _event_lists(
    row: dict[str, object], key: str, *, num_events: int, place: Place
) -> list[tuple[str, list[object]]]:
    """The lists that a value has for each event, with their names; what is none is noted."""
    value = row[key]
    if not is_list(value) or len(value) != num_events:
        got = f"{len(value)} entries" if is_list(value) else shown(value)
        what = f"must be {num_events} lists, one an event, got {got}"
        place.add(key, what=what, fix="Leave none out, and add none")
        return []
    lists: list[tuple[str, list[object]]] = []
    for idx, listed in enumerate(value):
        name = f"{key}[{idx}]"
        if is_list(listed):
            lists.append((name, listed))
        else:
            place.refuse(name, listed, wanted="a list", fix="Put it in [ ]")
    return lists


def _texts(listed: list[object], name: str, place: Place) -> tuple[str, ...]:
    return tuple(check_text(one, f"{name}[{idx}]", place=place) for idx, one in enumerate(listed))


def _score(value: object, name: str, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        place.refuse(name, value, wanted="a number", fix="Leave the scores out")
        return 0.0
    try:
        score = float(value)
    except OverflowError:
        score = math.inf
    if not math.isfinite(score):
        place.add(name, what=f"is {shown(value)}, not a finite number", fix="Leave the scores out")
    return score

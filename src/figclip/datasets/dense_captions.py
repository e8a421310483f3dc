"""Reads annotations of dense captioning, as ActivityNet Captions and YouCook2, and predictions.

Annotations: `{video: {"duration": s, "timestamps": [[start, end], …], "sentences": [text, …]}}`.
Predictions: `{"results": {video: [{"sentence": text, "timestamp": [start, end]}, …]}}`, where an
entry may have a `score`. What cannot be scored (a wrong type, a missing field, a time that is no
number) is an error, all of a file at once; what is only odd is kept as written and counted in a
notice.

Readers raise `DataError` where there is no such file or split, and `AnnotationError` with all that
is wrong with what is there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from figclip.annotations.own_files import counted
from figclip.annotations.reading import (
    Place,
    check_name,
    check_text,
    is_list,
    is_object,
    raise_problems,
)
from figclip.annotations.splits import TRAIN_SPLIT
from figclip.datasets.files import (
    MAX_NUMBER,
    TOP_ONLY,
    Member,
    find_in_folder,
    raise_unless_items,
    read_json_members,
)
from figclip.datasets.retrieval import ACTIVITYNET_SUBFOLDERS, YOUCOOK2_FILES
from figclip.errors import DataError, PredictionError, shown

ACTIVITYNET_FILES = {
    TRAIN_SPLIT: ("train.json", "train_modified.json"),
    "val_1": ("val_1.json",),
    "val_2": ("val_2.json",),
}
YOUCOOK2_CAPTION_FILES = {TRAIN_SPLIT: ("yc2_train.json",), "val": YOUCOOK2_FILES[:1]}
REFERENCE_KEYS = ("duration", "timestamps", "sentences")
PREDICTION_KEYS = ("sentence", "timestamp", "score")
FILE_KEYS = ("results", "version", "external_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedSpan:
    """A sentence about a span of a video.

    Attributes:
        start_s: Start in seconds, as written.
        end_s: End in seconds, as written: before the start, or after the video, if it is so there.
        sentence: Verbatim; may say nothing.
        score: How sure a prediction is, higher is surer; None where that is not said.
    """

    start_s: float
    end_s: float
    sentence: str
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceVideo:
    """What an annotator says of a video, named `v_<YouTube id>` as in the file.

    It has at least one event, in the order of the file.
    """

    id: str
    duration_s: float
    events: tuple[CaptionedSpan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCaptionReferences:
    """An annotation of videos."""

    name: str
    videos: tuple[ReferenceVideo, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCaptionPredictions:
    """Predicted events of videos.

    `events_by_video`: In the order of the file; a video may have none.
    """

    name: str
    events_by_video: Mapping[str, tuple[CaptionedSpan, ...]]
    notices: tuple[str, ...] = ()


def _read_splits(
    path: Path,
    split: str | None = None,
    *,
    files: Mapping[str, tuple[str, ...]],
    subfolders: Sequence[str] = TOP_ONLY,
) -> tuple[DenseCaptionReferences, ...]:
    """A file itself, or those of a folder: of a split, or of all that are not trained on."""
    if path.is_file() and split is None:
        return (read_caption_references(path),)
    if split is not None and (path.is_file() or split not in files):
        what = "is a file, which has no splits" if path.is_file() else f"has no split {split}"
        fix = "Leave split= out" if path.is_file() else f"Splits are {', '.join(files)}"
        raise DataError(what, where=str(path), fix=fix)
    tested = [names for name, names in files.items() if name != TRAIN_SPLIT]
    chosen = tested if split is None else [files[split]]
    return tuple(
        read_caption_references(find_in_folder(path, *n, subfolders=subfolders)) for n in chosen
    )


REFERENCE_READERS: dict[str, Callable[[Path, str | None], tuple[DenseCaptionReferences, ...]]] = {
    "activitynet": partial(
        _read_splits, files=ACTIVITYNET_FILES, subfolders=ACTIVITYNET_SUBFOLDERS
    ),
    "youcook2": partial(_read_splits, files=YOUCOOK2_CAPTION_FILES),
}
"""By NAME of `--data`: read a folder of the official files, or one file whatever its name.

Without a split all that a folder holds is read but what is trained on: of ActivityNet Captions both
annotations of its validation videos, as papers do.
"""


def read_caption_references(path: Path) -> DenseCaptionReferences:
    """Any file of annotations in ActivityNet's format."""
    file, tally = Place(str(path)), Counter[str]()
    videos = tuple(
        video
        for member in read_json_members(file)
        for video in _reference_video(member, tally=tally)
    )
    raise_unless_items(file, videos, lacking="videos")
    noun = "annotated event"
    return DenseCaptionReferences(
        name=path.name,
        videos=videos,
        notices=(
            *_odd_events(((video.id, video.events) for video in videos), noun),
            *outside_notice(((video.duration_s, video.events) for video in videos), noun),
            *_ignored(tally),
        ),
    )


def read_predictions(path: Path) -> DenseCaptionPredictions:
    """A file of predictions in ActivityNet's format; what is wrong with it is a `PredictionError`.

    Other keys, as those of a model's own, are ignored and named in a notice.
    """
    file, tally = Place(str(path), error=PredictionError), Counter[str]()
    members = {member.key: member for member in read_json_members(file)}
    tally.update(key for key in members if key not in FILE_KEYS)
    results = members["results"].value if "results" in members else None
    events_by_video: dict[str, tuple[CaptionedSpan, ...]] = {}
    if is_object(results):
        for video, value in results.items():
            place = file.at(f"{file.where}: {shown(video)}")
            check_name(video, "", place=place)
            events_by_video[video] = tuple(_predicted_events(value, place=place, tally=tally))
    elif not file.problems:
        what = f"must be an object, got {shown(results)}" if "results" in members else "is missing"
        fix = 'Write {"results": {video: [{"sentence": …, "timestamp": [start, end]}, …]}}'
        file.add("results", what=what, fix=fix)
    raise_problems(file)
    return DenseCaptionPredictions(
        name=path.name,
        events_by_video=events_by_video,
        notices=(*_odd_events(events_by_video.items(), "prediction"), *_ignored(tally)),
    )


def _reference_video(member: Member, *, tally: Counter[str]) -> Iterator[ReferenceVideo]:
    """The video, unless something is wrong with it; unknown keys are tallied."""
    name, value, place = member.key, member.value, member.place
    before = len(place.problems)
    check_name(name, "", place=place)
    if not is_object(value):
        place.refuse(
            "",
            value,
            wanted="an object",
            fix='Write {"duration": …, "timestamps": …, "sentences": …}',
        )
        return
    tally.update(key for key in value if key not in REFERENCE_KEYS)
    for key in REFERENCE_KEYS:
        if key not in value:
            place.add(key, what="is missing", fix="Every video needs it")
    duration_s = _duration(value.get("duration", 1), place=place)
    timestamps, texts = (_list(value, key, place=place) for key in ("timestamps", "sentences"))
    spans = [
        _span(span, f"timestamps[{index}]", place=place) for index, span in enumerate(timestamps)
    ]
    sentences = [
        check_text(text, f"sentences[{index}]", place=place) for index, text in enumerate(texts)
    ]
    has_both = is_list(value.get("timestamps")) and is_list(value.get("sentences"))
    if has_both and (len(spans) != len(sentences) or not spans):
        what = f"has {len(spans)} timestamps and {len(sentences)} sentences"
        place.add("", what=what, fix="Give each event both, and each video at least one event")
    if len(place.problems) > before:
        return
    events = tuple(
        CaptionedSpan(start_s=start_s, end_s=end_s, sentence=sentence)
        for (start_s, end_s), sentence in zip(spans, sentences, strict=True)
    )
    yield ReferenceVideo(id=name, duration_s=duration_s, events=events)


def _predicted_events(
    value: object, *, place: Place, tally: Counter[str]
) -> Iterator[CaptionedSpan]:
    """The events of a video; unknown keys are tallied."""
    if not is_list(value):
        place.refuse("", value, wanted="a list of events", fix="Put the events in [ ]")
        return
    for index, entry in enumerate(value):
        name = f"[{index}]"
        if not is_object(entry):
            place.refuse(
                name,
                entry,
                wanted="an object",
                fix='Write {"sentence": …, "timestamp": [start, end]}',
            )
            continue
        tally.update(key for key in entry if key not in PREDICTION_KEYS)
        missing = [key for key in PREDICTION_KEYS[:2] if key not in entry]
        for key in missing:
            place.add(f"{name}.{key}", what="is missing", fix="Every event needs it")
        if not missing:
            start_s, end_s = _span(entry["timestamp"], f"{name}.timestamp", place=place)
            score = entry.get("score")
            yield CaptionedSpan(
                start_s=start_s,
                end_s=end_s,
                sentence=check_text(entry["sentence"], f"{name}.sentence", place=place),
                score=None if score is None else _number(score, f"{name}.score", place=place),
            )


def _duration(value: object, *, place: Place) -> float:
    before = len(place.problems)
    duration_s = _number(value, "duration", place=place)
    if duration_s <= 0 and len(place.problems) == before:
        place.add("duration", what=f"is {duration_s:g}", fix="A video lasts longer than 0 s")
    return duration_s


def _list(value: Mapping[str, object], key: str, *, place: Place) -> list[object]:
    """The list under a key; empty, with the problem noted, when it is none."""
    found = value.get(key, [])
    if is_list(found):
        return found
    place.refuse(key, found, wanted="a list", fix="Write one entry an event")
    return []


def _span(value: object, name: str, *, place: Place) -> tuple[float, float]:
    if not is_list(value) or len(value) != 2:
        got = f"a list of {len(value)}" if is_list(value) else shown(value)
        place.add(name, what=f"must be a start and an end, got {got}", fix="Write [start, end]")
        return 0.0, 0.0
    return _number(value[0], f"{name}[0]", place=place), _number(
        value[1], f"{name}[1]", place=place
    )


def _number(value: object, name: str, *, place: Place) -> float:
    """A JSON number of sane size; 0, with the problem noted, when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        place.refuse(name, value, wanted="a number", fix="Write it as a number")
        return 0.0
    if not abs(value) <= MAX_NUMBER:
        said = f"{value:.3g}" if isinstance(value, float) else shown(value)
        place.add(name, what=f"is {said}, beyond {MAX_NUMBER:,}", fix="Correct it")
        return 0.0
    return float(value)


def outside_notice(
    videos: Iterable[tuple[float, Sequence[CaptionedSpan]]], noun: str
) -> tuple[str, ...]:
    """Counts the events that begin before their video or end after it."""
    outside = sum(
        min(event.start_s, event.end_s) < 0 or max(event.start_s, event.end_s) > duration_s
        for duration_s, events in videos
        for event in events
    )
    return counted(outside, noun, "not wholly inside the video: scored as written")


def _odd_events(
    videos: Iterable[tuple[str, Sequence[CaptionedSpan]]], noun: str
) -> tuple[str, ...]:
    """Counts what is odd in itself, by the rule that handles it."""
    num_backward = num_blank = num_repeated = 0
    for _, events in videos:
        num_backward += sum(event.end_s <= event.start_s for event in events)
        num_blank += sum(not event.sentence.strip() for event in events)
        distinct = {(event.start_s, event.end_s, event.sentence) for event in events}
        num_repeated += len(events) - len(distinct)
    return (
        *counted(num_backward, noun, "without length or reversed: overlap nothing, and count"),
        *counted(num_blank, noun, "with an empty sentence: scored like any other"),
        *counted(num_repeated, noun, "equal to another of the same video: count each"),
    )


def _ignored(tally: Counter[str]) -> tuple[str, ...]:
    return counted(len(tally), "key", f"ignored: {', '.join(map(shown, sorted(tally)))}")

"""Events beside what heads say of them: verb, roles and relation, chosen by lot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from figclip.annotations.roles import short_role
from figclip.config import SituationConfig
from figclip.datasets.situations import TrueEvent, TrueVideo, related_events, situation_truth_of
from figclip.errors import DataError, FigclipError
from figclip.evaluation.results import shorten
from figclip.evaluation.sources import DataSource
from figclip.records import Event, VideoRecord
from figclip.reporting.examples import choose_videos
from figclip.reporting.head_data import HeadData
from figclip.reporting.previews import jpeg_address
from figclip.reporting.result_files import ResultFile, damage_named
from figclip.reporting.training_captions import AnnotatedVideos
from figclip.scoring.situation_files import load_prediction_file
from figclip.scoring.situation_sources import open_truth
from figclip.video.sampling import event_times_s

MAX_VIDEOS = 4
MAX_EVENTS = 6
"""Most events of a video; the first ones are shown."""
MAX_FRAME_BYTES = 500_000
"""Largest size of all frames together, as text in the report."""
_MAX_CHARS = 300
_FRAME_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one head says, and whether an annotator says the same, where that was scored."""

    text: str
    agrees: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidRow:
    """A verb, a role or a relation.

    `true` is what the first annotator says, `also` what others say instead, `said` what each head
    says. Texts are empty for nothing.
    """

    name: str
    true: str
    also: tuple[str, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """One event. `frames`: the first and the last of those that heads see, as `data:` addresses."""

    name: str
    start_s: float
    end_s: float
    frames: tuple[str, ...]
    rows: tuple[SaidRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownVideo:
    """One video: the first `MAX_EVENTS` of its events.

    `num_right`: how many of all events have a verb that each head got right.
    """

    id: str
    num_events: int
    num_right: tuple[int, ...]
    events: tuple[ShownEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situations:
    """What is shown of all videos that were scored."""

    columns: tuple[str, ...]
    num_videos: int
    videos: tuple[ShownVideo, ...]
    notices: tuple[str, ...]


def pick_situations(head: HeadData, annotated: AnnotatedVideos) -> Situations:
    """Choose videos by the hash of their ids, and put annotations beside predictions.

    It is nobody's choice, and the same for the same files. Predictions are those of the last
    evaluation, roles those for the predicted verb.
    """
    scored = head.scored()
    ids = _video_ids(head.predictions / "videos.json")
    predicted = [_Predictions.load(head.predictions / name) for name in head.columns]
    scored_ids = [ids[idx] for idx in sorted(predicted[0].verbs)]
    order = choose_videos(scored_ids, annotated.records, where=annotated.where)
    verbs, notices = _official_verbs(scored.result, annotated)
    shown: list[ShownVideo] = []
    num_bytes = 0
    for video_id in order[:MAX_VIDEOS]:
        record, idx = annotated.records[video_id], ids.index(video_id)
        video = _show(
            record, idx, predicted, head=head, annotated=annotated, official=verbs.get(video_id)
        )
        num_bytes += sum(len(frame) for event in video.events for frame in event.frames)
        if num_bytes > MAX_FRAME_BYTES:
            notices.append(f"Only {len(shown)} videos are shown, to keep this file small.")
            break
        shown.append(video)
    if annotated.read is None:
        notices.append("Without frames: give --data with videos=DIR, or --store.")
    return Situations(
        columns=head.columns,
        num_videos=len(scored_ids),
        videos=tuple(shown),
        notices=tuple(notices),
    )


@dataclass(frozen=True, slots=True)
class _Predictions:
    """What one head says of all videos, by position; `given` are roles for the annotated verb."""

    verbs: Mapping[int, Any]
    roles: Mapping[int, Any]
    given: Mapping[int, Any]
    relations: Mapping[int, Any]
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> _Predictions:
        """Read the files of one head."""
        relations = folder / "relations.json"
        return cls(
            verbs=_read(folder / "verbs.json", "pred_vbs_ev"),
            roles=_read(folder / "roles_of_predicted_verbs.json", "vb_output"),
            given=_read(folder / "roles.json", "vb_output"),
            relations=_read(relations, "pred_evrels_ev") if relations.exists() else {},
            folder=folder,
        )

    def of_event(self, video_idx: int, event_idx: int, num_events: int) -> _Predicted:
        """What it says of one event."""
        with damage_named(self.folder):
            roles = dict(self.roles[video_idx][f"Ev{event_idx + 1}"])
            roles.pop("vb_id")
            related = related_events(num_events)
            relation = ""
            if event_idx in related and self.relations:
                relation = self.relations[video_idx][related.index(event_idx)][0]
            return _Predicted(
                verb=_text(self.verbs[video_idx][event_idx][0]),
                roles={_text(name): _text(text) for name, text in roles.items()},
                relation=_text(relation),
            )

    def given_verbs(self, video_idx: int) -> list[str]:
        """The annotated verbs for which it wrote roles."""
        with damage_named(self.folder):
            return [str(event["vb_id"]) for event in self.given[video_idx].values()]


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What one head says of one event."""

    verb: str
    roles: Mapping[str, str]
    relation: str


def _show(
    record: VideoRecord,
    idx: int,
    predicted: Sequence[_Predictions],
    *,
    head: HeadData,
    annotated: AnnotatedVideos,
    official: tuple[tuple[str, ...], ...] | None,
) -> ShownVideo:
    """A video beside what heads say of it, and the verbs that it was scored by."""
    assert isinstance(head.config, SituationConfig), "of another task"
    frames_per_event = head.config.frames.per_event
    (truth,) = situation_truth_of([record]).videos
    verbs = [event.verb_id for events in truth.annotations[:1] for event in events]
    if any(one.given_verbs(idx) != verbs for one in predicted):
        raise DataError(
            f"its annotations of {record.id} are not those that were scored",
            where=annotated.where,
            fix="Run `figclip eval` again, or give what it was given",
        )
    if official is not None and len(official) == len(verbs):
        # First as the annotation says it, for which roles were written.
        with_own = tuple((own, *ten) for own, ten in zip(verbs, official, strict=True))
        truth = replace(truth, verb_ids=with_own)
    pairs = [
        head.scored().right.get(f"{record.id}/{name}", (None, None)) for name in truth.event_names
    ]
    right = [pair[-len(predicted) :] for pair in pairs]  # adapted comes last, and may be alone
    events = next((one.events for one in record.annotations if one.events), ())
    return ShownVideo(
        id=record.id,
        num_events=len(verbs),
        num_right=tuple(
            sum(event[column] is True for event in right) for column in range(len(predicted))
        ),
        events=tuple(
            _show_event(
                truth,
                event,
                event_idx,
                [one.of_event(idx, event_idx, len(truth.event_names)) for one in predicted],
                right=right[event_idx],
                frames=_frames(annotated, record, event, frames_per_event),
            )
            for event_idx, event in enumerate(events[:MAX_EVENTS])
        ),
    )


def _show_event(
    truth: TrueVideo,
    event: Event,
    event_idx: int,
    said: Sequence[_Predicted],
    *,
    right: Sequence[bool | None],
    frames: tuple[str, ...],
) -> ShownEvent:
    """One event."""
    answers = [events[event_idx] for events in truth.annotations]
    verb = _row("verb", truth.verb_ids[event_idx], [one.verb for one in said])
    # Whether a verb is right was decided by all annotators of the evaluation.
    marked = zip(verb.said, right, strict=True)
    verb = replace(verb, said=tuple(replace(one, agrees=agrees) for one, agrees in marked))
    relation = _row("relation", [one.relation for one in answers], [one.relation for one in said])
    return ShownEvent(
        name=truth.event_names[event_idx],
        start_s=event.start_s,
        end_s=event.end_s,
        frames=frames,
        rows=(
            verb,
            *_role_rows(answers, [one.roles for one in said]),
            *([relation] if relation.true else []),
        ),
    )


def _official_verbs(
    result: ResultFile, annotated: AnnotatedVideos
) -> tuple[dict[str, tuple[tuple[str, ...], ...]], list[str]]:
    """The verbs by which VidSitu's videos were scored, by id; none, and a notice, if not known."""
    if result.data != "vidsitu":
        return {}, []
    source = DataSource(name="vidsitu", path=annotated.path, split=result.split)
    try:
        truth = open_truth(source, parts=("verbs",))
    except FigclipError:  # an old store, or files of annotations only: the page is no less true
        what = f"{annotated.path.name} does not tell what all ten annotators chose."
        return {}, [f"Verbs shown as true are those of the annotations only: {what}"]
    return {video.id: video.verb_ids for video in truth.videos}, []


def _role_rows(answers: Sequence[TrueEvent], said: Sequence[Mapping[str, str]]) -> list[SaidRow]:
    """The roles of an event as the first annotator names them, then those that only heads write."""
    by_short = [{short_role(name): text for name, text in one.roles.items()} for one in answers]
    full = {short_role(name): name for name in answers[0].roles}
    shorts = dict.fromkeys([*full, *(name for roles in said for name in roles)])
    return [
        _row(
            full.get(short, short),
            [roles.get(short, "") for roles in by_short],
            [roles.get(short, "") for roles in said],
        )
        for short in shorts
    ]


def _row(name: str, true: Sequence[str], said: Sequence[str]) -> SaidRow:
    """One row; a head agrees that says what any annotator says."""
    texts = [_text(one) for one in true]
    return SaidRow(
        name=_text(name),
        true=texts[0],
        also=tuple(dict.fromkeys(one for one in texts if one not in ("", texts[0]))),
        said=tuple(Said(text=one, agrees=bool(one) and one in texts) for one in said),
    )


def _frames(
    annotated: AnnotatedVideos, record: VideoRecord, event: Event, frames_per_event: int
) -> tuple[str, ...]:
    """The first and the last frame that heads see of an event."""
    if annotated.read is None:
        return ()
    times_s = event_times_s(event, frames_per_event)
    ends_s = list(dict.fromkeys((times_s[0], times_s[-1])))
    return tuple(jpeg_address(one, max_px=_FRAME_PX) for one in annotated.read(record, ends_s))


def _video_ids(file: Path) -> list[str]:
    """The videos that `ann_idx` counts."""
    if not file.exists():
        raise DataError(
            "is not there: nothing says which videos the predictions are of",
            where=str(file),
            fix="Run `figclip eval` again, with --out set to the eval folder of the heads",
        )
    with damage_named(file):
        return [_checked(one) for one in json.loads(file.read_text(encoding="utf-8"))]


def _read(file: Path, key: str) -> dict[int, Any]:
    """A file of predictions by the position of the video."""
    rows: Any = load_prediction_file(file).rows
    with damage_named(file):
        return {int(row["ann_idx"]): row[key] for row in rows}


def _text(value: object) -> str:
    """A text as it is shown."""
    return shorten(_checked(value), _MAX_CHARS)


def _checked(value: object) -> str:
    """A text; half of a surrogate pair, which no page can hold, is damage."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()
    return value

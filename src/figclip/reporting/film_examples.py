"""Show whole videos beside what captioning heads find in them, chosen by lot, spans as bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from markupsafe import Markup

from figclip.datasets.dense_captions import (
    REFERENCE_READERS,
    CaptionedSpan,
    ReferenceVideo,
    read_predictions,
)
from figclip.datasets.retrieval import youtube_video
from figclip.errors import DataError
from figclip.evaluation.results import shorten
from figclip.evaluation.sources import DataSource
from figclip.reporting.charts import Axis, svg, tag
from figclip.reporting.examples import choose_videos, only_file
from figclip.reporting.head_data import HeadData
from figclip.reporting.previews import PIXELS, jpeg_address
from figclip.reporting.records import plain
from figclip.video.container import video_duration_s
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.media_folder import VIDEO_SUFFIXES, MediaFolder

MAX_VIDEOS = 4
MAX_EVENTS = 12
"""Most events of a lane; the first ones are shown."""
NUM_FRAMES = 8
ANNOTATED = "annotated"
_MAX_CHARS = 300
_FRAME_PX = 112
_EVALUATE_AGAIN = "Run `figclip eval` again, with --out set to the eval folder of the heads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What one of them says of a video: of all events the first `MAX_EVENTS`."""

    name: str
    num_events: int
    events: tuple[CaptionedSpan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFilm:
    """One video: its length, frames at the midpoints of equal parts, and what is said of it.

    Frames are `data:` addresses; without videos there are none, and the length is as annotated.
    The first annotator's lane comes first.
    """

    id: str
    duration_s: float
    frames: tuple[str, ...]
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Films:
    """What is shown of all videos that were scored."""

    num_videos: int
    videos: tuple[ShownFilm, ...]
    notices: tuple[str, ...]


def pick_films(head: HeadData, source: DataSource) -> Films:
    """Choose videos by the hash of their ids, and put annotations beside the last predictions.

    It is nobody's choice, and the same for the same files. Without videos there are no frames.
    """
    annotated: dict[str, ReferenceVideo] = {}
    for each in REFERENCE_READERS[source.name](source.path, source.split):
        for video in each.videos:
            annotated.setdefault(video.id, video)
    scored = head.scored().result
    stem = f"{scored.data}-{scored.split}" if scored.split else scored.data
    said = {name: _read_events(head.predictions / name / f"{stem}.json") for name in head.columns}
    ids = list(next(iter(said.values())))
    order = choose_videos(ids, annotated, where=f"--data {source.name}:{source.path}")[:MAX_VIDEOS]
    for name, video_id in product(said, order):
        if video_id not in said[name]:
            raise DataError(
                f"says nothing of {video_id!r}",
                where=str(head.predictions / name),
                fix=_EVALUATE_AGAIN,
            )
    folder = None
    if source.videos is not None:
        folder = MediaFolder(source.videos, suffixes=VIDEO_SUFFIXES)
    films = [
        _show(annotated[one], {name: by_video[one] for name, by_video in said.items()}, folder)
        for one in order
    ]
    notices = () if folder else ("Without frames: give --data with videos=DIR.",)
    return Films(num_videos=len(ids), videos=tuple(films), notices=notices)


def _read_events(file: Path) -> Mapping[str, Sequence[CaptionedSpan]]:
    """The events of each video in a file of predictions."""
    if not file.exists():
        raise DataError("is not there", where=str(file), fix=_EVALUATE_AGAIN)
    return read_predictions(file).events_by_video


def _show(
    video: ReferenceVideo, said: Mapping[str, Sequence[CaptionedSpan]], folder: MediaFolder | None
) -> ShownFilm:
    """One video with all lanes."""
    duration_s, frames = video.duration_s, ()
    if folder is not None:
        found = folder.find_medium(youtube_video(video.id))
        path = only_file(found, f"video {video.id!r}", folder)
        duration_s = video_duration_s(path)
        times_s = sample_midpoints(0.0, duration_s, NUM_FRAMES)
        frames_NHWC = decode_frames(path, times_s, pipeline=PIXELS).frames_NHWC
        frames = tuple(jpeg_address(one, max_px=_FRAME_PX) for one in frames_NHWC)
    lanes = {ANNOTATED: video.events, **said}
    return ShownFilm(
        id=shorten(video.id, _MAX_CHARS),
        duration_s=duration_s,
        frames=frames,
        lanes=tuple(_lane(name, events) for name, events in lanes.items()),
    )


def _lane(name: str, events: Sequence[CaptionedSpan]) -> Lane:
    """Its events in the order of their starts, long sentences cut."""
    shown = sorted(events, key=lambda one: (one.start_s, one.end_s))[:MAX_EVENTS]
    return Lane(
        name=name,
        num_events=len(events),
        events=tuple(replace(one, sentence=shorten(one.sentence, _MAX_CHARS)) for one in shown),
    )


_WIDTH, _LEFT, _ROW, _GAP, _FOOT = 760.0, 84.0, 19.0, 9.0, 22.0


def timeline(film: ShownFilm) -> Markup:
    """All lanes over the seconds of a video; bars that overlap lie below each other.

    Bars are numbered as the sentences are. What lies outside the video is not drawn.
    """
    x_of = Axis(low=0.0, high=film.duration_s, start_px=_LEFT, end_px=_WIDTH)
    marks: list[Markup] = []
    top = 0.0
    for lane in film.lanes:
        rows = _rows(lane)
        marks.append(tag("text", lane.name, x=0, y=top + 13, class_=f"axis {lane.name}-text"))
        for number, (event, row) in enumerate(zip(lane.events, rows, strict=True), start=1):
            start_s, end_s = (
                min(max(t, 0.0), film.duration_s) for t in (event.start_s, event.end_s)
            )
            if start_s >= end_s:
                continue
            x, width = x_of(start_s), x_of(end_s) - x_of(start_s)
            y = top + row * _ROW
            tip = f"{number}. {_seconds(event.start_s, event.end_s)}: {event.sentence}"
            bar = tag("rect", tag("title", tip), x=x, y=y, width=max(2.0, width), height=_ROW - 3,
                      rx=3, class_=f"span {lane.name}")  # fmt: skip
            label = tag("text", str(number), x=x + width / 2, y=y + 12, class_="tick middle")
            marks.append(tag("g", bar, label, class_="tip", data_tip=tip))
        top += _ROW * (max(rows, default=0) + 1) + _GAP
    bottom = top - _GAP / 2
    grid = [
        mark
        for value in x_of.ticks(about=8)
        for mark in (
            tag("line", x1=x_of(value), x2=x_of(value), y1=0.0, y2=bottom, class_="grid"),
            tag("text", f"{value:g}", x=x_of(value), y=bottom + 15, class_="tick middle"),
        )
    ]
    counts = ", ".join(f"{lane.name} {lane.num_events}" for lane in film.lanes)
    name = f"Events of {film.id} over its {plain(film.duration_s)} seconds: {counts}."
    return svg([*grid, *marks], width=_WIDTH, height=bottom + _FOOT, name=name, kind="timeline")


def _rows(lane: Lane) -> list[int]:
    """The first row of each bar in which it overlaps none before it; bars by their start."""
    ends_s: list[float] = []
    rows: list[int] = []
    for event in lane.events:
        row = next((i for i, end_s in enumerate(ends_s) if end_s <= event.start_s), len(ends_s))
        ends_s[row : row + 1] = [event.end_s]
        rows.append(row)
    return rows


def _seconds(start_s: float, end_s: float) -> str:
    return f"{plain(start_s)} to {plain(end_s)} s"

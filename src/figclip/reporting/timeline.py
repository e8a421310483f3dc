"""Spans of a video as bars under its frames, a lane for each who named them."""

from __future__ import annotations

from markupsafe import Markup

from figclip.reporting.charts import Axis, svg, tag
from figclip.reporting.film_examples import Lane, ShownFilm
from figclip.reporting.numbers import plain

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

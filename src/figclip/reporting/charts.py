"""Charts as SVG: drawn from numbers, legible without script, styled by the report's CSS."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup, escape

from figclip.reporting.records import (
    MINUS,
    Compared,
    Series,
    StrengthCurve,
    Verdict,
    percent,
    plain,
)

_CHAR_PX = 6.7
"""Of a label's bold type, about."""
_MAX_POINTS = 240
"""Most points of a line; longer series are averaged."""


def tag(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """An SVG element; texts and attributes are escaped. `class_` is class, `x_y` is x-y."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Values on a line of pixels; a call gives a value's place."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """Its place in pixels."""
        share = (value - self.low) / (self.high - self.low)
        return self.start_px + share * (self.end_px - self.start_px)

    def ticks(self, *, about: int) -> list[float]:
        """Round values, about so many."""
        step = _round_step((self.high - self.low) / about)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least the rough step."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _padded(values: Iterable[float], *, share: float) -> tuple[float, float]:
    """The range of values with room at both ends."""
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low or abs(high) or 1.0) * share
    return low - room, high + room


def _dot(x: float, y: float, *, kind: str, tip: str, radius: float) -> Markup:
    """A point that says what it is under the pointer."""
    circle = tag("circle", tag("title", tip), cx=x, cy=y, r=radius, class_=kind)
    return tag("g", circle, class_="tip", data_tip=tip)


def picture(verdict: Verdict, curves: Sequence[StrengthCurve]) -> Markup:
    """Detail against what is kept: changes in points, the base at the origin."""
    assert verdict.kept is not None
    detail, kept = verdict.detail.score, verdict.kept.score
    points = [one for curve in curves for one in curve.points]
    width, height, left, right, top, bottom = 420.0, 330.0, 46.0, 14.0, 16.0, 44.0
    x_of = Axis(
        **_range([0.0, *_ends(kept), *(one.kept for one in points)], minimum=0.02),
        start_px=left,
        end_px=width - right,
    )
    y_of = Axis(
        **_range([0.0, *_ends(detail), *(one.detail for one in points)], minimum=0.04),
        start_px=height - bottom,
        end_px=top,
    )
    parts = [
        *_grid(x_of, y_of, bottom_px=height - bottom, top_px=top, left_px=left),
        *(mark for curve in curves for mark in _curve_marks(curve, x_of, y_of)),
        *_adapted_marks(detail, kept, x_of, y_of),
        _dot(x_of(0), y_of(0), kind="base", tip="base: strength 0", radius=7.0),
        _label("base", x_of(0), y_of(0), x_of, kind="base-text"),
        *_names(verdict, curves, x_of, y_of),
        tag("text", "kept, change in points", x=width - right, y=height - 8, class_="axis end"),
        tag("text", "detail, change in points", x=left, y=top - 4, class_="axis"),
    ]
    name = (
        f"Detail against what is kept. Detail changed by {_points(detail)} points, what must be "
        f"kept by {_points(kept)} points."
    )
    return svg(parts, width=width, height=height, name=name, kind="picture")


def _points(score: Compared) -> str:
    return percent(score.difference or 0.0, sign=True)


def _ends(score: Compared) -> list[float]:
    """A difference and the ends of its interval."""
    ends = [] if score.interval is None else [score.interval.low, score.interval.high]
    return [score.difference or 0.0, *ends]


def _range(values: Sequence[float], *, minimum: float) -> dict[str, float]:
    """A padded range of at least some width, so that tiny changes do not look large."""
    low, high = _padded(values, share=0.12)
    lacking = max(0.0, minimum - (high - low)) / 2
    return {"low": low - lacking, "high": high + lacking}


def _grid(
    x_of: Axis, y_of: Axis, *, bottom_px: float, top_px: float, left_px: float
) -> list[Markup]:
    """Lines of the axes with their numbers; those through the base are stronger."""
    parts: list[Markup] = []
    for value in x_of.ticks(about=5):
        x = x_of(value)
        kind = "zero" if abs(value) < 1e-12 else "grid"
        parts.append(tag("line", x1=x, x2=x, y1=top_px, y2=bottom_px, class_=kind))
        parts.append(tag("text", _tick(value), x=x, y=bottom_px + 17, class_="tick middle"))
    for value in y_of.ticks(about=5):
        y = y_of(value)
        kind = "zero" if abs(value) < 1e-12 else "grid"
        parts.append(tag("line", x1=left_px, x2=x_of.end_px, y1=y, y2=y, class_=kind))
        parts.append(tag("text", _tick(value), x=left_px - 8, y=y + 4, class_="tick end"))
    return parts


def _tick(difference: float) -> str:
    """A change in points, with decimals only where needed."""
    points = round(100 * difference, 6)
    return f"{points:+g}".replace("-", MINUS) if points else "0"


def _curve_marks(curve: StrengthCurve, x_of: Axis, y_of: Axis) -> list[Markup]:
    """The line over strengths and its points."""
    places = [(x_of(one.kept), y_of(one.detail)) for one in curve.points]
    path = " ".join(f"{_short(x)},{_short(y)}" for x, y in places)
    marks = [tag("polyline", points=path, class_="curve")]
    of = f"{curve.name}, " if curve.name else ""
    for one, (x, y) in zip(curve.points, places, strict=True):
        tip = (
            f"{of}strength {one.alpha:g}: detail {percent(one.detail, sign=True)}, "
            f"kept {percent(one.kept, sign=True)} points"
        )
        if curve.chosen is not None and math.isclose(one.alpha, curve.chosen):
            marks.append(tag("circle", cx=x, cy=y, r=8.5, class_="ring"))
            name = f"strength {one.alpha:g}"
            marks.append(_label(name, x, y + 22, x_of, kind="axis"))
        kind = "step" if one.qualifies else "step hollow"
        marks.append(_dot(x, y, kind=kind, tip=tip, radius=3.5))
    return marks


def _names(
    verdict: Verdict, curves: Sequence[StrengthCurve], x_of: Axis, y_of: Axis
) -> Iterator[Markup]:
    """What each curve is, where it ends; one that ends in the adapted model shares its label."""
    assert verdict.kept is not None
    detail, kept = verdict.detail.score.difference or 0.0, verdict.kept.score.difference or 0.0
    adapted = "adapted"
    for curve in curves:
        end = curve.points[-1]
        if curve.name and math.isclose(end.detail, detail) and math.isclose(end.kept, kept):
            adapted += f", {curve.name}"
        elif curve.name:
            yield _label(curve.name, x_of(end.kept), y_of(end.detail), x_of, kind="axis")
    yield label_above(adapted, x_of(kept), y=y_of(detail), x_of=x_of)


def _adapted_marks(detail: Compared, kept: Compared, x_of: Axis, y_of: Axis) -> list[Markup]:
    """The adapted model on the tests, with intervals in both directions."""
    x, y = x_of(kept.difference or 0.0), y_of(detail.difference or 0.0)
    marks: list[Markup] = []
    if kept.interval is not None:
        low, high = x_of(kept.interval.low), x_of(kept.interval.high)
        marks.append(tag("line", x1=low, x2=high, y1=y, y2=y, class_="whisker"))
    if detail.interval is not None:
        low, high = y_of(detail.interval.low), y_of(detail.interval.high)
        marks.append(tag("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"))
    tip = f"adapted: detail {_points(detail)}, kept {_points(kept)} points"
    return [*marks, _dot(x, y, kind="adapted", tip=tip, radius=8.0)]


def _label(text: str, x: float, y: float, x_of: Axis, *, kind: str = "adapted-text") -> Markup:
    """A word beside a point, on the side where there is room."""
    is_right = x > (x_of.start_px + x_of.end_px) / 2
    offset = -13 if is_right else 13
    side = " end" if is_right else ""
    return tag("text", text, x=x + offset, y=y - 10, class_=f"mark {kind}{side}")


def label_above(text: str, x: float, *, y: float, x_of: Axis) -> Markup:
    """A word above a point, where no curve comes from; beside it if there is no room for all."""
    half_px = len(text) * _CHAR_PX / 2
    if x_of.start_px <= x - half_px and x + half_px <= x_of.end_px:
        return tag("text", text, x=x, y=y - 16, class_="mark adapted-text middle")
    return _label(text, x, y, x_of)


def dumbbell(score: Compared, *, chance: float | None) -> Markup:
    """Base and adapted of a fraction on a line from 0 to 100 %, for a cell of a table."""
    width, height = 168.0, 24.0
    axis = Axis(low=0, high=1, start_px=6.0, end_px=width - 6)
    y = height / 2
    parts = [tag("line", x1=axis(0), x2=axis(1), y1=y, y2=y, class_="rail")]
    if chance is not None:
        x = axis(chance)
        parts.append(tag("line", x1=x, x2=x, y1=y - 6, y2=y + 6, class_="chance"))
    adapted = axis(score.adapted)
    if score.base is not None:
        base = axis(score.base)
        parts.append(tag("line", x1=base, x2=adapted, y1=y, y2=y, class_="link"))
        # The larger of the two lies below, so that both are seen where they coincide.
        parts.append(tag("circle", cx=base, cy=y, r=6.0, class_="base"))
    parts.append(tag("circle", cx=adapted, cy=y, r=4.0, class_="adapted"))
    return tag(
        "svg", *parts, viewBox=f"0 0 {width:g} {height:g}", class_="dumbbell", aria_hidden="true"
    )


def outcome_bar(counts: Mapping[str, int], names: Mapping[str, str]) -> Markup:
    """Shares of all items with each outcome, end to end.

    `names` has words for the outcomes, in the order to draw them.
    """
    width, height, total = 640.0, 26.0, sum(counts.values())
    parts: list[Markup] = []
    x = 0.0
    for outcome, words in names.items():
        share = counts[outcome] / total
        tip = f"{words}: {counts[outcome]:,} of {total:,} ({percent(share)} %)"
        box = tag(
            "rect",
            tag("title", tip),
            x=x,
            y=0,
            width=max(0.0, share * width - 2),
            height=height,
            rx=3,
            class_=f"outcome {outcome}",
        )
        parts.append(tag("g", box, class_="tip", data_tip=tip))
        x += share * width
    name = "; ".join(f"{words}: {counts[outcome]:,}" for outcome, words in names.items())
    return svg(parts, width=width, height=height, name=name, kind="outcomes")


def stage_bars(stages: Sequence[tuple[str, float]], said: Sequence[str]) -> Markup:
    """Seconds of each stage as bars."""
    width, row = 420.0, 34.0
    longest = max(seconds for _, seconds in stages) or 1.0
    parts: list[Markup] = []
    for i, ((name, seconds), words) in enumerate(zip(stages, said, strict=True)):
        y = i * row
        parts.append(tag("text", name, x=0, y=y + 13, class_="axis"))
        parts.append(tag("text", words, x=width, y=y + 13, class_="axis end strong"))
        parts.append(tag("rect", x=0, y=y + 19, width=width, height=6, rx=3, class_="rail-bar"))
        filled = max(2.0, width * seconds / longest)
        parts.append(tag("rect", x=0, y=y + 19, width=filled, height=6, rx=3, class_="bar"))
    name = "; ".join(f"{name}: {words}" for (name, _), words in zip(stages, said, strict=True))
    return svg(parts, width=width, height=row * len(stages), name=name, kind="stages")


def line_chart(series: Sequence[Series], *, name: str, unit: str) -> Markup:
    """Values over the steps of training, a line a series; the first is the strongest.

    `unit` is `fraction` for an axis in percent, else empty.
    """
    width, height, left, right, top, bottom = 420.0, 240.0, 46.0, 12.0, 12.0, 34.0
    drawn = [_thinned(one) for one in series]
    last = max(max(one.steps) for one in drawn)
    x_of = Axis(low=0, high=max(1, last), start_px=left, end_px=width - right)
    low, high = _padded((value for one in drawn for value in one.values), share=0.08)
    y_of = Axis(low=low, high=high, start_px=height - bottom, end_px=top)
    say = percent if unit == "fraction" else partial(plain, decimals=3)
    parts: list[Markup] = []
    for value in y_of.ticks(about=4):
        y = y_of(value)
        parts.append(tag("line", x1=left, x2=width - right, y1=y, y2=y, class_="grid"))
        written = f"{100 * value:g}" if unit == "fraction" else f"{round(value, 6):g}"
        parts.append(tag("text", written, x=left - 8, y=y + 4, class_="tick end"))
    for value in x_of.ticks(about=5):
        if value == int(value):
            written = f"{value:,.0f}" if value else "step 0"
            y = height - bottom + 17
            parts.append(tag("text", written, x=x_of(value), y=y, class_="tick middle"))
    for i, one in reversed(list(enumerate(drawn))):
        path = " ".join(
            f"{_short(x_of(step))},{_short(y_of(value))}"
            for step, value in zip(one.steps, one.values, strict=True)
        )
        parts.append(tag("polyline", points=path, class_=f"series s{i}"))
    parts += _hover_columns(drawn, x_of, say=say, top=top, bottom=height - bottom)
    return svg(parts, width=width, height=height, name=name, kind="lines")


def _hover_columns(
    drawn: Sequence[Series], x_of: Axis, *, say: object, top: float, bottom: float
) -> list[Markup]:
    """A strip at each step that tells its values under the pointer."""
    assert callable(say)
    at_step: dict[int, list[str]] = {}
    for one in drawn:
        for step, value in zip(one.steps, one.values, strict=True):
            at_step.setdefault(step, []).append(f"{one.name} {say(value)}")
    steps = sorted(at_step)
    xs = [x_of(step) for step in steps]
    edges = [x_of.start_px, *((a + b) / 2 for a, b in zip(xs, xs[1:], strict=False)), x_of.end_px]
    marks: list[Markup] = []
    for i, step in enumerate(steps):
        tip = f"step {step:,}: {', '.join(at_step[step])}"
        box = tag(
            "rect", tag("title", tip), x=edges[i], y=top, width=edges[i + 1] - edges[i],
            height=bottom - top, class_="strip",
        )  # fmt: skip
        line = tag("line", x1=xs[i], x2=xs[i], y1=top, y2=bottom, class_="cross")
        marks.append(tag("g", box, line, class_="tip column", data_tip=tip))
    return marks


def _thinned(one: Series) -> Series:
    """At most `_MAX_POINTS` points: means over runs of neighbours, at their last step."""
    size = -(-len(one.steps) // _MAX_POINTS)
    runs = [one.values[i : i + size] for i in range(0, len(one.values), size)]
    steps = [one.steps[min(i + size, len(one.steps)) - 1] for i in range(0, len(one.steps), size)]
    values = [math.fsum(run) / len(run) for run in runs]
    return Series(name=one.name, steps=tuple(steps), values=tuple(values))


def svg(parts: Sequence[Markup], *, width: float, height: float, name: str, kind: str) -> Markup:
    """A whole chart with a name for those who cannot see it."""
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        class_=f"chart {kind}",
        role="img",
        aria_label=name,
    )

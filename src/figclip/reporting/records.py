"""What a report shows, read from a run's files, how its numbers are written, and what they claim.

All fractions are in [0, 1]; they are printed as percent and points, with one decimal and real minus
signs.
"""

from dataclasses import dataclass
from typing import Literal

from figclip.annotations.splits import TRAIN_SPLIT
from figclip.tasks.base import Face, Unit

Preferred = Literal["true", "false", "neither"]
"""Which of two sentences a model finds nearer to the picture; a tie is `neither`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bounds of a difference: its 95 % interval, or the lowest and highest of several seeds."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One score of both models; None is what a single model or the file does not have."""

    base: float | None
    adapted: float
    difference: float | None
    interval: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One line of the table of tests.

    Attributes:
        name: Name of the test, or of the metric within its group.
        metric: `accuracy`; empty where the name says it.
        unit: `fraction`, or `rank` where lower is better.
        held_out: On combinations that training never showed; None where that is not reported.
        chance: What guessing would score; None where that depends on the data.
        blind: Base and adapted with another video in place of the item's own.
        text_only: What a classifier reaches that sees the sentences only.
    """

    name: str
    metric: str
    unit: Unit
    items: int | None
    score: Compared
    held_out: Compared | None = None
    chance: float | None = None
    blind: tuple[float, float] | None = None
    text_only: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreGroup:
    """Rows under one heading: `in natural sentences`, or the task and its data."""

    face: Face
    title: str
    note: str
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The unweighted mean over tests, and over their combinations that training never showed.

    `spread` is the difference over seeds of training; None for one seed.
    """

    tests: int
    score: Compared
    held_out: Compared | None = None
    spread: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The claim in numbers.

    Attributes:
        detail: What adaptation should teach.
        detail_wording: Words after `detail`, for example `in natural sentences`; may be empty.
        template: The same tests in the wording of training; None where there is one wording.
        kept: What adaptation must not cost; None where that was not tested.
    """

    detail: Mean
    detail_wording: str
    template: Mean | None
    kept: Mean | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraScore:
    """A number beside the tests, of a control or a task head: `shuffled annotations, detail`.

    A single number is in `adapted`; `spread` is the difference over seeds, None for one seed.
    """

    name: str
    score: Compared
    spread: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The two faces at one strength (alpha) of the adaptation, as changes from strength 0.

    `qualifies` is False where the loss of what must be kept was too large to choose it.
    """

    alpha: float
    detail: float
    kept: float
    qualifies: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthCurve:
    """Scores over the strength of the adaptation, ascending from the base.

    `explanation` says on what it was scored, and by what rule the strength was chosen. Where there
    are several curves, `name` tells them apart, and none was chosen by.
    """

    points: tuple[CurvePoint, ...]
    chosen: float | None
    explanation: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values over training."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLog:
    """`metrics.jsonl`: losses, the sum first; scores on val, the one that chooses first.

    `peak_bytes` is the most memory by the last step; None where that was not written down.
    """

    losses: tuple[Series, ...]
    validation: tuple[Series, ...]
    num_steps: int
    steps_s: float
    validations_s: float
    peak_bytes: int | None = None


Facts = list[tuple[str, str]]
"""Lines of the environment: `seed`, `0`."""

MINUS = "\N{MINUS SIGN}"


def percent(fraction: float, *, sign: bool = False) -> str:
    """A fraction in percent, or a difference of two in points: `61.2`, `+9.3`."""
    return plain(100 * fraction, sign=sign)


def plain(value: float, *, sign: bool = False, decimals: int = 1) -> str:
    """A number; rounding leaves no negative zero."""
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{'+' if sign else ''},.{decimals}f}".replace("-", MINUS)


def span(interval: Span, *, unit: str = "fraction") -> str:
    """The 95 % interval of a difference: `+7.8 to +10.9`."""
    say = percent if unit == "fraction" else plain
    return f"{say(interval.low, sign=True)} to {say(interval.high, sign=True)}"


def duration(seconds: float) -> str:
    """`0.4 s`, `48 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest_s = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def direction(score: Compared) -> str:
    """`up` or `down` where the interval leaves no doubt, else `unsure`."""
    if score.interval is None:
        return "unsure"
    if score.interval.low > 0:
        return "up"
    return "down" if score.interval.high < 0 else "unsure"


_DOUBT = {
    "detail": "The interval of detail holds 0: no change is shown.",
    "kept": "What must be kept has dropped: its interval lies below 0.",
    "worse": "Detail has dropped: its interval lies below 0.",
    "none": "Means over tests have no interval here; those of each test are in the table.",
}


def claim(verdict: Verdict) -> str:
    """One sentence with the numbers and their 95 % intervals."""
    wording = f" {verdict.detail_wording}" if verdict.detail_wording else ""
    detail = verdict.detail
    sentence = (
        f"Over {_tests(detail, f'of detail{wording}')} the adapted model scores "
        f"{_percent(detail.score.adapted)} and its base {_percent(detail.score.base)}: "
        f"{_change(detail.score)}"
    )
    if verdict.kept is None:
        return f"{sentence}; what must be kept was not tested."
    kept = verdict.kept
    return (
        f"{sentence}; over {_tests(kept, 'of what must be kept')} it scores "
        f"{_percent(kept.score.adapted)} and its base {_percent(kept.score.base)}: "
        f"{_change(kept.score)}."
    )


def caution(verdict: Verdict) -> str:
    """What takes something away from the claim; empty where nothing does."""
    said: list[str] = []
    if verdict.detail.score.interval is None:
        said.append(_DOUBT["none"])
    elif direction(verdict.detail.score) != "up":
        is_worse = direction(verdict.detail.score) == "down"
        said.append(_DOUBT["worse" if is_worse else "detail"])
    if verdict.kept is not None and direction(verdict.kept.score) == "down":
        said.append(_DOUBT["kept"])
    return " ".join(said)


def verb_claim(score: Compared, *, num_events: int, data: str) -> str:
    """One sentence about the verbs that heads find, with its 95 % interval."""
    events = f"{num_events:,} event{'' if num_events == 1 else 's'} of {data}"
    if score.base is None:
        return f"Of {events} the head names {_percent(score.adapted)} by a verb of an annotator."
    return (
        f"Of {events} the head on adapted features names {_percent(score.adapted)} by a verb of an "
        f"annotator, the same head on base features {_percent(score.base)}: {_change(score)}."
    )


def sentence_claim(score: Compared, *, num_videos: int, data: str) -> str:
    """One sentence about the sentences that heads write, with its 95 % interval."""
    videos = f"{num_videos:,} video{'' if num_videos == 1 else 's'} of {data}"
    if score.base is None:
        return f"On {videos} the head's sentences have a CIDEr of {_percent(score.adapted)}."
    return (
        f"On {videos} the sentences of the head on adapted features have a CIDEr of "
        f"{_percent(score.adapted)}, those of the same head on base features "
        f"{_percent(score.base)}: {_change(score)}."
    )


def head_caution(score: Compared, split: str | None, *, worse: str) -> str:
    """What takes something away from the claim about heads; empty where nothing does.

    `worse` says in words what a loss means: `Verbs are found less often`.
    """
    said: list[str] = []
    if split == TRAIN_SPLIT:
        said.append("Heads are trained on this split: it says little of other videos.")
    if score.difference is not None and score.interval is None:
        said.append("Without an interval no change is shown.")
    elif score.difference is not None and direction(score) == "down":
        said.append(f"{worse}: the interval lies below 0.")
    elif score.difference is not None and direction(score) == "unsure":
        said.append("The interval holds 0: no change is shown.")
    return " ".join(said)


def _tests(mean: Mean, of_what: str) -> str:
    return f"{mean.tests} test{'' if mean.tests == 1 else 's'} {of_what}"


def _percent(fraction: float | None) -> str:
    """The sign stays on the line of its number."""
    return "was not scored" if fraction is None else f"{percent(fraction)}\N{NO-BREAK SPACE}%"


def _change(score: Compared) -> str:
    """`+9.3 points (95 % interval +7.8 to +10.9)`."""
    if score.difference is None:
        return "no difference"
    words = f"{percent(score.difference, sign=True)} points"
    if score.interval is None:
        return words
    return f"{words} (95\N{NO-BREAK SPACE}% interval {span(score.interval)})"

"""The claim of a report, in sentences made from its numbers."""

from __future__ import annotations

from figclip.annotations.splits import TRAIN_SPLIT
from figclip.reporting.records import Compared, Mean, Verdict, direction, percent, span

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
        f"{_percent(detail.score.adapted)} and its base {_base(detail.score)}: "
        f"{_change(detail.score)}"
    )
    if verdict.kept is None:
        return f"{sentence}; what must be kept was not tested."
    kept = verdict.kept
    return (
        f"{sentence}; over {_tests(kept, 'of what must be kept')} it scores "
        f"{_percent(kept.score.adapted)} and its base {_base(kept.score)}: {_change(kept.score)}."
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


def _base(score: Compared) -> str:
    return "was not scored" if score.base is None else _percent(score.base)


def _percent(fraction: float) -> str:
    """The sign stays on the line of its number."""
    return f"{percent(fraction)}\N{NO-BREAK SPACE}%"


def _change(score: Compared) -> str:
    """`+9.3 points (95 % interval +7.8 to +10.9)`."""
    if score.difference is None:
        return "no difference"
    words = f"{percent(score.difference, sign=True)} points"
    if score.interval is None:
        return words
    return f"{words} (95\N{NO-BREAK SPACE}% interval {span(score.interval)})"

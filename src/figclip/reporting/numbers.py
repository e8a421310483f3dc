"""Numbers as a report says them: percent and points with one decimal, real minus signs."""

from __future__ import annotations

from figclip.reporting.report_records import Compared, Span

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

"""Named exceptions. Each message says what is wrong, where, and what to do about it.

Everything that a user can cause derives from `FigclipError`, so that the command line can print one
paragraph instead of a traceback. Violations of our own invariants are `assert` statements.

Messages quote names and texts of files, which may be hostile: `shown` and `printable`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar
from unicodedata import category

_SHOWN_CHARS = 60
_MAX_WRITTEN_BITS = 10_000  # 3,011 digits; Python refuses to write out more than 4,300

# Of the categories that steer a terminal, what prints as such: line ends, and the joiners that
# Persian, Indian scripts and emoji are written with.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_HARMLESS = frozenset("\n\t\u200c\u200d")


def printable(text: str) -> str:
    r"""The text with what steers a terminal spelt out, such as `\x1b` and `\u202e`.

    That is control codes but line ends and tabs, what turns the direction of writing, what is
    invisible, and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode()
        if category(one) in _STEERING and one not in _HARMLESS
        else one
        for one in text
    )


def shown(value: object) -> str:
    """The value as a message quotes it: one line, cut when long, whatever it is."""
    # The repr of a deeply nested value could exceed the recursion limit that parsing it just kept.
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > _MAX_WRITTEN_BITS:
        return f"a number of about {math.ceil(value.bit_length() * math.log10(2)):,} digits"
    if not isinstance(value, str):
        text = repr(value)
    else:
        start = value[: _SHOWN_CHARS + 1]
        text = repr(start) if start.isprintable() else ascii(start)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


class FigclipError(ValueError):
    """Base of every error that input, configuration or environment can cause.

    Args:
        what: What is wrong, one sentence without a full stop.
        where: File, line, segment, field or tensor at fault.
        fix: What the user can do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        prefix = f"{self.where}: " if self.where else ""
        suffix = f". {self.fix}" if self.fix else ""
        return printable(f"{prefix}{self.what}{suffix}")

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions, and decoding
        # errors cross process borders.
        return (partial(type(self), self.what, where=self.where, fix=self.fix), ())


class ConfigError(FigclipError):
    """A recipe, a `--set` override or a combination of settings is not valid."""


class VideoError(FigclipError):
    """A video cannot be decoded at the times asked for. `what` starts with a stable reason word."""


class StoreError(FigclipError):
    """A frame store is missing, damaged, of another format, size or pixel pipeline."""


class ModelError(FigclipError):
    """A model folder or hub id cannot be used as a CLIP, or does not fit what is asked of it."""


class CheckpointError(FigclipError):
    """A checkpoint or run folder is damaged or belongs to another configuration."""


class TrainingError(FigclipError):
    """Training cannot go on, for example because a loss is not finite."""


class MetricError(FigclipError):
    """Arrays given to a metric do not define it."""


class DataError(FigclipError):
    """A data source names an unknown benchmark, or lacks the files that its task reads."""


class OutputError(FigclipError):
    """An output cannot be written: no room, a failing disk, or another process that writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with one place of an annotation file.

    Attributes:
        where: `file:line` or `file: segment event`.
        field: Field name, empty when the whole entry is meant.
        what: What is wrong with it.
        fix: What to do.
    """

    where: str
    field: str
    what: str
    fix: str

    def __str__(self) -> str:
        field = f" [{self.field}]" if self.field else ""
        return printable(f"{self.where}{field}: {self.what}. {self.fix}")


MAX_SHOWN_PROBLEMS = 100
MAX_PROBLEMS = 1_000
"""Problems after which a file is not read on: noting all of a hostile one takes gigabytes."""


class AnnotationError(FigclipError):
    """An annotation file has problems, in the order of the file; the message shows the first.

    More than `MAX_PROBLEMS` end the reading; the rest of the file is then not looked at.
    """

    subject: ClassVar[str] = "annotations"

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems, "an error of a file needs at least one problem"
        self.problems = tuple(problems)
        head = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the {self.subject}"
        listed = [str(problem) for problem in problems[:MAX_SHOWN_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            head = f"More than {MAX_PROBLEMS:,} problems in the {self.subject}"
            listed.append("… and more; reading stopped there")
        elif len(problems) > MAX_SHOWN_PROBLEMS:
            listed.append(f"… and {len(problems) - MAX_SHOWN_PROBLEMS:,} more")
        super().__init__("\n  ".join([head, *listed]))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.problems,))


class PredictionError(AnnotationError):
    """A prediction file has problems, named as those of annotations are."""

    subject: ClassVar[str] = "predictions"

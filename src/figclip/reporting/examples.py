"""Show clips beside the sentences that base and adapted prefer, chosen by rule, failures included.

Also here: which words of a sentence the other one lacks.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from figclip.datasets.catalogue import BENCHMARKS, load_benchmark
from figclip.datasets.records import CompositionSet, Contrast, Medium
from figclip.errors import ConfigError, DataError
from figclip.evaluation.sources import DataSource
from figclip.reporting.previews import Preview, preview
from figclip.reporting.records import Preferred
from figclip.reporting.result_files import ResultFile, newest, read_items
from figclip.video.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES, MediaFolder

Outcome = Literal["gained", "failed", "lost", "both"]
"""Right by adapted only; wrong by both; right by base only; right by both."""

SHOWN: tuple[Outcome, ...] = ("gained", "lost", "gained", "failed")
"""What is shown in turn: as many of the adapted model's gains as of its failures."""

MAX_EXAMPLES = 12
MAX_PREVIEW_BYTES = 3_000_000
"""Largest size of all examples together, as text in the report."""

_ACCURACY, _TIES, _ALL = "accuracy", "ties, accuracy", "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An item with one picture and two sentences, and which of these the models prefer.

    `test` is the benchmark's part, or else the name of its file.
    """

    test: str
    item: Contrast
    base: Preferred
    adapted: Preferred
    source: DataSource

    @property
    def outcome(self) -> Outcome:
        """Which models are right."""
        if self.adapted == "true":
            return "both" if self.base == "true" else "gained"
        return "lost" if self.base == "true" else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A judged item with its medium."""

    judged: Judged
    preview: Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What is shown of all items. `shown`: by the order of `SHOWN`."""

    shown: tuple[Example, ...]
    counts: Mapping[Outcome, int]
    left_out: tuple[str, ...]


def pick_examples(
    data: Sequence[DataSource], results: Sequence[ResultFile], *, max_examples: int = MAX_EXAMPLES
) -> Examples:
    """Choose examples and make small copies of their media.

    Outcomes take turns as in `SHOWN`, each with the test that was shown least, and items of a test
    come by the hash of their ids: nobody's choice, and the same for the same files.
    """
    judged = [one for source in data for one in judge(source, results)]
    open_folder = cache(MediaFolder)
    shown: list[Example] = []
    num_bytes = 0
    left_out: list[str] = []
    for one in in_turn(judged):
        if len(shown) == max_examples:
            break
        medium = one.item.media[0]
        path = find_file(one.source, medium, open_folder)
        example = Example(judged=one, preview=preview(path, medium))
        num_bytes += example.preview.num_bytes
        if num_bytes > MAX_PREVIEW_BYTES:
            left_out.append(f"Only {len(shown)} clips are shown, to keep this file small.")
            break
        shown.append(example)
    counts = Counter(one.outcome for one in judged)
    return Examples(
        shown=tuple(shown),
        counts={outcome: counts[outcome] for outcome in get_args(Outcome)},
        left_out=tuple(left_out),
    )


def judge(source: DataSource, results: Sequence[ResultFile]) -> Iterator[Judged]:
    """Items of a source that have one medium and two sentences, with what the models prefer.

    Raises:
        ConfigError, DataError: not true and false captions, or they were not scored.
    """
    where = f"--data {source.name}:{source.path}"
    if source.name not in BENCHMARKS or BENCHMARKS[source.name].family != "composition":
        raise ConfigError(
            f"examples are of true and false captions, which {source.name} has not",
            where=where,
            fix="Give data of composition, for example pairs:FILE,videos=DIR",
        )
    benchmark = load_benchmark(source.name, source.path, split=source.split)
    assert isinstance(benchmark, CompositionSet)
    result = _result_of(source, results, split=benchmark.split, where=where)
    preferred = _preferences(result)
    items = [item for item in benchmark.items if item.id in preferred]
    if not items:
        raise DataError(
            f"none of its items is in {result.items_file.name}",
            where=where,
            fix="Run `figclip eval` again: the data have changed since",
        )
    for item in items:
        if len(item.media) == len(item.positives) == len(item.negatives) == 1:
            base, adapted = preferred[item.id]
            test = item.subset or source.path.stem
            yield Judged(test=test, item=item, base=base, adapted=adapted, source=source)


def _result_of(
    source: DataSource, results: Sequence[ResultFile], *, split: str | None, where: str
) -> ResultFile:
    """The newest result file about a source."""
    wanted = ("composition", source.name, source.path.name, split)
    found = [
        one
        for one in results
        if (one.task, one.data, one.source, one.split) == wanted and one.base_name is not None
    ]
    if not found:
        raise DataError(
            "was not scored by base and adapted",
            where=where,
            fix="Run `figclip eval` with it first",
        )
    return newest(found)


def _preferences(result: ResultFile) -> dict[str, tuple[Preferred, Preferred]]:
    """What base and adapted prefer, by item; empty for a benchmark with other scores."""
    return {
        line.item: (_preferred(line.base), _preferred(line.adapted))
        for line in read_items(result)
        if line.block == _ALL
        and line.base is not None
        and {_ACCURACY, _TIES} <= line.adapted.keys()
    }


def _preferred(values: Mapping[str, float]) -> Preferred:
    """The sentence that a model preferred; an item is right only where the true one wins."""
    if values[_ACCURACY] == 1:
        return "true"
    return "neither" if values[_TIES] == 1 else "false"


def in_turn(judged: Sequence[Judged]) -> Iterator[Judged]:
    """Items in the order to show them: outcomes take turns, each with the test shown least."""
    queues: defaultdict[Outcome, defaultdict[str, list[Judged]]]
    queues = defaultdict(lambda: defaultdict(list))
    for one in sorted(judged, key=lambda one: draw_lot(one.item.id), reverse=True):
        queues[one.outcome][one.test].append(one)
    num_shown: Counter[str] = Counter()
    while any(queues[outcome] for outcome in SHOWN):
        for outcome in SHOWN:
            if tests := queues[outcome]:
                test = min(tests, key=lambda name: (num_shown[name], name))
                num_shown[test] += 1
                yield tests[test].pop()
                if not tests[test]:
                    del tests[test]


def draw_lot(name: str) -> tuple[bytes, str]:
    """A lot that depends on a name only: the order of what is shown is nobody's choice."""
    return hashlib.blake2b(name.encode(), digest_size=8).digest(), name


def choose_videos(scored: Sequence[str], known: Collection[str], *, where: str) -> list[str]:
    """The scored videos that are known, in nobody's order; a `DataError` if there is none."""
    order = sorted((one for one in scored if one in known), key=draw_lot)
    if order:
        return order
    raise DataError(
        "holds none of the videos that were scored",
        where=where,
        fix="Give the annotations or the frame store that `figclip eval` was given",
    )


def only_file(found: Sequence[Path], what: str, folder: MediaFolder) -> Path:
    """The one file of an image or video; a `DataError` if it is not there, or not once."""
    if len(found) == 1:
        return found[0]
    raise DataError(
        f"the {what} is not there any more, or not once",
        where=str(folder.root),
        fix="Give the folder that `figclip eval` was given",
    )


def find_file(source: DataSource, medium: Medium, open_folder: Callable[..., MediaFolder]) -> Path:
    """The file of a medium, found as `figclip eval` does."""
    is_image = medium.kind == "image"
    root = source.images if is_image else source.videos
    if root is None:
        raise DataError(
            f"no {medium.kind}s=DIR is given", where=f"--data {source.name}:{source.path}"
        )
    folder, found = open_folder(root, suffixes=IMAGE_SUFFIXES if is_image else VIDEO_SUFFIXES), []
    for name in (medium.name, *medium.also):
        found = folder.find_anywhere(name, any_suffix=not is_image)
        if len(found) == 1:
            break
    return only_file(found, f"{medium.kind} {medium.name!r}", folder)


_WORD = re.compile(r"\s*(?:\w+|[^\w\s])")
"""A word or a sign, with the space before it."""


def changed_words(sentence: str, other: str) -> Iterator[tuple[str, bool]]:
    """The sentence in parts, and whether the other one has other words in their place.

    The parts joined are the sentence without space at its end.
    """
    words, others = _WORD.findall(sentence), _WORD.findall(other)
    matcher = SequenceMatcher(
        a=[word.strip() for word in words], b=[word.strip() for word in others], autojunk=False
    )
    for kind, start, end, _, _ in matcher.get_opcodes():
        if end > start:
            yield "".join(words[start:end]), kind != "equal"

"""Each pooling of the adapted model on the mini world's tests of detail, beside the base.

    figclip quickstart --out quickstart
    python benchmarks/pooling_mini_world.py quickstart --out pooling-mini-world

A test's score is the mean of its headline numbers; the last rows are means over tests.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

import figclip
from figclip.evaluation.results import TaskResult

POOLINGS = ("mean", "vc", "both", "auto")
NAMES = {"retrieval": "retrieval", "verbs": "actions"}
"""NAME of `--data` by what a test's file begins with; all others are pairs of captions."""


def sources(folder: Path) -> list[figclip.DataSource]:
    """The tests of detail of a quickstart."""
    found = sorted(file for file in folder.iterdir() if file.suffix in (".csv", ".jsonl"))
    kinds = [NAMES.get(file.stem.partition("-")[0], "pairs") for file in found]
    return [
        figclip.parse_source(f"{kind}:{file},videos={folder / 'videos'}")
        for kind, file in zip(kinds, found, strict=True)
    ]


def score(result: TaskResult, *, base: bool) -> float:
    """The mean of a test's headline numbers, in percent."""
    headlines = [one for one in result.metrics.values() if one.adapted.is_headline]
    columns = [one.base if base else one.adapted for one in headlines]
    return 100 * fmean(one.value for one in columns if one is not None)


def lines(found: Mapping[str, tuple[TaskResult, ...]]) -> Iterator[str]:
    """A table: a row a test, then means by wording."""
    yield f"| test | base | {' | '.join(found)} | auto took |"
    yield "|---" * (len(found) + 3) + "|"
    rows: dict[str, list[float]] = {}
    for number, result in enumerate(found["mean"]):
        name = Path(result.data.source).stem
        adapted = [score(one[number], base=False) for one in found.values()]
        rows[name] = [score(result, base=True), *adapted]
        taken = found["auto"][number].settings.get("pooling", "mean")
        yield f"| {name} | {' | '.join(f'{one:.1f}' for one in rows[name])} | {taken} |"
    for wording in ("natural", "template"):
        of_wording = [row for name, row in rows.items() if name.endswith(wording)]
        means = [fmean(column) for column in zip(*of_wording, strict=True)]
        yield f"| mean, {wording} | {' | '.join(f'{one:.1f}' for one in means)} | |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", default="run-base0-seed0")
    arguments = parser.parse_args()
    data = sources(arguments.quickstart / "world" / "tests" / "detail")
    found = {
        pooling: figclip.evaluate(
            arguments.quickstart / arguments.run,
            base=arguments.quickstart / "mini-clip-0",
            data=data,
            out=arguments.out / pooling,
            preset="event",
            pooling=pooling,
            cache=arguments.out / "cache",
        ).tasks
        for pooling in POOLINGS
    }
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()

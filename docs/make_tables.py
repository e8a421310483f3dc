"""Writes the tables of docs/results.md from what `figclip quickstart` left behind.

figclip quickstart --full --out quickstart && python docs/make_tables.py quickstart

Without `--full`, after `figclip quickstart` with several `--seed`, it writes those of detail and of
what must be kept, over the seeds that are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "results.md"
MEANS = ("detail", "detail_template", "semantic")
SECOND_BASE = "second base"
NEW = "… of new combinations"
Compared = Mapping[str, Any]
"""Base, adapted, their difference, and its interval or None; in [0, 1]."""


def main() -> None:
    """Replace the page's tables by those of a quickstart's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("quickstart"))
    tables = make_tables(parser.parse_args().folder)
    PAGE.write_text(with_tables(PAGE.read_text(), tables))


def make_tables(folder: Path) -> dict[str, str]:
    """The tables of a quickstart by their names on the page.

    Raises:
        SystemExit: the folder holds one seed only.
    """
    summary = json.loads((folder / "run-base0-seed0/eval/summary.json").read_text())
    if "by_seed" not in summary or SECOND_BASE not in summary["controls"]:
        summary = _over_seeds(folder)
        tables = {"detail": _detail(summary), "kept": _kept(summary)}
        return {name: "\n".join(lines) for name, lines in tables.items()}
    tables = {
        "detail": _detail(summary),
        "kept": _kept(summary),
        "runs": _runs(summary, folder),
        "curves": _curves(summary),
        "heads": _heads(summary),
    }
    return {name: "\n".join(lines) for name, lines in tables.items()}


def _over_seeds(folder: Path) -> Mapping[str, Any]:
    """The summary of all seeds on the first base, scored again; embeddings come from the cache."""
    runs = sorted(folder.resolve().glob("run-base0-seed*"))
    if len(runs) < 2:
        raise SystemExit(
            f"{folder} holds one seed only: run `figclip quickstart` with --full or other --seed"
        )
    # Here, as they load torch, which the tables of `--full` do without.
    from figclip.miniworld.stages import Workshop, evaluate_run
    from figclip.miniworld.summary import read_scores, summarise

    workshop = Workshop(path=folder.resolve(), on_progress=lambda *_: None)
    results = [evaluate_run(workshop, run, base=workshop.base(0)) for run in runs]
    return summarise(read_scores(workshop.tests, results), seed=0)


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """A page whose tables, each between `<!-- table: NAME -->` and `<!-- end -->`, are replaced.

    Raises:
        ValueError: a table has no place on the page.
    """
    for name, table in tables.items():
        before, begin, rest = page.partition(f"<!-- table: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not end:
            raise ValueError(f"the page has no place for the table {name!r}")
        page = f"{before}{begin}{table}\n{end}{after}"
    return page


def _detail(summary: Mapping[str, Any]) -> Iterator[str]:
    """Tests of detail, in natural sentences beside the template."""
    natural, training = "base | adapted | difference", "wording of training: base | adapted"
    yield f"| test | {natural} | {training} | difference |"
    yield "|---|---|---|---|---|---|---|"
    of = {(test["name"], test["wording"]): test for test in summary["tests"]}
    for name in [name for name, wording in of if wording == "natural"]:
        yield _row(name, of[name, "natural"], of[name, "template"])
    natural, template = summary["detail"], summary["detail_template"]
    yield _row("mean of detail", natural, template, bold=True)
    yield _row(NEW, natural["held_out"], template["held_out"])


def _kept(summary: Mapping[str, Any]) -> Iterator[str]:
    """Tests of what must be kept."""
    yield "| kept | base | adapted | difference |"
    yield "|---|---|---|---|"
    yield from (_row(test["name"], test) for test in summary["tests"] if not test["wording"])
    yield _row("mean of kept", summary["semantic"], bold=True)
    yield _row(NEW, summary["semantic"]["held_out"])


def _runs(summary: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Means of every run, and the strength that it chose."""
    yield "| run, strength | detail, natural | detail, wording of training | kept |"
    yield "|---|---|---|---|"
    for seed, means in zip(summary["seeds"], summary["by_seed"], strict=True):
        yield _run(f"seed {seed}, {_strength(folder, base=0, seed=seed)}", means)
    controls = dict(summary["controls"])
    second = controls.pop(SECOND_BASE)
    for seed, means in zip(second["seeds"], second["by_seed"], strict=True):
        yield _run(f"second base, seed {seed}, {_strength(folder, base=1, seed=seed)}", means)
    for control, means in controls.items():
        # A control is scored at the strength of what it controls.
        yield _run(f"{control}, {_strength(folder, base=0, seed=summary['seeds'][0])}", means)


def _curves(summary: Mapping[str, Any]) -> Iterator[str]:
    """Detail and what is kept over the strength, held to the base and not.

    Where a point of the first curve lies between two of the second, or the base, in what is kept,
    the last column says what the second has there, on the line between them.
    """
    held, alone = summary["curves"].values()
    yield "| | strength | detail, natural | kept | strength alone at as much kept |"
    yield "|---|---|---|---|---|"
    for name, points in summary["curves"].items():
        for one in points:
            there = _between(alone, one["semantic"]["difference"]) if points is held else None
            cells = [name, f"{one['alpha']:g}", _gain(one["detail"]), _gain(one["semantic"])]
            yield f"| {' | '.join(cells)} | {'–' if there is None else _points(there)} |"


def _between(points: Sequence[Mapping[str, Any]], kept: float) -> float | None:
    """Detail on the lines from the base from point to point; None beyond them."""
    places = [(0.0, 0.0)]
    places += [(one["semantic"]["difference"], one["detail"]["difference"]) for one in points]
    for (kept_0, detail_0), (kept_1, detail_1) in pairwise(places):
        if kept_1 <= kept <= kept_0 and kept_1 < kept_0:
            return detail_0 + (detail_1 - detail_0) * (kept - kept_0) / (kept_1 - kept_0)
    return None


def _heads(summary: Mapping[str, Any]) -> Iterator[str]:
    """Scores of heads; where there is one, of the head on the contextualizer's outputs."""
    yield "| score | base | adapted | difference | contextualizer | difference |"
    yield "|---|---|---|---|---|---|"
    tasks = summary["tasks"]
    for task in ("situations", "dense_captioning"):
        for name, score in tasks[task].items():
            if name in ("seeds", "by_seed"):
                continue
            title = f"{task.replace('_', ' ')}: {name}"
            context = tasks.get(f"{task}_context", {}).get(name)
            more = ("–", "–") if context is None else (_share(context["adapted"]), _gain(context))
            yield f"{_row(title, score)} {' | '.join(more)} |"


def _row(title: str, *compared: Compared, bold: bool = False) -> str:
    """A title, and base, adapted and difference of each comparison."""
    cells = [title]
    for one in compared:
        cells += [_share(one["base"]), _share(one["adapted"]), _gain(one)]
    mark = "**" if bold else ""
    return "| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |"


def _run(title: str, means: Mapping[str, Compared]) -> str:
    """The differences of one run."""
    return "| " + " | ".join([title, *(_gain(means[name]) for name in MEANS)]) + " |"


def _strength(folder: Path, *, base: int, seed: int) -> float:
    """What `--keep` chose."""
    return json.loads((folder / f"run-base{base}-seed{seed}/strength.json").read_text())["alpha"]


def _share(value: float) -> str:
    """In per cent."""
    return f"{100 * value:.1f}"


def _gain(compared: Compared) -> str:
    """The difference in points, and its interval."""
    ends = [compared["difference"], *(compared["interval"] or ())]
    difference, *interval = map(_points, ends)
    return f"{difference} [{', '.join(interval)}]" if interval else difference


def _points(difference: float) -> str:
    """A change in points."""
    return f"{100 * difference:+.1f}".replace("-", "−")


if __name__ == "__main__":
    main()

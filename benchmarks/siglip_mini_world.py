"""Does adaptation do to a SigLIP what it does to a CLIP? In the mini world, three seeds of each.

    python benchmarks/siglip_mini_world.py OUT [siglip] [clip]

Both families' mini models, pretrained alike, are adapted by the recipe `mini` to the same videos,
and scored on the same tests, whose seed is used for nothing else. The strength is the quickstart's:
the most detail that costs nothing of what must be kept. Finished runs are kept: the same command
goes on. Writes OUT/FAMILY.json, and prints the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from figclip.cli.options import quiet_libraries
from figclip.cli.progress import ProgressDisplay
from figclip.evaluation.results import EvaluationResult
from figclip.miniworld.stages import (
    Workshop,
    adapt_base,
    draw,
    evaluate_run,
    lay_out_base,
    mini_config,
    prepare_videos,
)
from figclip.miniworld.summary import MEANS, read_scores, summarise
from figclip.miniworld.world_files import WorldSize
from figclip.model.figclip import FiGCLIP
from figclip.runtime.cpu_settings import tune_for_cpu
from figclip.runtime.files import write_json

FAMILIES = ("siglip", "clip")
TESTS_SEED = 50
SEEDS = (51, 52, 53)
SIZE = WorldSize(valid=1, films=0, valid_films=0)
TITLES = {"detail": "detail, natural", "detail_template": "detail, template", "semantic": "kept"}


def main() -> None:
    """Runs what is missing, then prints a row for each mean and test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("families", nargs="*", metavar="FAMILY", default=FAMILIES)
    arguments = parser.parse_args()
    quiet_libraries()
    tune_for_cpu()
    found: dict[str, Mapping[str, Any]] = {}
    with ProgressDisplay() as display:
        for family in arguments.families:
            workshop = Workshop(
                path=arguments.out.resolve(), on_progress=display.update, family=family
            )
            found[family] = measured(workshop)
    for family, summary in found.items():
        print("\n".join(lines(family, summary)))


def measured(workshop: Workshop) -> dict[str, Any]:
    """The summary of a family's three runs, with their strengths."""
    base = workshop.base(0)
    for part in ("kept", "detail", "training"):
        draw(workshop, part, size=SIZE, evaluation_seed=TESTS_SEED)
    lay_out_base(base, 0, family=workshop.family)
    prepare_videos(workshop)
    runs = [workshop.path / f"run-{workshop.family}-seed{seed}" for seed in SEEDS]
    results: list[EvaluationResult] = []
    for run, seed in zip(runs, SEEDS, strict=True):
        adapt_base(workshop, run, config=mini_config(base, seed=seed))
        results.append(evaluate_run(workshop, run, base=base))
    summary = {
        **summarise(read_scores(workshop.tests, results), seed=0),
        "seeds": list(SEEDS),
        "strengths": [FiGCLIP.from_pretrained(run).alpha for run in runs],
        "by_seed": [
            {name: summarise(read_scores(workshop.tests, [one]), seed=0)[name] for name in MEANS}
            for one in results
        ],
    }
    write_json(workshop.path / f"{workshop.family}.json", summary)
    return summary


def lines(family: str, summary: Mapping[str, Any]) -> Iterator[str]:
    """Base, adapted and their difference with its interval, in points."""
    yield f"| {family}, strengths {json.dumps(summary['strengths'])} | base | adapted | gain |"
    yield "|---|---|---|---|"
    named = {TITLES[name]: summary[name] for name in MEANS}
    named |= {f"{one['name']}, {one['wording'] or 'kept'}": one for one in summary["tests"]}
    for title, one in named.items():
        low, high = (100 * value for value in one["interval"])
        yield (
            f"| {title} | {100 * one['base']:.1f} | {100 * one['adapted']:.1f} "
            f"| {100 * one['difference']:+.1f} [{low:+.1f}, {high:+.1f}] |"
        )


if __name__ == "__main__":
    main()

"""figclip quickstart: the whole path on the mini world."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from figclip.cli.options import going_on, quiet_libraries
from figclip.cli.terminal import say
from figclip.errors import ConfigError

_MEANS = {
    "detail": "detail, natural sentences",
    "detail_template": "detail, wording of training",
    "semantic": "kept",
}

_COMING = (
    "Coming: draw the tests, score the base (its numbers come within a minute), draw and prepare\n"
    "videos, adapt, score again, write a report. Four to six minutes on two cores."
)
_MORE = "One seed. --full adds two more, a second base, heads and controls: an hour or two."


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the adaptation.")] = 0,
    full: Annotated[
        bool,
        typer.Option("--full", help="Three seeds, two bases, heads, controls; an hour or two."),
    ] = False,
) -> None:
    """Draw the mini world, adapt the mini CLIP to it, compare with its base, write a report.

    Example: figclip quickstart --out quickstart

    Minutes on a CPU. Interrupted, it goes on where it stopped. What is drawn, what the base has
    learnt and what the tests ask is in docs/mini_world.md.
    """
    from figclip.cli.progress import ProgressDisplay

    if full and seed:
        raise ConfigError("--full runs seeds 0, 1 and 2", where="--seed", fix="Leave --seed out")
    quiet_libraries()
    from figclip.miniworld.quickstart import run_full, run_quickstart

    def warn(notice: str) -> None:
        display.say(f"Warning: {notice}")

    with ProgressDisplay() as display, going_on():
        if full:
            result = run_full(out, on_progress=display.update, on_notice=warn)
        else:
            display.say(_COMING)
            result = run_quickstart(
                out,
                seed=seed,
                on_progress=display.update,
                on_base=lambda means: display.say(_base_line(means)),
                on_notice=warn,
            )
    for line in _table(result.summary):
        say(line)
    seeds = result.summary["seeds"]
    if len(seeds) == 1:
        say(_MORE)
    elif not full:
        say(f"Summary and report stay those of --full, seeds {', '.join(map(str, seeds))}.")
    say(f"Model (load it with transformers or figclip): {result.run / 'model'}")
    say(f"Results: {result.run / 'eval'}")
    say(f"Report (open it in a browser): {result.report.resolve().as_uri()}")


def _base_line(means: Mapping[str, float]) -> str:
    """What the base scores, in per cent."""
    scores = ", ".join(f"{_MEANS[name]} {100 * mean:.1f} %" for name, mean in means.items())
    chance = " Chance in most of these tests is 50 %." if "detail" in means else ""
    return f"The base scores: {scores}.{chance}"


def _table(summary: Mapping[str, Any]) -> list[str]:
    """Base, adapted, difference and interval: of each test, of the means, of other runs."""
    lines = [f"{'':<50}{'base':>7}{'adapted':>9}{'points':>8}   95 % interval"]
    for test in summary["tests"]:
        wording = f", {test['wording']}" if test["wording"] else ""
        lines.append(_row(f"{test['name']}{wording}", test))
    lines.append("")
    lines += [_row(f"mean: {title}", summary[name]) for name, title in _MEANS.items()]
    for name, title in _MEANS.items():
        lines.append(_row(f"mean, new combinations: {title}", summary[name]["held_out"]))
    for task, scores in summary["tasks"].items():
        lines.append("")
        rows = {name: score for name, score in scores.items() if name not in ("seeds", "by_seed")}
        lines += [_row(f"{task}: {name}", score) for name, score in rows.items()]
    for other, means in summary["controls"].items():
        lines += [_row(f"{other}: {title}", means[name]) for name, title in _MEANS.items()]
    return lines


def _row(title: str, compared: Mapping[str, Any]) -> str:
    """A row, in per cent."""
    interval = "-"
    if compared["interval"] is not None:
        low, high = compared["interval"]
        interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
    return (
        f"{title:<50}{100 * compared['base']:7.1f}{100 * compared['adapted']:9.1f}"
        f"{100 * compared['difference']:+8.1f}   {interval}"
    )

"""figclip report: one page about a run, or about several."""

from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.options import going_on, quiet_libraries
from figclip.cli.terminal import say
from figclip.errors import ConfigError


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…",
            help="Run folder of `figclip adapt` or `figclip finetune`; several of `adapt` are put "
            "side by side.",
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PATH[,…]",
            help="True and false captions that `figclip eval` scored, to show clips of; annotated "
            "events or dense captions, to show what heads say; may be repeated.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Frame store of the run, to show captions, and events of heads."),
    ] = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run of `figclip finetune` on this run, for the same page; may be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file; default: RUN/report.html, of several runs comparison.html."),
    ] = None,
) -> None:
    """Write a page about a run, or about several: one file that opens without network.

    Example: figclip report runs/mine --data pairs:pairs.jsonl,videos=clips --store frames.store

    Of several runs it shows what was set differently, scores, curves and costs side by side, and
    with --data clips on which they disagree.

    It is made from the files of the run and of its eval folder; no model is loaded. The page names
    what is missing. For a run of `figclip finetune` it shows scores, training, and events beside
    what the heads say about them.
    """
    quiet_libraries()
    from figclip.evaluation.sources import parse_source
    from figclip.reporting.report import write_comparison, write_report

    sources = [parse_source(one) for one in data or ()]
    if len(runs) > 1 and (store is not None or heads):
        raise ConfigError(
            "--store and --heads belong to one run",
            where=" ".join(map(str, runs)),
            fix="Leave them out, or give one run",
        )
    with going_on():
        if len(runs) > 1:
            file = write_comparison(runs, data=sources, out=out or Path("comparison.html"))
        else:
            file = write_report(runs[0], data=sources, store=store, heads=heads or (), out=out)
    say(f"Report: {file} ({file.stat().st_size / 1000:,.0f} kB)")

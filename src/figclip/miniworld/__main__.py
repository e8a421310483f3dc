"""`python -m figclip.miniworld OUT`: pretrains a model of the mini world."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figclip.errors import FigclipError
from figclip.runtime.cpu_settings import tune_for_cpu

if TYPE_CHECKING:
    from figclip.training.loop import StepReport

_REPORT_EVERY = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the command line; 0 when done, 1 when interrupted or refused."""
    parser = argparse.ArgumentParser(prog="python -m figclip.miniworld", description=__doc__)
    parser.add_argument("out", type=Path, help="folder; the same again goes on where it stopped")
    parser.add_argument("--family", choices=["clip", "siglip"], default="clip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw stills")
    arguments = parser.parse_args(argv)
    tune_for_cpu()
    from figclip.miniworld.pretraining import PLANS, pretrain  # torch, after the settings

    try:
        settings = {"seed": arguments.seed, "workers": arguments.workers}
        plan = PLANS[arguments.family]
        model = pretrain(arguments.out, plan=plan, on_step=show_step, **settings)
    except FigclipError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {model}" if model else "interrupted: the same command goes on")
    return 0 if model else 1


def show_step(phase: str, report: StepReport) -> None:
    """A line now and then."""
    if report.validation is not None:
        said = " ".join(f"{name} {value:.3f}" for name, value in report.validation.items())
    elif report.loss is not None and report.step % _REPORT_EVERY == 0:
        said = f"loss {report.loss:.3f}, {report.step_s:.2f} s a step"
    else:
        return
    print(f"{phase} {report.step}/{report.num_steps}: {said}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

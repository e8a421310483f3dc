"""How much faster a second evaluation is than the first, which decodes and embeds everything.

    python benchmarks/second_evaluation.py MODEL --data NAME:PATH[,…] [--data …]

Takes the same --data as `figclip eval`. The cache is a new, empty folder that is removed
afterwards. Models are loaded, media are found and hashed, scores and intervals are computed each
time; starting Python and importing libraries is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import format_table
from figclip.evaluation.sources import parse_source


def main() -> None:
    """Evaluate three times and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--data", action="append", required=True)
    arguments = parser.parse_args()
    sources = [parse_source(text) for text in arguments.data]
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for run in ("first", "second", "third"):
            start = time.perf_counter()
            result = evaluate(
                arguments.model,
                data=sources,
                out=Path(folder) / run,
                cache=Path(folder) / "cache",
            )
            seconds.append(time.perf_counter() - start)
            print(f"{run} {seconds[-1]:8.2f} s  {seconds[0] / seconds[-1]:6.1f} x", flush=True)
        print(format_table(result))


if __name__ == "__main__":  # decoding starts processes that import this file again
    main()

"""What `figclip.runtime.cpu_settings` gains, on idle cores and beside work.

Measured are embedding and training of the mini CLIP.

    python benchmarks/cpu_settings.py [--rounds 3]

Each measurement is a process of its own, in turn with and without the settings; `busy` has another
process that computes without pause on one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

MODES = ("default", "tuned")
_BATCH, _REPEATS = 64, 20
_BUSY = "while True: pass"


def main() -> None:
    """Prints the table, or one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=MODES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        _measure(tuned=arguments.measure == "tuned")
        return
    print("| beside | settings | ms to embed a picture | ms to train on a pair |")
    print("|---|---|---|---|")
    for beside in ("nothing", "a busy process"):
        with _busy(beside != "nothing"):
            found = [{mode: _measured(mode) for mode in MODES} for _ in range(arguments.rounds)]
        for mode in MODES:
            columns = zip(*(one[mode] for one in found), strict=True)
            cells = " | ".join(_cell(column) for column in columns)
            print(f"| {beside} | {mode} | {cells} |", flush=True)


def _cell(values: tuple[float, ...]) -> str:
    """Median (lowest to highest)."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _measured(mode: str) -> tuple[float, ...]:
    """The numbers of a process."""
    free = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, __file__, "--measure", mode]
    done = subprocess.run(command, env=free, stdout=subprocess.PIPE, check=True, text=True)
    return tuple(map(float, done.stdout.split()))


@contextmanager
def _busy(is_busy: bool) -> Generator[None]:
    """Another process at work."""
    if not is_busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", _BUSY]) as other:
        try:
            yield
        finally:
            other.kill()


def _measure(*, tuned: bool) -> None:
    """Prints milliseconds a picture embedded, and a pair trained on."""
    if tuned:
        from figclip.runtime.cpu_settings import tune_for_cpu

        tune_for_cpu()
    from time import perf_counter

    import torch

    from figclip.miniworld.mini_models import load_mini_model

    clip = load_mini_model(0).clip
    torch.manual_seed(0)
    pixels = torch.randn(_BATCH, 3, 64, 64)
    tokens = torch.randint(5, 100, (_BATCH, 40))
    seconds: list[float] = []
    with torch.inference_mode():
        for _ in range(_REPEATS + 1):
            start = perf_counter()
            clip.get_image_features(pixel_values=pixels)
            seconds.append(perf_counter() - start)
    embedding = statistics.mean(seconds[1:])
    optimizer = torch.optim.AdamW(clip.parameters())
    seconds.clear()
    for _ in range(_REPEATS // 2 + 1):
        start = perf_counter()
        clip(input_ids=tokens, pixel_values=pixels, return_loss=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - start)
    training = statistics.mean(seconds[1:])
    print(1e3 * embedding / _BATCH, 1e3 * training / _BATCH)


if __name__ == "__main__":
    main()

"""What this machine can do at most: its matrix products, its memory.

Benchmarks show their own times beside these, so that "how far from the limit" is a number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

_PRODUCT_SIDE = 2048
_COPIED_FLOATS = 2**26
_LAYERS = 12


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product of m x k with k x n, of `batch` pairs at once."""

    m: int
    k: int
    n: int
    batch: int = 1

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.m * self.k * self.n


def product_seconds(counts: Mapping[Product, float], *, rounds: int = 3) -> float:
    """Seconds of so many products of each shape, into memory that is there.

    The matrices are those of twelve layers in turn, as in a network: no cache holds all of them.
    Counted is the fastest round of twelve.
    """
    return sum(
        count * _least(_products(shape), rounds) / _LAYERS for shape, count in counts.items()
    )


def gflops() -> float:
    """GFLOP/s at one large fixed product: what the machine gave in this hour."""
    shape = Product(_PRODUCT_SIDE, _PRODUCT_SIDE, _PRODUCT_SIDE)
    return shape.flops / _least(_product(shape), 5) / 1e9


def copied_gib_per_s() -> float:
    """GiB a second that memory is read and written with, by a copy that no cache holds."""
    source = torch.randn(_COPIED_FLOATS)
    target = torch.empty_like(source)
    return 2 * source.nbytes / 2**30 / _least(lambda: target.copy_(source), 5)


def describe() -> str:
    """One line for the head of a table."""
    return (
        f"this machine now: {gflops():.0f} GFLOP/s with {torch.get_num_threads()} threads, "
        f"{copied_gib_per_s():.1f} GiB/s"
    )


def spread(values: Iterable[float]) -> str:
    """Middle (lowest to highest)."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"


def _product(shape: Product) -> Callable[[], object]:
    """The product, into memory that is there."""
    lead = () if shape.batch == 1 else (shape.batch,)
    left, right = torch.randn(*lead, shape.m, shape.k), torch.randn(*lead, shape.n, shape.k)
    out = torch.empty(*lead, shape.m, shape.n)
    # A layer's weights lie as n x k.
    return lambda: torch.matmul(left, right.mT, out=out)


def _products(shape: Product) -> Callable[[], object]:
    """The same of each layer."""
    layers = [_product(shape) for _ in range(_LAYERS)]
    return lambda: [multiply() for multiply in layers]


def _least(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest round."""
    seconds: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

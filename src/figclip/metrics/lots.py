"""Draw items for a drawer so that the draw does not depend on who else is there.

A shared random generator gives every item other draws as soon as one item is missing. Here each
pair of a drawer and an item has a lot of its own, and the lowest lots win: someone who lacks a few
videos still draws the same of those that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt64

_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31


class Lots:
    """The lots of N items.

    Args:
        names: Names of the items. Equal names have equal lots; the earlier item is drawn first.
        seed: Other seeds give other lots.

    Source:
        Rendezvous hashing (Thaler and Ravishankar 1998). Bits are mixed as SplitMix64 does
        (Steele, Lea and Flood 2014).
    """

    def __init__(self, names: Sequence[str], *, seed: int) -> None:
        self._seed = seed
        self._key_N = np.array([_key(f"item/{name}") for name in names], np.uint64)

    def draw(
        self, drawer: str, *, allowed_N: Bool[np.ndarray, " N"], num_drawn: int
    ) -> Int64[np.ndarray, " _"]:
        """Positions of the items drawn, lowest lot first; each is as likely as any.

        Fewer than `num_drawn` are drawn where not so many are allowed.
        """
        (position_M,) = np.nonzero(allowed_N)
        lot_M = self._lots(drawer)[position_M]
        if num_drawn < len(lot_M):
            # Only these can be among the lowest: the rest need not be sorted.
            limit = np.partition(lot_M, num_drawn - 1)[num_drawn - 1]
            position_M, lot_M = position_M[lot_M <= limit], lot_M[lot_M <= limit]
        return position_M[np.argsort(lot_M, kind="stable")][:num_drawn]

    def _lots(self, drawer: str) -> UInt64[np.ndarray, " N"]:
        """A number for each item, as good as random."""
        lot_N = self._key_N ^ np.uint64(_key(f"drawer/{self._seed}/{drawer}"))
        for shift, multiplier in _ROUNDS:
            lot_N = (lot_N ^ (lot_N >> np.uint64(shift))) * np.uint64(multiplier)
        return lot_N ^ (lot_N >> np.uint64(_LAST_SHIFT))


def _key(name: str) -> int:
    """64 bits of a name."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)

"""Exact gradients through an encoder whose activations do not fit in memory at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Held:
    """How many of the last parts keep their whole graph, and how many before those a lean one.

    At least one keeps its graph: the one whose backward is computed does.
    """

    whole: int = 1
    lean: int = 0

    @classmethod
    def fitting(
        cls, num_parts: int, *, room_bytes: float, whole_bytes: float, lean_bytes: float | None
    ) -> "Held":
        """What fits and saves the most work; `lean_bytes` is None without lean graphs.

        A lean graph saves less work than a whole one, but takes far less: all parts get one first.
        """
        if lean_bytes is None:
            return Held(_within(room_bytes / whole_bytes, 1, num_parts))
        left = room_bytes - num_parts * lean_bytes
        whole = _within(left / (whole_bytes - lean_bytes), 1, num_parts)
        lean = _within((room_bytes - whole * whole_bytes) / lean_bytes, 0, num_parts - whole)
        return Held(whole, lean)


class GradientCache(Generic[Part]):
    """Embeddings of many inputs, encoded part by part, with the gradient of a one-shot forward.

    The first pass keeps the activations of the parts that are `held` only: the peak of memory. The
    caller builds any loss on `embeddings_ND`, whose rows are in the order of the parts, and calls
    its backward; `backward` then encodes each other part again, deterministically (no dropout), and
    passes its share of the gradient on. Parts with their whole graph are encoded once: with few
    parts this *is* the one-shot forward. Gradients are summed from the last part to the first, so
    that `held` changes no bit of them.

    `encode_lean` encodes to the same bits with a graph that holds less.

    Source:
        Gao et al., "Scaling deep contrastive learning batch size under memory limited setup",
        2021 (arXiv 2101.06983). Keeping graphs is ours.
    """

    def __init__(
        self,
        encode: Callable[[Part], Tensor],
        parts: Sequence[Part],
        *,
        held: Held = Held(),
        encode_lean: Callable[[Part], Tensor] | None = None,
    ) -> None:
        assert parts, "nothing to encode"
        assert held.whole > 0, "the last part is always kept"
        assert encode_lean or not held.lean, "no way to encode with a lean graph"
        self._encode = encode
        self._parts = parts
        last = max(0, len(parts) - held.whole)
        first = max(0, last - held.lean)
        with torch.no_grad():
            early = [encode(part).detach() for part in parts[:first]]
        self._kept = [encode_lean(part) for part in parts[first:last]] if encode_lean else []
        self._kept += [encode(part) for part in parts[last:]]
        rows = [*early, *(kept_ND.detach() for kept_ND in self._kept)]
        self._sizes = [len(part_ND) for part_ND in rows]
        self.embeddings_ND: Float[Tensor, "N D"] = torch.cat(rows).requires_grad_()

    def backward(self) -> None:
        """Propagate the gradient of `embeddings_ND` into the encoder's parameters; call it once."""
        gradient_ND = self.embeddings_ND.grad
        assert gradient_ND is not None, "call the loss's backward first"
        shares = gradient_ND.split(self._sizes)
        for part, share in zip(reversed(self._parts), reversed(shares), strict=True):
            # Popped: a part's activations are freed before the next one's gradient.
            rows_ND = self._kept.pop() if self._kept else self._encode(part)
            rows_ND.backward(share)


def _within(number: float, low: int, high: int) -> int:
    """The whole number below it, between two others."""
    return int(min(max(number, low), high))

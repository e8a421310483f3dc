"""Exact gradients through an encoder whose activations do not fit in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Part = TypeVar("Part")


class GradientCache(Generic[Part]):
    """Embeddings of many inputs, encoded part by part, with the gradient of a one-shot forward.

    The first pass keeps no activations; the caller builds any loss on `embeddings_ND` and calls
    its backward; `backward` then encodes each part again and passes its share of the gradient on.
    The last part keeps its graph from the first pass, so that it is encoded once: with a single
    part this *is* the one-shot forward.

    Args:
        encode: Embeds one part; deterministic (no dropout), as parts are encoded twice.
        parts: Inputs, in the order of the rows of the result; at least one.

    Source:
        Gao et al., "Scaling deep contrastive learning batch size under memory limited setup",
        2021 (arXiv 2101.06983). Keeping the last graph is ours.
    """

    def __init__(self, encode: Callable[[Part], Tensor], parts: Sequence[Part]) -> None:
        assert parts, "nothing to encode"
        self._encode = encode
        self._early_parts = parts[:-1]
        with torch.no_grad():
            early = [encode(part) for part in self._early_parts]
        self._last_ND = encode(parts[-1])
        self._sizes = [*(len(rows) for rows in early), len(self._last_ND)]
        self.embeddings_ND: Float[Tensor, "N D"] = torch.cat(
            [*early, self._last_ND.detach()]
        ).requires_grad_()

    def backward(self) -> None:
        """Propagate the gradient of `embeddings_ND` into the encoder's parameters."""
        gradient_ND = self.embeddings_ND.grad
        assert gradient_ND is not None, "call the loss's backward first"
        *early, last = gradient_ND.split(self._sizes)
        self._last_ND.backward(last)
        for part, share in zip(self._early_parts, early, strict=True):
            self._encode(part).backward(share)

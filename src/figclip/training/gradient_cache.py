"""Exact gradients through an encoder whose activations do not fit in memory at once."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Part = TypeVar("Part")


class GradientCache(Generic[Part]):
    """Embeddings of many inputs, encoded part by part, with the gradient of a one-shot forward.

    The first pass keeps the activations of the last `keep` parts only, at least one: the peak of
    memory. The caller builds any loss on `embeddings_ND`, whose rows are in the order of the parts,
    and calls its backward; `backward` then encodes each other part again, deterministically (no
    dropout), and passes its share of the gradient on. Kept parts are encoded once: with few parts
    this *is* the one-shot forward. Gradients are summed from the last part to the first, so that
    `keep` changes no bit of them.

    Source:
        Gao et al., "Scaling deep contrastive learning batch size under memory limited setup",
        2021 (arXiv 2101.06983). Keeping the last graphs is ours.
    """

    def __init__(
        self, encode: Callable[[Part], Tensor], parts: Sequence[Part], *, keep: int = 1
    ) -> None:
        assert parts, "nothing to encode"
        assert keep > 0, "the last part is always kept"
        self._encode = encode
        self._parts = parts
        with torch.no_grad():
            early = [encode(part) for part in parts[:-keep]]
        self._kept = [encode(part) for part in parts[-keep:]]
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

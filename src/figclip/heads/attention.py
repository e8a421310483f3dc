"""Rows as attention heads, and back."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def split_heads(rows_NLD: Float[Tensor, "N L D"], num_heads: int) -> Float[Tensor, "N H L E"]:
    """The H heads of each row, of width E = D / H."""
    return rows_NLD.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def join_heads(heads_NHLE: Float[Tensor, "N H L E"]) -> Float[Tensor, "N L D"]:
    """The rows of such heads."""
    return heads_NHLE.transpose(1, 2).flatten(2)

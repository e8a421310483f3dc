"""Small things that several tasks do with embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from figclip.errors import MetricError
from figclip.tasks.base import TextEmbedder


def embed_unique_texts(embedder: TextEmbedder, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
    """Embeddings of texts, each different one computed once."""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return embedder.embed_texts(list(row_of))[[row_of[text] for text in texts]]


def normalised_rows(row_ND: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
    """Rows of length 1; a mean has the direction of the sum, so sums will do.

    Raises:
        MetricError: a row is zero.
    """
    norm_N = np.linalg.norm(row_ND, axis=1)
    if not norm_N.all():
        raise MetricError(
            "an embedding is zero",
            where=f"row {int(np.argmin(norm_N))}",
            fix="Look at the model: it has no direction for this text or picture.",
        )
    return (row_ND / norm_N[:, None]).astype(np.float32)

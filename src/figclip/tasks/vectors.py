"""Small things that several tasks do with embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from figclip.tasks.base import TextEmbedder


def embed_unique_texts(embedder: TextEmbedder, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
    """Embeddings of texts, each different one computed once."""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return embedder.embed_texts(list(row_of))[[row_of[text] for text in texts]]


def normalised_rows(row_ND: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
    """Rows of length 1; a mean has the direction of the sum, so sums will do."""
    return (row_ND / np.linalg.norm(row_ND, axis=1, keepdims=True)).astype(np.float32)

"""What the tasks on images and whole videos share: which items are there, and embeddings."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Float32

from figclip.datasets.records import (
    ActionSet,
    CaptionedMedium,
    CompositionSet,
    Contrast,
    LabelledMedium,
    LeftOut,
    Medium,
    RetrievalSet,
)
from figclip.errors import MetricError
from figclip.tasks.base import ClipTextEmbedder, TextEmbedder
from figclip.video.stored import StoredClips

AnySet = TypeVar("AnySet", RetrievalSet, ActionSet, CompositionSet)
Item = TypeVar("Item", CaptionedMedium, LabelledMedium, Contrast)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSet(Generic[AnySet]):
    """A benchmark with those of its images and videos that are there."""

    benchmark: AnySet
    clips: StoredClips


def files_of(item: CaptionedMedium | LabelledMedium | Contrast) -> tuple[Medium, ...]:
    """The images and videos that an item is about."""
    return item.media if isinstance(item, Contrast) else (item.medium,)


def split_present(
    items: Iterable[Item], clips: StoredClips
) -> tuple[tuple[Item, ...], tuple[LeftOut, ...]]:
    """The items whose media are all there, and the others, which are left out."""
    present: list[Item] = []
    left_out: list[LeftOut] = []
    for item in items:
        reason = next((clips.absent[one] for one in files_of(item) if one in clips.absent), None)
        if reason is None:
            present.append(item)
        else:
            left_out.append(LeftOut(item=item.id, reason=reason))
    return tuple(present), tuple(left_out)


def count_media(media: Iterable[Medium]) -> dict[str, int]:
    """How many images and videos there are, by the plural of their kind."""
    kinds = Counter(medium.kind for medium in media)
    return {f"{kind}s": count for kind, count in kinds.items()}


def embed_media(
    embedder: ClipTextEmbedder, clips: StoredClips, media: Sequence[Medium]
) -> Float32[np.ndarray, "N D"]:
    """Embeddings of media that are there, each different clip embedded once."""
    clip_N = [clips.clip_of[medium] for medium in media]
    distinct = list(dict.fromkeys(clip_N))
    row_of = {clip_idx: row for row, clip_idx in enumerate(distinct)}
    return embedder.embed_clips(clips, distinct)[[row_of[clip_idx] for clip_idx in clip_N]]


def embed_unique_texts(embedder: TextEmbedder, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
    """Embeddings of texts, each different one computed once."""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return embedder.embed_texts(list(row_of))[[row_of[text] for text in texts]]


def normalised_rows(row_ND: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
    """Rows of length 1, as of a mean so of a sum; a `MetricError` if a row is zero."""
    norm_N = np.linalg.norm(row_ND, axis=1)
    if not norm_N.all():
        raise MetricError(
            "an embedding is zero",
            where=f"row {int(np.argmin(norm_N))}",
            fix="Look at the model: it has no direction for this text or picture.",
        )
    return (row_ND / norm_N[:, None]).astype(np.float32)

"""What the tasks on images and whole videos start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float32

from figclip.data.benchmarks.records import (
    ActionSet,
    CaptionedMedium,
    CompositionSet,
    Contrast,
    LabelledMedium,
    Medium,
    RetrievalSet,
)
from figclip.data.clips import StoredClips
from figclip.tasks.base import ClipTextEmbedder, LeftOut

AnySet = TypeVar("AnySet", RetrievalSet, ActionSet, CompositionSet)
Item = TypeVar("Item", CaptionedMedium, LabelledMedium, Contrast)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSet(Generic[AnySet]):
    """A benchmark with those of its images and videos that are there.

    Attributes:
        benchmark: All its items.
        clips: Their media.
    """

    benchmark: AnySet
    clips: StoredClips


@dataclass(frozen=True, slots=True)
class Present(Generic[Item]):
    """Items whose media are all there, and the others."""

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]


def split_present(
    items: Iterable[tuple[Item, Sequence[Medium]]], clips: StoredClips
) -> Present[Item]:
    """Set the items apart whose media are missing or unreadable.

    Args:
        items: Each with its media.
        clips: Which media are there.
    """
    present: list[Item] = []
    left_out: list[LeftOut] = []
    for item, media in items:
        reason = next((clips.absent[one] for one in media if one in clips.absent), None)
        if reason is None:
            present.append(item)
        else:
            left_out.append(LeftOut(item=item.id, reason=reason))
    return Present(tuple(present), tuple(left_out))


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

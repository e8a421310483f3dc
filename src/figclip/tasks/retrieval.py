"""Finding a video (or image) by its captions, and captions by a video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from figclip.annotations.captions import text_hash
from figclip.datasets.records import CaptionedMedium, RetrievalSet
from figclip.metrics.ranking import Places, hits_among, hits_at_k, median_rank
from figclip.metrics.retrieval import (
    DirectionScores,
    one_caption_scores,
    retrieve,
    several_captions_scores,
)
from figclip.tasks.base import (
    ClipTextEmbedder,
    Face,
    ItemScores,
    Score,
    Setting,
    TaskData,
    TextKind,
)
from figclip.tasks.media import MediaSet, count_media, embed_media, split_present

CUT_OFFS = (1, 5, 10)
HEADLINES = ("t2v R@1", "v2t R@1")
SMALL_GALLERY = 10
"""Recall at 1 among so many bounds what a strength may cost: about as many as classes of a small
set of labels, and steady. By recall at 1 among 2,000 the strengths that seven drawings of stills
chose were 0.20 apart, by this 0.04 (2026-11-28)."""
DUAL = "dual softmax "
_PLACES = ("ahead", "tied", "tied before")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalItems:
    """Items whose media are there."""

    media: MediaSet[RetrievalSet]
    items: tuple[CaptionedMedium, ...]
    captions: tuple[str, ...]
    item_of_caption_N: Int64[np.ndarray, " N"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Zero-shot retrieval with whole captions, both directions; a `tasks.base.Task`.

    `t2v`: a text searches among all videos; `v2t`: a video among all texts. Official scores are
    those of CLIP4Clip's code, whose ties add positions to its denominators. Corrected: a tie counts
    against the query, and videos with an equal caption answer each other's texts (four captions of
    MSR-VTT 1k-A stand for nine videos). Scores after a dual softmax need all queries at once, which
    is another task: they are in the result file under names of their own.
    """

    name: ClassVar[str] = "retrieval"
    face: ClassVar[Face] = "kept"
    texts_are: ClassVar[TextKind] = "sentences"

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What changes the scores."""
        return {"official": "CLIP4Clip's metrics.py", "ties": "corrected: against the query"}

    def load(self, source: MediaSet[RetrievalSet]) -> TaskData[RetrievalItems]:
        """Items whose media are there."""
        items, left_out = split_present(source.benchmark.items, source.clips)
        captions = tuple(caption for item in items for caption in item.captions)
        counts = {**count_media(one.medium for one in items), "captions": len(captions)}
        if num_equal := len(captions) - len({text_hash(caption) for caption in captions}):
            counts["captions that repeat another"] = num_equal
        if num_equal := len(items) - len({source.clips.clip_of[item.medium] for item in items}):
            counts["files equal to another"] = num_equal
        item_N = np.repeat(np.arange(len(items)), [len(item.captions) for item in items])
        asked = RetrievalItems(
            media=source, items=items, captions=captions, item_of_caption_N=item_N
        )
        return TaskData(items=asked, counts=counts, left_out=left_out, texts=captions)

    def score(
        self, embedder: ClipTextEmbedder, data: TaskData[RetrievalItems]
    ) -> tuple[ItemScores, ...]:
        """Ranks of all captions and all videos, plain and after a dual softmax."""
        items = data.items
        if not items.items:
            return ()
        medium_BD = embed_media(embedder, items.media.clips, [one.medium for one in items.items])
        text_ND = embedder.embed_texts(items.captions)
        ids = [one.id for one in items.items]
        owners = [items.items[i] for i in items.item_of_caption_N]
        first_N = np.searchsorted(items.item_of_caption_N, items.item_of_caption_N)
        text_ids = [f"{owner.id}#{i - first_N[i]}" for i, owner in enumerate(owners)]
        blocks: list[ItemScores] = []
        for prefix in ("", DUAL):
            found = retrieve(
                text_ND,
                medium_BD,
                video_of_text_N=items.item_of_caption_N,
                text_label_N=np.array([text_hash(one) for one in items.captions], np.int64),
                is_dual=prefix == DUAL,
            )
            texts, media = f"{prefix}t2v", f"{prefix}v2t"
            gallery = len(items.captions)
            has_one = gallery == len(items.items)
            blocks += [
                _block(texts, found.t2v, text_ids, owners, gallery=len(items.items)),
                _block(media, found.v2t, ids, items.items, gallery=gallery, has_chance=has_one),
            ]
        return tuple(blocks)

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Recalls, median and mean rank of each direction."""
        num_queries = {block.block: len(block.item_ids) for block in scores}
        summary: dict[str, Score] = {}
        for block in scores:
            is_dual = block.block.startswith(DUAL)
            has_several = block.block == "t2v" and num_queries["t2v"] > num_queries["v2t"]
            corrected = _corrected(block)
            official = corrected if is_dual else _official(block, has_several=has_several)
            for metric, value in corrected.items():
                summary[metric] = Score(
                    official=official[metric],
                    corrected=value,
                    unit="fraction" if "R@" in metric else "rank",
                    chance=block.chance.get(metric),
                    is_headline=metric in HEADLINES,
                    is_detail=is_dual,
                )
            small = _small(block.block)
            if not is_dual and small in block.values:
                summary[small] = Score(
                    official=float(block.values[small].mean()),
                    chance=1 / SMALL_GALLERY,
                    is_detail=True,
                    is_bound=True,
                )
        return summary


def _small(name: str) -> str:
    return f"{name} R@1 of {SMALL_GALLERY}"


def _block(
    name: str,
    scores: DirectionScores,
    ids: Sequence[str],
    owners: Sequence[CaptionedMedium],
    *,
    gallery: int,
    has_chance: bool = True,
) -> ItemScores:
    """A block of captions or media that search; chance is simple where each finds one item."""
    return ItemScores(
        block=name,
        item_ids=tuple(ids),
        group_ids=tuple(one.group for one in owners),
        values=_values(name, scores, gallery=gallery),
        chance={f"{name} R@{k}": k / gallery for k in CUT_OFFS if has_chance and k <= gallery},
    )


def _values(
    name: str, scores: DirectionScores, *, gallery: int
) -> dict[str, Float64[np.ndarray, " Q"]]:
    """Corrected hits and rank of each query, and what the official scores are made of."""
    # Recall at a k that no query could miss is left out.
    values = {
        f"{name} R@{k}": hits_at_k(scores.rank_Q, k=k) for k in CUT_OFFS if k == 1 or k < gallery
    }
    if gallery > SMALL_GALLERY:
        values[_small(name)] = hits_among(scores.rank_Q, gallery=gallery, drawn=SMALL_GALLERY)
    values[f"{name} mean rank"] = scores.rank_Q.astype(np.float64)
    places = scores.places
    counted = (places.ahead_Q, places.tied_Q, places.tied_before_Q)
    for kind, count_Q in zip(_PLACES, counted, strict=True):
        values[f"{name} {kind}"] = count_Q.astype(np.float64)
    return values


def _corrected(block: ItemScores) -> dict[str, float]:
    name, reported = block.block, ("R@", "mean rank")
    means = {
        metric: float(values.mean())
        for metric, values in block.values.items()
        if any(part in metric for part in reported) and metric != _small(name)
    }
    rank_Q = block.values[f"{name} mean rank"].astype(np.int64)
    return {**means, f"{name} median rank": median_rank(rank_Q)}


def _official(block: ItemScores, *, has_several: bool) -> dict[str, float]:
    """What CLIP4Clip's code reports; `has_several`: of texts that share their video."""
    name = block.block
    places = Places(*(block.values[f"{name} {kind}"].astype(np.int64) for kind in _PLACES))
    scores = several_captions_scores(places) if has_several else one_caption_scores(places)
    return {
        f"{name} R@1": scores.recall_1,
        f"{name} R@5": scores.recall_5,
        f"{name} R@10": scores.recall_10,
        f"{name} mean rank": scores.mean_rank,
        f"{name} median rank": scores.median_rank,
    }

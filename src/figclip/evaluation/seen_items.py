"""Items whose image or video a model has seen: those that chose it are left out.

Media are known by the content of their files: it does not matter in which data set, and under which
name, they come again. Items that a model was trained on are told, and left out on request.

It is a `DataError` if nothing would remain of data.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figclip.datasets.records import LeftOut
from figclip.errors import DataError
from figclip.evaluation.sources import Content, OpenedSource, files_of
from figclip.model.folder import SeenMedia, medium_hash
from figclip.video.stored import StoredVideos

SELECTED = "its image or video is among those that chose the strength of the model"
VALIDATED = "its image or video is among those that chose the checkpoint of the model"
TRAINED = "its image or video is among those that the model was trained on"
"""Why items are left out, in this order."""


def media_in(content: Content) -> frozenset[str]:
    """`medium_hash` of all images and videos that are there."""
    return frozenset(one for media in _media_of_items(content) for one in media)


def items_in(content: Content) -> Sequence[Any]:
    """Videos or items, each with an id and a group."""
    return content.records if isinstance(content, StoredVideos) else content.benchmark.items


def left_out_reason(
    media: Sequence[str], seen: SeenMedia, *, leave_out_trained: bool
) -> str | None:
    """Why an item is not reported; None for one that is.

    `media` are the `medium_hash` of its images and videos.
    """
    reasons = {
        SELECTED: seen.selected_on,
        VALIDATED: seen.validated_on,
        TRAINED: seen.trained_on if leave_out_trained else frozenset[str](),
    }
    return next((why for why, seen in reasons.items() if not seen.isdisjoint(media)), None)


def without_seen(
    source: OpenedSource, seen: SeenMedia, *, leave_out_trained: bool, where: str
) -> OpenedSource:
    """A source without the items that are not reported; the same if all are."""
    reasons = [
        left_out_reason(media, seen, leave_out_trained=leave_out_trained)
        for media in _media_of_items(source.content)
    ]
    if not any(reasons):
        return source
    gone = sorted(
        media
        for media, why in zip(_media_of_items(source.content), reasons, strict=True)
        if why is not None
    )
    return part_of(source, reasons, name=f"without {gone}", where=where)


def part_of(
    source: OpenedSource, reasons: Sequence[str | None], *, name: str, where: str
) -> OpenedSource:
    """Some items of a source; the others are left out with a reason.

    `reasons` has None for items that stay; `name` tells this part from others of the same source.

    Raises:
        DataError: nothing would remain.
    """
    content, items = source.content, items_in(source.content)
    split = split_items([item.id for item in items], reasons, where=where)
    if isinstance(content, StoredVideos):
        part = content.subset(split.kept)
    else:
        kept = tuple(items[i] for i in split.kept)
        benchmark: Any = dataclasses.replace(content.benchmark, items=kept)
        part = dataclasses.replace(content, benchmark=benchmark)
    return dataclasses.replace(
        source,
        content=part,
        left_out=(*source.left_out, *split.left_out),
        hash=part_hash(source.hash, name),
        notices=(*source.notices, *split.notices),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitItems:
    """Items that stay, and those that do not."""

    kept: tuple[int, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def notices(self) -> list[str]:
        """A sentence a reason: how many items are left out for it."""
        counts = Counter(one.reason for one in self.left_out)
        return [f"{count:,} left out: {reason}." for reason, count in counts.items()]


def split_items(ids: Sequence[str], reasons: Sequence[str | None], *, where: str) -> SplitItems:
    """Set those items apart that are left out.

    `reasons` has None for items that stay.
    """
    both = list(zip(ids, reasons, strict=True))
    split = SplitItems(
        kept=tuple(i for i, (_, why) in enumerate(both) if why is None),
        left_out=tuple(LeftOut(item=one, reason=why) for one, why in both if why is not None),
    )
    if split.kept:
        return split
    raise DataError(
        f"nothing of it is left: {'; '.join(one.removesuffix('.') for one in split.notices)}",
        where=where,
        fix="Give other data",
    )


def part_hash(whole: str, name: str) -> str:
    """Hash of a part of data, by the hash of the whole and what tells the part."""
    return hashlib.blake2b(f"{whole} {name}".encode(), digest_size=16).hexdigest()


def trained_items(content: Content, seen: SeenMedia) -> tuple[str, ...]:
    """Ids of the items that show an image or video that a model was trained on."""
    found = zip(items_in(content), _media_of_items(content), strict=True)
    return tuple(item.id for item, media in found if not seen.trained_on.isdisjoint(media))


def trained_notice(trained: Sequence[str], *, num_scored: int, test: str) -> list[str]:
    """Says how many of the scored items a model was trained on; nothing when none was."""
    if not trained:
        return []
    return [
        f"{test}: {len(trained):,} of the {num_scored:,} items scored show what the model was "
        "trained on: the scores say little about others. --leave-out-trained leaves these out."
    ]


def unknown_notices(seen_by: Mapping[str, SeenMedia]) -> list[str]:
    """Names the models whose training data are not known."""
    return [
        f"It is not known which images and videos {name} learnt from, as an earlier version wrote "
        "the folder: they may be among those scored."
        for name, seen in seen_by.items()
        if not seen.is_whole
    ]


def _media_of_items(content: Content) -> list[tuple[str, ...]]:
    """`medium_hash` of each item's images and videos that are there."""
    if isinstance(content, StoredVideos):
        return [(medium_hash(one),) for one in content.hash_of]
    clips = content.clips
    hash_of = {medium: medium_hash(clips.key_of[i]) for medium, i in clips.clip_of.items()}
    return [
        tuple(hash_of[medium] for medium in files_of(item) if medium in hash_of)
        for item in content.benchmark.items
    ]

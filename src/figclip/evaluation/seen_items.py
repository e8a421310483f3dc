"""Items whose image or video a model has seen: those that chose it are left out.

Media are known by the content of their files: it does not matter in which data set, and under which
name, they come again. Items that a model was trained on are told, and left out on request.

Of data that choose the strength of a model, one half of the groups selects and the other is
reported. Which half a group is in depends on its name alone, so it never changes sides: not with
files that come or go, not with seeds, nor with the preset.

It is a `DataError` if nothing would remain of data.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from figclip.datasets.records import LeftOut
from figclip.errors import DataError
from figclip.evaluation.plan import Work
from figclip.evaluation.sources import Content, OpenedSource
from figclip.model.folder import SeenMedia, medium_hash
from figclip.tasks.media import files_of
from figclip.video.store import StoreSpec
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
    """Why an item with images and videos of these hashes is not reported; None for one that is."""
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
    media_of_items = _media_of_items(source.content)
    reasons = [
        left_out_reason(media, seen, leave_out_trained=leave_out_trained)
        for media in media_of_items
    ]
    if not any(reasons):
        return source
    gone = sorted(media for media, why in zip(media_of_items, reasons, strict=True) if why)
    return part_of(source, reasons, name=f"without {gone}", where=where)


def part_of(
    source: OpenedSource, reasons: Sequence[str | None], *, name: str, where: str
) -> OpenedSource:
    """Some items of a source; the others are left out with a reason.

    `reasons` has None for items that stay; `name` tells this part from others of the same source.
    It is a `DataError` if nothing would remain.
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
    """Set those items apart that are left out, which have a reason."""
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
        return [(medium_hash(one),) for one in content.key_of]
    clips = content.clips
    hash_of = {medium: medium_hash(clips.key_of[i]) for medium, i in clips.clip_of.items()}
    return [
        tuple(hash_of[medium] for medium in files_of(item) if medium in hash_of)
        for item in content.benchmark.items
    ]


Half = Literal["selecting", "reported"]

_REASONS: dict[Half, str] = {
    "selecting": "it is in the half that is reported",
    "reported": "its half chose the strength of the model",
}
"""Why the other half's items are left out."""

CHOSE = (_REASONS["reported"], SELECTED)
"""Reasons of all items that are left out because they chose the strength."""


def half_of(group: str) -> Half:
    """The half that a group of items is in."""
    digest = hashlib.blake2b(group.encode(), digest_size=1, person=b"figclip halves").digest()
    return "reported" if digest[0] & 1 else "selecting"


def items_hash(content: Content) -> str:
    """Hash of items and of the files they are about: equal whatever frames and pixels are taken."""
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(content, StoredVideos):
        for text, video_hash in zip(content.record_texts(), content.key_of, strict=True):
            digest.update(f"{video_hash}{text}\n".encode())
        return digest.hexdigest()
    clips = content.clips
    for item in content.benchmark.items:
        files = [clips.key_of[clips.clip_of[one]] for one in files_of(item) if one in clips.clip_of]
        digest.update(f"{item!r}{files}\n".encode())
    return digest.hexdigest()


def groups_in(content: Content, half: Half) -> set[str]:
    """Groups of a half that have an item whose files are there."""
    if isinstance(content, StoredVideos):
        groups = {record.group for record in content.records}
    else:
        there = content.clips.clip_of
        groups = {
            item.group
            for item in content.benchmark.items
            if all(medium in there for medium in files_of(item))
        }
    return {group for group in groups if half_of(group) == half}


def selecting_half(work: Work) -> Work:
    """A task on the half that chooses."""
    return _cut(work, "selecting")


def reported_part(work: Work, seen: SeenMedia, *, leave_out_trained: bool) -> Work:
    """A task without what chose a model; unchanged if nothing of its data did.

    Data that chose are left without their selecting half; of any other data, items that show an
    image or video which chose are left out. It is a `DataError` if nothing remains.
    """
    if any(items_hash(one.content) in seen.selected_on for one in work.opened.values()):
        work = _cut(work, "reported")
    return unseen_part(work, seen, leave_out_trained=leave_out_trained)


def unseen_part(work: Work, seen: SeenMedia, *, leave_out_trained: bool) -> Work:
    """A task without the items that show an image or video which chose a model."""
    opened = {
        spec: without_seen(
            source, seen, leave_out_trained=leave_out_trained, where=str(work.source.path)
        )
        for spec, source in work.opened.items()
    }
    if all(source is work.opened[spec] for spec, source in opened.items()):
        return work
    return _with(work, opened)


def _cut(work: Work, half: Half) -> Work:
    """A task on one half of its data."""

    def cut(source: OpenedSource) -> OpenedSource:
        halves = [half_of(one.group) for one in items_in(source.content)]
        reasons = [None if one == half else _REASONS[half] for one in halves]
        return part_of(source, reasons, name=half, where=str(work.source.path))

    return _with(work, {spec: cut(source) for spec, source in work.opened.items()})


def _with(work: Work, opened: Mapping[StoreSpec, OpenedSource]) -> Work:
    """A task on parts of its data."""
    data = {spec: work.task.load(source.content) for spec, source in opened.items()}
    return dataclasses.replace(work, opened=opened, data=data)

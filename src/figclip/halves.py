"""Data that choose the strength of a model: one half of the groups selects, the other is reported.

Which half a group is in depends on its name alone, so it never changes sides: not with files that
come or go, not with seeds, nor with the preset. Other data may show the same images and videos:
these are known by their content, and left out of what is reported wherever they occur.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from figclip.data.benchmarks.records import (
    CaptionedMedium,
    Contrast,
    LabelledMedium,
    Medium,
)
from figclip.data.frames import StoreSpec
from figclip.data.serialisation import record_to_json
from figclip.data.stored_videos import StoredVideos
from figclip.errors import DataError
from figclip.opened_sources import Content, OpenedSource
from figclip.scoring import Work
from figclip.tasks.base import LeftOut

Half = Literal["selecting", "reported"]

_REASONS: dict[Half, str] = {
    "selecting": "it is in the half that is reported",
    "reported": "its half chose the strength of the model",
}
"""Why the other half's items are left out."""

SEEN = "its image or video is among those that chose the strength of the model"
"""Why items of other data are left out."""

CHOSE = (_REASONS["reported"], SEEN)
"""Reasons of all items that are left out because they chose."""


def half_of(group: str) -> Half:
    """The half that a group of items is in."""
    digest = hashlib.blake2b(group.encode(), digest_size=1, person=b"figclip halves").digest()
    return "reported" if digest[0] & 1 else "selecting"


def items_hash(content: Content) -> str:
    """Hash of items and of the files they are about: equal whatever frames and pixels are taken.

    Returns:
        32 hex digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(content, StoredVideos):
        for record, video_hash in zip(content.records, content.hash_of, strict=True):
            digest.update(f"{video_hash}{record_to_json(record)}\n".encode())
        return digest.hexdigest()
    clips = content.clips
    for item in content.benchmark.items:
        files = [clips.key_of[clips.clip_of[one]] for one in _media(item) if one in clips.clip_of]
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
            if all(medium in there for medium in _media(item))
        }
    return {group for group in groups if half_of(group) == half}


def media_in(content: Content) -> frozenset[str]:
    """Hashes of all images and videos that are there, by the content of their files.

    Returns:
        16 hex digits each: short, as a model folder may hold thousands. Of a part of an image it
        is that of the whole image.
    """
    return frozenset(one for media in _hashes(content) for one in media)


def selecting_half(work: Work) -> Work:
    """A task on the half that chooses."""
    return _cut(work, "selecting")


def reported_half(work: Work, *, selected_on: Collection[str]) -> Work:
    """A task without what chose a strength; unchanged if nothing of its data did.

    Data that chose are left without their selecting half; of any other data, items that show an
    image or video which chose are left out.

    Args:
        work: The task.
        selected_on: `items_hash` of the data that chose a strength, and `media_in` of what chose.

    Raises:
        DataError: nothing would remain.
    """
    if any(items_hash(one.content) in selected_on for one in work.opened.values()):
        work = _cut(work, "reported")
    chose = frozenset(selected_on)
    if any(chose & media_in(one.content) for one in work.opened.values()):
        return _without_seen(work, chose)
    return work


def _cut(work: Work, half: Half) -> Work:
    """A task on one half of its data."""
    return _with(
        work,
        {
            spec: _part(
                source,
                [half_of(one.group) == half for one in _items(source.content)],
                name=half,
                reason=_REASONS[half],
            )
            for spec, source in work.opened.items()
        },
    )


def _without_seen(work: Work, chose: frozenset[str]) -> Work:
    """A task without the items that show an image or video which chose."""
    opened: dict[StoreSpec, OpenedSource] = {}
    for spec, source in work.opened.items():
        is_kept = [chose.isdisjoint(media) for media in _hashes(source.content)]
        if not any(is_kept):
            raise DataError(
                "nothing is left to report: all that it shows chose the strength of the model",
                where=str(work.source.path),
                fix="Test on other data",
            )
        name = f"without {sorted(chose & media_in(source.content))}"
        opened[spec] = _part(source, is_kept, name=name, reason=SEEN)
    return _with(work, opened)


def _with(work: Work, opened: Mapping[StoreSpec, OpenedSource]) -> Work:
    """A task on parts of its data."""
    data = {spec: work.task.load(source.content) for spec, source in opened.items()}
    return dataclasses.replace(work, opened=opened, data=data)


def _part(source: OpenedSource, is_kept: Sequence[bool], *, name: str, reason: str) -> OpenedSource:
    """Some items of a source; the others are left out with a reason."""
    content, items = source.content, _items(source.content)
    kept = [i for i, one in enumerate(is_kept) if one]
    if isinstance(content, StoredVideos):
        part = content.subset(kept)
    else:
        benchmark: Any = dataclasses.replace(content.benchmark, items=tuple(items[i] for i in kept))
        part = dataclasses.replace(content, benchmark=benchmark)
    dropped = [item.id for item, one in zip(items, is_kept, strict=True) if not one]
    digest = hashlib.blake2b(f"{source.hash} {name}".encode(), digest_size=16)
    return dataclasses.replace(
        source,
        content=part,
        left_out=(*source.left_out, *(LeftOut(item=one, reason=reason) for one in dropped)),
        hash=digest.hexdigest(),
        notices=(*source.notices, f"{len(dropped):,} left out: {reason}."),
    )


def _items(content: Content) -> Sequence[Any]:
    """Videos or items, each with an id and a group."""
    return content.records if isinstance(content, StoredVideos) else content.benchmark.items


def _hashes(content: Content) -> list[tuple[str, ...]]:
    """Of each item, hashes of its images and videos that are there."""
    if isinstance(content, StoredVideos):
        return [(_medium_hash(one),) for one in content.hash_of]
    clips = content.clips
    hash_of = {medium: _medium_hash(clips.key_of[i]) for medium, i in clips.clip_of.items()}
    return [
        tuple(hash_of[medium] for medium in _media(item) if medium in hash_of)
        for item in content.benchmark.items
    ]


def _medium_hash(key: str) -> str:
    """Of a clip's key, `decoding.clip_key`, or of a video's hash."""
    file_hash = key.partition("#")[0]
    return hashlib.blake2b(file_hash.encode(), digest_size=8).hexdigest()


def _media(item: CaptionedMedium | LabelledMedium | Contrast) -> tuple[Medium, ...]:
    """The images and videos that an item is about."""
    return item.media if isinstance(item, Contrast) else (item.medium,)

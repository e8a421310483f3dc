"""Data that choose the strength of a model: one half of the groups selects, the other is reported.

Which half a group is in depends on its name alone, so it never changes sides: not with files that
come or go, not with seeds, nor with the preset.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Sequence
from typing import Any, Literal

from figclip.data.benchmarks.records import (
    CaptionedMedium,
    Contrast,
    LabelledMedium,
    Medium,
)
from figclip.data.serialisation import record_to_json
from figclip.data.stored_videos import StoredVideos
from figclip.opened_sources import Content, OpenedSource
from figclip.scoring import Work
from figclip.tasks.base import LeftOut

Half = Literal["selecting", "reported"]

_REASONS: dict[Half, str] = {
    "selecting": "it is in the half that is reported",
    "reported": "its half chose the strength of the model",
}
"""Why the other half's items are left out."""


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


def selecting_half(work: Work) -> Work:
    """A task on the half that chooses."""
    return _cut(work, "selecting")


def reported_half(work: Work, *, selected_on: Collection[str]) -> Work:
    """A task without the half that chose; unchanged if its data chose nothing.

    Args:
        work: The task.
        selected_on: `items_hash` of the data that chose a strength.
    """
    if any(items_hash(one.content) in selected_on for one in work.opened.values()):
        return _cut(work, "reported")
    return work


def _cut(work: Work, half: Half) -> Work:
    """A task on one half of its data."""
    opened = {spec: _half(source, half) for spec, source in work.opened.items()}
    data = {spec: work.task.load(source.content) for spec, source in opened.items()}
    return dataclasses.replace(work, opened=opened, data=data)


def _half(source: OpenedSource, half: Half) -> OpenedSource:
    """One half of a source; the other one is left out with a reason."""
    content = source.content
    if isinstance(content, StoredVideos):
        kept = [i for i, one in enumerate(content.records) if half_of(one.group) == half]
        dropped = [one.id for one in content.records if half_of(one.group) != half]
        part = content.subset(kept)
    else:
        items: Sequence[Any] = content.benchmark.items
        dropped = [one.id for one in items if half_of(one.group) != half]
        benchmark: Any = dataclasses.replace(
            content.benchmark, items=tuple(one for one in items if half_of(one.group) == half)
        )
        part = dataclasses.replace(content, benchmark=benchmark)
    digest = hashlib.blake2b(f"{source.hash} {half}".encode(), digest_size=16)
    reason = _REASONS[half]
    return dataclasses.replace(
        source,
        content=part,
        left_out=(*source.left_out, *(LeftOut(item=one, reason=reason) for one in dropped)),
        hash=digest.hexdigest(),
        notices=(*source.notices, f"{len(dropped):,} left out: {reason}."),
    )


def _media(item: CaptionedMedium | LabelledMedium | Contrast) -> tuple[Medium, ...]:
    """The images and videos that an item is about."""
    return item.media if isinstance(item, Contrast) else (item.medium,)

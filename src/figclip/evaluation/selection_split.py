"""Data that choose the strength of a model: one half of the groups selects, the other is reported.

Which half a group is in depends on its name alone, so it never changes sides: not with files that
come or go, not with seeds, nor with the preset. Other data may show the same images and videos:
these are left out of what is reported wherever they occur, see `evaluation.seen_items`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Literal

from figclip.annotations.serialisation import record_to_json
from figclip.evaluation.plan import Work
from figclip.evaluation.seen_items import SELECTED, items_in, part_of, without_seen
from figclip.evaluation.sources import Content, OpenedSource, files_of
from figclip.model.folder import SeenMedia
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredVideos

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
        for record, video_hash in zip(content.records, content.hash_of, strict=True):
            digest.update(f"{video_hash}{record_to_json(record)}\n".encode())
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
    image or video which chose are left out.

    Raises:
        DataError: nothing would remain.
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
    opened: dict[StoreSpec, OpenedSource] = {}
    for spec, source in work.opened.items():
        halves = [half_of(one.group) for one in items_in(source.content)]
        reasons = [None if one == half else _REASONS[half] for one in halves]
        opened[spec] = part_of(source, reasons, name=half, where=str(work.source.path))
    return _with(work, opened)


def _with(work: Work, opened: Mapping[StoreSpec, OpenedSource]) -> Work:
    """A task on parts of its data."""
    data = {spec: work.task.load(source.content) for spec, source in opened.items()}
    return dataclasses.replace(work, opened=opened, data=data)

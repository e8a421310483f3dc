"""One video of the training data as the losses see it: frames, captions, hard negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figclip.config import RunConfig
from figclip.data.captions import TEMPLATES
from figclip.data.frames import FrameStore
from figclip.data.sampling import event_times_s
from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.data.texts import MASKED, TextTable, build_text_table
from figclip.errors import DataError
from figclip.records import Event
from figclip.reporting.json_files import damage_named
from figclip.reporting.previews import jpeg_address

MAX_EVENTS = 6
MAX_FRAMES = 4
MAX_NEGATIVES = 4
_SIDE_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedEvent:
    """One event.

    Attributes:
        start_s: Its start.
        end_s: Its end, exclusive.
        frames: The first `MAX_FRAMES` as `data:` addresses.
        caption: The dense caption.
        negatives: The first `MAX_NEGATIVES` texts that are false of it; masked ones left out.
    """

    start_s: float
    end_s: float
    frames: tuple[str, ...]
    caption: str
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedVideo:
    """A video of the training data; its first `MAX_EVENTS` events of `num_events`."""

    id: str
    num_events: int
    events: tuple[CaptionedEvent, ...]


def caption_training_video(
    store: Path, config: RunConfig, data: Mapping[str, Any], *, data_file: Path
) -> CaptionedVideo:
    """The first training video of a store, with the very texts of the run.

    Args:
        store: A frame store of the run.
        config: Of the run.
        data: Its `data.json`.
        data_file: Where that lies, for errors.

    Raises:
        StoreError: the store cannot be used, or holds other frames.
        DataError: no training video of the run is in the store, or `data.json` is damaged.
    """
    with damage_named(data_file):
        trained_on = set(map(str, data["train"]))
    videos = open_stored_videos([store], size=FrameStore.open(store).spec.size)
    train = [i for i, record in enumerate(videos.records) if record.id in trained_on]
    if not train:
        raise DataError(
            "holds no training video of the run",
            where=str(store),
            fix=f"{data_file} names the stores it was trained on",
        )
    videos = videos.subset(train)
    texts = build_text_table(
        videos.records,
        template=TEMPLATES[config.text.template],
        policy=config.text.negative_policy,
        verb_negatives=config.text.verb_negatives,
        filler_negatives_per_event=config.text.filler_negatives,
        seed=config.train.seed,
    )
    events = videos.records[0].annotations[0].events
    return CaptionedVideo(
        id=videos.records[0].id,
        num_events=len(events),
        events=tuple(
            _captioned(videos, texts, event_idx, event, config.data.frames_per_event)
            for event_idx, event in enumerate(events[:MAX_EVENTS])
        ),
    )


def _captioned(
    videos: StoredVideos, texts: TextTable, event_idx: int, event: Event, frames_per_event: int
) -> CaptionedEvent:
    """An event of the first video."""
    rows = texts.event_texts(0, 0)
    negatives = [texts.texts[row] for row in rows.negative_PK[event_idx] if row != MASKED]
    times_s = event_times_s(event, frames_per_event)[:MAX_FRAMES]
    return CaptionedEvent(
        start_s=event.start_s,
        end_s=event.end_s,
        frames=tuple(jpeg_address(one, max_px=_SIDE_PX) for one in videos.read(0, times_s)),
        caption=texts.texts[rows.caption_P[event_idx]],
        negatives=tuple(dict.fromkeys(negatives))[:MAX_NEGATIVES],
    )

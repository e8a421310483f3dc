"""What heads are trained on: features of events and of whole videos, and where these come from.

Sources are `heads.frozen_models` and `heads.feature_file`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from figclip.errors import CheckpointError
from figclip.evaluation.results import ModelColumn
from figclip.evaluation.sources import DataSource, OpenedSource
from figclip.heads.run import HeadInfo, has_seeds, is_head_run, read_head_info
from figclip.model.backbone import weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.folder import SeenMedia
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchItem
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredClips, StoredVideos

BASE, ADAPTED, CONTEXTUALIZER = "base", "adapted", "contextualizer"
FEATURES = "features"
"""Names of sources: the models, and a file."""


@dataclass(frozen=True, slots=True)
class EventFeatures:
    """Features of the events of every annotation that has any: [P, T, D] each, L2-normalised."""

    rows: Mapping[BatchItem, Float32[Tensor, "P T D"]]
    dim: int

    def padded(
        self, items: Sequence[BatchItem]
    ) -> tuple[Float32[Tensor, "B P T D"], Bool[Tensor, "B P T"]]:
        """Features of some annotations, and where they are there."""
        rows = [self.rows[item] for item in items]
        frames_BPTD = pad_sequence(rows, batch_first=True)
        masks = [torch.ones(row.shape[:2], dtype=torch.bool) for row in rows]
        return frames_BPTD, pad_sequence(masks, batch_first=True)


def with_events_only(videos: StoredVideos) -> StoredVideos:
    """The videos that have annotated events, with those annotations that hold them."""
    records = [
        replace(record, annotations=tuple(one for one in record.annotations if one.events))
        for record in videos.records
    ]
    whole = replace(videos, records=tuple(records))
    return whole.subset([i for i, record in enumerate(records) if record.annotations])


def list_annotations(videos: StoredVideos) -> list[BatchItem]:
    """All annotations that have events, video by video."""
    return [
        BatchItem(video_idx, annotation_idx)
        for video_idx, record in enumerate(videos.records)
        for annotation_idx, annotation in enumerate(record.annotations)
        if annotation.events
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSource(ABC):
    """Where features come from: a frozen model, which looks at videos, or a file of others.

    Attributes:
        name: `base`, `adapted` or `contextualizer`, whose frames go through the contextualizer; of
            a file `features`.
        info: What results say of it.
        spec: The pixels that it takes of videos; None of a file. Sources of one spec share videos.
        seen: What it was trained on, and what chose it.
        contextualizer: Through which frames go, if they do.
    """

    name: str
    info: ModelColumn
    spec: StoreSpec | None
    seen: SeenMedia = SeenMedia()
    contextualizer: VideoContextualizer | None = None

    @abstractmethod
    def open_events(
        self,
        data: DataSource,
        *,
        frames_per_event: int,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> OpenedSource:
        """The annotated videos of a split that it can give features of: `StoredVideos`."""

    @abstractmethod
    def event_features(self, videos: StoredVideos, *, frames_per_event: int) -> EventFeatures:
        """Features of all annotated events of videos that it opened."""

    @abstractmethod
    def open_clips(
        self,
        durations_s: Mapping[str, float],
        *,
        videos: Path | None,
        per_second: float,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> StoredClips:
        """Whole videos, of these by name and annotated duration, with the times of their frames."""

    @abstractmethod
    def clip_features(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> tuple[Float32[Tensor, "_ D"], ...]:
        """Features of all frames of some of the whole videos that it opened."""

    def unread(self, names: Collection[str]) -> tuple[str, ...]:
        """What is to be said of what it holds besides these videos."""
        return ()


def changed_models(info: HeadInfo, sources: Sequence[FeatureSource]) -> list[str]:
    """Names of the sources that are not those that the heads of a run were trained on."""
    before = {name: one.hash for name, one in info.models.items()}
    now = {one.name: one.info.hash for one in sources}
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if info.contextualizer not in (None, contextualizer_hash(sources)):
        changed.append(CONTEXTUALIZER)
    return changed


def check_models(run: Path, sources: Sequence[FeatureSource], *, task: str, model: str) -> None:
    """Refuse to go on with heads of other models or files, before anything is read of videos.

    Nor are heads of one seed written among those of several.
    """
    if has_seeds(run):
        raise CheckpointError(
            "holds the heads of several seeds",
            where=str(run),
            fix="Give --seeds, or choose another --out.",
        )
    if not is_head_run(run):
        return
    before = read_head_info(run)
    if before.task != task or changed_models(before, sources):
        raise CheckpointError(
            f"was started for {before.task} on other models or features than {model} is now",
            where=str(run),
            fix="Give the model as it was, or choose another --out.",
        )
    if said := other_precision(before, sources):
        raise CheckpointError(
            said, where=str(run), fix="Give --precision as it was, or choose another --out."
        )


def other_precision(info: HeadInfo, sources: Sequence[FeatureSource]) -> str:
    """In what other precision the heads of a run were trained; empty where it is the same.

    It is not known of runs of earlier versions, nor of files of features.
    """
    for one in sources:
        before = info.models[one.name].precision if one.name in info.models else ""
        if before and before != one.info.precision:
            return f"was trained on features in {before}, and these are in {one.info.precision}"
    return ""


def contextualizer_hash(sources: Sequence[FeatureSource]) -> str | None:
    """`weights_hash` of the contextualizer through which frames go; None without one."""
    found = (one.contextualizer for one in sources if one.contextualizer is not None)
    return next(map(weights_hash, found), None)

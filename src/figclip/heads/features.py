"""Load the frozen models that heads are trained on, and compute the features of events once.

The models are the base, the adapted CLIP, and the contextualizer on top of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from figclip.errors import CheckpointError
from figclip.evaluation.models import ColumnLoader
from figclip.evaluation.results import ModelColumn
from figclip.heads.run import HeadInfo, is_head_run, read_head_info
from figclip.model.backbone import weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.embedder import Embedder
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import SeenMedia
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchItem
from figclip.video.sampling import PRESETS, frame_times_s
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredFrames, StoredVideos

_VIDEOS_AT_ONCE = 64


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


def embed_event_frames(
    embedder: Embedder, videos: StoredVideos, *, frames_per_event: int
) -> EventFeatures:
    """Embeddings of the frames of all annotated events."""
    items = list_annotations(videos)
    frames: list[tuple[int, float]] = []
    counts: list[int] = []
    for item in items:
        annotation = videos.records[item.video_idx].annotations[item.annotation_idx]
        times_s = frame_times_s(annotation, frames_per_event=frames_per_event)
        frames += [(item.video_idx, time_s) for time_s in times_s]
        counts.append(len(times_s))
    embedded_FD = embed_each(embedder, videos, frames)
    parts = [part.unflatten(0, (-1, frames_per_event)) for part in embedded_FD.split(counts)]
    return EventFeatures(dict(zip(items, parts, strict=True)), embedded_FD.shape[1])


def embed_each(
    embedder: Embedder, reader: StoredFrames, frames: Sequence[tuple[int, float]]
) -> Float32[Tensor, "F D"]:
    """Embeddings of frames, L2-normalised; a frame that comes again is embedded once."""
    distinct = list(dict.fromkeys(frames))
    embedded_ND = torch.from_numpy(embedder.embed_frames(reader, distinct))
    row_of = {frame: row for row, frame in enumerate(distinct)}
    return embedded_ND[torch.tensor([row_of[frame] for frame in frames])]


@torch.no_grad()  # inference tensors could not be trained on
def contextualise(features: EventFeatures, contextualizer: VideoContextualizer) -> EventFeatures:
    """The contextualizer's output of each event, as its one frame (T = 1).

    The frames are those at strength 1, on which the contextualizer was trained.
    """
    device = next(contextualizer.parameters()).device
    items = list(features.rows)
    rows: dict[BatchItem, Tensor] = {}
    for start in range(0, len(items), _VIDEOS_AT_ONCE):
        part = items[start : start + _VIDEOS_AT_ONCE]
        frames_BPTD, mask_BPT = features.padded(part)
        contexts = contextualizer(frames_BPTD.to(device), frame_mask_BPT=mask_BPT.to(device))
        for item, event_PD in zip(part, contexts.event_BPD.cpu(), strict=True):
            rows[item] = event_PD[: len(features.rows[item]), None].clone()
    return EventFeatures(rows, features.dim)


BASE, ADAPTED, CONTEXTUALIZER = "base", "adapted", "contextualizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenModel:
    """A model as a source of features.

    Its name is `base`, `adapted` or `contextualizer`; the frames of the last go through its
    contextualizer. `spec` are the pixels it takes; `seen` is what it was trained on, and what chose
    it.
    """

    name: str
    info: ModelColumn
    embedder: Embedder
    spec: StoreSpec
    contextualizer: VideoContextualizer | None = None
    seen: SeenMedia = SeenMedia()

    def event_features(self, videos: StoredVideos, *, frames_per_event: int) -> EventFeatures:
        """Features of all annotated events."""
        features = embed_event_frames(self.embedder, videos, frames_per_event=frames_per_event)
        if self.contextualizer is None:
            return features
        return contextualise(features, self.contextualizer)


def load_frozen_models(
    model: str | Path,
    *,
    base: str | Path | None,
    cache: Path | None,
    device: str,
    on_progress: Progress | None,
) -> tuple[tuple[FrozenModel, ...], tuple[str, ...]]:
    """Base and adapted model, and the adapted one through its contextualizer where it has one.

    Returns:
        The models, base first (a plain CLIP is `adapted` alone), and what is to be said of them.
    """
    loader = ColumnLoader(
        model=model,
        base=base,
        preset=PRESETS["figclip"],
        cache=cache,
        device=device,
        on_progress=on_progress,
    )
    columns, notices = loader.load(alpha=None, scalable=False)
    frozen = [
        FrozenModel(name=name, info=one.info, embedder=one.events, spec=one.spec, seen=one.seen)
        for name, one in columns.items()
    ]
    if FiGCLIP.from_pretrained(model, device=device).contextualizer is not None:
        # Strength 1, on which the contextualizer was trained.
        trained = FiGCLIP.from_pretrained(model, alpha=1.0, base=base, device=device)
        adapted = frozen[-1]
        embedder = Embedder(
            trained.backbone,
            cache_file=None if cache is None else cache / "embeddings.sqlite",
            on_progress=None
            if on_progress is None
            else lambda done, total: on_progress("embedding (contextualizer)", done, total),
        )
        info = replace(adapted.info, hash=weights_hash(trained.backbone.clip), alpha=1.0)
        frozen.append(
            replace(
                adapted,
                name=CONTEXTUALIZER,
                info=info,
                embedder=embedder,
                contextualizer=trained.contextualizer,
            )
        )
    return tuple(frozen), tuple(notices)


def changed_models(info: HeadInfo, models: Sequence[FrozenModel]) -> list[str]:
    """Names of the models that are not those that the heads of a run were trained on."""
    before = {name: one.hash for name, one in info.models.items()}
    now = {one.name: one.info.hash for one in models}
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if info.contextualizer not in (None, contextualizer_hash(models)):
        changed.append(CONTEXTUALIZER)
    return changed


def check_models(run: Path, models: Sequence[FrozenModel], *, task: str, model: str | Path) -> None:
    """Refuse to go on with heads of other models, before anything is decoded or embedded."""
    if not is_head_run(run):
        return
    before = read_head_info(run)
    if before.task != task or changed_models(before, models):
        raise CheckpointError(
            f"was started for {before.task} on other models than {model} is now",
            where=str(run),
            fix="Give the model as it was, or choose another --out.",
        )


def contextualizer_hash(models: Sequence[FrozenModel]) -> str | None:
    """`weights_hash` of the contextualizer through which frames go; None without one."""
    found = (one.contextualizer for one in models if one.contextualizer is not None)
    return next(map(weights_hash, found), None)

"""The models whose frozen features heads are trained on: base, adapted, and its contextualizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from figclip.columns import ColumnLoader, Progress
from figclip.data.frames import StoreSpec
from figclip.data.stored_videos import StoredVideos
from figclip.embedding import Embedder
from figclip.errors import ModelError
from figclip.event_features import EventFeatures, contextualise, embed_event_frames
from figclip.head_files import HeadInfo
from figclip.model.backbone import weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.figclip import FiGCLIP
from figclip.presets import PRESETS
from figclip.results import ModelColumn

BASE, ADAPTED, CONTEXTUALIZER = "base", "adapted", "contextualizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenModel:
    """A model as a source of features.

    Attributes:
        name: `base`, `adapted` or `contextualizer`.
        info: Which model it is, at which strength.
        embedder: Embeds frames.
        spec: The pixels it takes.
        contextualizer: Through which the frames go; None for the frames themselves.
    """

    name: str
    info: ModelColumn
    embedder: Embedder
    spec: StoreSpec
    contextualizer: VideoContextualizer | None = None

    def event_features(self, videos: StoredVideos, *, frames_per_event: int) -> EventFeatures:
        """Features of all annotated events.

        Raises:
            StoreError: the stores lack a frame.
            ModelError: more events or frames than the contextualizer has positions.
        """
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

    Args:
        model: Hub id, model folder or run folder; at the strength it is merged at.
        base: Needed for a full fine-tune only.
        cache: Folder of embeddings; None keeps none.
        device: Where the models run.
        on_progress: Told how many frames are embedded.

    Returns:
        The models, base first (a plain CLIP is `adapted` alone), and what is to be said of them.

    Raises:
        ModelError: not a CLIP, damaged, or not of one base.
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
        FrozenModel(name=name, info=column.info, embedder=column.events, spec=column.spec)
        for name, column in columns.items()
    ]
    trained = _contextualized(model, base=base, device=device)
    if trained is not None:
        adapted = frozen[-1]
        embedder = Embedder(
            trained.backbone,
            cache_file=None if cache is None else cache / "embeddings.sqlite",
            on_progress=None
            if on_progress is None
            else lambda done, total: on_progress("embedding (contextualizer)", done, total),
        )
        info = ModelColumn(
            name=adapted.info.name, hash=weights_hash(trained.backbone.clip), alpha=1.0
        )
        frozen.append(
            FrozenModel(
                name=CONTEXTUALIZER,
                info=info,
                embedder=embedder,
                spec=adapted.spec,
                contextualizer=trained.contextualizer,
            )
        )
    return tuple(frozen), tuple(notices)


def load_models_of_head(
    info: HeadInfo, *, cache: Path | None, device: str, on_progress: Progress | None
) -> tuple[tuple[FrozenModel, ...], tuple[str, ...]]:
    """Those models whose features the heads of a run were trained on, as `load_frozen_models`.

    Raises:
        ModelError: a model is not the one that it was.
    """
    models, notices = load_frozen_models(
        info.model, base=info.base, cache=cache, device=device, on_progress=on_progress
    )
    chosen = tuple(one for one in models if one.name in info.models)
    hashes = {one.name: one.info.hash for one in chosen}
    for name, expected in info.models.items():
        if hashes.get(name) != expected.hash:
            raise ModelError(
                f"is not the model whose features ({name}) the head was trained on",
                where=info.model,
                fix="Put that model back, or fine-tune again.",
            )
    return chosen, notices


def _contextualized(model: str | Path, *, base: str | Path | None, device: str) -> FiGCLIP | None:
    """The model at strength 1, on which its contextualizer was trained; None without one."""
    merged = FiGCLIP.from_pretrained(model, device=device)
    if merged.contextualizer is None:
        return None
    return FiGCLIP.from_pretrained(model, alpha=1.0, base=base, device=device)

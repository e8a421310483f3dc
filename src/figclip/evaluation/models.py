"""The models of an evaluation, loaded and ready to embed: a column of the table each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from figclip.errors import ConfigError
from figclip.evaluation.results import ModelColumn
from figclip.model.backbone import weights_hash
from figclip.model.context_embedder import ContextEmbedder
from figclip.model.embedder import Embedder
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import SeenMedia
from figclip.model.pooling import Pooling, PoolingOption
from figclip.runtime.progress import Progress
from figclip.video.sampling import Preset
from figclip.video.store import StoreSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A model, ready to embed annotated events, and images and whole videos by the preset.

    `spec` are the pixels of events that it takes. `context` is None where the mean
    is what pools everything.
    """

    info: ModelColumn
    events: Embedder
    clips: Embedder
    spec: StoreSpec
    seen: SeenMedia = SeenMedia()
    context: ContextColumn | None = None

    def pooling(self, texts: Sequence[str], *, contrast: bool) -> Pooling:
        """How frames are pooled beside these texts; `contrast` as of `FiGCLIP.pooling_for`."""
        if self.context is None:
            return "mean"
        return self.context.pooling(texts, contrast=contrast)

    def embedder(self, pooling: Pooling, *, annotated: bool) -> Embedder | ContextEmbedder:
        """What embeds texts, and annotated events or images and whole videos."""
        if self.context is None or pooling == "mean":
            return self.events if annotated else self.clips
        in_context = self.context.events if annotated else self.context.clips
        return replace(in_context, pooling=pooling)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextColumn:
    """A model with its contextualizer, for the texts that `option` gives to it."""

    model: FiGCLIP
    option: PoolingOption
    events: ContextEmbedder
    clips: ContextEmbedder

    def pooling(self, texts: Sequence[str], *, contrast: bool) -> Pooling:
        """How frames are pooled beside these texts."""
        if self.option != "auto":
            return self.option
        return self.model.pooling_for(texts, contrast=contrast)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLoader:
    """Loads the models to compare: hub ids, model folders or run folders.

    `base` None is the model's own base; `preset` says how whole videos are looked at. `pooling` is
    the adapted model's; a base has no contextualizer.
    """

    model: str | Path
    base: str | Path | None
    preset: Preset
    cache: Path | None
    device: str
    on_progress: Progress | None
    pooling: PoolingOption = "mean"
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING

    def load(self, *, alpha: float | None, scalable: bool) -> tuple[dict[str, Column], list[str]]:
        """The models by the name of their column, base first, and what is to be said about them.

        `alpha` None is the strength as merged; `scalable` refuses a model that has none to vary.
        """
        adapted = self._at(alpha)
        if adapted.info is None and scalable:
            raise ConfigError(
                "is a plain CLIP, which has no strength to vary",
                where=str(self.model),
                fix="Leave --sweep-alpha out",
            )
        spec = _spec(adapted)
        if self.pooling in ("vc", "both"):
            adapted.require_contextualizer()
        base, notices = self._load_base(adapted)
        columns: dict[str, Column] = {}
        if base is not None:
            like = _spec(base).like(spec)
            columns["base"] = self._column("base", base, self.base or self.model, like)
        role = Path(self.model).name if base is None else "adapted"
        columns["adapted"] = self._column(role, adapted, self.model, spec)
        if not 0 <= adapted.alpha <= 1:
            notices.append(f"Strength {adapted.alpha:g} is beyond what was trained, 0 to 1.")
        expected = None if adapted.info is None else adapted.info.base_hash
        if self.base is not None and expected and columns["base"].info.hash != expected:
            notices.append(f"{self.base} is not the base that {self.model} was adapted from.")
        return columns, notices

    def at_strength(self, alpha: float) -> Column:
        """The model at a strength."""
        model = self._at(alpha)
        assert model.info is not None, "a plain CLIP has no strength"
        return self._column(f"alpha {alpha:g}", model, self.model, _spec(model))

    def _at(self, alpha: float | None) -> FiGCLIP:
        return self._loaded(self.model, alpha=alpha, base=self.base)

    def _loaded(
        self, model: str | Path, *, alpha: float | None = None, base: str | Path | None = None
    ) -> FiGCLIP:
        return FiGCLIP.from_pretrained(
            model, alpha=alpha, base=base, device=self.device, embedding=self.embedding
        )

    def _load_base(self, adapted: FiGCLIP) -> tuple[FiGCLIP | None, list[str]]:
        """What the model is compared with, or why with nothing."""
        if self.base is not None:
            return self._loaded(self.base), []
        if adapted.info is None:
            return None, [f"{self.model} is a plain CLIP: there is nothing to compare it with."]
        if adapted.info.adaptation == "full":
            hint = adapted.info.base or "DIR"
            return None, [f"{self.model} is a full fine-tune: give --base {hint} to compare it."]
        return self._loaded(self.model, alpha=0.0), []

    def _column(self, role: str, model: FiGCLIP, name: str | Path, spec: StoreSpec) -> Column:
        """A model ready to embed; `role` is for progress, and `base` is without context."""

        def report(done: int, total: int) -> None:
            if self.on_progress is not None:
                self.on_progress(f"embedding ({role})", done, total)

        embed = partial(
            Embedder,
            micro_batch=model.batch_size,
            cache_file=None if self.cache is None else self.cache / "embeddings.sqlite",
            on_progress=report,
        )
        embedder = embed(model.backbone)
        clips = embedder.with_preset(self.preset)
        context = None
        if role != "base" and self.pooling != "mean" and model.contextualizer is not None:
            trained = embed(model.trained)
            in_context = ContextEmbedder(
                model=model, pooling="vc", merged=embedder, trained=trained
            )
            context = ContextColumn(
                model=model,
                option=self.pooling,
                events=in_context,
                clips=replace(in_context, merged=clips, trained=trained.with_preset(self.preset)),
            )
        info = ModelColumn(
            # A folder's own name, not its path: results are passed on to others.
            name=model.backbone.name or Path(name).resolve().name,
            hash=weights_hash(model.backbone.clip),
            alpha=model.alpha,
            precision=model.backbone.resolved_precision,
        )
        return Column(
            info=info,
            events=embedder,
            clips=clips,
            spec=spec,
            seen=SeenMedia() if model.info is None else model.info.seen,
            context=context,
        )


def _spec(model: FiGCLIP) -> StoreSpec:
    """The pixels that a model takes of videos."""
    return StoreSpec(pipeline=model.video_pipeline.name, size=model.video_pipeline.size)

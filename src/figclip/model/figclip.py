"""The public model: any CLIP, adapted or not, at any strength of its adaptation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from figclip.errors import ModelError
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.contextualizer import Contexts, VideoContextualizer
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.folder import ModelInfo, read_info, resolve_model
from figclip.model.lora import interpolate, shift_strength
from figclip.model.pooling import Pooling, PoolingOption, mean_of_both
from figclip.runtime.memory import room_for_batch
from figclip.runtime.reading import DAMAGES
from figclip.video.container import video_duration_s
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.images import read_image
from figclip.video.pixels import PixelPipeline, image_to_pixels

FRAMES_PER_VIDEO = 20
"""The `figclip` preset: frames at the midpoints of 20 equal segments of a clip."""


class FiGCLIP:
    """Embeds images, videos and texts into one space: L2-normalised, on the CPU.

    Example:
        >>> from figclip import FiGCLIP
        >>> model = FiGCLIP.from_pretrained("runs/mine")  # doctest: +SKIP
        >>> model.encode_text(["a man pushes a woman"]).shape  # doctest: +SKIP
        torch.Size([1, 512])

    Attributes:
        backbone: The CLIP at strength `alpha`.
        alpha: Strength of the adaptation; 0 for a plain CLIP.
        info: Provenance and settings; None for a plain CLIP.
        trained: The CLIP at strength 1, whose frames the contextualizer was trained on.
        contextualizer: None without one.
        video_pipeline: How frames of videos become pixels.
        batch_size: Most frames, or texts, that pass through a tower at once.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        info: ModelInfo | None = None,
        alpha: float = 0.0,
        contextualizer: VideoContextualizer | None = None,
        trained: Backbone | None = None,
        batch_size: int = DEFAULT_EMBEDDING.batch_size,
    ) -> None:
        self.backbone = backbone
        self.info = info
        self.alpha = alpha
        self.contextualizer = contextualizer
        self.trained = trained or backbone
        size, own = backbone.preprocessing.image_size, backbone.preprocessing.pipeline
        self._image_pipeline = PixelPipeline(name=own, size=size)
        name = own if info is None else info.pixel_pipeline
        self.video_pipeline = PixelPipeline(name=name, size=size)
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        alpha: float | None = None,
        base: str | Path | None = None,
        device: str | torch.device = "cpu",
        embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    ) -> FiGCLIP:
        """Load a model.

        Args:
            model: Hub id, model folder or run folder.
            alpha: Strength of the adaptation: 0 base, 1 as trained; None: as merged.
            base: The base, needed only to scale a full fine-tune.
            device: Where it runs.
            embedding: Precision of the towers' products, and how many frames or texts pass through
                them at once.

        Raises:
            ModelError: not a CLIP, damaged, or `alpha` for a model that cannot be scaled.
        """
        source = resolve_model(str(model))
        backbone = load_backbone(source, precision=embedding.precision)
        info = read_info(Path(source)) if Path(source).is_dir() else None
        if info is None:
            if alpha is not None:
                raise ModelError(
                    "is a plain CLIP, there is no adaptation to scale",
                    where=source,
                    fix="Leave alpha out.",
                )
            return cls(backbone.to(device), batch_size=embedding.batch_size)
        if info.activation != backbone.activation:
            raise ModelError(
                f"was adapted with {info.activation}, but config.json says {backbone.activation}",
                where=source,
                fix="Correct hidden_act in config.json.",
            )
        strength = info.alpha if alpha is None else alpha
        scaled = _at_strength(backbone, info, strength, folder=Path(source), base=base)
        contextualizer = _load_contextualizer(Path(source), info, dim=backbone.dim)
        trained = None
        if contextualizer is not None and strength != 1.0:
            trained = _at_strength(backbone, info, 1.0, folder=Path(source), base=base).to(device)
        return cls(
            scaled.to(device),
            info=info,
            alpha=strength,
            contextualizer=None if contextualizer is None else contextualizer.to(device),
            trained=trained,
            batch_size=embedding.batch_size,
        )

    def encode_image(self, images: Sequence[Image.Image | str | Path]) -> Float32[Tensor, "N D"]:
        """Embed images.

        Raises:
            VideoError: a file that is not a picture, see `video.images.read_image`.
            ModelError: one image in place of a list.
        """
        _refuse_single(images, "images")
        opened = [read_image(Path(i)) if isinstance(i, (str, Path)) else i for i in images]
        pixels = [image_to_pixels(image, pipeline=self._image_pipeline) for image in opened]
        return self.encode_frames(np.stack(pixels)) if pixels else torch.empty(0, self.backbone.dim)

    def encode_video(
        self,
        paths: Sequence[str | Path],
        *,
        spans: Sequence[tuple[float, float] | None] | None = None,
        pooling: PoolingOption | None = None,
        texts: Sequence[str] = (),
    ) -> Float32[Tensor, "N D"]:
        """Embed videos, or spans of them, from 20 frames at segment midpoints.

        Args:
            paths: Video files.
            spans: One (start_s, end_s) per path, None for the whole video; None for all whole.
            pooling: `mean` of the frames; `vc`: the contextualizer's output, always at strength 1,
                as the contextualizer was trained on it; `both`: the mean of these; or `auto`, what
                fits the texts. None: as figclip.json says, `mean` for a plain CLIP.
            texts: What the videos are compared with, for `auto`; see `pooling_for`.

        Raises:
            VideoError: a video cannot be decoded at these times.
            ModelError: no contextualizer for this pooling, `auto` without texts, spans of
                another number, or one path in place of a list.
        """
        _refuse_single(paths, "paths")
        if spans is not None and len(spans) != len(paths):
            raise ModelError(f"got {len(paths)} paths but {len(spans)} spans")
        chosen = self._chosen_pooling(pooling, texts)
        rows = [
            self._encode_clip(path, span, chosen)
            for path, span in zip(paths, spans or [None] * len(paths), strict=True)
        ]
        return torch.stack(rows) if rows else torch.empty(0, self.backbone.dim)

    @property
    def long_pooling(self) -> Pooling:
        """What finds most for long texts; `mean` where that was not measured, too."""
        known = None if self.info is None else self.info.text_pooling
        return "mean" if known is None else known.long

    def pooling_for(self, texts: Sequence[str], *, contrast: bool = False) -> Pooling:
        """What `auto` means for texts that are compared with the same videos.

        Adaptation measures from how many words on which pooling is best; the median of the texts'
        words is what counts. `mean` where that was not measured. `contrast`: Texts are compared
        with each other, on one video at a time.
        """
        _refuse_single(texts, "texts")
        known = None if self.info is None else self.info.text_pooling
        return "mean" if known is None else known.fit(texts, contrast=contrast)

    def encode_text(self, texts: Sequence[str]) -> Float32[Tensor, "N D"]:
        """Embed texts; what does not fit the context length is cut.

        Raises:
            ModelError: one text in place of a list.
        """
        _refuse_single(texts, "texts")
        rows = torch.empty(len(texts), self.backbone.dim)
        with torch.inference_mode():
            for part in self.backbone.micro_batches(texts, size=self.batch_size):
                tokens = self.backbone.tokenize([texts[i] for i in part])
                with room_for_batch(len(part)):
                    embedded = self.backbone.encode_tokens(tokens)
                rows[torch.tensor(part)] = normalize(embedded, dim=-1).float().cpu()
        return rows

    def encode_frames(self, frames_NHWC: UInt8[np.ndarray, "N H W C"]) -> Float32[Tensor, "N D"]:
        """Embed frames that are already resized and cropped, for example from a frame store."""
        return self._encode_frames_with(self.backbone, frames_NHWC)

    def encode_trained_frames(
        self, frames_NHWC: UInt8[np.ndarray, "N H W C"]
    ) -> Float32[Tensor, "N D"]:
        """The same at strength 1, for `pool_in_context` and `contextualise`."""
        return self._encode_frames_with(self.trained, frames_NHWC)

    def _encode_frames_with(
        self, backbone: Backbone, frames_NHWC: UInt8[np.ndarray, "N H W C"]
    ) -> Float32[Tensor, "N D"]:
        """Frames through a backbone, in batches."""
        rows: list[Tensor] = []
        with torch.inference_mode():
            for part in torch.from_numpy(frames_NHWC).split(self.batch_size):
                with room_for_batch(len(part)):
                    rows.append(normalize(backbone.encode_frames(part), dim=-1).float().cpu())
            return torch.cat(rows)

    def _chosen_pooling(self, pooling: PoolingOption | None, texts: Sequence[str]) -> Pooling:
        """How videos become one embedding each."""
        if pooling == "auto":
            if not texts:
                fix = "Give them: texts=[…]"
                raise ModelError("pooling=auto needs the texts that the videos are for", fix=fix)
            return self.pooling_for(texts)
        return pooling or ("mean" if self.info is None else self.info.pooling)

    def pool_in_context(self, frames_CND: Float32[Tensor, "C N D"]) -> Float32[Tensor, "C D"]:
        """The contextualizer's embedding of C clips, from the frames of `trained`.

        Raises:
            ModelError: there is no contextualizer, or the clips are too long for it.
        """
        contextualizer, frames_per_event = self.require_contextualizer()
        with torch.inference_mode():
            pooled_CD = contextualizer.pool(
                frames_CND.to(self.backbone.device), frames_per_event=frames_per_event
            )
        return pooled_CD.float().cpu()

    def contextualise(self, frames_PTD: Float32[Tensor, "P T D"]) -> Contexts:
        """The contextualizer's outputs for one video (B = 1), from the frames of `trained`.

        Raises:
            ModelError: there is no contextualizer, it was trained on another T, or there are more
                events than it has places.
        """
        contextualizer, frames_per_event = self.require_contextualizer()
        if frames_PTD.shape[1] != frames_per_event:
            raise ModelError(
                f"the contextualizer was trained on {frames_per_event} frames an event, not on "
                f"{frames_PTD.shape[1]}",
                fix=f"Use {frames_per_event} frames, or pooling=mean",
            )
        frames_BPTD = frames_PTD[None].to(self.backbone.device)
        mask_BPT = torch.ones(frames_BPTD.shape[:3], dtype=torch.bool, device=frames_BPTD.device)
        with torch.inference_mode():
            contexts = contextualizer(frames_BPTD, frame_mask_BPT=mask_BPT)
        return Contexts(contexts.video_BD.float().cpu(), contexts.event_BPD.float().cpu())

    def require_contextualizer(self) -> tuple[VideoContextualizer, int]:
        """The contextualizer, and how many frames of an event it was trained on.

        Raises:
            ModelError: there is none.
        """
        shape = None if self.info is None else self.info.contextualizer
        if self.contextualizer is None or shape is None:
            raise ModelError(
                "pooling=vc needs a Video Contextualizer, and this model has none",
                fix="Use pooling=mean.",
            )
        return self.contextualizer, shape.frames_per_event

    def _encode_clip(
        self, path: str | Path, span: tuple[float, float] | None, pooling: Pooling
    ) -> Float32[Tensor, " D"]:
        """One video or span."""
        start_s, end_s = span if span is not None else (0.0, video_duration_s(path))
        if pooling == "both":
            parts = (self._encode_clip(path, span, one) for one in ("mean", "vc"))
            return mean_of_both(*parts)
        if pooling == "mean":
            frames_NHWC = self._decode(path, start_s, end_s, num_frames=FRAMES_PER_VIDEO)
            return normalize(self.encode_frames(frames_NHWC).mean(dim=0), dim=-1)
        # As many events of the length it was trained on as come nearest to 20 frames.
        _, per_event = self.require_contextualizer()
        num_frames = max(1, round(FRAMES_PER_VIDEO / per_event)) * per_event
        frames_NHWC = self._decode(path, start_s, end_s, num_frames=num_frames)
        frames_ND = self.encode_trained_frames(frames_NHWC)
        return self.pool_in_context(frames_ND[None])[0]

    def _decode(
        self, path: str | Path, start_s: float, end_s: float, *, num_frames: int
    ) -> UInt8[np.ndarray, "N H W C"]:
        """Frames at the midpoints of equal segments of a span."""
        times_s = sample_midpoints(start_s, end_s, num=num_frames)
        return decode_frames(path, times_s, pipeline=self.video_pipeline).frames_NHWC


def _refuse_single(given: object, what: str) -> None:
    """Refuse one thing in place of a list; the letters of a string would be taken one by one."""
    if isinstance(given, (str, Path, Image.Image)):
        raise ModelError(f"takes a list of {what}, got {given!r}", fix=f"Write [{given!r}]")


def _at_strength(
    backbone: Backbone, info: ModelInfo, alpha: float, *, folder: Path, base: str | Path | None
) -> Backbone:
    """A backbone with the adaptation at a strength; the same object where it already is."""
    if alpha == info.alpha:
        return backbone
    state = backbone.clip.state_dict()
    if info.adaptation == "full":
        if info.alpha == 0:
            raise ModelError("is a full fine-tune merged at 0, it is its base", where=str(folder))
        if base is None:
            raise ModelError(
                "is a full fine-tune, which is scaled between its base and itself",
                where=str(folder),
                fix=f"Give the base too: --base {info.base or 'DIR'}.",
            )
        base_backbone = load_backbone(resolve_model(str(base)))
        if weights_hash(base_backbone.clip) != info.base_hash:
            raise ModelError("is not the base that was fine-tuned", where=str(base))
        state = interpolate(base_backbone.clip.state_dict(), state, alpha=alpha / info.alpha)
    else:
        file = folder / "adapter" / "adapter_model.safetensors"
        adapter = _load_tensors(file)
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        # An adapter of another base can fit by shape.
        if metadata.get("base_hash") != info.base_hash:
            raise ModelError(
                "belongs to another base than figclip.json says",
                where=str(file),
                fix="Get the model folder again.",
            )
        state = shift_strength(state, adapter, by=alpha - info.alpha, lora_scale=info.lora_scale)
    scaled = copy.deepcopy(backbone)
    scaled.clip.load_state_dict(state)
    return scaled


def _load_contextualizer(folder: Path, info: ModelInfo, *, dim: int) -> VideoContextualizer | None:
    """The contextualizer of a model folder, if it has one."""
    shape = info.contextualizer
    if shape is None:
        return None
    contextualizer = VideoContextualizer(dim, num_layers=shape.layers, head_dim=shape.head_dim)
    file = folder / "contextualizer.safetensors"
    try:
        contextualizer.load_state_dict(_load_tensors(file))
    except RuntimeError as error:
        raise ModelError("does not fit figclip.json", where=str(file)) from error
    return contextualizer.eval()


def _load_tensors(file: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file."""
    try:
        return load_file(file)
    except (SafetensorError, *DAMAGES) as error:
        raise ModelError(
            f"cannot be read ({error})", where=str(file), fix="Get the model folder again."
        ) from error

"""Any CLIP of `transformers`, loaded with its preprocessing and tokenizer, and checked."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from transformers import CLIPModel

from figclip.config import Precision
from figclip.errors import ModelError
from figclip.model.checked_files import check_files
from figclip.model.families import (
    DualConfig,
    DualEncoder,
    family_of,
    load_config,
    logit_parameters,
    projection,
    text_config,
    vision_config,
)
from figclip.model.image_tower import MergedWeights, encode_pixels, merge_weights
from figclip.model.loading import load_part
from figclip.model.open_clip import PREFIX, read_open_clip
from figclip.model.preprocessing import Preprocessing
from figclip.model.tokenizers import Tokenizer, check_clip_tokenizer
from figclip.runtime.device import half_precision, resolve_precision

QUICK_GELU_PUBLISHERS = ("openai/",)
"""Hub organisations whose CLIPs were all trained with QuickGELU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatistics:
    """What pixels are normalised with: mean and deviation of each RGB channel, in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


FRAME_FLOATS, LEAN_FRAME_FLOATS, TEXT_FLOATS = 11.0, 2.0, 15.5
"""Activations of a token, layer and unit of width that a graph holds, with LoRA (LOG.md)."""

INPUT_FLOATS = 8.0
"""And what more, where all weights are trained: the inputs of all products."""

IMAGENET = ChannelStatistics(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""ImageNet's, which some evaluations of CLIP use in place of its own."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Texts as token ids, start and end included, padded to the longest, or as the family pads.

    `present_NL` is 1 where a token is not padding; `truncated` are the indices of the texts cut.
    """

    ids_NL: Int[Tensor, "N L"]
    present_NL: Int[Tensor, "N L"]
    truncated: tuple[int, ...]


class Backbone(nn.Module):
    """A CLIP with the preprocessing and the tokenizer that belong to it.

    It may be of any family of `model.families`. `name` is its hub id, or empty for a local folder:
    what may be written into files for others. `precision` is that of the towers' products.
    """

    def __init__(
        self,
        clip: DualEncoder,
        *,
        tokenizer: Tokenizer,
        preprocessing: Preprocessing,
        name: str,
        precision: Precision = "auto",
    ) -> None:
        super().__init__()
        self.clip = clip
        self.family = family_of(clip.config)
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.name = name
        self.precision: Precision = precision
        mean, std = (torch.tensor(v) for v in (preprocessing.mean, preprocessing.std))
        # transformers rescales by 1/255, then subtracts the mean and divides by std, in this order.
        self.register_buffer("pixel_mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", std.view(1, 3, 1, 1), persistent=False)

    @property
    def dim(self) -> int:
        """D, the width of the joint embedding."""
        last = projection(self.clip, "visual")
        return last.out_features if isinstance(last, nn.Linear) else self.pooled_dim

    @property
    def pooled_dim(self) -> int:
        """The width of what the image tower pools, before a projection."""
        return vision_config(self.clip.config).hidden_size

    @property
    def has_projection(self) -> bool:
        """Whether embeddings are a projection of what the towers pool."""
        return isinstance(projection(self.clip, "visual"), nn.Linear)

    @property
    def context_length(self) -> int:
        """L, the most tokens of a text, start and end included; 77 for OpenAI's CLIPs."""
        return text_config(self.clip.config).max_position_embeddings

    @property
    def activation(self) -> str:
        """The activation of both towers, `quick_gelu` or `gelu`."""
        return vision_config(self.clip.config).hidden_act

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """What similarities are multiplied with."""
        return self.clip.logit_scale.exp().reshape(())

    @property
    def logit_bias(self) -> Float[Tensor, ""] | None:
        """What is added then, in the families that have it."""
        bias = logit_parameters(self.clip).get("logit_bias")
        return None if bias is None else bias.reshape(())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.clip.logit_scale.device

    @property
    def resolved_precision(self) -> str:
        """`precision`, with what `auto` is on this device: `fp32`, `bf16` or `fp16`."""
        return resolve_precision(self.precision, self.device)

    @property
    def compute_dtype(self) -> torch.dtype:
        """The type of the towers' products."""
        return half_precision(self.precision, self.device) or self.clip.dtype

    def frame_activation_bytes(self, *, lean: bool = False) -> int:
        """About what the graph of one frame holds until its backward."""
        tower, config = self.clip.vision_model, vision_config(self.clip.config)
        kept = LEAN_FRAME_FLOATS if lean else FRAME_FLOATS + _more_floats(tower)
        tokens = tower.embeddings.num_positions
        return int(4 * kept * tokens * config.num_hidden_layers * config.hidden_size)

    def text_activation_bytes(self) -> int:
        """About what the graph of one text of full length holds until its backward."""
        tower, config = self.clip.text_model, text_config(self.clip.config)
        kept = TEXT_FLOATS + _more_floats(tower)
        return int(4 * kept * self.context_length * config.num_hidden_layers * config.hidden_size)

    def merge_weights(self) -> MergedWeights | None:
        """Saves `encode_frames` work where many batches are encoded with the weights as now."""
        with self._autocast():
            return merge_weights(self.clip)

    def encode_frames(
        self,
        frames_NHWC: UInt8[Tensor, "N H W C"],
        *,
        statistics: ChannelStatistics | None = None,
        merged: MergedWeights | None = None,
        lean: bool = False,
        projected: bool = True,
    ) -> Float[Tensor, "N D"]:
        """Embed frames that went through the pixel pipeline already.

        Frames are RGB, 0 to 255, H = W = `preprocessing.image_size`. They are normalised with
        `statistics`, or with the model's own. `merged` is of `merge_weights`; a `lean` graph holds
        little, and costs more in backward.

        Returns:
            Embeddings, or where not `projected` what the tower pools before its projection, of D =
            `pooled_dim`; fp32, not normalised.

        Raises:
            ModelError: frames of another size.
        """
        size = self.preprocessing.image_size
        if tuple(frames_NHWC.shape[1:]) != (size, size, 3):
            raise ModelError(
                f"got frames of {tuple(frames_NHWC.shape[1:])}, the tower takes {size}x{size}",
                fix="Prepare the frames for this model.",
            )
        dtype = self.clip.logit_scale.dtype
        frames_NHWC = frames_NHWC.to(self.device, non_blocking=True)
        pixels = frames_NHWC.permute(0, 3, 1, 2).to(dtype) * (1 / 255)
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        if statistics is not None:
            mean, std = (
                torch.tensor(values, dtype=dtype, device=self.device).view(1, 3, 1, 1)
                for values in (statistics.mean, statistics.std)
            )
        pixels = (pixels - mean) / std
        with self._autocast():
            return _at_least_fp32(
                encode_pixels(self.clip, pixels, merged=merged, lean=lean, projected=projected)
            )

    def encode_tokens(self, tokens: TokenBatch) -> Float[Tensor, "N D"]:
        """Projected embeddings of tokenised texts, fp32, not normalised."""
        mask = None if self.family.texts.pads else tokens.present_NL.to(self.device)
        with self._autocast():
            pooled = self.clip.text_model(
                input_ids=tokens.ids_NL.to(self.device), attention_mask=mask
            ).pooler_output
            return _at_least_fp32(projection(self.clip, "text")(pooled))

    def _autocast(self) -> AbstractContextManager[object]:
        """Lets products be of half precision; changes nothing otherwise, nor an outer autocast."""
        half = half_precision(self.precision, self.device)
        return nullcontext() if half is None else torch.autocast(self.device.type, dtype=half)

    def tokenize(self, texts: Sequence[str], *, max_tokens: int | None = None) -> TokenBatch:
        """Tokenise at least one text, cutting what is too long; what is cut is reported.

        `max_tokens` counts start and end; None, or more than the context length, is the context
        length.
        """
        assert texts, "nothing to tokenise"
        encoded = self._token_ids(texts)
        limit = self._limit(max_tokens)
        end = self.tokenizer.eos_token_id
        rows = [ids if len(ids) <= limit else [*ids[: limit - 1], end] for ids in encoded]
        longest = self.context_length if self.family.texts.pads else max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        return TokenBatch(
            torch.tensor([row + [pad] * (longest - len(row)) for row in rows], dtype=torch.long),
            torch.tensor(
                [[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=torch.long
            ),
            tuple(i for i, ids in enumerate(encoded) if len(ids) > limit),
        )

    def count_cut(self, texts: Sequence[str], *, max_tokens: int | None = None) -> int:
        """Number of texts that `tokenize` cuts.

        Where tokens never reach beyond a space each word is tokenised once, however many texts
        have it (42,000 captions: 0.6 s instead of 9 s, 2026-11-29).
        """
        if not self.family.texts.splits_at_spaces:
            limit = self._limit(max_tokens)
            parts = (texts[start : start + 4096] for start in range(0, len(texts), 4096))
            return sum(len(ids) > limit for part in parts for ids in self._token_ids(part))
        room = self._limit(max_tokens) - 2  # start and end
        # Of the tokens only their number is wanted: a quarter of the time of `self.tokenizer(…)`.
        backend: Any = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        tokens_of: dict[str, int] = {}
        num_cut = 0
        for start in range(0, len(texts), 4096):
            rows = [text.split(" ") for text in texts[start : start + 4096]]
            fresh = list(set(chain.from_iterable(rows)) - tokens_of.keys())
            if fresh:
                found = backend.encode_batch_fast(fresh, add_special_tokens=False)
                tokens_of.update(zip(fresh, map(len, found), strict=True))
            num_cut += sum(sum(map(tokens_of.__getitem__, row)) > room for row in rows)
        return num_cut

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Whole texts as ids."""
        # Not verbose: it would warn of "indexing errors" before the rows are cut.
        encoded = self.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        assert isinstance(encoded, list)
        return encoded

    def _limit(self, max_tokens: int | None) -> int:
        """Most tokens of a text."""
        return min(max_tokens or self.context_length, self.context_length)

    def micro_batches(self, texts: Sequence[str], *, size: int) -> Iterator[list[int]]:
        """Indices of the texts, similar lengths together, `size` at a time.

        Padding a short text to a long neighbour's length is wasted work: dense captions and
        sparse ones differ fourfold.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), size):
            yield order[start : start + size]


def _more_floats(tower: nn.Module) -> float:
    """Of activations, where more than LoRA is trained."""
    is_whole = all(parameter.requires_grad for parameter in tower.parameters())
    return INPUT_FLOATS if is_whole else 0.0


def _at_least_fp32(embedding: Tensor) -> Tensor:
    """Embeddings leave autocast in fp32; fp64 models, used to check gradients, stay fp64."""
    return embedding if embedding.dtype == torch.float64 else embedding.float()


def load_backbone(source: str, *, precision: Precision = "auto") -> Backbone:
    """Load a CLIP in fp32: by hub id, from a folder that `save_pretrained` wrote, or `open_clip:…`.

    `precision` is that of its products.

    Raises:
        ModelError: no such folder or hub id, not a CLIP, weights missing or of other shapes, an
            image processor that does something else than its family's, an activation that cannot
            be right, or a file that is not as figclip wrote it.
        ConfigError: a library that its tokenizer needs is not installed.
    """
    if source.startswith(PREFIX):
        return _load_open_clip(source, precision=precision)
    check_files(Path(source))
    config = load_config(source)
    family = family_of(config)
    _check_activation(config, source)
    clip, info = load_part(family.model, source, dtype=torch.float32, output_loading_info=True)
    wrong = {
        "missing": sorted(info["missing_keys"]),
        "of another shape": sorted(str(key) for key in info["mismatched_keys"]),
        "of layers that config.json does not have": sorted(
            key for key in info["unexpected_keys"] if ".encoder.layers." in key
        ),
    }
    for kind, keys in wrong.items():
        if keys:
            raise ModelError(
                f"{len(keys)} weights are {kind}, the first is {keys[0]}",
                where=source,
                fix="The model would be partly random or cut; get a complete checkpoint.",
            )
    image_size = vision_config(config).image_size
    if not isinstance(image_size, int):
        raise ModelError(f"takes pictures of {image_size}, not squares", where=source)
    return Backbone(
        clip.eval(),
        tokenizer=family.texts.load(source, text_config(config)),
        preprocessing=family.pictures.read(source, image_size),
        name="" if Path(source).exists() else source,
        precision=precision,
    )


def _load_open_clip(source: str, *, precision: Precision) -> Backbone:
    """`load_backbone` for `open_clip:PATH`."""
    found = read_open_clip(Path(source.removeprefix(PREFIX)))
    clip = CLIPModel(found.config)
    try:
        clip.load_state_dict(found.state)
    except RuntimeError as error:
        raise ModelError(
            f"its weights are not those of a CLIP with its settings ({error})", where=source
        ) from error
    check_clip_tokenizer(found.tokenizer, text_config(found.config), source)
    size = vision_config(found.config).image_size
    assert isinstance(size, int)
    return Backbone(
        clip.eval(),
        tokenizer=found.tokenizer,
        preprocessing=Preprocessing(image_size=size, mean=found.mean, std=found.std),
        name="",
        precision=precision,
    )


def load_tokenizer(source: str) -> tuple[Tokenizer, int]:
    """Only the tokenizer of a CLIP, and the most tokens that its text tower reads.

    Raises:
        ModelError: no such folder or hub id, a tokenizer that is not the text tower's, or a file
            that is not as figclip wrote it.
    """
    if source.startswith(PREFIX):
        backbone = _load_open_clip(source, precision="auto")
        return backbone.tokenizer, backbone.context_length
    check_files(Path(source))
    whole = load_config(source)
    config = text_config(whole)
    return family_of(whole).texts.load(source, config), config.max_position_embeddings


def weights_hash(clip: nn.Module) -> str:
    """Hash of all parameters by name, shape and bytes: the model's name in caches, provenance."""
    return state_hash(clip.state_dict())


def state_hash(state: Mapping[str, Tensor]) -> str:
    """`weights_hash` of a state dict, as it is in a model folder's `model.safetensors`."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_activation(config: DualConfig, source: str) -> None:
    """Both towers must agree, and OpenAI's weights need QuickGELU: a GELU is silently worse."""
    activations = (vision_config(config).hidden_act, text_config(config).hidden_act)
    if activations[0] != activations[1]:
        raise ModelError(
            f"the towers' activations differ: {activations}",
            where=source,
            fix="Correct hidden_act in config.json.",
        )
    if source.startswith(QUICK_GELU_PUBLISHERS) and activations[0] != "quick_gelu":
        raise ModelError(
            f"was trained with quick_gelu, but its config says {activations[0]}",
            where=source,
            fix="Correct hidden_act in config.json.",
        )

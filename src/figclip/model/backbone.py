"""Any `transformers` CLIP, loaded with its preprocessing and tokenizer, and checked."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from figclip.config import Precision
from figclip.errors import ModelError
from figclip.model.checked_files import check_files
from figclip.model.image_tower import MergedWeights, encode_pixels, merge_weights
from figclip.model.open_clip import PREFIX, read_open_clip
from figclip.runtime.device import half_precision

QUICK_GELU_PUBLISHERS = ("openai/",)
"""Hub organisations whose CLIPs were all trained with QuickGELU."""

LEGACY_EOS = 2
"""Configurations with this end token pool at the highest token id, whatever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What happens to a frame before the image tower.

    `image_size` is the edge in pixels after bicubic resize of the shortest edge and centre crop.
    Mean and standard deviation are of each RGB channel, in [0, 1].
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


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
    """Texts as token ids, start and end included, padded to the longest.

    `present_NL` is 1 where a token is not padding; `truncated` are the indices of the texts cut.
    """

    ids_NL: Int[Tensor, "N L"]
    present_NL: Int[Tensor, "N L"]
    truncated: tuple[int, ...]


class Backbone(nn.Module):
    """A CLIP with the preprocessing and the tokenizer that belong to it.

    `name` is its hub id, or empty for a local folder: what may be written into files for others.
    `precision` is that of the towers' products: of `config.Precision`, at first `auto`.
    """

    def __init__(
        self, clip: CLIPModel, *, tokenizer: CLIPTokenizer, preprocessing: Preprocessing, name: str
    ) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.name = name
        self.precision: Precision = "auto"
        mean, std = (torch.tensor(v) for v in (preprocessing.mean, preprocessing.std))
        # transformers rescales by 1/255, then subtracts the mean and divides by std, in this order.
        self.register_buffer("pixel_mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", std.view(1, 3, 1, 1), persistent=False)

    @property
    def dim(self) -> int:
        """D, the width of the joint embedding."""
        return self.clip.visual_projection.out_features

    @property
    def context_length(self) -> int:
        """L, the most tokens of a text, start and end included; 77 for OpenAI's CLIPs."""
        return text_config(self.clip.config).max_position_embeddings

    @property
    def activation(self) -> str:
        """The activation of both towers, `quick_gelu` or `gelu`."""
        return vision_config(self.clip.config).hidden_act

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.clip.logit_scale.device

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
    ) -> Float[Tensor, "N D"]:
        """Embed frames that are already resized and cropped to the image size.

        Frames are RGB, 0 to 255, H = W = `preprocessing.image_size`. They are normalised with
        `statistics`, or with the model's own. `merged` is of `merge_weights`; a `lean` graph holds
        little, and costs more in backward.

        Returns:
            Projected embeddings, fp32, not normalised.

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
            return _at_least_fp32(encode_pixels(self.clip, pixels, merged=merged, lean=lean))

    def encode_tokens(self, tokens: TokenBatch) -> Float[Tensor, "N D"]:
        """Projected embeddings of tokenised texts, fp32, not normalised."""
        with self._autocast():
            pooled = self.clip.text_model(
                input_ids=tokens.ids_NL.to(self.device),
                attention_mask=tokens.present_NL.to(self.device),
            ).pooler_output
            return _at_least_fp32(self.clip.text_projection(pooled))

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
        # Not verbose: it would warn of "indexing errors" before the rows are cut.
        encoded = self.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        limit = self._limit(max_tokens)
        end = self.tokenizer.eos_token_id
        rows = [ids if len(ids) <= limit else [*ids[: limit - 1], end] for ids in encoded]
        longest = max(map(len, rows))
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

        CLIP's tokens never reach beyond a space: each word is tokenised once, however many texts
        have it (42,000 captions: 0.6 s instead of 9 s, 2026-11-29).
        """
        room = self._limit(max_tokens) - 2  # start and end
        tokens_of: dict[str, int] = {}
        num_cut = 0
        for start in range(0, len(texts), 4096):
            rows = [text.split(" ") for text in texts[start : start + 4096]]
            fresh = list(set(chain.from_iterable(rows)) - tokens_of.keys())
            if fresh:
                found = self.tokenizer(fresh, add_special_tokens=False, verbose=False)["input_ids"]
                tokens_of.update(zip(fresh, map(len, found), strict=True))
            num_cut += sum(sum(map(tokens_of.__getitem__, row)) > room for row in rows)
        return num_cut

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


def load_backbone(source: str) -> Backbone:
    """Load a CLIP in fp32: by hub id, from a folder that `save_pretrained` wrote, or `open_clip:…`.

    Raises:
        ModelError: no such folder or hub id, not a CLIP, weights missing or of other shapes, an
            image processor that does something else than resize, centre crop, rescale, normalise,
            an activation that cannot be right, or a file that is not as figclip wrote it.
    """
    if source.startswith(PREFIX):
        return _load_open_clip(source)
    check_files(Path(source))
    config = _load_config(source)
    if config.model_type != "clip":
        raise ModelError(
            f"is a {config.model_type!r} model, not a CLIP",
            where=source,
            fix="Give a folder or hub id whose config.json says model_type clip.",
        )
    _check_activation(config, source)
    clip, info = _load_part(CLIPModel, source, dtype=torch.float32, output_loading_info=True)
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
    tokenizer = _load_part(CLIPTokenizer, source)
    _check_tokenizer(tokenizer, text_config(config), source)
    return Backbone(
        clip.eval(),
        tokenizer=tokenizer,
        preprocessing=_read_preprocessing(source, vision_config(config)),
        name="" if Path(source).exists() else source,
    )


def _load_open_clip(source: str) -> Backbone:
    """`load_backbone` for `open_clip:PATH`."""
    found = read_open_clip(Path(source.removeprefix(PREFIX)))
    clip = CLIPModel(found.config)
    try:
        clip.load_state_dict(found.state)
    except RuntimeError as error:
        raise ModelError(
            f"its weights are not those of a CLIP with its settings ({error})", where=source
        ) from error
    _check_tokenizer(found.tokenizer, text_config(found.config), source)
    size = vision_config(found.config).image_size
    assert isinstance(size, int)
    return Backbone(
        clip.eval(),
        tokenizer=found.tokenizer,
        preprocessing=Preprocessing(image_size=size, mean=found.mean, std=found.std),
        name="",
    )


def load_tokenizer(source: str) -> tuple[CLIPTokenizer, int]:
    """Only the tokenizer of a CLIP, and the most tokens that its text tower reads.

    Raises:
        ModelError: no such folder or hub id, a tokenizer that is not the text tower's, or a file
            that is not as figclip wrote it.
    """
    if source.startswith(PREFIX):
        backbone = _load_open_clip(source)
        return backbone.tokenizer, backbone.context_length
    check_files(Path(source))
    config = text_config(_load_config(source))
    tokenizer = _load_part(CLIPTokenizer, source)
    _check_tokenizer(tokenizer, config, source)
    return tokenizer, config.max_position_embeddings


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


def vision_config(config: CLIPConfig) -> CLIPVisionConfig:
    """The image tower's part of a CLIP's configuration."""
    assert isinstance(config.vision_config, CLIPVisionConfig)
    return config.vision_config


def text_config(config: CLIPConfig) -> CLIPTextConfig:
    """The text tower's part of a CLIP's configuration."""
    assert isinstance(config.text_config, CLIPTextConfig)
    return config.text_config


def _load_part(kind: Any, source: str, **options: Any) -> Any:
    """`kind.from_pretrained`, with the failures of hubs and files as ModelError."""
    try:
        return kind.from_pretrained(source, **options)
    except Exception as error:  # tokenizers raises nothing more special for a damaged file
        if isinstance(error.__cause__, LocalEntryNotFoundError):
            raise ModelError(
                "is not a folder here, and the hub cannot be reached to fetch it",
                where=source,
                fix="Give the folder of a CLIP, or try again with a network.",
            ) from error
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else "no details"
        raise ModelError(
            f"cannot be loaded as {kind.__name__} ({type(error).__name__}: {first_line})",
            where=source,
            fix="Give a folder that CLIPModel.save_pretrained wrote with its processor, or a hub "
            "id that this machine can reach.",
        ) from error


def _load_config(source: str) -> CLIPConfig:
    """The configuration; transformers would build ViT-B/32's for a folder that has none."""
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise ModelError(
            "has no config.json", where=source, fix="Give a folder or hub id of a whole CLIP."
        )
    return _load_part(CLIPConfig, source)


def _check_activation(config: CLIPConfig, source: str) -> None:
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


def _check_tokenizer(tokenizer: CLIPTokenizer, config: CLIPTextConfig, source: str) -> None:
    """Ids must be within the tower's vocabulary, and texts end with the token it pools at.

    transformers makes a tokenizer of two entries where the files are absent, and a tower that never
    sees its end token pools at the start token: both give embeddings that mean nothing.
    """
    fix = "Use the tokenizer files that belong to the weights."
    if len(tokenizer) > config.vocab_size:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} entries, the text tower only {config.vocab_size}",
            where=source,
            fix=fix,
        )
    legacy = config.eos_token_id == LEGACY_EOS
    end = config.vocab_size - 1 if legacy else config.eos_token_id
    if tokenizer.eos_token_id != end:
        raise ModelError(
            f"the tokenizer ends texts with token {tokenizer.eos_token_id}, the text tower reads "
            f"them at token {end}",
            where=source,
            fix=f"{fix} If they do, correct text_config.eos_token_id in config.json.",
        )


def _read_preprocessing(source: str, config: CLIPVisionConfig) -> Preprocessing:
    """The image processor's settings, refused where figclip would do something else."""
    processor = _load_part(CLIPImageProcessorPil, source)
    image_size = config.image_size
    if not isinstance(image_size, int):
        raise ModelError(f"takes pictures of {image_size}, not squares", where=source)
    expected: dict[str, Any] = {
        "do_resize": True,
        "do_center_crop": True,
        "do_rescale": True,
        "do_normalize": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }
    for name, value in expected.items():
        found = getattr(processor, name)
        if found != value:
            raise ModelError(
                f"its image processor has {name}={found}, figclip's pixel pipelines need {value}",
                where=source,
                fix="Correct preprocessor_config.json.",
            )
    size = (dict(processor.size), dict(processor.crop_size))
    crops = list(size[1].values())
    if size[0].get("shortest_edge") != image_size or crops != [image_size] * max(1, len(crops)):
        raise ModelError(
            f"its image processor resizes to {size[0]} and crops to {size[1]}, "
            f"the image tower takes {image_size}",
            where=source,
            fix="Correct preprocessor_config.json.",
        )
    mean, std = (_channels(processor, name, source) for name in ("image_mean", "image_std"))
    if min(std) <= 0:
        raise ModelError(f"its image processor has image_std={std}, must be above 0", where=source)
    return Preprocessing(image_size=image_size, mean=mean, std=std)


def _channels(
    processor: CLIPImageProcessorPil, name: str, source: str
) -> tuple[float, float, float]:
    """A setting of the image processor that is one number an RGB channel."""
    values = getattr(processor, name)
    numbers = isinstance(values, (list, tuple)) and len(values) == 3
    if not numbers or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in values):
        raise ModelError(
            f"its image processor has {name}={values}, must be three numbers",
            where=source,
            fix="Correct preprocessor_config.json.",
        )
    red, green, blue = map(float, values)
    return red, green, blue

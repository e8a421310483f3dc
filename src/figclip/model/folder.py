"""The model folder: a plain CLIP for everyone, and beside it what figclip needs to scale it.

config.json, model.safetensors,           transformers.CLIPModel, version 5 and 4, or the family's
preprocessor_config.json,                 CLIPProcessor, likewise
tokenizer files, vocab.json, merges.txt   CLIPTokenizer, likewise
adapter/                                  PEFT's files (LoRA only)
contextualizer.safetensors                the Video Contextualizer (if trained)
figclip.json                              format, activation, alpha, pixels, provenance, and the
                                          hashes of all other files but the card
trained_on.txt                            what it was trained on, a hash per line
README.md                                 the model card
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from figclip.config import MAX_LAYERS, MAX_POSITIONS, Adaptation
from figclip.errors import ModelError
from figclip.model.backbone import Backbone
from figclip.model.checked_files import (
    CARD_FILE,
    INFO_FILE,
    check_files,
    hash_files,
    read_info_file,
    unreadable,
)
from figclip.model.families import DualConfig, family_of
from figclip.model.image_tower import ADAPTER_NAME
from figclip.model.lora import plain_state
from figclip.model.open_clip import PREFIX
from figclip.model.pooling import MeasuredPooling, Pooling, TextPooling
from figclip.model.preprocessing import Preprocessing
from figclip.model.tokenizers import Tokenizer
from figclip.runtime.checked_json import read_checked
from figclip.runtime.files import make_folder, staged_folder, write_atomically, write_json
from figclip.runtime.reading import DAMAGES

MODEL_FORMAT = 1
TRAINED_ON = "trained_on.txt"
_MEDIUM_HASH = re.compile(r"[0-9a-f]{16}")

MAX_SIZE = 4096
"""Most layers, and widest head, that figclip.json may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMedia:
    """What a model was trained on, and what chose it.

    Attributes:
        trained_on: `medium_hash` of each image and video that it was trained on.
        validated_on: That of each that chose its checkpoint.
        selected_on: That of each that chose its strength; and for each set of which one half did,
            its `evaluation.seen_items.items_hash`.
        is_whole: False where more was seen than is known: folders of earlier versions do not say.
    """

    trained_on: frozenset[str] = frozenset()
    validated_on: frozenset[str] = frozenset()
    selected_on: frozenset[str] = frozenset()
    is_whole: bool = True

    def __or__(self, other: SeenMedia) -> SeenMedia:
        return SeenMedia(
            trained_on=self.trained_on | other.trained_on,
            validated_on=self.validated_on | other.validated_on,
            selected_on=self.selected_on | other.selected_on,
            is_whole=self.is_whole and other.is_whole,
        )


def medium_hash(key: str) -> str:
    """Short name of an image or video by the content of its file; of a part, of the whole file.

    `key` is the SHA-256 of the file, or a `clip_key`. The name has 16 hex digits: short, as a model
    folder may hold thousands.
    """
    file_hash = key.partition("#")[0]
    return hashlib.blake2b(file_hash.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextualizerShape:
    """What must be known to build the contextualizer that a folder's weights fit."""

    layers: int
    head_dim: int
    frames_per_event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The content of `figclip.json`.

    Attributes:
        activation: Activation of both towers; refused on load if config.json says otherwise.
        adaptation: `lora_image`, `lora_text`, `lora_both` or `full`.
        alpha: Strength that the weights are merged at; 0 base, 1 as trained.
        lora_scale: LoRA's own scale, lora_alpha / rank; 0 for a full fine-tune.
        pixel_pipeline: Pipeline of the frames it was trained on.
        pooling: Default pooling of a video, see `model.pooling`.
        text_pooling: Which pooling fits which texts; None where it was not measured.
        base: Hub id of the base, empty for a local one.
        base_hash: `weights_hash` of the base.
        contextualizer: Its shape, None when there is none.
        provenance: Recipe, step, data hashes, versions.
        seen: What it was trained on, and what chose it. In the file it is a part of `provenance`:
            `trained_on`, which names `trained_on.txt`, `validated_on` and `selected_on`.
    """

    activation: str
    adaptation: str
    alpha: float
    lora_scale: float
    pixel_pipeline: str
    pooling: Pooling
    base: str
    base_hash: str
    contextualizer: ContextualizerShape | None
    text_pooling: TextPooling | None = None
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: SeenMedia = SeenMedia(is_whole=False)


def write_clip_files(
    path: Path,
    *,
    state: Mapping[str, Tensor],
    config: DualConfig,
    tokenizer: Tokenizer,
    preprocessing: Preprocessing,
) -> None:
    """Write the files that make a folder a plain CLIP, or whatever the family is.

    Written by hand where transformers 5 writes what version 4 does not read: weights under their
    plain names, `preprocessor_config.json`, and the vocabulary and merges of CLIP's tokenizer.
    """
    family = family_of(config)
    make_folder(path)
    _save_tensors(state, path / "model.safetensors", metadata={"format": "pt"})
    config.architectures = [family.model.__name__]
    config.save_pretrained(path)
    tokenizer.save_pretrained(path)
    family.texts.write(tokenizer, path)
    processor = {
        "image_processor_type": family.pictures.processor,
        "processor_class": family.processor,
        "do_resize": True,
        **family.pictures.write(preprocessing),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
        "do_convert_rgb": True,
    }
    (path / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def write_adapted(
    target: Path,
    backbone: Backbone,
    *,
    adapter: PeftModel | None,
    contextualizer: nn.Module | None,
    info: ModelInfo,
    card: str = "",
) -> None:
    """Write a whole model folder, or nothing.

    An existing folder is replaced; the CLIP is merged at `info.alpha` on the way. `card` is that of
    `card.build_card`; without it the folder has none.
    """
    with staged_folder(target) as folder:
        write_clip_files(
            folder,
            state=plain_state(backbone.clip, alpha=info.alpha),
            config=backbone.clip.config,
            tokenizer=backbone.tokenizer,
            preprocessing=backbone.preprocessing,
        )
        if adapter is not None:
            _write_adapter(folder / "adapter", adapter, info)
        if contextualizer is not None:
            _save_tensors(contextualizer.state_dict(), folder / "contextualizer.safetensors")
        write_info(folder, info)
        if card:
            write_atomically(folder / CARD_FILE, card)


def _write_adapter(path: Path, adapter: PeftModel, info: ModelInfo) -> None:
    """PEFT's two files. Its own `save_pretrained` would add a card, and a local base's path."""
    path.mkdir()
    config = copy.copy(adapter.peft_config[ADAPTER_NAME])
    config.base_model_name_or_path = info.base
    config.inference_mode = True
    config.save_pretrained(str(path))
    tensors = get_peft_model_state_dict(adapter, adapter_name=ADAPTER_NAME)
    # One entry only: safetensors writes several in an order of chance.
    metadata = {"base_hash": info.base_hash}
    _save_tensors(tensors, path / "adapter_model.safetensors", metadata=metadata)


def _save_tensors(
    tensors: Mapping[str, Tensor], file: Path, *, metadata: dict[str, str] | None = None
) -> None:
    """Tensors from any device into a safetensors file."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(on_cpu, file, metadata=metadata)


def write_info(path: Path, info: ModelInfo) -> None:
    """Write `trained_on.txt`, and `figclip.json` with the hashes of all files that are there."""
    content = {"format": MODEL_FORMAT, **dataclasses.asdict(info)}
    del content["seen"]
    seen = info.seen
    content["provenance"] |= {
        # As many as there are training videos: too many for a file that people read.
        "trained_on": {
            "file": TRAINED_ON,
            "count": len(seen.trained_on),
            "is_whole": seen.is_whole,
        },
        "validated_on": sorted(seen.validated_on),
        "selected_on": sorted(seen.selected_on),
    }
    write_atomically(path / TRAINED_ON, "".join(f"{one}\n" for one in sorted(seen.trained_on)))
    write_json(path / INFO_FILE, {**content, "files": hash_files(path)})


def read_info(path: Path) -> ModelInfo | None:
    """Read `figclip.json` and `trained_on.txt`; None for a plain CLIP without the former.

    Raises:
        ModelError: not what `write_info` writes, a newer format, or a file of the folder that is
            not as it was written.
    """
    file = path / INFO_FILE
    content = read_info_file(path)
    if content is None:
        return None
    check_files(path)
    try:
        content.pop("files", None)  # folders of earlier versions have no hashes
        version = content.pop("format")
        if version != MODEL_FORMAT:
            raise ModelError(
                f"has format {version!r}, this version reads {MODEL_FORMAT}",
                where=str(file),
                fix="Use the figclip version that wrote it, or a newer one.",
            )
        shape = content.pop("contextualizer")
        text_pooling = content.pop("text_pooling", None)  # nor have they this
        seen = _read_seen(path, content["provenance"])
        info = ModelInfo(
            **content,
            contextualizer=ContextualizerShape(**shape) if shape else None,
            text_pooling=None if text_pooling is None else _read_text_pooling(text_pooling),
            seen=seen,
        )
        _check_info(info)
        return info
    except DAMAGES as error:
        if isinstance(error, ModelError):
            raise
        raise unreadable(file, error) from error


def _read_seen(path: Path, provenance: dict[str, Any]) -> SeenMedia:
    """What a model has seen, taken out of its provenance."""
    trained_on = provenance.pop("trained_on", None)
    lists: list[Any] = [provenance.pop(name, []) for name in ("validated_on", "selected_on")]
    for one in lists:
        if not isinstance(one, list) or not all(isinstance(each, str) for each in one):
            raise ValueError("a field has a value that it cannot have")
    validated_on, selected_on = map(frozenset, lists)
    if trained_on is None:  # written by an earlier version
        return SeenMedia(validated_on=validated_on, selected_on=selected_on, is_whole=False)
    if trained_on["file"] != TRAINED_ON or not isinstance(trained_on["is_whole"], bool):
        raise ValueError("a field has a value that it cannot have")
    hashes = (path / TRAINED_ON).read_text(encoding="ascii").splitlines()
    is_damaged = len(hashes) != trained_on["count"] or not all(map(_MEDIUM_HASH.fullmatch, hashes))
    if is_damaged:
        raise ValueError(f"{TRAINED_ON} is damaged")
    return SeenMedia(
        trained_on=frozenset(hashes),
        validated_on=validated_on,
        selected_on=selected_on,
        is_whole=trained_on["is_whole"],
    )


def _read_text_pooling(content: dict[str, Any]) -> TextPooling:
    """Which pooling fits which texts; a ValueError or TypeError where it cannot be so."""
    measured = {name: MeasuredPooling(**one) for name, one in content["measured"].items()}
    words, kinds = content["from_words"], (content["long"], content["contrast"])
    if not set(kinds) <= {*get_args(Pooling)}:
        raise ValueError("a field has a value that it cannot have")
    if words is not None and (type(words) is not int or not 0 <= words <= MAX_SIZE):
        raise ValueError("a field has a value that it cannot have")
    for one in measured.values():
        numbers = (one.words, one.mean, one.vc, one.both)
        if not all(type(number) in (int, float) and 0 <= number <= MAX_SIZE for number in numbers):
            raise ValueError("a field has a value that it cannot have")
    return TextPooling(from_words=words, long=kinds[0], contrast=kinds[1], measured=measured)


def _check_info(info: ModelInfo) -> None:
    """Raise ValueError for a value that cannot be right."""
    texts = (info.activation, info.pixel_pipeline, info.base, info.base_hash)
    numbers = (info.alpha, info.lora_scale)
    shape = info.contextualizer
    sizes = () if shape is None else (shape.layers, shape.head_dim, shape.frames_per_event)
    valid = (
        info.adaptation in get_args(Adaptation)
        and info.pooling in get_args(Pooling)
        and all(isinstance(text, str) for text in texts)
        and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
        and all(type(size) is int and 0 < size <= MAX_SIZE for size in sizes)
        and (shape is None or shape.layers <= MAX_LAYERS)
        and (shape is None or shape.frames_per_event <= MAX_POSITIONS)
        and (shape is not None or info.text_pooling is None)
        and isinstance(info.provenance, dict)
    )
    if not valid:
        raise ValueError("a field has a value that it cannot have")


def resolve_model(source: str) -> str:
    """A hub id or a folder with a CLIP, for whatever a user calls a model.

    Of a run folder its `model/` is meant; `open_clip:PATH` is what open_clip loads.

    Raises:
        ModelError: a run folder that has no model yet, or a path that does not exist.
    """
    if source.startswith(PREFIX):
        return source
    path = Path(source)
    if (path / "environment.json").exists() and (path / "data.json").exists():
        if not (path / "model" / "config.json").exists():
            raise ModelError(
                "is a run folder without a finished model",
                where=source,
                fix=f"Finish it: {_command_to_go_on(path)}",
            )
        return str(path / "model")
    looks_local = source.startswith((".", "/", "~")) or source.count("/") > 1
    # A folder that has a hub's organisation's name by chance holds no run and no model.
    looks_local |= "/" in source and any(path.parent.glob("*/config.json"))
    if looks_local and not path.exists():
        there = sorted(one.name for one in path.parent.glob("*") if one.is_dir())
        fix = "Give a hub id, a model folder or a run folder."
        if 0 < len(there) < 10:
            fix = f"In {path.parent} there are {', '.join(there)}."
        raise ModelError("does not exist", where=source, fix=fix)
    return source


def _command_to_go_on(run: Path) -> str:
    """The command that began a run, to go on with it."""
    try:
        content = read_checked(run / "environment.json")
        # Format 1 knows one session.
        _, *arguments = map(str, content.get("sessions", [content])[0]["command"])
    except DAMAGES:
        arguments = []
    if "quickstart" in arguments:
        return shlex.join(["figclip", *arguments])
    if "adapt" not in arguments:
        return "start what began it again, to resume"
    return shlex.join(["figclip", *(one for one in arguments if one != "--resume"), "--resume"])

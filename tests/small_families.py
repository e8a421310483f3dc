"""Small models of every family, with random weights, in the format of real ones."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    MetaClip2Config,
    MetaClip2Model,
    SiglipConfig,
    SiglipModel,
    XLMRobertaTokenizer,
)
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
from figclip.model.families import METACLIP_2, SIGLIP
from figclip.model.folder import write_clip_files
from figclip.model.preprocessing import Preprocessing
from figclip.model.tokenizers import Tokenizer as AnyTokenizer
from tests.small_clip import write_small_clip

SIGLIP_LENGTH = 64
"""Tokens that every text of a SigLIP is padded to."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_GEMMA = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
_SENTENCES = (
    "a man pushes a woman in a park",
    "in this photo, the action is walk, the walker is man, scene is road",
    "the mover of the red ball is a small dog, direction is left, manner is quickly",
)


@dataclass(frozen=True, kw_only=True)
class SmallFamily:
    """A family as tests need it.

    Attributes:
        name: Of the checkpoints that it stands for.
        write: Writes a model of a seed, which takes pictures of an edge in pixels, into a folder.
        pipeline: The pixel pipeline that belongs to it.
    """

    name: str
    write: Callable[[Path, int, int], None]
    pipeline: str


def gemma_files(folder: Path, *, lower_cases: bool = False) -> None:
    """Tokenizer files as those of SigLIP 2: Gemma's, which a class is named for that keeps case."""
    learner = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = BpeTrainer(
        vocab_size=420,
        special_tokens=[*_GEMMA, *alphabet],
        initial_alphabet=list(_LETTERS),
        show_progress=False,
    )
    learner.train_from_iterator(_SENTENCES, trainer)
    learner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    learner.post_processor = processors.TemplateProcessing(
        single="$A <eos>", pair="$A <eos> $B <eos>", special_tokens=[("<eos>", 1)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    learner.save(str(folder / "tokenizer.json"))
    tokens = dict(zip(("pad", "eos", "bos", "unk", "mask"), _GEMMA, strict=True))
    settings: dict[str, Any] = {f"{name}_token": token for name, token in tokens.items()}
    settings |= {"padding_side": "right", "model_input_names": ["input_ids"]}
    settings["tokenizer_class"] = "Siglip2Tokenizer" if lower_cases else "GemmaTokenizer"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def gemma_tokenizer() -> AnyTokenizer:
    """SigLIP 2's tokenizer as transformers loads it from such files."""
    with tempfile.TemporaryDirectory() as folder:
        gemma_files(Path(folder))
        tokenizer = Siglip2Tokenizer.from_pretrained(folder)
    tokenizer.model_max_length = SIGLIP_LENGTH
    return tokenizer


def sentencepiece_tokenizer() -> AnyTokenizer:
    """The tokenizer of the first SigLIPs: SentencePiece's, no capitals, no punctuation."""
    library = import_module("sentencepiece")
    module = import_module("transformers.models.siglip.tokenization_siglip")
    written = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(_SENTENCES * 20),
        model_writer=written,
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spiece.model"
        file.write_bytes(written.getvalue())
        return module.SiglipTokenizer(str(file), model_input_names=["input_ids"])


def xlm_tokenizer() -> AnyTokenizer:
    """XLM-RoBERTa's, of single letters and a few words."""
    words = sorted({word for sentence in _SENTENCES for word in sentence.split()})
    pieces = [*(f"▁{word}" for word in words), "▁", *_LETTERS, *",.-'0123456789"]
    specials = ("<s>", "<pad>", "</s>", "<unk>")
    scores = [*((one, 0.0) for one in specials), *((one, -2.0 - len(one)) for one in pieces)]
    return XLMRobertaTokenizer(vocab=[*scores, ("<mask>", 0.0)], model_max_length=77)  # pyright: ignore


def randomise(model: torch.nn.Module, *, seed: int) -> None:
    """Biases and norms of a fresh model are 0 and 1, which would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and not name.startswith("logit"):
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.1 * noise)


def write_small_siglip(
    path: Path,
    seed: int,
    image_size: int,
    *,
    tokenizer: AnyTokenizer | None = None,
    pipeline: str = "pil-squash-bilinear",
    config: SiglipConfig | None = None,
) -> None:
    """Write a SigLIP, by default as SigLIP 2 has its tokenizer and pictures.

    Without a configuration it is a small one.
    """
    tokenizer = tokenizer or gemma_tokenizer()
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = config or SiglipConfig(
        text_config={
            **tower,
            "vocab_size": len(tokenizer) + 3,
            "max_position_embeddings": SIGLIP_LENGTH,
            "bos_token_id": None,
            "eos_token_id": 1,
        },
        vision_config={**tower, "image_size": image_size, "patch_size": 8},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SiglipModel(config)
    randomise(model, seed=seed)
    with torch.no_grad():
        model.logit_scale.fill_(2.3)
        model.logit_bias.fill_(-3.0)
    half = (0.5, 0.5, 0.5)
    write_clip_files(
        path,
        state=model.state_dict(),
        config=config,
        tokenizer=tokenizer,
        preprocessing=Preprocessing(image_size=image_size, mean=half, std=half, pipeline=pipeline),
    )


def write_small_metaclip(
    path: Path, seed: int, image_size: int, *, config: MetaClip2Config | None = None
) -> None:
    """Write a MetaCLIP 2; its end token is 2, which it pools at as it is.

    Without a configuration it is a small one.
    """
    tokenizer = xlm_tokenizer()
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 48,
    }
    config = config or MetaClip2Config(
        text_config={
            **tower,
            "vocab_size": len(tokenizer),
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
        },
        vision_config={**tower, "image_size": image_size, "patch_size": 8},
        projection_dim=48,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MetaClip2Model(config)
    randomise(model, seed=seed)
    write_clip_files(
        path,
        state=model.state_dict(),
        config=config,
        tokenizer=tokenizer,
        preprocessing=Preprocessing(image_size=image_size, mean=CLIP_MEAN, std=CLIP_STD),
    )


def _write_clip(path: Path, seed: int, image_size: int) -> None:
    write_small_clip(path, seed=seed, image_size=image_size, patch_size=8, width=32, layers=2)


SMALL_FAMILIES: Sequence[SmallFamily] = (
    SmallFamily(name="clip", write=_write_clip, pipeline="pil"),
    SmallFamily(name=METACLIP_2.name, write=write_small_metaclip, pipeline="pil"),
    SmallFamily(name=SIGLIP.name, write=write_small_siglip, pipeline="pil-squash-bilinear"),
)

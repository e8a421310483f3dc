"""The mini world's SigLIP: its tokenizer, and its first random weights.

The tokenizer is of the kind of SigLIP 2's, Gemma's on lower-cased texts, with merges learnt from
the mini world.
"""

import json
import math

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

from figclip.miniworld.mini_clip import (
    HEAD_WIDTH,
    IMAGE_SIZE,
    MAX_TOKENS,
    PATCH_SIZE,
    world_sentences,
)
from figclip.model.backbone import Backbone
from figclip.model.preprocessing import Preprocessing

TEXT_LENGTH = 64
"""Tokens that every text is padded to, as those of SigLIP are; the world's need 47 at most."""

SIGLIP_MEAN = SIGLIP_STD = (0.5, 0.5, 0.5)
SIGLIP_PIPELINE = "pil-squash"
"""The first SigLIPs'; bicubic, as the stills of the pretraining are reduced."""

FIRST_LOG_SCALE = math.log(10)
FIRST_BIAS = -10.0
"""What makes logits of similarities at first: SigLIP (arXiv 2303.15343), section 3.2."""

_SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def build_siglip_tokenizer(*, seed: int) -> Siglip2Tokenizer:
    """Learn merges from the texts that `mini_clip.build_tokenizer` learns from.

    As Gemma's, the vocabulary begins with the special tokens, and has every byte, so that every
    text can be written; a space belongs to the word after it, and no merge reaches beyond a word.
    """
    learner = Tokenizer(BPE())
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="never"),
            pre_tokenizers.Punctuation(behavior="isolated"),
        ]
    )
    trainer = BpeTrainer(
        vocab_size=MAX_TOKENS,
        min_frequency=1,
        special_tokens=[*_SPECIAL_TOKENS, *_BYTES],
        show_progress=False,
    )
    learner.train_from_iterator(world_sentences(seed), trainer)
    learnt = json.loads(learner.to_str())["model"]
    merges = [(first, second) for first, second in learnt["merges"]]
    tokenizer = Siglip2Tokenizer(
        vocab=learnt["vocab"],
        merges=merges,  # pyright: ignore
        model_max_length=TEXT_LENGTH,
        padding_side="right",
        model_input_names=["input_ids"],
    )
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}",
        pair=f"$A {end} $B {end}",
        special_tokens=[(end, tokenizer.eos_token_id)],
    )
    return tokenizer


def build_mini_siglip(
    *, seed: int, width: int = 128, vision_layers: int = 4, text_layers: int = 3
) -> Backbone:
    """A SigLIP of random weights with the mini world's tokenizer; 1.8 million by default."""
    tokenizer = build_siglip_tokenizer(seed=seed)
    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": width // HEAD_WIDTH,
    }
    config = SiglipConfig(
        text_config={
            **tower,
            "num_hidden_layers": text_layers,
            "max_position_embeddings": TEXT_LENGTH,
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "projection_size": width,
        },
        vision_config={
            **tower,
            "num_hidden_layers": vision_layers,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
        },
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        siglip = SiglipModel._from_config(config, attn_implementation="eager")  # noqa: SLF001
    with torch.no_grad():
        siglip.logit_scale.fill_(FIRST_LOG_SCALE)
        siglip.logit_bias.fill_(FIRST_BIAS)
    preprocessing = Preprocessing(
        image_size=IMAGE_SIZE, mean=SIGLIP_MEAN, std=SIGLIP_STD, pipeline=SIGLIP_PIPELINE
    )
    return Backbone(siglip, tokenizer=tokenizer, preprocessing=preprocessing, name="")

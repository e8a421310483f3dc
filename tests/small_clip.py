"""A small CLIP with random weights, in the format of a real one."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
from figclip.model.folder import write_clip_files
from figclip.model.preprocessing import Preprocessing


def write_small_clip(
    path: Path,
    *,
    seed: int,
    image_size: int = 64,
    patch_size: int = 8,
    width: int = 128,
    layers: int = 4,
    activation: str = "quick_gelu",
) -> None:
    """Write a CLIP of about a million random weights that `transformers` loads like any other.

    Args:
        path: Folder to write.
        seed: Of the weights.
        image_size: Edge of the pictures it takes, in pixels.
        patch_size: Edge of a patch, in pixels.
        width: Width of both towers and of the joint embedding; a multiple of 32.
        layers: Layers of each tower.
        activation: `quick_gelu` or `gelu`.
    """
    tokenizer = byte_tokenizer()
    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 32,
        "hidden_act": activation,
        "projection_dim": width,
    }
    config = CLIPConfig(
        text_config=CLIPTextConfig(
            **tower,
            vocab_size=tokenizer.vocab_size,
            bos_token_id=tokenizer.vocab_size - 2,
            eos_token_id=tokenizer.vocab_size - 1,
            pad_token_id=tokenizer.vocab_size - 1,
        ).to_dict(),
        vision_config=CLIPVisionConfig(
            **tower, image_size=image_size, patch_size=patch_size
        ).to_dict(),
        projection_dim=width,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        clip = CLIPModel(config)
    write_clip_files(
        path,
        state=clip.state_dict(),
        config=config,
        tokenizer=tokenizer,
        preprocessing=Preprocessing(image_size=image_size, mean=CLIP_MEAN, std=CLIP_STD),
    )


def byte_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer over bytes, with merges for the caption template's most frequent words.

    Without merges every letter is a token, and a dense caption would not fit 77 of them.
    """
    symbols = sorted(ByteLevel.alphabet())
    vocab = {symbol: i for i, symbol in enumerate([*symbols, *(s + "</w>" for s in symbols)])}
    merges: list[str] = []
    for word in _WORDS:
        prefix = word[0]
        for i, letter in enumerate(word[1:], start=2):
            suffix = letter + ("</w>" if i == len(word) else "")
            merge = f"{prefix} {suffix}"
            prefix += suffix
            if prefix not in vocab:
                vocab[prefix] = len(vocab)
                merges.append(merge)
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocab[special] = len(vocab)
    pairs = [tuple(merge.split(" ")) for merge in merges]
    return CLIPTokenizer(vocab=vocab, merges=pairs, model_max_length=77)  # pyright: ignore


# The order matters: a merge learnt from an earlier word is done first, and `an` before `man` would
# leave `man` in two tokens.
_WORDS = (
    "woman small yellow slowly follow follower followed direction manner man green black triangle "
    "backward beach forest location spin falling puller pulled carrier carried in this photo the "
    "action is of and to on by with a an scene event dog cat red blue white large circle square "
    "ball box left right up down forward quickly calmly walk run push pull lift throw jump turn "
    "hit mover pusher thing pushed moved lifter walker runner field road room bird jumper spinner "
    "fall carry lifted hitter hits who circler circled"
).split()

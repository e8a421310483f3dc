"""Recipes of task heads: functions that return a whole config. `--set` changes them.

SRL-CLIP (arXiv 2401.07669v2) says of its heads only that they follow the peers' transformer
encoder and decoder; sizes, dropout and our vocabulary of words (VidSitu uses GPT-2's pieces) are
ours.
"""

from __future__ import annotations

from collections.abc import Callable

from figclip.errors import ConfigError
from figclip.head_config import HeadTrainConfig, SituationConfig, TransformerConfig


def situations() -> SituationConfig:
    """Verbs, roles and relations on any annotated videos.

    Purpose: what `figclip finetune situations` trains unless told otherwise.
    Source: Sadhu et al., CVPR 2021: learning rate 1e-4, 10 epochs, batches of 16 videos,
        three-layer transformer encoder and decoder. Differs in: frozen CLIP features; one head for
        the three tasks; AdamW with warm-up and cosine; beam of 3 where theirs is greedy;
        checkpoint chosen on held-out groups of train, where theirs is chosen on valid.
    Expected: SRL-CLIP reports verb top-1 46.57 to 52.36 and SRL CIDEr 60.79 to 76.24 on VidSitu
        (ViT-L/14); ours is not yet measured, as we cannot have the videos.
    Hardware: any GPU, or a CPU for small sets; features are computed once and held in memory.
    Command: figclip finetune situations --model runs/mine --data vidsitu:DIR,videos=DIR --out RUN
    """
    return SituationConfig(recipe="situations")


def mini_situations() -> SituationConfig:
    """Situations of the mini world, in half a minute on two CPU cores.

    Purpose: what `figclip quickstart` fine-tunes.
    Source: `situations`, smaller, with a rate for a small head.
    Expected: the results in docs/mini_world.md.
    Hardware: two CPU cores.
    Command: figclip quickstart
    """
    return SituationConfig(
        recipe="mini_situations",
        head=TransformerConfig(
            width=96, heads=4, encoder_layers=2, decoder_layers=2, min_word_count=1, max_words=40
        ),
        train=HeadTrainConfig(epochs=8, lr=2e-3, val_fraction=0.1),
    )


SITUATION_RECIPES: dict[str, Callable[[], SituationConfig]] = {
    "situations": situations,
    "mini_situations": mini_situations,
}


def build_situation_recipe(name: str) -> SituationConfig:
    """The config of a recipe.

    Raises:
        ConfigError: no such recipe.
    """
    if name not in SITUATION_RECIPES:
        raise ConfigError(
            f"unknown recipe {name!r}",
            where="--recipe",
            fix=f"Recipes are {', '.join(SITUATION_RECIPES)}",
        )
    return SITUATION_RECIPES[name]()

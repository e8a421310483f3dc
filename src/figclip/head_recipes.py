"""Recipes of task heads: functions that return a whole config. `--set` changes them.

SRL-CLIP (arXiv 2401.07669v2) says of its heads only that they follow the peers' transformer
encoder and decoder; sizes, dropout and our vocabulary of words (VidSitu uses GPT-2's pieces) are
ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from figclip.errors import ConfigError
from figclip.head_config import (
    CaptioningConfig,
    EventQueries,
    HeadTrainConfig,
    SituationConfig,
    TransformerConfig,
    VideoFrames,
)

Recipe = TypeVar("Recipe")


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
    """Situations of the mini world, in minutes on two CPU cores.

    Purpose: what `figclip quickstart` fine-tunes.
    Source: `situations`, smaller, with a rate for a small head. No dropout: it took a third of the
        time and helped nothing on the held-back groups of train (LOG.md).
    Expected: the results in docs/mini_world.md.
    Hardware: two CPU cores.
    Command: figclip quickstart
    """
    return SituationConfig(
        recipe="mini_situations",
        head=TransformerConfig(
            width=96,
            heads=4,
            encoder_layers=2,
            decoder_layers=2,
            dropout=0.0,
            min_word_count=1,
            max_words=40,
        ),
        train=HeadTrainConfig(epochs=8, lr=2e-3, val_fraction=0.1),
    )


def captioning() -> CaptioningConfig:
    """Dense captions of any untrimmed videos.

    Purpose: what `figclip finetune captioning` trains unless told otherwise.
    Source: Wang et al., ICCV 2021 (PDVC), for ActivityNet Captions: 10 queries, two layers each
        way, width 512, weights of the losses, up to 30 words, 30 epochs. Differs in: frozen CLIP
        features at one a second; full attention; a transformer decoder, beam of 3; AdamW with
        warm-up and cosine, batches of 16; checkpoint chosen on held-out videos of train.
    Expected: not yet measured, as we cannot have the videos. YouCook2 has more events a video
        (7.7 on average): queries.num=100 there, as PDVC.
    Hardware: any GPU, or a CPU for small sets; features are computed once and held in memory.
    Command: figclip finetune captioning --model runs/mine --data activitynet:DIR,videos=DIR
        --out RUN
    """
    return CaptioningConfig(
        recipe="captioning",
        head=TransformerConfig(encoder_layers=2, decoder_layers=2, max_words=30),
        train=HeadTrainConfig(epochs=30),
    )


def mini_captioning() -> CaptioningConfig:
    """Dense captions of the mini world's films, in a minute on two CPU cores.

    Purpose: what `figclip quickstart` fine-tunes.
    Source: `captioning`, smaller, with a rate for a small head, and more frames of short films.
    Expected: the results in docs/mini_world.md.
    Hardware: two CPU cores.
    Command: figclip quickstart
    """
    return CaptioningConfig(
        recipe="mini_captioning",
        frames=VideoFrames(per_second=3.0),
        head=TransformerConfig(
            width=96, heads=4, encoder_layers=2, decoder_layers=2, min_word_count=1, max_words=30
        ),
        queries=EventQueries(num=8),
        train=HeadTrainConfig(epochs=16, lr=2e-3, val_fraction=0.1),
    )


SITUATION_RECIPES: dict[str, Callable[[], SituationConfig]] = {
    "situations": situations,
    "mini_situations": mini_situations,
}


CAPTIONING_RECIPES: dict[str, Callable[[], CaptioningConfig]] = {
    "captioning": captioning,
    "mini_captioning": mini_captioning,
}


def build_situation_recipe(name: str) -> SituationConfig:
    """The config of a recipe for situations.

    Raises:
        ConfigError: no such recipe.
    """
    return _find(SITUATION_RECIPES, name)()


def build_captioning_recipe(name: str) -> CaptioningConfig:
    """The config of a recipe for dense captioning.

    Raises:
        ConfigError: no such recipe.
    """
    return _find(CAPTIONING_RECIPES, name)()


def _find(recipes: Mapping[str, Recipe], name: str) -> Recipe:
    """The recipe of a name."""
    if name not in recipes:
        raise ConfigError(
            f"unknown recipe {name!r}", where="--recipe", fix=f"Recipes are {', '.join(recipes)}"
        )
    return recipes[name]

"""Writes pairs of situations as SugarCrepe lays out its pictures and captions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from figclip.miniworld.annotated_videos import Painter, media_seed, write_json
from figclip.miniworld.situations import EditKind, SituationPair
from figclip.miniworld.wording import EVALUATION_STYLES, Style, facts_to_tell, natural_sentence
from tests.layouts.writing import both_ways

SUBSET_OF_KIND: dict[EditKind, str] = {
    "role_swap": "swap_obj",
    "attribute_swap": "swap_att",
    "verb": "replace_rel",
    "colour": "replace_att",
    "kind": "replace_obj",
}
"""The subsets that there are; those of added words have no counterpart here."""


def write_sugarcrepe(
    out: Path,
    pairs: Sequence[SituationPair],
    *,
    painter: Painter,
    seed: int,
    styles: Sequence[Style] = EVALUATION_STYLES,
) -> None:
    """Writes `out/{subset}.json` of every subset that there are pairs of, and `out/images/….png`.

    A pair is two items in sequence: two pictures that look the same but for the edit, with
    captions exchanged. Pictures are not JPEG as COCO's are: small ones would suffer.

    Args:
        out: Folder.
        pairs: Of kinds in `SUBSET_OF_KIND`.
        painter: Draws the pictures.
        seed: Of styles and pictures.
        styles: Of the captions, which tell verb, kinds and colours.
    """
    subsets: dict[str, dict[str, dict[str, str]]] = {}
    num_images = 0
    for idx, pair in enumerate(pairs):
        rng = random.Random(f"{seed}:sugarcrepe:{idx}")
        style, tells = rng.choice(styles), facts_to_tell(pair.kind)
        seen = pair.first, pair.second
        first, second = (natural_sentence(side, style, tells=tells) for side in seen)
        items = subsets.setdefault(SUBSET_OF_KIND[pair.kind], {})
        image_seed = media_seed(rng)
        for told in both_ways(seen, (first, second)):
            filename = f"{num_images:012d}.png"
            num_images += 1
            painter.order(out / "images" / filename, told.seen, seed=image_seed)
            items[str(len(items))] = {
                "filename": filename,
                "caption": told.true,
                "negative_caption": told.false,
            }
    for subset, items in subsets.items():
        write_json(out / f"{subset}.json", items)

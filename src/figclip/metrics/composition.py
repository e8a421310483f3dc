"""Judge items of composition: all true captions must be more similar than all false ones.

Also here: which relations and attributes count in ARO's two macro averages.

Source: mertyg/vision-language-models-are-bows @ 81fdd20, the notebook "Replicate ARO!" and
dataset_zoo/aro_datasets.py:183.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from figclip.errors import MetricError
from figclip.metrics.controls import Choices
from figclip.metrics.ranking import check_finite


@dataclass(frozen=True, slots=True, kw_only=True)
class WinogroundVerdicts:
    """Winoground's three scores of each item."""

    text: Choices
    image: Choices
    group: Choices


def judge(higher_NM: Float32[np.ndarray, "N M"], lower_NM: Float32[np.ndarray, "N M"]) -> Choices:
    """An item is right if each of its M scores exceeds its counterpart; else its accuracy is 0.

    Ties are 1 for an item that loses no comparison and ties in some.

    Several true captions against several false ones: the least similar true one against the most
    similar false one, as SugarCrepe++ does (Sri-Harsha/scpp, VLMs/test_Variants_CLIP.py).

    Strict, in float32, as SugarCrepe (RAIVNLab/sugar-crepe @ 0047054, main_eval.py:54), ARO's
    relations and attributes (mertyg/vision-language-models-are-bows @ 81fdd20, aro_datasets.py:
    argmax of [false, true]) and VELOCITI's ClassicVLE (katha-ai/VELOCITI @ 8d66ddb, metrics.py:6)
    do with M = 1. They let NaN pass as an ordinary number; we refuse it.

    Raises:
        MetricError: no item, no comparison, or a score that is not finite.
    """
    if not higher_NM.size:
        raise MetricError(f"{len(higher_NM)} items with {higher_NM.shape[1]} comparisons each")
    check_finite(higher_NM)
    check_finite(lower_NM)
    # Of each item, the comparison that is nearest to being lost.
    won_N = np.where(higher_NM > lower_NM, 1.0, 0.0).min(axis=1)
    not_lost_N = np.where(higher_NM >= lower_NM, 1.0, 0.0).min(axis=1)
    return Choices(accuracy_N=won_N, ties_N=not_lost_N - won_N)


def judge_text_only(
    positives_N: Float32[np.ndarray, " N"], positive_negative_N2: Float32[np.ndarray, "N 2"]
) -> Choices:
    """SugarCrepe++'s text-only task: two true captions are closer than either to the false one.

    `positives_N` is the cosine of the two true captions, `positive_negative_N2` that of each with
    the false one.

    Source: Sri-Harsha/scpp, VLMs/test_Variants_CLIP.py.
    """
    return judge(np.repeat(positives_N[:, None], 2, axis=1), positive_negative_N2)


def judge_winoground(sim_N22: Float32[np.ndarray, "N 2 2"]) -> WinogroundVerdicts:
    """Winoground: captions matched to images (text), images to captions (image), both (group).

    `sim_N22` is the score of each caption (row) with each image (column) of an item; caption i is
    true of image i.

    Source: the benchmark's notebook (arXiv 2204.03162); all comparisons strict.
    """
    true_N2 = np.stack([sim_N22[:, 0, 0], sim_N22[:, 1, 1]], axis=1)
    # What competes: for text, the other caption of the same image; for image, the other image.
    other_caption_N2 = np.stack([sim_N22[:, 1, 0], sim_N22[:, 0, 1]], axis=1)
    other_image_N2 = other_caption_N2[:, ::-1]
    return WinogroundVerdicts(
        text=judge(true_N2, other_caption_N2),
        image=judge(true_N2, other_image_N2),
        group=judge(
            np.concatenate([true_N2, true_N2], axis=1),
            np.concatenate([other_caption_N2, other_image_N2], axis=1),
        ),
    )


MIN_ATTRIBUTE_ITEMS = 25
"""Pairs of attributes with fewer items are left out; `white_black` and `black_white` are two."""

_SYMMETRIC = """
    adjusting, around, attached to, beside, between, bigger than, biting, boarding, brushing, by,
    chewing, cleaning, climbing, close to, coming from, coming out of, contain, crossing, dragging,
    draped over, drinking, drinking from, driving, driving down, driving on, eating from, eating in,
    enclosing, exiting, facing, filled with, floating in, floating on, flying, flying above, flying
    in, flying over, flying through, full of, going down, going into, going through, grazing in,
    growing in, growing on, guiding, hanging from, hanging in, hanging off, hanging over, higher
    than, holding onto, hugging, in between, jumping off, jumping on, jumping over, kept in, larger
    than, leading, leaning over, leaving, licking, longer than, looking in, looking into, looking
    out, looking over, looking through, lying next to, lying on top of, making, mixed with, mounted
    on, moving, near, next to, of, on the back of, on the edge of, on the front of, on the other
    side of, on the side of, opening, painted on, parked at, parked beside, parked by, parked in,
    parked in front of, parked near, parked next to, perched on, petting, piled on, playing, playing
    in, playing on, playing with, pouring, reaching for, reading, reflected on, riding on, running
    in, running on, running through, seen through, sitting behind, sitting beside, sitting by,
    sitting in front of, sitting near, sitting next to, sitting under, skiing down, skiing on,
    sleeping in, sleeping on, smiling at, sniffing, splashing, sprinkled on, stacked on, standing
    against, standing around, standing behind, standing beside, standing in front of, standing near,
    standing next to, staring at, stuck in, surrounding, swimming in, swinging, talking to, topped
    with, touching, traveling down, traveling on, tying, typing on, underneath, wading in, waiting
    for, walking across, walking by, walking down, walking next to, walking through, with, working
    in, working on, worn on, wrapped around, wrapped in
"""
SYMMETRIC_RELATIONS = frozenset(" ".join(_SYMMETRIC.split()).split(", "))
"""The 157 relations that the notebook removes, by exact name."""

"""What the readers of benchmark files return: pictures and videos, and what is said of them.

Ids are unique in a set. Items of one group are not independent, and are resampled together.
"""

from dataclasses import dataclass
from typing import Literal

MediumKind = Literal["image", "video"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part of a picture, in pixels from its top left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """An image or a video that a benchmark names; the file may or may not be there.

    Attributes:
        name: Path below the folder of images or videos. A video's may lack its extension.
        box: Only this part of an image is looked at; None for all of it. Videos have none.
        also: Other names that the file may go by, where none has the name itself.
    """

    kind: MediumKind
    name: str
    box: Box | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedMedium:
    """An image or video with its captions. `captions`: at least one, as written."""

    id: str
    medium: Medium
    captions: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSet:
    """A set for retrieval. `split`: which part of the benchmark; None when it has no parts."""

    split: str | None
    items: tuple[CaptionedMedium, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMedium:
    """A video (or image) with its class; the id is unique in its split.

    `split`: Which of the benchmark's test lists it is on (`1`, `2`, `3`); empty where there is one
    only.
    """

    id: str
    medium: Medium
    class_idx: int
    split: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSet:
    """A set for zero-shot classification.

    `split` is for example `1+2+3`; None when the benchmark has no parts. Classes are named as it
    writes them, in its order, and in words, lower case (`apply eye makeup` for `ApplyEyeMakeup`).
    Items are split by split, in the order of the files.
    """

    split: str | None
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    items: tuple[LabelledMedium, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """True and false captions of one image or video, or of two that exchange them.

    Attributes:
        subset: Part of the benchmark that has an accuracy of its own: `swap_obj`, a relation, a
            test; empty where there are no parts.
        media: One; or two (Winoground), of which the second is truly described by the one negative
            and falsely by the one positive.
        positives: True of `media[0]`; at least one.
        negatives: False of `media[0]`; at least one.
    """

    id: str
    subset: str
    media: tuple[Medium, ...]
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositionSet:
    """A set of contrasts.

    Attributes:
        protocol: How the benchmark scores: `sugarcrepe`, `sugarcrepe_pp`, `vg_relation`,
            `vg_attribution`, `winoground`, `velociti` or `pairs`.
        split: Which part of the benchmark; None when it has no parts.
    """

    protocol: str
    split: str | None
    items: tuple[Contrast, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An item that is not scored.

    `reason`: Why, the same words for the same reason, so that reasons can be counted.
    """

    item: str
    reason: str


Benchmark = RetrievalSet | ActionSet | CompositionSet

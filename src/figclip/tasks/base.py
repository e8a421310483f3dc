"""The interface of a task: load items, score each with an embedder, summarise.

`evaluation` runs `load` once a data set and `score` once a model, compares the two models item by
item, and writes what it got; it knows nothing else of a task. What varies stays inside. Scores that
are not means over items (CIDEr over a corpus, macro averages) are only in `summarise`.

Embeddings that are not finite are a `MetricError`.

A metric whose name is also the name of per-item values is their weighted mean, and gets an interval
(`check_item_means`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from figclip.datasets.records import LeftOut
from figclip.video.stored import StoredClips, StoredVideos

Source = TypeVar("Source", contravariant=True)
Items = TypeVar("Items")

Setting = str | int | float
Unit = Literal["fraction", "rank"]
TextKind = Literal["sentences", "contrasts", "labels"]
Face = Literal["detail", "kept"]
"""The two faces of the claim: what adaptation should teach, and what it must not cost."""


@runtime_checkable
class TextEmbedder(Protocol):
    """Embeds texts."""

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of texts."""
        ...


@runtime_checkable
class FrameTextEmbedder(TextEmbedder, Protocol):
    """What tasks on annotated events need of a model."""

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[tuple[int, float]]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of stored frames: index of the video, time in seconds."""
        ...


@runtime_checkable
class ContextTextEmbedder(FrameTextEmbedder, Protocol):
    """A model that sees the events of a video in each other's context."""

    def embed_in_context(
        self, videos: StoredVideos, frames: Sequence[tuple[int, float]], *, frames_per_event: int
    ) -> tuple[Float32[np.ndarray, "P D"], Float32[np.ndarray, " D"]]:
        """L2-normalised embeddings of one video's events, T frames of each in turn, and of it."""
        ...


@runtime_checkable
class ClipTextEmbedder(TextEmbedder, Protocol):
    """What tasks on images and whole videos need of a model."""

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of images and whole videos, pooled as the preset says."""
        ...


@runtime_checkable
class TaskEmbedder(FrameTextEmbedder, ClipTextEmbedder, Protocol):
    """All that any task needs of a model; `model.embedder.Embedder` is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData(Generic[Items]):
    """What a task scores.

    `texts`: All texts that are embedded, so that those too long for a model can be counted.
    """

    items: Items
    counts: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """Values of a block of items, for example all queries of one direction.

    Attributes:
        block: Name of the block, unique in the task.
        item_ids: Unique in the block.
        group_ids: Items of one group (a film, a YouTube video) are resampled together.
        values: From the name of a metric to its value for each item.
        weights: Weight of each item in the means; None: all equal.
        labels: What else is to be said of each item in words, for example the predicted class.
        chance: What guessing would score in the mean, of the metrics where that is known.
    """

    block: str
    item_ids: tuple[str, ...]
    group_ids: tuple[str, ...]
    values: Mapping[str, Float64[np.ndarray, " N"]]
    weights: Float64[np.ndarray, " N"] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    chance: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of one model.

    Attributes:
        official: As the benchmark's own code computes it; for our own tasks, as we do.
        corrected: Where the official way is plainly wrong, the right one; None where it is not.
        unit: `fraction`, shown in percent, higher is better: in [0, 1], though CIDEr and Lea-soft
            may exceed it; `rank` counted from 1, lower is better.
        chance: What guessing would score; None where that depends on the data.
        is_headline: One of the few numbers that stand for the task; their mean is its place on
            the picture of detail against what is kept.
        is_detail: Only in the result file, not in the table.
        is_bound: One of the numbers whose mean must not fall when a strength is chosen. A task
            without any is bounded by its headlines.
    """

    official: float
    corrected: float | None = None
    unit: Unit = "fraction"
    chance: float | None = None
    is_headline: bool = False
    is_detail: bool = False
    is_bound: bool = False

    @property
    def value(self) -> float:
        """The corrected score where there is one, else the official."""
        return self.official if self.corrected is None else self.corrected


def check_item_means(summary: Mapping[str, Score], items: Sequence[ItemScores]) -> None:
    """Assert that scores and the values of single items say the same.

    An interval is drawn from the items: beside a score that is not their mean it would be the
    interval of something else. Each metric has values in one block at most.
    """
    checked: set[str] = set()
    for block in items:
        for metric in block.values.keys() & summary.keys():
            assert metric not in checked, f"two blocks have values of {metric}"
            checked.add(metric)
            mean = float(np.average(block.values[metric], weights=block.weights))
            value = summary[metric].value
            assert isclose(value, mean, rel_tol=1e-9, abs_tol=1e-9), f"{metric}: {value}, {mean}"


@runtime_checkable
class Task(Protocol[Source, Items]):
    """A way to test a model. Its settings are those of its constructor."""

    name: ClassVar[str]
    """In result files, `dense_retrieval`."""

    face: ClassVar[Face]
    """Whether it tests detail, or what must be kept; a data source may say otherwise."""

    texts_are: ClassVar[TextKind]
    """Sentences that find videos, true and false ones about one video, or names of classes."""

    @property
    def settings(self) -> Mapping[str, Setting]:
        """All that changes the scores besides data and model, for the result file."""
        ...

    def load(self, source: Source) -> TaskData[Items]:
        """The items to score; the same for every model."""
        ...

    def score(self, embedder: TaskEmbedder, data: TaskData[Items]) -> tuple[ItemScores, ...]:
        """Score every item with a model; blocks without items are left out."""
        ...

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Metrics by name, in the order to show them."""
        ...

"""Recognising the action of a video by the similarity of the video to the names of classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from figclip.datasets.actions import class_as_labelled, prompts_for
from figclip.datasets.records import ActionSet, LabelledMedium
from figclip.metrics.classification import Classified, classify, means_by_name
from figclip.metrics.ranking import dot_products, hits_at_k
from figclip.tasks.base import (
    ClipTextEmbedder,
    Face,
    ItemScores,
    Score,
    Setting,
    TaskData,
    TextKind,
)
from figclip.tasks.media import (
    MediaSet,
    count_media,
    embed_media,
    embed_unique_texts,
    normalised_rows,
    split_present,
)
from figclip.video.sampling import ClassNames

ALL = "all"
CUT_OFFS = (1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionItems:
    """Items whose media are there. `prompts`: texts of each class, as many for each."""

    media: MediaSet[ActionSet]
    items: tuple[LabelledMedium, ...]
    prompts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """Zero-shot classification of videos; a `tasks.base.Task`.

    A class is embedded as the normalised mean of its prompts' embeddings. All classes of the
    benchmark compete, also those without a video. Official: the most similar class, the first of
    several (argmax). Corrected: a tie counts against the item. With several test lists (HMDB51 and
    UCF101 have three) each is scored alone, and reported are their mean and population standard
    deviation.

    Attributes:
        prompts: A set of prompts or a text with `{}`, see `datasets.actions.find_prompts`.
        class_names: What prompts say for a class.
    """

    name: ClassVar[str] = "actions"
    face: ClassVar[Face] = "kept"
    texts_are: ClassVar[TextKind] = "labels"

    prompts: str
    class_names: ClassNames = "words"

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What changes the scores."""
        return {
            "prompts": self.prompts,
            "class_names": self.class_names,
            "ties": "official: first class; corrected: wrong",
        }

    def load(self, source: MediaSet[ActionSet]) -> TaskData[ActionItems]:
        """Items whose media are there, and the texts of all classes."""
        benchmark = source.benchmark
        items, left_out = split_present(benchmark.items, source.clips)
        names = benchmark.class_names
        if self.class_names == "labels":
            names = tuple(map(class_as_labelled, benchmark.classes))
        prompts = tuple(prompts_for(name, self.prompts) for name in names)
        counts = {
            **count_media({item.medium for item in items}),
            "classes": len(benchmark.classes),
            "classes with a video": len({item.class_idx for item in items}),
        }
        splits = Counter(item.split for item in items)
        if len(splits) > 1:
            counts |= {f"in split {split}": count for split, count in splits.items()}
        return TaskData(
            items=ActionItems(media=source, items=items, prompts=prompts),
            counts=counts,
            left_out=left_out,
            texts=tuple(text for texts in prompts for text in texts),
        )

    def score(
        self, embedder: ClipTextEmbedder, data: TaskData[ActionItems]
    ) -> tuple[ItemScores, ...]:
        """Hits of every item, split by split."""
        items = data.items
        if not items.items:
            return ()
        medium_ND = embed_media(embedder, items.media.clips, [one.medium for one in items.items])
        class_CD = _embed_classes(embedder, items.prompts)
        class_N = np.array([item.class_idx for item in items.items], np.int64)
        parts = [
            classify(sim_RC, class_N[part])
            for part, sim_RC in dot_products(medium_ND, class_CD).parts()
        ]
        return _blocks(parts, items, num_classes=len(class_CD))

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Top-1 and top-5 over the splits, of each split, and of each class."""
        if not scores:
            return {}
        everything, splits = scores[0], scores[1:]
        summary: dict[str, Score] = {}
        for k in CUT_OFFS:
            metric = f"top-{k}"
            if metric not in everything.values:
                continue
            official = _over_splits(scores, f"official {metric}")
            corrected = _over_splits(scores, metric)
            summary[metric] = Score(
                official=float(np.mean(official)),
                corrected=float(np.mean(corrected)),
                chance=everything.chance[metric],
                is_headline=k == 1,
            )
            if splits:
                summary[f"{metric}, std over splits"] = Score(
                    official=float(np.std(official)), corrected=float(np.std(corrected))
                )
        return summary | _split_scores(splits) | _class_scores(everything)


def _embed_classes(
    embedder: ClipTextEmbedder, prompts: Sequence[tuple[str, ...]]
) -> Float32[np.ndarray, "C D"]:
    texts = [text for class_prompts in prompts for text in class_prompts]
    text_MD = embed_unique_texts(embedder, texts)
    prompts_CPD = text_MD.reshape(len(prompts), -1, text_MD.shape[1])
    return normalised_rows(prompts_CPD.astype(np.float64).sum(axis=1))


def _blocks(
    parts: Sequence[Classified], items: ActionItems, *, num_classes: int
) -> tuple[ItemScores, ...]:
    """All items, weighted so that each split counts alike; then each of several splits."""
    ranks = {
        "": np.concatenate([part.rank_N for part in parts]),
        "official ": np.concatenate([part.official_rank_N for part in parts]),
    }
    # Top-5 is left out where there are not more than five classes.
    values = {
        f"{kind}top-{k}": hits_at_k(rank_N, k=k)
        for k in CUT_OFFS
        if k == 1 or k < num_classes
        for kind, rank_N in ranks.items()
    }
    classes = items.media.benchmark.classes
    predicted_N = np.concatenate([part.predicted_N for part in parts])
    split_of_item = [item.split for item in items.items]
    size_of = Counter(split_of_item)
    everything = ItemScores(
        block=ALL,
        item_ids=tuple(
            f"{item.split}/{item.id}" if len(size_of) > 1 else item.id for item in items.items
        ),
        group_ids=tuple(item.group for item in items.items),
        values=values,
        weights=np.array([1 / size_of[split] for split in split_of_item]),
        labels={
            "true": tuple(classes[item.class_idx] for item in items.items),
            "predicted": tuple(classes[class_idx] for class_idx in predicted_N),
        },
        chance={f"top-{k}": k / num_classes for k in CUT_OFFS},
    )
    if len(size_of) == 1:
        return (everything,)
    return (everything, *(_split_block(everything, split, split_of_item) for split in size_of))


def _split_block(everything: ItemScores, split: str, split_of_item: Sequence[str]) -> ItemScores:
    kept = [i for i, one in enumerate(split_of_item) if one == split]
    return ItemScores(
        block=f"split {split}",
        item_ids=tuple(everything.item_ids[i] for i in kept),
        group_ids=tuple(everything.group_ids[i] for i in kept),
        values={f"{name}, split {split}": one[kept] for name, one in everything.values.items()},
    )


def _over_splits(scores: Sequence[ItemScores], metric: str) -> list[float]:
    """Mean of a metric in each split."""
    everything, *splits = scores
    if not splits:
        return [float(everything.values[metric].mean())]
    return [float(one.values[f"{metric}, {one.block}"].mean()) for one in splits]


def _split_scores(splits: Sequence[ItemScores]) -> dict[str, Score]:
    return {
        metric: Score(
            official=float(one.values[f"official {metric}"].mean()),
            corrected=float(values.mean()),
            is_detail=True,
        )
        for one in splits
        for metric, values in one.values.items()
        if not metric.startswith("official")
    }


def _class_scores(everything: ItemScores) -> dict[str, Score]:
    """Mean over classes of their top-1, and each class; over all items of all splits."""
    classes = everything.labels["true"]
    official = means_by_name(everything.values["official top-1"], classes)
    corrected = means_by_name(everything.values["top-1"], classes)
    mean = Score(
        official=float(np.mean(list(official.values()))),
        corrected=float(np.mean(list(corrected.values()))),
        chance=everything.chance["top-1"],
    )
    each = {
        f"top-1 of class {name}": Score(
            official=official[name], corrected=corrected[name], is_detail=True
        )
        for name in sorted(official)
    }
    return {"top-1, mean over classes": mean, **each}

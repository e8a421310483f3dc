"""Tell true captions of an image or video from false ones that use nearly the same words.

With two controls: what can be got right blindly, and from the words alone.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from typing import ClassVar, TypeVar

import numpy as np
from jaxtyping import Float32, Float64, Int64

from figclip.datasets.records import CompositionSet, Contrast, LeftOut
from figclip.metrics.composition import (
    MIN_ATTRIBUTE_ITEMS,
    SYMMETRIC_RELATIONS,
    judge,
    judge_text_only,
    judge_winoground,
)
from figclip.metrics.controls import (
    NUM_FOLDS,
    CandidatePairs,
    Choices,
    Lots,
    check_mirrored,
    group_folds,
    is_fittable,
    mirrored_pairs,
    text_only_margins,
    with_half_ties,
)
from figclip.metrics.ranking import paired_dot_products
from figclip.tasks.base import (
    ClipTextEmbedder,
    Face,
    ItemScores,
    Score,
    Setting,
    TaskData,
    TextKind,
)
from figclip.tasks.media import MediaSet, embed_media, split_present

Key = TypeVar("Key", bound=Hashable)

NO_FOREIGN = "blind control: a group without a foreign image or video"
TOO_FEW = "text-only control: too few groups"
_TOKEN = re.compile(r"\w+|[^\w\s]")
"""Words, and each mark by itself: a full stop may give a caption away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairControls:
    """What is needed for the controls; none of it depends on the model.

    Attributes:
        foreign_N: The item whose medium is shown in place of each item's own; None where a group
            has no foreign one.
        mirrored: Pairs of items of one group that exchange their only true and only false caption.
        text_only_N: 1 for each item that a regression on words gets right, a tie being half; None
            with too few groups.
    """

    foreign_N: Int64[np.ndarray, " N"] | None
    mirrored: tuple[tuple[int, int], ...]
    text_only_N: Float64[np.ndarray, " N"] | None


def make_controls(
    items: Sequence[Contrast], clip_N: Sequence[int], *, listed: Sequence[Contrast], seed: int
) -> PairControls:
    """The controls of a set; `clip_N`, what each item's medium shows, is equal for equal files.

    The regression on words is fitted on all items that are `listed`, whichever media are there.
    """
    position_of = {item.id: position for position, item in enumerate(listed)}
    positions = [position_of[item.id] for item in items]
    text_only_M = text_only_accuracy(listed)
    return PairControls(
        foreign_N=draw_foreign_media(
            [item.id for item in items], [item.group for item in items], clip_N, seed=seed
        ),
        mirrored=_mirrored_in_groups(items),
        text_only_N=None if text_only_M is None else text_only_M[positions],
    )


def draw_foreign_media(
    items: Sequence[str], groups: Sequence[str], clip_N: Sequence[int], *, seed: int
) -> Int64[np.ndarray, " N"] | None:
    """Draw one item for each group, evenly among those of other groups and other media.

    All items of a group are shown its medium. So if each sentence of a group is true once and
    false once, what is won without looking is lost as often: half of the items are right, but for
    ties. The draw depends on the names of the group and of the item drawn, not on which others are
    there (`metrics.controls.Lots`). None where a group has nothing foreign.
    """
    items_of_clip = _positions(clip_N)
    lots = Lots(items, seed=seed)
    foreign_N = np.empty(len(groups), np.int64)
    for group, members in _positions(groups).items():
        allowed_N = np.ones(len(groups), np.bool_)
        allowed_N[members] = False
        for item in members:
            allowed_N[items_of_clip[clip_N[item]]] = False
        drawn = lots.draw(group, allowed_N=allowed_N, num_drawn=1)
        if not len(drawn):
            return None
        foreign_N[members] = drawn[0]
    return foreign_N


def text_only_accuracy(items: Sequence[Contrast]) -> Float64[np.ndarray, " N"] | None:
    """Which items a regression on words gets right (`metrics.controls`), by the rule of the task.

    It knows the words of a caption and which of two comes before the other, so that who does it to
    whom is seen. It is fitted on the items of other groups, as many folds as there can be up to
    `NUM_FOLDS`. False captions made of words of other groups can push it below chance: what is true
    of one group is then known from the others as false.

    Returns:
        1 where every true caption is preferred to every false one, 1/2 where none is lost but some
        tie, else 0; None with too few groups to fit on.
    """
    groups = [item.group for item in items]
    num_folds = min(NUM_FOLDS, len(set(groups)))
    if num_folds < 2:
        return None
    known: dict[str, frozenset[str]] = {
        text: _word_features(text) for item in items for text in (*item.positives, *item.negatives)
    }
    compared = [
        (item_idx, _difference(known[true], known[false]))
        for item_idx, item in enumerate(items)
        for true in item.positives
        for false in item.negatives
    ]
    item_M = np.array([item_idx for item_idx, _ in compared])
    pairs = CandidatePairs(
        differences=[difference for _, difference in compared],
        fold_N=group_folds(groups, num_folds=num_folds)[item_M],
    )
    if not is_fittable(pairs, pairs):
        return None
    margin_M = text_only_margins(pairs, pairs)
    lowest_N = np.minimum.reduceat(margin_M, np.searchsorted(item_M, np.arange(len(items))))
    return (np.sign(lowest_N) + 1) / 2


def _word_features(text: str) -> frozenset[str]:
    """Every word, and every pair of words of which the first comes before the second."""
    words: list[str] = _TOKEN.findall(text.casefold())
    return frozenset(words) | {f"{first} … {second}" for first, second in combinations(words, 2)}


def _difference(first: frozenset[str], second: frozenset[str]) -> Mapping[str, float]:
    """Features of the first minus those of the second; sorted, as sums differ with their order."""
    return {name: 1.0 if name in first else -1.0 for name in sorted(first ^ second)}


def _mirrored_in_groups(items: Sequence[Contrast]) -> tuple[tuple[int, int], ...]:
    """Pairs of positions of items of one group that ask the same the other way round."""
    pairs: list[tuple[int, int]] = []
    for members in _positions([item.group for item in items]).values():
        single = [i for i in members if len(items[i].positives) == 1]
        found = mirrored_pairs(
            [items[i].positives[0] for i in single], [frozenset(items[i].negatives) for i in single]
        )
        pairs += ((single[first], single[second]) for first, second in found)
    return tuple(pairs)


def _positions(keys: Sequence[Key]) -> dict[Key, list[int]]:
    positions: defaultdict[Key, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    return dict(positions)


ALL = "all"
TIES = "ties"
MEAN = "mean over parts"
BLIND, TEXT_ONLY = "blind accuracy", "text-only accuracy"
PART = "part "
VELOCITI_CONTROL = "control"
MEAN_PROTOCOLS = ("vg_relation", "vg_attribution", "velociti")
"""Benchmarks that report a mean over parts, in which not every part counts."""

MAX_ROWS = 20
"""Benchmarks of more parts (ARO has dozens) show them in the result file only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositionItems:
    """Items whose media are there. `controls`: None for sets that are scored without."""

    media: MediaSet[CompositionSet]
    items: tuple[Contrast, ...]
    controls: PairControls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Published sets of true and false captions, and anyone's; a `tasks.base.Task`.

    An item is right if every true caption is strictly more similar to the picture than every false
    one: a tie is wrong, and the share of ties is in the result file. What is reported beside the
    accuracy of all items follows the benchmark: its parts, ARO's and VELOCITI's means over parts,
    Winoground's three scores, SugarCrepe++'s test of the text tower alone.

    Beside one's own items stand two controls, in which a tie is half. *Blind*: the same question
    under a medium of another group. *Text only*: a regression on the words, the same for every
    model. See `PairControls`.

    Attributes:
        controls_seed: Seed of the controls; None for published sets, which have none.
    """

    name: ClassVar[str] = "composition"
    face: ClassVar[Face] = "detail"
    texts_are: ClassVar[TextKind] = "contrasts"

    controls_seed: int | None = None

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What changes the scores."""
        if self.controls_seed is None:
            return {"ties": "wrong"}
        return {
            "ties": "wrong; half in the controls",
            "seed": self.controls_seed,
            "text_only_folds": NUM_FOLDS,
        }

    def load(self, source: MediaSet[CompositionSet]) -> TaskData[CompositionItems]:
        """Items whose media are there."""
        items, left_out = split_present(source.benchmark.items, source.clips)
        texts = (text for item in items for text in (*item.positives, *item.negatives))
        subsets = Counter(item.subset for item in items)
        counts = {"items": len(items)}
        if len(subsets) > 1 and source.benchmark.protocol != "winoground":
            counts["parts"] = len(subsets)
        controls = self._controls(source, items)
        if controls is not None:
            counts["mirrored items"] = 2 * len(controls.mirrored)
        return TaskData(
            items=CompositionItems(media=source, items=items, controls=controls),
            counts=counts,
            left_out=(*left_out, *_missing_controls(controls)),
            texts=tuple(dict.fromkeys(texts)),
        )

    def score(
        self, embedder: ClipTextEmbedder, data: TaskData[CompositionItems]
    ) -> tuple[ItemScores, ...]:
        """Which items are right, by the benchmark's rules."""
        items, protocol = data.items.items, data.items.media.benchmark.protocol
        if not items:
            return ()
        embedded = _embed(embedder, data.items)
        if protocol == "winoground":
            return _winoground_blocks(items, embedded)
        verdicts = _judge_captions(embedded, items)
        values = _accuracy("accuracy", verdicts)
        overall = _block(ALL, items, values, chance={"accuracy": _chance(items)})
        blocks = [_with_controls(overall, data.items, embedded)]
        # Of the whole benchmark, so that the same parts count whichever media are there.
        sizes = Counter(item.subset for item in data.items.media.benchmark.items)
        counted = frozenset(part for part in sizes if _counts_in_mean(protocol, part, sizes[part]))
        blocks += _part_blocks(protocol, items, verdicts, counted=counted)
        blocks += _mean_over_parts(protocol, items, verdicts, counted=counted)
        if protocol == "sugarcrepe_pp":
            values = _accuracy("text tower alone", _judge_texts(embedded, items))
            blocks.append(_block("texts", items, values, chance={"text tower alone": 1 / 3}))
        return tuple(blocks)

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Means of all values."""
        has_mean = any(block.block == MEAN for block in scores)
        num_parts = sum(block.block.startswith(PART) for block in scores)
        summary: dict[str, Score] = {}
        for block in scores:
            for metric, values in block.values.items():
                is_overall = block.block == ALL and not has_mean
                is_control = metric in (BLIND, TEXT_ONLY)
                summary[metric] = Score(
                    official=float(np.average(values, weights=block.weights)),
                    chance=block.chance.get(metric),
                    is_headline=metric == MEAN
                    or (is_overall and not is_control and not metric.startswith(TIES)),
                    is_detail=metric.startswith(TIES)
                    or (block.block.startswith(PART) and num_parts > MAX_ROWS),
                )
        return summary

    def _controls(
        self, source: MediaSet[CompositionSet], items: Sequence[Contrast]
    ) -> PairControls | None:
        if self.controls_seed is None or not items:
            return None
        clip_N = [source.clips.clip_of[item.media[0]] for item in items]
        return make_controls(items, clip_N, listed=source.benchmark.items, seed=self.controls_seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Embedded:
    """Embeddings of a set."""

    medium_ND: Float32[np.ndarray, "N D"]
    second_ND: Float32[np.ndarray, "N D"] | None
    text_MD: Float32[np.ndarray, "M D"]
    row_of: Mapping[str, int]

    def texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        """Embeddings of some texts."""
        return self.text_MD[[self.row_of[text] for text in texts]]


def _embed(embedder: ClipTextEmbedder, items: CompositionItems) -> _Embedded:
    clips, contrasts = items.media.clips, items.items
    texts = list(dict.fromkeys(t for one in contrasts for t in (*one.positives, *one.negatives)))
    second_ND = None
    if all(len(item.media) == 2 for item in contrasts):
        second_ND = embed_media(embedder, clips, [item.media[1] for item in contrasts])
    return _Embedded(
        medium_ND=embed_media(embedder, clips, [item.media[0] for item in contrasts]),
        second_ND=second_ND,
        text_MD=embedder.embed_texts(texts),
        row_of={text: row for row, text in enumerate(texts)},
    )


def _cosines(
    embedded: _Embedded, texts_of_item: Sequence[tuple[str, ...]]
) -> tuple[Float32[np.ndarray, " M"], Int64[np.ndarray, " N"]]:
    """Cosines of each item's medium with its texts, end to end, and where each item's begin."""
    count_N = np.array([len(texts) for texts in texts_of_item])
    medium_MD = np.repeat(embedded.medium_ND, count_N, axis=0)
    text_MD = embedded.texts([text for texts in texts_of_item for text in texts])
    return paired_dot_products(medium_MD, text_MD), np.cumsum(count_N) - count_N


def _judge_captions(embedded: _Embedded, items: Sequence[Contrast]) -> Choices:
    """The true captions against the false ones."""
    # Every true caption must win, the least similar too, and every false one lose.
    lowest_N = np.minimum.reduceat(*_cosines(embedded, [item.positives for item in items]))
    highest_N = np.maximum.reduceat(*_cosines(embedded, [item.negatives for item in items]))
    return judge(lowest_N[:, None], highest_N[:, None])


def _judge_texts(embedded: _Embedded, items: Sequence[Contrast]) -> Choices:
    """SugarCrepe++: the two true captions are nearer to each other than to the false one."""
    first_ND, second_ND = (embedded.texts([item.positives[i] for item in items]) for i in (0, 1))
    false_ND = embedded.texts([item.negatives[0] for item in items])
    to_false = [paired_dot_products(one, false_ND) for one in (first_ND, second_ND)]
    return judge_text_only(paired_dot_products(first_ND, second_ND), np.stack(to_false, axis=1))


def _winoground_blocks(items: Sequence[Contrast], embedded: _Embedded) -> tuple[ItemScores, ...]:
    """Winoground's three scores; the first caption is true of the first image."""
    assert embedded.second_ND is not None
    captions = ([item.positives[0] for item in items], [item.negatives[0] for item in items])
    sims = [
        paired_dot_products(medium_ND, embedded.texts(caption))
        for caption in captions
        for medium_ND in (embedded.medium_ND, embedded.second_ND)
    ]
    verdicts = judge_winoground(np.stack(sims, axis=1).reshape(-1, 2, 2))
    kinds = {"text": verdicts.text, "image": verdicts.image, "group": verdicts.group}
    values = {
        **{f"{kind} score": one.accuracy_N for kind, one in kinds.items()},
        **{f"{TIES}, {kind} score": one.ties_N for kind, one in kinds.items()},
    }
    chance = {"text score": 1 / 4, "image score": 1 / 4, "group score": 1 / 6}
    return (_block(ALL, items, values, chance=chance),)


def _block(
    name: str,
    items: Sequence[Contrast],
    values: Mapping[str, Float64[np.ndarray, " N"]],
    *,
    chance: Mapping[str, float],
    weights: Float64[np.ndarray, " N"] | None = None,
) -> ItemScores:
    return ItemScores(
        block=name,
        item_ids=tuple(item.id for item in items),
        group_ids=tuple(item.group for item in items),
        values=values,
        weights=weights,
        chance=chance,
    )


def _accuracy(metric: str, verdicts: Choices) -> dict[str, Float64[np.ndarray, " N"]]:
    """Accuracy and ties by name."""
    return {metric: verdicts.accuracy_N, f"{TIES}, {metric}": verdicts.ties_N}


def _with_controls(overall: ItemScores, items: CompositionItems, embedded: _Embedded) -> ItemScores:
    """The block of all items with what the controls make of them."""
    controls = items.controls
    if controls is None:
        return overall
    values = dict(overall.values)
    if controls.foreign_N is not None:
        foreign = replace(embedded, medium_ND=embedded.medium_ND[controls.foreign_N])
        verdicts = _judge_captions(foreign, items.items)
        check_mirrored(verdicts, controls.mirrored)
        values[BLIND] = with_half_ties(verdicts)
    if controls.text_only_N is not None:
        values[TEXT_ONLY] = controls.text_only_N
    chance = {**overall.chance, **dict.fromkeys((BLIND, TEXT_ONLY), _chance(items.items))}
    return replace(overall, values=values, chance=chance)


def _missing_controls(controls: PairControls | None) -> list[LeftOut]:
    if controls is None:
        return []
    made = ((BLIND, NO_FOREIGN, controls.foreign_N), (TEXT_ONLY, TOO_FEW, controls.text_only_N))
    return [LeftOut(item=metric, reason=reason) for metric, reason, one in made if one is None]


def _part_blocks(
    protocol: str, items: Sequence[Contrast], verdicts: Choices, *, counted: Collection[str]
) -> list[ItemScores]:
    """Each part of the benchmark; none where there is only one."""
    members_of = _positions([item.subset for item in items])
    if len(members_of) == 1:
        return []
    blocks: list[ItemScores] = []
    for part, kept in members_of.items():
        members = [items[i] for i in kept]
        own = Choices(verdicts.accuracy_N[kept], verdicts.ties_N[kept])
        metric = f"accuracy, {part or '(none)'}"
        if protocol in MEAN_PROTOCOLS and part not in counted:
            metric += " (not in the mean)"
        chance = {metric: _chance(members)}
        blocks.append(_block(PART + part, members, _accuracy(metric, own), chance=chance))
    return blocks


def _mean_over_parts(
    protocol: str, items: Sequence[Contrast], verdicts: Choices, *, counted: Collection[str]
) -> list[ItemScores]:
    """The mean in which each part counts alike, as ARO and VELOCITI report; else none."""
    size_of = Counter(item.subset for item in items)
    kept = [i for i, item in enumerate(items) if item.subset in counted]
    # Where not one part counts, the notebook of ARO says NaN, or stops.
    if protocol not in MEAN_PROTOCOLS or not kept:
        return []
    members = [items[i] for i in kept]
    weights = np.array([1 / size_of[item.subset] for item in members])
    values, chance = {MEAN: verdicts.accuracy_N[kept]}, {MEAN: _chance(members)}
    return [_block(MEAN, members, values, chance=chance, weights=weights)]


def _counts_in_mean(protocol: str, part: str, num_items: int) -> bool:
    """Whether a part counts in the benchmark's mean over parts."""
    if protocol == "vg_relation":
        return part not in SYMMETRIC_RELATIONS
    if protocol == "vg_attribution":
        return num_items >= MIN_ATTRIBUTE_ITEMS
    return part != VELOCITI_CONTROL


def _chance(items: Sequence[Contrast]) -> float:
    """Share of items that a random order of the different captions gets right."""
    counts = [(len(set(item.positives)), len(set(item.negatives))) for item in items]
    return float(np.mean([1 / comb(trues + falses, trues) for trues, falses in counts]))

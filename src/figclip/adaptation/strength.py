"""Choosing the strength of an adaptation: the most detail among those that keep what CLIP knew."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float64

from figclip.annotations.splits import MIN_GROUPS
from figclip.config import RunConfig
from figclip.errors import ConfigError, DataError
from figclip.evaluation.models import Column
from figclip.evaluation.plan import (
    PlannedSource,
    TaskScores,
    TaskSettings,
    Work,
    open_works,
    plan_sources,
)
from figclip.evaluation.results import STRENGTH_FORMAT, ModelColumn, Sweep, SweepPoint, result_name
from figclip.evaluation.seen_items import (
    groups_in,
    items_hash,
    media_in,
    selecting_half,
    unseen_part,
)
from figclip.evaluation.sources import DataSource
from figclip.metrics.strength import (
    CONFIDENCE,
    MAX_MEAN_LOSS,
    MAX_TEST_LOSS,
    NUM_RESAMPLES,
    STRENGTHS,
    KeptPoint,
    LossBounds,
    StrengthBlock,
    StrengthPoint,
    bound_losses,
    choose_strength_idx,
    smooth_gains,
    unseen_loss,
)
from figclip.model.backbone import Backbone, weights_hash
from figclip.model.card import StrengthPrice
from figclip.model.embedder import Embedder
from figclip.model.folder import SeenMedia
from figclip.model.lora import plain_copy, plain_state
from figclip.runtime.files import write_json
from figclip.runtime.process_group import ALONE, Processes
from figclip.runtime.progress import Progress, no_progress
from figclip.video.sampling import PRESETS
from figclip.video.store import StoreSpec

SCORED = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Strengths that are scored, and smoothed over. Ten instead of five choose no steadier (LOG.md)."""
LITTLE = 0.1
"""Strengths below it are worth a word: little is left of the training."""
OPTION = "--keep"
STAGE = "choosing the strength"
PROMPTS = "photo"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """What `--keep` names, read but not decoded yet. `cache`: folder for decoded pictures."""

    sources: tuple[PlannedSource, ...]
    settings: TaskSettings
    cache: Path | None

    @property
    def num_tests(self) -> int:
        """How many tests they make."""
        return sum(len(one.tasks) for one in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTest:
    """A kept test, of the half that selects.

    Attributes:
        name: As in result files.
        hash: `evaluation.seen_items.items_hash` of the whole data.
        num_selecting: Groups of the half that selects.
        num_reported: Groups of the half that is reported.
        notices: What was left out before, as training or validation has seen it.
    """

    name: str
    work: Work
    hash: str
    num_selecting: int
    num_reported: int
    notices: tuple[str, ...]

    @property
    def media(self) -> frozenset[str]:
        """`evaluation.seen_items.media_in` of the half that selects."""
        [opened] = self.work.opened.values()
        return media_in(opened.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInfo:
    """What is written of a kept test besides its scores.

    Attributes:
        name: NAME of `--keep`; `source`: the name of its PATH.
        split: None for all.
        hash: `evaluation.seen_items.items_hash` of the whole data.
        metrics: The numbers whose mean is the score.
        groups: Groups of the half that selects.
        groups_reported: Groups of the other half.
    """

    task: str
    name: str
    source: str
    split: str | None
    hash: str
    metrics: tuple[str, ...]
    groups: int
    groups_reported: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthChoice:
    """The strength that was chosen, and why.

    Attributes:
        alpha: The strength.
        curve: By ascending strength, the base first; `alpha` is among them.
        kept: The tests that bound the loss, by name.
        media: `evaluation.seen_items.media_in` of their selecting halves.
        seed: Seed of the bounds.
    """

    alpha: float
    curve: tuple[StrengthPoint, ...]
    kept: Mapping[str, KeptInfo]
    media: frozenset[str]
    seed: int

    @property
    def chosen(self) -> StrengthPoint:
        """The point of the chosen strength."""
        [chosen] = [point for point in self.curve if point.alpha == self.alpha]
        return chosen

    @property
    def base(self) -> StrengthPoint:
        """The point of strength 0."""
        return self.curve[0]

    @property
    def price(self) -> StrengthPrice:
        """What the model card says of it."""
        base, chosen = self.base, self.chosen
        detail = None
        if base.detail is not None and chosen.detail is not None:
            detail = (base.detail, chosen.detail)
        return StrengthPrice(
            alpha=self.alpha,
            detail=detail,
            kept=(base.kept, chosen.kept),
            loss_bound=chosen.loss_bound,
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user must know of the choice: how little proves it, that nothing is left."""
        notices = [
            warning
            for name, one in self.kept.items()
            if (warning := unproven(name, num_selecting=one.groups))
        ]
        if self.base.detail is None:
            notices.append(
                "Nothing was held back to measure detail: the strength is the largest whose loss "
                "stays within the limits."
            )
        if self.alpha < LITTLE:
            left = "its base, unchanged" if self.alpha == 0 else "nearly its base"
            notices.append(f"Strength {self.alpha:g}: the model is {left}. {self._why_little()}")
        return tuple(notices)

    def _why_little(self) -> str:
        """Why no larger strength is better."""
        if any(point.qualifies for point in self.curve if point.alpha > self.alpha):
            return "No larger strength that keeps enough has more detail on val."
        first = next(point for point in self.curve if point.excess)
        return f"Already at {first.alpha:g} {'; '.join(first.excess)}."

    @property
    def selected_on(self) -> tuple[str, ...]:
        """`SeenMedia.selected_on` of the model."""
        hashes = dict.fromkeys(one.hash for one in self.kept.values())
        return (*hashes, *sorted(self.media))


def unproven(name: str, *, num_selecting: int) -> str | None:
    """What to say of a kept test that is too small to prove its bound; None if it is not.

    `num_selecting`: Groups of the half that selects.
    """
    unseen = unseen_loss(num_selecting)
    if unseen <= MAX_TEST_LOSS:
        return None
    return (
        f"{name}: {num_selecting:,} choosing groups are too few to prove that at most "
        f"{100 * MAX_TEST_LOSS:g} points are lost: even if none of them shows a loss, it may be "
        f"{100 * unseen:.1f}. Take a larger set."
    )


def plan_kept(
    keep: Sequence[DataSource], config: RunConfig, *, cache: Path | None
) -> KeptPlan | None:
    """Read what `--keep` names, and refuse what cannot choose a strength; None if it is empty."""
    if not keep:
        return None
    if config.model.adaptation == "full":
        raise ConfigError(
            "full fine-tuning has no strength to choose",
            where=OPTION,
            fix="Leave --keep out, or set model.adaptation to lora_image, lora_text or lora_both",
        )
    for source in keep:
        if source.face == "detail":
            raise ConfigError(
                "face=detail contradicts it", where=f"{OPTION} {source.path}", fix="Leave it out"
            )
    settings = TaskSettings(
        preset=PRESETS["figclip"],
        prompts=PROMPTS,
        template=config.text.template,
        frames_per_event=config.data.frames_per_event,
        seed=config.train.seed,
    )
    sources = plan_sources(keep, asked=None, settings=settings, cache=cache)
    for one in sources:
        _check_groups(one.source, len(one.read.groups))
    return KeptPlan(sources=sources, settings=settings, cache=cache)


def _check_groups(source: DataSource, num_groups: int) -> None:
    """Refuse a test of too few groups."""
    if num_groups < MIN_GROUPS:
        raise DataError(
            f"{num_groups} groups of items are too few to choose a strength by: {MIN_GROUPS} are "
            "needed",
            where=f"{OPTION} {source.path}",
            fix="Take a larger set, or leave it out",
        )


def open_kept(
    plan: KeptPlan, spec: StoreSpec, *, seen: SeenMedia, on_progress: Progress | None
) -> tuple[KeptTest, ...]:
    """Decode the data of the kept tests, for pixels of `spec`, and take the half that selects.

    Items that show what is trained on would not tell what is lost, and those of val would choose
    twice: what was `seen` is left out first. It is a `DataError` if too few groups remain.
    """
    tests = open_works(
        plan.sources,
        [spec],
        lambda work: _selecting(work, seen),
        settings=plan.settings,
        cache=plan.cache,
        on_progress=on_progress,
    )
    num_called: Counter[str] = Counter()
    named: list[KeptTest] = []
    for test in tests:
        num_called[test.name] += 1
        number = num_called[test.name]
        named.append(test if number == 1 else replace(test, name=f"{test.name}-{number}"))
    return tuple(named)


def _selecting(work: Work, seen: SeenMedia) -> KeptTest:
    """A kept test, of the half that selects of what was not seen."""
    [(spec, whole)] = work.opened.items()
    unseen = unseen_part(work, seen, leave_out_trained=True)
    content = unseen.opened[spec].content
    selecting, reported = groups_in(content, "selecting"), groups_in(content, "reported")
    _check_groups(work.source, len(selecting) + len(reported))
    return KeptTest(
        name=result_name(work.task.name, work.source.name, work.source.path.name),
        work=selecting_half(unseen),
        hash=items_hash(whole.content),
        num_selecting=len(selecting),
        num_reported=len(reported),
        notices=unseen.opened[spec].notices[len(whole.notices) :],
    )


def choose_strength(
    backbone: Backbone,
    tests: Sequence[KeptTest],
    *,
    detail: Callable[[Embedder], Mapping[str, float]] | None,
    micro_batch: int,
    seed: int,
    on_progress: Progress | None,
    processes: Processes = ALONE,
) -> StrengthChoice:
    """Score strengths on val and on the kept tests, and choose by the curves over them.

    Each strength is merged as the model folder will hold it, so that what is chosen is what is
    written; that is also a third faster than LoRA's layers. A cache that is thrown away embeds
    pictures that several tests share once a strength, and texts of a frozen tower once at all.

    The backbone has its LoRA layers, and is not changed; there is at least one test. `detail` gives
    a model's scores on val, `score` and the parts that it is the mean of; None where nothing was
    held back. Each of the `processes` scores its share of the strengths, all get one choice.
    """
    report = on_progress or no_progress
    plain = plain_copy(backbone)
    with TemporaryDirectory() as folder:

        def score(alpha: float) -> _Scored:
            plain.clip.load_state_dict(plain_state(backbone.clip, alpha=alpha))
            embedder = Embedder(
                plain, micro_batch=micro_batch, cache_file=Path(folder) / "embeddings.sqlite"
            )
            return _Scored(
                alpha=alpha,
                detail={} if detail is None else detail(embedder),
                kept=[_score(one.work, embedder, plain, alpha) for one in tests],
            )

        own: list[_Scored] = []
        for number, alpha in enumerate(SCORED):
            if processes.is_own(number):
                report(STAGE, number, len(SCORED) + 1)
                own.append(score(alpha))
        scored = processes.merge(own)
        by_test = [[one.kept[i] for one in scored] for i in range(len(tests))]
        bounds = bound_losses([_blocks(one) for one in by_test], alphas=SCORED, seed=seed)
        alpha = STRENGTHS[choose_strength_idx(bounds, _detail_curve(scored))]
        report(STAGE, len(SCORED), len(SCORED) + 1)
        if alpha not in SCORED:
            scored.append(processes.once(lambda: score(alpha)))
    report(STAGE, len(SCORED) + 1, len(SCORED) + 1)
    names = [one.name for one in tests]
    infos = (_describe(one, found[0]) for one, found in zip(tests, by_test, strict=True))
    return StrengthChoice(
        alpha=alpha,
        curve=_curve(scored, bounds, names),
        kept=dict(zip(names, infos, strict=True)),
        media=frozenset[str]().union(*(one.media for one in tests)),
        seed=seed,
    )


def write_choice(choice: StrengthChoice, out: Path, *, model: str) -> None:
    """Write `strength.json` into a run folder, and `strength.png` where detail was measured.

    `model`: Its name, for the picture.
    """
    from figclip.evaluation.figures import draw_sweep

    points = tuple(
        SweepPoint(
            alpha=point.alpha,
            headlines={name: {"score": one.score} for name, one in point.tests.items()},
            faces={"detail": point.detail, "kept": point.kept},
        )
        for point in choice.curve
        if point.detail is not None
    )
    if points:
        sweep = Sweep(model=model, points=points)
        draw_sweep(sweep, out / "strength.png", chosen=choice.alpha)
    content = {
        "format": STRENGTH_FORMAT,
        "alpha": choice.alpha,
        "limits": {
            "mean": MAX_MEAN_LOSS,
            "test": MAX_TEST_LOSS,
            "confidence": CONFIDENCE,
            "resamples": NUM_RESAMPLES,
            "seed": choice.seed,
        },
        "kept": {name: asdict(one) for name, one in choice.kept.items()},
        "curve": [{"qualifies": point.qualifies, **asdict(point)} for point in choice.curve],
    }
    write_json(out / "strength.json", content)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """What one strength got: on val, and on each kept test."""

    alpha: float
    detail: Mapping[str, float]
    kept: Sequence[TaskScores]


def _score(work: Work, embedder: Embedder, plain: Backbone, alpha: float) -> TaskScores:
    """A kept test at one strength."""
    [spec] = work.opened
    column = Column(
        info=ModelColumn(
            name=plain.name or "the model",
            hash=weights_hash(plain.clip),
            alpha=alpha,
            precision=plain.resolved_precision,
        ),
        events=embedder,
        clips=embedder,
        spec=spec,
    )
    return work.score(column)


def _bounding(scores: TaskScores) -> list[str]:
    """The numbers that stand for a test; means over items, and higher is better."""
    bounding = [metric for metric, score in scores.summary.items() if score.is_bound]
    headlines = [metric for metric, score in scores.summary.items() if score.is_headline]
    return bounding or headlines


def _mean_score(scores: TaskScores) -> float:
    """The score of a kept test."""
    return float(np.mean([scores.summary[metric].value for metric in _bounding(scores)]))


def _blocks(strengths: Sequence[TaskScores]) -> list[StrengthBlock]:
    """The headline numbers of a test, item by item at each strength."""
    blocks: list[StrengthBlock] = []
    for metric in _bounding(strengths[0]):
        [idx] = [i for i, one in enumerate(strengths[0].items) if metric in one.values]
        base = strengths[0].items[idx]
        assert all(one.items[idx].item_ids == base.item_ids for one in strengths)
        blocks.append(
            StrengthBlock(
                value_NS=np.stack([one.items[idx].values[metric] for one in strengths], axis=1),
                group_of_item=base.group_ids,
                weight_N=base.weights,
            )
        )
    return blocks


def _detail_curve(scored: Sequence[_Scored]) -> Float64[np.ndarray, " A"] | None:
    """Smoothed gain in detail at all strengths; None where it was not measured."""
    base, *others = scored
    if not base.detail:
        return None
    gain_S = np.array([one.detail["score"] - base.detail["score"] for one in others])
    return smooth_gains(gain_S, np.array([one.alpha for one in others]))


def _curve(
    scored: Sequence[_Scored], bounds: LossBounds, names: Sequence[str]
) -> tuple[StrengthPoint, ...]:
    """A point per scored strength, by ascending strength; the base was scored first."""
    base_K = np.array([_mean_score(kept) for kept in scored[0].kept])
    points: list[StrengthPoint] = []
    for one in sorted(scored, key=lambda one: one.alpha):
        a = STRENGTHS.index(one.alpha)
        score_K = np.array([_mean_score(kept) for kept in one.kept])
        tests = {
            name: KeptPoint(
                score=float(score_K[k]),
                loss=float(base_K[k] - score_K[k]),
                loss_bound=float(bounds.bound_KA[k, a]),
            )
            for k, name in enumerate(names)
        }
        points.append(
            StrengthPoint(
                alpha=one.alpha,
                detail=one.detail.get("score"),
                detail_parts={name: value for name, value in one.detail.items() if name != "score"},
                kept=float(score_K.mean()),
                loss=float((base_K - score_K).mean()),
                loss_bound=float(bounds.mean_bound_A[a]),
                tests=tests,
            )
        )
    return tuple(points)


def _describe(test: KeptTest, scores: TaskScores) -> KeptInfo:
    """What is written of a kept test."""
    [opened] = test.work.opened.values()
    return KeptInfo(
        task=test.work.task.name,
        name=test.work.source.name,
        source=test.work.source.path.name,
        split=opened.split,
        hash=test.hash,
        metrics=tuple(_bounding(scores)),
        groups=test.num_selecting,
        groups_reported=test.num_reported,
    )

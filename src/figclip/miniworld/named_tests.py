"""The named tests of the mini world, detail and kept: what each asks is in docs/mini_world.md.

Half of the pairs start from combinations of verb and kinds that training never shows. A pair goes
both ways round: two videos exchange a true and a false sentence.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from figclip.evaluation.sources import DataSource
from figclip.miniworld.annotated_videos import Painter, media_seed, write_json_lines
from figclip.miniworld.situations import (
    VERBS,
    EditKind,
    Situation,
    SituationPair,
    can_edit,
    edit,
    is_held_out,
    sample_pair,
    sample_situation,
    whole_events,
)
from figclip.miniworld.wording import (
    ALL_FACTS,
    EVALUATION_STYLES,
    Wording,
    evaluation_sentence,
    facts_to_tell,
    natural_sentence,
    template_sentence,
    web_caption,
)
from figclip.runtime.files import make_folder, write_atomically
from figclip.tasks.base import Face

WordingName = Literal["natural", "template"]

PAIR_TESTS: dict[str, EditKind] = {
    "role swap": "role_swap",
    "attribute swap": "attribute_swap",
    "verb": "verb",
    "direction": "direction",
    "manner": "manner",
}
_WORDINGS: dict[str, Wording] = {"natural": evaluation_sentence, "template": template_sentence}
_VERB_PROMPTS = {"natural": "this is someone {}", "template": "srl"}
_BOTH_WAYS = ("t2v R@1", "v2t R@1")
_KEPT_PROMPTS = {"kinds": "a photo of a {}", "colours": "something {}", "scenes": "the {}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTest:
    """One test, as `figclip eval` takes it: its score is the mean of metrics.

    `wording` is None for a test of what is kept.
    """

    name: str
    wording: WordingName | None
    source: DataSource
    metrics: tuple[str, ...]

    @property
    def face(self) -> Face:
        """Detail or what must be kept."""
        return "kept" if self.wording is None else "detail"


def write_detail_tests(out: Path, *, num_pairs: int, seed: int, painter: Painter) -> None:
    """Writes pairs of each kind; retrieval and verbs are asked of the same videos.

    `num_pairs` of each kind is a multiple of 10. A pair is two items; retrieval and verbs have as
    many items. In retrieval every video has its twin in the gallery, of any kind of pair.
    """
    assert num_pairs % (2 * len(PAIR_TESTS)) == 0, "half are of new combinations, in each test"
    pairs = _draw_pairs(num_pairs=num_pairs, seed=seed)
    twins: list[Shown] = []
    num_twins = num_pairs // len(PAIR_TESTS)
    for position, kind in enumerate(PAIR_TESTS.values()):
        of_kind = pairs[kind]
        write_pairs(out, of_kind, name=kind, wordings=_WORDINGS, painter=painter, seed=seed)
        # Other numbers of each kind, so that no two share their first video.
        start = position * num_twins
        twins += [side for one in of_kind[start : start + num_twins] for side in one.shown]
    deeds = [side for one in pairs["verb"] for side in one.shown]
    write_captions(out, twins, name="retrieval", wordings=_WORDINGS, seed=seed)
    write_classes(out, deeds, name="verbs-natural", label=lambda one: VERBS[one.verb].doing)
    write_classes(out, deeds, name="verbs-template", label=lambda one: one.verb)


def write_two_truths(out: Path, *, num_pairs: int, seed: int) -> None:
    """Writes `out/{kind}-two-truths.jsonl`, of the videos of `write_detail_tests` with this seed.

    A video has two true sentences in different styles, and a false one in the style of the first;
    it is right if both true ones are nearer to it than the false one.

    Source:
        SugarCrepe++ (arXiv 2406.11171), whose true captions differ in their words and whose false
        one has the words of the first.
    """
    pairs = _draw_pairs(num_pairs=num_pairs, seed=seed)
    for kind in PAIR_TESTS.values():
        lines: list[dict[str, object]] = []
        for one in pairs[kind]:
            rng = random.Random(f"{seed}:two truths:{kind}:{one.clip}")
            first, second = _two_ways(one.pair, rng)
            told = (first, second[0]), (second, first[0])
            lines += [
                _contrast(side, kind, positives=true, negative=false)
                for side, (true, false) in zip(one.shown, told, strict=True)
            ]
        write_json_lines(out / f"{kind}-two-truths.jsonl", lines)


def _two_ways(pair: SituationPair, rng: random.Random) -> tuple[tuple[str, str], ...]:
    """Two sentences of each situation, in two styles that are not one where little is told."""
    styles = rng.sample(EVALUATION_STYLES, len(EVALUATION_STYLES))
    tells = facts_to_tell(pair.kind)
    sides = [
        [natural_sentence(situation, style, tells=tells) for style in styles]
        for situation in (pair.first, pair.second)
    ]
    other = next(n for n, texts in enumerate(zip(*sides, strict=True)) if texts[0] != sides[0][0])
    return tuple((texts[0], texts[other]) for texts in sides)


def write_kept_tests(out: Path, *, num_stills: int, seed: int, painter: Painter) -> None:
    """Writes stills of one actor with three classes each, and as many with sparse captions."""
    rng = random.Random(f"{seed}:kept")
    write_stills(out, [_draw_alone(rng) for _ in range(num_stills)], painter=painter, seed=seed)
    captioned = [sample_situation(rng, held_out=None) for _ in range(num_stills)]
    write_captioned_stills(out, captioned, painter=painter, seed=seed)


def write_pictures(out: Path, *, num: int, seed: int, painter: Painter) -> None:
    """Draws unannotated pictures, of combinations that training shows; half show one actor."""
    rng = random.Random(f"{seed}:pictures")
    for idx in range(num):
        situation = (_draw_alone if idx % 2 else sample_situation)(rng, held_out=False)
        painter.order(out / f"{idx:05d}.png", situation, seed=media_seed(rng))


def detail_tests(folder: Path) -> tuple[NamedTest, ...]:
    """The tests of detail that `write_detail_tests` wrote, in natural sentences first."""
    tests: list[NamedTest] = []
    for wording in get_args(WordingName):
        asked = [
            ("retrieval", "retrieval", f"retrieval-{wording}.jsonl", _BOTH_WAYS),
            ("verbs", "actions", f"verbs-{wording}.csv", ("top-1",)),
            *((n, "pairs", f"{k}-{wording}.jsonl", ("accuracy",)) for n, k in PAIR_TESTS.items()),
        ]
        for name, data, file, metrics in asked:
            source = DataSource(
                name=data,
                path=folder / file,
                videos=folder / "videos",
                face="detail",
                prompts=_VERB_PROMPTS[wording] if name == "verbs" else None,
            )
            tests.append(NamedTest(name=name, wording=wording, source=source, metrics=metrics))
    return tuple(tests)


def two_truths_tests(folder: Path) -> tuple[NamedTest, ...]:
    """The tests that `write_two_truths` wrote."""
    return tuple(
        NamedTest(
            name=f"two truths, {name}",
            wording="natural",
            source=DataSource(
                name="pairs",
                path=folder / f"{kind}-two-truths.jsonl",
                videos=folder / "videos",
                face="detail",
            ),
            metrics=("accuracy",),
        )
        for name, kind in PAIR_TESTS.items()
    )


def kept_tests(folder: Path) -> tuple[NamedTest, ...]:
    """The tests of what must be kept that `write_kept_tests` wrote."""
    images = folder / "images"
    tests = [
        NamedTest(
            name=name,
            wording=None,
            source=DataSource(
                name="actions", path=folder / f"{name}.csv", images=images, prompts=prompts
            ),
            metrics=("top-1",),
        )
        for name, prompts in _KEPT_PROMPTS.items()
    ]
    stills = DataSource(name="retrieval", path=folder / "stills.jsonl", images=images)
    named = "stills by sparse captions"
    return (*tests, NamedTest(name=named, wording=None, source=stills, metrics=_BOTH_WAYS))


def _draw_pairs(*, num_pairs: int, seed: int) -> dict[EditKind, list[ClipPair]]:
    """Pairs of each kind; no two videos read alike, and pairs share their first where they can."""
    rng = random.Random(f"{seed}:pairs")
    pairs: dict[EditKind, list[ClipPair]] = {kind: [] for kind in PAIR_TESTS.values()}
    told: set[str] = set()
    while (number := len(pairs["verb"])) < num_pairs:
        drawn = _draw_edits(rng, held_out=number % 2 == 0)
        pairs_drawn = [pair for edits in drawn.values() for pair in edits]
        situations = {one for pair in pairs_drawn for one in (pair.first, pair.second)}
        texts = {template_sentence(one, ALL_FACTS, rng) for one in situations}
        if len(texts) == len(situations) and told.isdisjoint(texts):
            told |= texts
            for name, edits in drawn.items():
                for pair in edits:
                    pairs[pair.kind].append(ClipPair(pair=pair, clip=f"{name} {number:04d}"))
    return pairs


def _draw_edits(rng: random.Random, *, held_out: bool) -> dict[str, list[SituationPair]]:
    """One pair of each kind, by the name of the video that they share."""
    both = sample_pair(rng, "role_swap", held_out=held_out).first
    anyone = sample_pair(rng, "verb", held_out=held_out).first
    kinds: dict[str, list[EditKind]] = {"both": ["role_swap", "attribute_swap"]}
    kinds["anyone"] = ["verb", "manner"]
    kinds["anyone" if can_edit(anyone, "direction") else "both"].append("direction")
    return {
        name: [
            SituationPair(kind=kind, first=first, second=edit(first, kind, rng))
            for kind in kinds[name]
        ]
        for name, first in (("both", both), ("anyone", anyone))
    }


def _draw_alone(rng: random.Random, *, held_out: bool | None = None) -> Situation:
    """A situation of one actor."""
    while True:
        situation = sample_situation(rng, held_out=held_out)
        if situation.patient is None:
            return situation


NEW, KNOWN = "new", "known"
"""Folders of what shows a combination that is held out from training, and of what does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A video or still that is there: its path below the folder of media, and what it shows.

    `group` is shared by those that are not independent of each other.
    """

    file: str
    situation: Situation
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPair:
    """Videos of two situations that differ in one thing.

    `clip` names the first one's video, `two 0012`. Pairs may share it, and then share the first
    situation: they are of one group.
    """

    pair: SituationPair
    clip: str

    @property
    def shown(self) -> tuple[Shown, Shown]:
        """Both videos."""
        name, _, number = self.clip.rpartition(" ")
        sides = ("first", self.pair.first), (self.pair.kind, self.pair.second)
        first, second = (
            Shown(file=f"{name}/{_folder(one)}/{number}-{side}.mp4", situation=one, group=self.clip)
            for side, one in sides
        )
        return first, second


def write_pairs(
    out: Path,
    pairs: Sequence[ClipPair],
    *,
    name: str,
    wordings: Mapping[str, Wording],
    painter: Painter,
    seed: int,
) -> None:
    """Writes `out/{name}-{wording}.jsonl`, and `out/videos/….mp4` of one event each.

    A pair is two lines of one group. Both videos have the same seed: they differ in what was
    edited, and in nothing else. All wordings tell verb, kinds, colours and what was edited.
    A video that pairs share is ordered with each.
    """
    rows: dict[str, list[dict[str, object]]] = {wording: [] for wording in wordings}
    for one in pairs:
        video_seed = media_seed(random.Random(f"{seed}:{one.clip}"))
        words_seed = media_seed(random.Random(f"{seed}:{name}:{one.clip}"))
        for side in one.shown:
            film = whole_events([side.situation])
            painter.order(out / "videos" / side.file, film, seed=video_seed)
        for wording, tell in wordings.items():
            first, second = (
                tell(side.situation, facts_to_tell(one.pair.kind), random.Random(words_seed))
                for side in one.shown
            )
            assert first != second, f"one sentence of both sides: {first}"
            told = (first, second), (second, first)
            rows[wording] += [
                _contrast(side, name, positives=[true], negative=false)
                for side, (true, false) in zip(one.shown, told, strict=True)
            ]
    for wording, lines in rows.items():
        write_json_lines(out / f"{name}-{wording}.jsonl", lines)


def _contrast(
    side: Shown, name: str, *, positives: Sequence[str], negative: str
) -> dict[str, object]:
    """The line of a video with its true and false sentences."""
    return {
        "id": f"{name} {side.file}",
        "video": side.file,
        "positives": positives,
        "negatives": [negative],
        "group": side.group,
    }


def write_captions(
    out: Path, shown: Sequence[Shown], *, name: str, wordings: Mapping[str, Wording], seed: int
) -> None:
    """Writes `out/{name}-{wording}.jsonl`: videos that are there, with a sentence of all facts.

    No two of `shown` read the same, or their sentences fit two videos.
    """
    for wording, tell in wordings.items():
        rows: list[dict[str, object]] = []
        for one in shown:
            rng = random.Random(f"{seed}:{name}:{one.file}")
            sentence = tell(one.situation, ALL_FACTS, rng)
            rows.append({"video": one.file, "captions": [sentence], "group": one.group})
        write_json_lines(out / f"{name}-{wording}.jsonl", rows)


def write_classes(
    out: Path, shown: Sequence[Shown], *, name: str, label: Callable[[Situation], str]
) -> None:
    """Writes `out/{name}.csv`: videos or stills that are there, with their classes."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(("file", "label", "group"))
    writer.writerows((one.file, label(one.situation), one.group) for one in shown)
    write_atomically(out / f"{name}.csv", content.getvalue())


def write_stills(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/{kind,colour,scene}s.csv` of stills, and `out/images/….png`.

    Each shows one actor, as a picture has one class.
    """
    shown: list[Shown] = []
    make_folder(out)
    for idx, situation in enumerate(situations):
        assert situation.patient is None, "whose class is meant?"
        image = f"one/{_folder(situation)}/{idx:04d}.png"
        rng = random.Random(f"{seed}:stills:{idx}")
        painter.order(out / "images" / image, situation, seed=media_seed(rng))
        shown.append(Shown(file=image, situation=situation, group=image))
    write_classes(out, shown, name="kinds", label=lambda one: one.agent.kind)
    write_classes(out, shown, name="colours", label=lambda one: one.agent.colour)
    write_classes(out, shown, name="scenes", label=lambda one: one.scene)


def write_captioned_stills(
    out: Path, situations: Sequence[Situation], *, painter: Painter, seed: int
) -> None:
    """Writes `out/stills.jsonl` of stills with a sparse caption each, and `out/images/….png`."""
    rows: list[dict[str, object]] = []
    for idx, situation in enumerate(situations):
        rng = random.Random(f"{seed}:captioned stills:{idx}")
        image = f"captioned/{_folder(situation)}/{idx:04d}.png"
        rows.append({"image": image, "captions": [web_caption(situation, rng)]})
        painter.order(out / "images" / image, situation, seed=media_seed(rng))
    write_json_lines(out / "stills.jsonl", rows)


def _folder(situation: Situation) -> str:
    """Where its video or still belongs."""
    return NEW if is_held_out(situation) else KNOWN

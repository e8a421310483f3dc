"""The named tests of the mini world, detail and kept: what each asks is in docs/mini_world.md.

Half of the pairs start from combinations of verb and kinds that training never shows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from figclip.evaluation.sources import DataSource
from figclip.miniworld.captions import template_sentence
from figclip.miniworld.grammar import (
    EditKind,
    SituationPair,
    can_edit,
    edit,
    sample_pair,
    sample_situation,
)
from figclip.miniworld.layouts.own_files import (
    ClipPair,
    Painter,
    Shown,
    write_captioned_stills,
    write_captions,
    write_classes,
    write_pairs,
    write_stills,
)
from figclip.miniworld.situations import Situation
from figclip.miniworld.wording import ALL_FACTS, VERB_FORMS, Wording, evaluation_sentence
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
_KEPT_PROMPTS = {"kinds": "a photo of a {}", "colours": "something {}", "scenes": "the {}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTest:
    """One test.

    Attributes:
        name: `role swap`.
        face: Detail or kept.
        wording: Wording of a test of detail; None for what is kept.
        source: Where it lies, as `figclip eval` takes it.
        metrics: Whose mean is the score: the headlines of the task.
    """

    name: str
    face: Face
    wording: WordingName | None
    source: DataSource
    metrics: tuple[str, ...]


def write_detail_tests(out: Path, *, num_pairs: int, seed: int, painter: Painter) -> None:
    """Writes pairs of each kind; retrieval and verbs are asked of the same videos.

    Args:
        out: Folder.
        num_pairs: Pairs of each kind, a multiple of 10. A pair is two items; retrieval and verbs
            have as many items. In retrieval every video has its twin in the gallery, of any
            kind of pair.
        seed: Seed of everything.
        painter: Draws the videos.
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
    write_classes(out, deeds, name="verbs-natural", label=lambda one: VERB_FORMS[one.verb].doing)
    write_classes(out, deeds, name="verbs-template", label=lambda one: one.verb)


def write_kept_tests(out: Path, *, num_stills: int, seed: int, painter: Painter) -> None:
    """Writes stills of one actor with three classes each, and stills with sparse captions.

    Args:
        out: Folder.
        num_stills: Stills of each of the two.
        seed: Seed of everything.
        painter: Draws the stills.
    """
    rng = random.Random(f"{seed}:kept")
    write_stills(out, [_draw_alone(rng) for _ in range(num_stills)], painter=painter, seed=seed)
    captioned = [sample_situation(rng, held_out=None) for _ in range(num_stills)]
    write_captioned_stills(out, captioned, painter=painter, seed=seed)


def detail_tests(folder: Path) -> tuple[NamedTest, ...]:
    """The tests of detail that `write_detail_tests` wrote, in natural sentences first."""
    tests: list[NamedTest] = []
    for wording in get_args(WordingName):
        files = _DetailFiles(folder=folder, wording=wording)
        tests.append(files.test("retrieval", "retrieval", ".jsonl", ("t2v R@1", "v2t R@1")))
        prompts = _VERB_PROMPTS[wording]
        tests.append(files.test("verbs", "actions", ".csv", ("top-1",), prompts=prompts))
        tests += [
            files.test(name, "pairs", ".jsonl", ("accuracy",), stem=kind)
            for name, kind in PAIR_TESTS.items()
        ]
    return tuple(tests)


@dataclass(frozen=True, slots=True, kw_only=True)
class _DetailFiles:
    """The files of detail tests in one wording."""

    folder: Path
    wording: WordingName

    def test(
        self,
        name: str,
        data: str,
        suffix: str,
        metrics: tuple[str, ...],
        *,
        stem: str | None = None,
        prompts: str | None = None,
    ) -> NamedTest:
        """One test, of `{stem or name}-{wording}{suffix}`."""
        source = DataSource(
            name=data,
            path=self.folder / f"{stem or name}-{self.wording}{suffix}",
            videos=self.folder / "videos",
            face="detail",
            prompts=prompts,
        )
        return NamedTest(
            name=name, face="detail", wording=self.wording, source=source, metrics=metrics
        )


def kept_tests(folder: Path) -> tuple[NamedTest, ...]:
    """The tests of what must be kept that `write_kept_tests` wrote."""
    images = folder / "images"
    classes = [
        NamedTest(
            name=name,
            face="kept",
            wording=None,
            source=DataSource(
                name="actions", path=folder / f"{name}.csv", images=images, prompts=prompts
            ),
            metrics=("top-1",),
        )
        for name, prompts in _KEPT_PROMPTS.items()
    ]
    stills = DataSource(name="retrieval", path=folder / "stills.jsonl", images=images)
    captions = NamedTest(
        name="stills by sparse captions",
        face="kept",
        wording=None,
        source=stills,
        metrics=("t2v R@1", "v2t R@1"),
    )
    return (*classes, captions)


def _draw_pairs(*, num_pairs: int, seed: int) -> dict[EditKind, list[ClipPair]]:
    """Pairs of each kind; no two videos read alike, and pairs share their first where they can.

    What two do to each other is edited by both swaps, what anyone does by verb and manner. The
    direction is that of the latter, or where that one stays in its place, of the former.
    """
    rng = random.Random(f"{seed}:pairs")
    pairs: dict[EditKind, list[ClipPair]] = {kind: [] for kind in PAIR_TESTS.values()}
    told: set[str] = set()
    while (number := len(pairs["verb"])) < num_pairs:
        drawn = _draw_edits(rng, held_out=number % 2 == 0)
        situations = {one for edits in drawn.values() for one in (edits[0].first, *_seconds(edits))}
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


def _seconds(edits: Sequence[SituationPair]) -> list[Situation]:
    """The edited sides."""
    return [one.second for one in edits]


def _draw_alone(rng: random.Random) -> Situation:
    """A situation of one actor."""
    while True:
        situation = sample_situation(rng, held_out=None)
        if situation.patient is None:
            return situation

"""The named tests of the mini world, detail and kept: what each asks is in docs/mini_world.md.

Half of the pairs start from combinations of verb and kinds that training never shows.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from figclip.evaluation.sources import DataSource
from figclip.miniworld.captions import template_sentence
from figclip.miniworld.grammar import EditKind, SituationPair, sample_pair, sample_situation
from figclip.miniworld.layouts.own_files import (
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
# By these every verb is drawn equally often: an edit of them asks for no patient and no direction.
_DEEDS = ("verb", "manner")


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
    twins: list[Shown] = []
    deeds: list[Shown] = []
    told: set[str] = set()
    for name, kind in PAIR_TESTS.items():
        pairs = _draw_pairs(kind, num_pairs=num_pairs, seed=seed, told=told)
        shown = write_pairs(out, pairs, name=kind, wordings=_WORDINGS, painter=painter, seed=seed)
        twins += shown[: 2 * num_pairs // len(PAIR_TESTS)]
        deeds += shown[::2] if name in _DEEDS else ()
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


def _draw_pairs(
    kind: EditKind, *, num_pairs: int, seed: int, told: set[str]
) -> list[SituationPair]:
    """Pairs of which no side reads like another one; `told` gets how they read."""
    rng = random.Random(f"{seed}:{kind}")
    pairs: list[SituationPair] = []
    while len(pairs) < num_pairs:
        pair = sample_pair(rng, kind, held_out=len(pairs) % 2 == 0)
        texts = {template_sentence(one, ALL_FACTS, rng) for one in (pair.first, pair.second)}
        if told.isdisjoint(texts):
            told |= texts
            pairs.append(pair)
    return pairs


def _draw_alone(rng: random.Random) -> Situation:
    """A situation of one actor."""
    while True:
        situation = sample_situation(rng, held_out=None)
        if situation.patient is None:
            return situation

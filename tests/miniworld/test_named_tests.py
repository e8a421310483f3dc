"""The named tests, read back as the evaluation reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.miniworld.named_tests import (
    NamedTest,
    detail_tests,
    kept_tests,
    two_truths_tests,
    write_detail_tests,
    write_kept_tests,
    write_two_truths,
)
from figclip.miniworld.situations import COLOURS, KINDS, SCENES, VERBS
from tests.layouts.plain_painter import PAINTER, digests

NUM_PAIRS, NUM_STILLS = 40, 200


def write(out: Path, *, num_pairs: int, num_stills: int, seed: int) -> None:
    write_detail_tests(out / "detail", num_pairs=num_pairs, seed=seed, painter=PAINTER)
    write_two_truths(out / "detail", num_pairs=num_pairs, seed=seed)
    write_kept_tests(out / "kept", num_stills=num_stills, seed=seed, painter=PAINTER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tests")
    write(out, num_pairs=NUM_PAIRS, num_stills=NUM_STILLS, seed=0)
    return out


def load(test: NamedTest) -> Any:
    return load_benchmark(test.source.name, test.source.path)


def test_detail_is_asked_in_two_wordings(folder: Path):
    tests = detail_tests(folder / "detail")
    names = ["retrieval", "verbs", "role swap", "attribute swap", "verb", "direction", "manner"]
    assert [(test.wording, test.name) for test in tests] == [
        (wording, name) for wording in ("natural", "template") for name in names
    ]
    assert {test.face for test in tests} == {test.source.face for test in tests} == {"detail"}
    for test in tests:
        assert len(load(test).items) == 2 * NUM_PAIRS
    verbs = next(test for test in tests if test.name == "verbs" and test.wording == "template")
    assert set(load(verbs).class_names) <= set(VERBS)


def test_videos_of_a_test_are_the_same_in_both_wordings(folder: Path):
    tests = detail_tests(folder / "detail")
    for natural, template in zip(tests[:7], tests[7:], strict=True):
        assert natural.name == template.name
        media = [
            [getattr(item, "media", None) or item.medium for item in load(test).items]
            for test in (natural, template)
        ]
        assert media[0] == media[1]


def test_every_sentence_of_a_pair_is_true_once_and_false_once(folder: Path):
    for test in detail_tests(folder / "detail"):
        if test.source.name != "pairs":
            continue
        true: Counter[tuple[str, str]] = Counter()
        false: Counter[tuple[str, str]] = Counter()
        for item in load(test).items:
            true[item.group, item.positives[0]] += 1
            false[item.group, item.negatives[0]] += 1
        assert true == false


def test_two_truths_say_the_same_in_other_words_of_the_videos_of_the_pairs(folder: Path):
    pairs = [test for test in detail_tests(folder / "detail")[:7] if test.source.name == "pairs"]
    for single, double in zip(pairs, two_truths_tests(folder / "detail"), strict=True):
        assert double.name == f"two truths, {single.name}"
        of_pairs, items = load(single).items, load(double).items
        assert [item.media for item in items] == [item.media for item in of_pairs]
        for item in items:
            # The false sentence is what the first true one says of the other video of the pair.
            (false,) = item.negatives
            assert false not in item.positives and item.positives[0] != item.positives[1]
            others = [one for one in items if one.group == item.group and one is not item]
            assert any(one.positives[0] == false for one in others)
            # The same words, if not in the same order, as far as nothing was edited.
            first, second = ({*text.split()} for text in item.positives)
            assert len(first & second) >= 3, item.positives


def test_half_of_the_pairs_start_from_new_combinations(folder: Path):
    for test in detail_tests(folder / "detail"):
        if test.source.name == "pairs":
            folders = [item.media[0].name.split("/")[1] for item in load(test).items[::2]]
            assert Counter(folders) == {"new": NUM_PAIRS // 2, "known": NUM_PAIRS // 2}


def test_no_two_sentences_of_a_gallery_are_the_same(folder: Path):
    for test in detail_tests(folder / "detail"):
        if test.name == "retrieval":
            captions = [item.captions[0] for item in load(test).items]
            assert len(set(captions)) == len(captions)


def test_every_video_of_retrieval_has_its_twin_beside_it(folder: Path):
    for test in detail_tests(folder / "detail"):
        if test.name == "retrieval":
            items = load(test).items
            assert set(Counter(item.group for item in items).values()) == {2}
            sides = Counter(item.medium.name.rpartition("-")[2] for item in items)
            assert sides.pop("first.mp4") == NUM_PAIRS
            assert set(sides.values()) == {NUM_PAIRS // 5} and len(sides) == 5


def test_pairs_share_their_first_video(folder: Path):
    videos: dict[str, set[str]] = {}
    for test in detail_tests(folder / "detail"):
        if test.source.name == "pairs" and test.wording == "natural":
            videos[test.name] = {item.media[0].name for item in load(test).items}
    assert len(videos["role swap"] & videos["attribute swap"]) == NUM_PAIRS
    assert len(videos["verb"] & videos["manner"]) == NUM_PAIRS
    others = videos["role swap"] | videos["verb"]
    assert len(videos["direction"] & others) == NUM_PAIRS
    assert len(set.union(*videos.values())) == 7 * NUM_PAIRS


def test_kept(folder: Path):
    tests = kept_tests(folder / "kept")
    assert [test.name for test in tests][3] == "stills by sparse captions"
    expected = {"kinds": KINDS, "colours": COLOURS, "scenes": SCENES}
    for test in tests[:3]:
        assert set(load(test).class_names) == set(expected[test.name])
    assert {len(load(test).items) for test in tests} == {NUM_STILLS}
    assert {test.face for test in tests} == {"kept"}


def test_same_seed_same_files(tmp_path: Path):
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        write(tmp_path / name, num_pairs=10, num_stills=3, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "two") != digests(tmp_path / "other")

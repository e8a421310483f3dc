"""ActivityNet Captions: what is annotated is what is shown, and when."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.dense_captions import (
    REFERENCE_READERS,
    DenseCaptionReferences,
    ReferenceVideo,
    read_caption_references,
)
from figclip.datasets.records import RetrievalSet
from figclip.errors import ConfigError
from figclip.miniworld.annotated_videos import DISAGREEMENT_S, write_dense_captions
from figclip.miniworld.situations import FPS, Film, Shot, Situation, sample_film, sample_situation
from figclip.miniworld.wording import EVALUATION_STYLES, natural_sentence
from tests.layouts.plain_painter import PAINTER, PlainPainter, digests, film_at

RNG = random.Random("films of layouts")
TRAIN = [sample_film(RNG, held_out=False) for _ in range(12)]
VALID = [sample_film(RNG, held_out=True) for _ in range(8)]


class NoPainter(PlainPainter):
    """Only the annotations are wanted."""

    def order(self, path: Path, shown: Film | Situation, *, seed: int) -> None:
        pass


def event(scene: str = "park") -> Situation:
    return replace(sample_situation(random.Random(1), held_out=None), scene=scene)


def shot(duration_s: float, situation: Situation | None = None) -> Shot:
    return Shot(situation=situation, scene="park", duration_s=duration_s)


def spans_of(video: ReferenceVideo) -> list[tuple[float, float]]:
    return [(one.start_s, one.end_s) for one in video.events]


def read_all(folder: Path) -> list[DenseCaptionReferences]:
    return [
        read_caption_references(folder / f"{name}.json") for name in ("train", "val_1", "val_2")
    ]


def test_a_film_by_hand(tmp_path: Path):
    film = (shot(0.5), shot(7 / 6, event()), shot(2, event()), shot(5 / 6), shot(1, event()))
    write_dense_captions(tmp_path, train=[film], valid=[film], painter=PAINTER, seed=0)
    for name in ("train", "val_1"):
        (video,) = read_caption_references(tmp_path / f"{name}.json").videos
        assert video.duration_s == 5.5
        assert spans_of(video) == [(0.5, 1.67), (1.67, 3.67), (4.5, 5.5)]
    (text,) = json.loads((tmp_path / "train.json").read_text()).values()
    assert list(text) == ["duration", "timestamps", "sentences"]
    assert text["timestamps"][0] == [0.5, 1.67]
    assert len(text["sentences"]) == 3 and all(" the park" in one for one in text["sentences"])
    (video,) = read_caption_references(tmp_path / "val_2.json").videos
    assert video.duration_s == 5.5
    # The second event begins where the first ends, for this annotator too.
    assert video.events[0].end_s == video.events[1].start_s != 1.67


def test_what_is_told_is_shown(tmp_path: Path):
    write_dense_captions(tmp_path, train=TRAIN, valid=VALID, painter=PAINTER, seed=0)
    for references, films in zip(read_all(tmp_path), (TRAIN, VALID, VALID), strict=True):
        assert references.notices == ()
        for video, film in zip(references.videos, films, strict=True):
            assert film_at(tmp_path / "videos", video.id)[1] == film
            events = [shot.situation for shot in film if shot.situation is not None]
            for told, situation in zip(video.events, events, strict=True):
                assert told.sentence[0].isupper() and told.sentence[-1] == "."
                assert told.sentence.lower()[:-1] in {
                    natural_sentence(situation, style) for style in EVALUATION_STYLES
                }
    assert len(list((tmp_path / "videos").iterdir())) == len(TRAIN) + len(VALID)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_times(tmp_path_factory: pytest.TempPathFactory, seed: int):
    folder = tmp_path_factory.mktemp("times")
    rng = random.Random(seed)
    film = sample_film(rng, held_out=bool(seed % 2))
    write_dense_captions(folder, train=[film], valid=[film], painter=NoPainter(), seed=seed)
    (train,), (first,), (second,) = (references.videos for references in read_all(folder))
    assert first.id == second.id != train.id
    assert spans_of(train) == spans_of(first)
    duration_s = sum(shot.duration_s for shot in film)
    for video in (train, first, second):
        assert video.duration_s == pytest.approx(duration_s, abs=0.0051)
        times = [time for span in spans_of(video) for time in span]
        assert times[0] >= 0 and times[-1] <= video.duration_s
        assert all(start < end for start, end in spans_of(video))
        assert times == sorted(times)
        assert all(round(time, 2) == time for time in times)
    # Each frame that shows an event lies in one span, and no other frame does.
    frames = [shot.situation for shot in film for _ in range(round(FPS * shot.duration_s))]
    spans = [(round(FPS * start), round(FPS * end)) for start, end in spans_of(first)]
    for frame_idx, situation in enumerate(frames):
        covered = sum(start <= frame_idx < end for start, end in spans)
        assert covered == (situation is not None)
    moves = [
        abs(time - other)
        for span, others in zip(spans_of(first), spans_of(second), strict=True)
        for time, other in zip(span, others, strict=True)
    ]
    assert max(moves) <= DISAGREEMENT_S + 1e-9


def test_the_second_annotator_stays_in_order_where_shots_are_very_short(tmp_path: Path):
    film = tuple(shot(1 / 6, event() if idx % 2 else None) for idx in range(12))
    write_dense_captions(tmp_path, train=[film], valid=[film] * 50, painter=PAINTER, seed=0)
    for video in read_caption_references(tmp_path / "val_2.json").videos:
        times = [time for span in spans_of(video) for time in span]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= 2.0


def test_two_people_differ_in_words_and_times(tmp_path: Path):
    write_dense_captions(tmp_path, train=TRAIN, valid=VALID, painter=PAINTER, seed=0)
    first, second = REFERENCE_READERS["activitynet"](tmp_path)
    assert [video.id for video in first.videos] == [video.id for video in second.videos]
    pairs = [
        (one, other)
        for video, same in zip(first.videos, second.videos, strict=True)
        for one, other in zip(video.events, same.events, strict=True)
    ]
    assert sum(one.sentence != other.sentence for one, other in pairs) > len(pairs) / 2
    later = [other.start_s > one.start_s for one, other in pairs if other.start_s != one.start_s]
    assert 0.2 < sum(later) / len(later) < 0.8


def test_paragraphs_are_the_sentences(tmp_path: Path):
    write_dense_captions(tmp_path, train=TRAIN, valid=VALID, painter=PAINTER, seed=0)
    for split in ("val_1", "val_2"):
        loaded = load_benchmark("activitynet", tmp_path, split=split)
        assert isinstance(loaded, RetrievalSet) and loaded.notices == ()
        references = read_caption_references(tmp_path / f"{split}.json")
        for item, video in zip(loaded.items, references.videos, strict=True):
            assert item.medium.name == video.id
            assert item.captions == (" ".join(one.sentence for one in video.events),)


def test_same_seed_same_files_other_seed_other_words(tmp_path: Path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write_dense_captions(tmp_path / name, train=TRAIN, valid=VALID, painter=PAINTER, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "again")
    ids = [{path.stem for path in tmp_path.glob(f"{name}/videos/*")} for name in ("one", "other")]
    assert not ids[0] & ids[1]


def test_a_film_does_not_depend_on_how_many_there_are(tmp_path: Path):
    write_dense_captions(tmp_path / "all", train=TRAIN, valid=VALID, painter=PAINTER, seed=0)
    few = {"train": TRAIN[:2], "valid": VALID[:1]}
    write_dense_captions(tmp_path / "few", **few, painter=PAINTER, seed=0)
    for part, whole in zip(read_all(tmp_path / "few"), read_all(tmp_path / "all"), strict=True):
        assert part.videos == whole.videos[: len(part.videos)]
    videos = digests(tmp_path / "few/videos")
    assert len(videos) == 3 and videos.items() <= digests(tmp_path / "all/videos").items()


@pytest.mark.parametrize(("train", "valid"), [([], VALID), (TRAIN, [])])
def test_an_empty_split_is_refused(tmp_path: Path, train: list[Film], valid: list[Film]):
    with pytest.raises(ConfigError, match="empty"):
        write_dense_captions(tmp_path, train=train, valid=valid, painter=PAINTER, seed=0)
    assert not list(tmp_path.iterdir())

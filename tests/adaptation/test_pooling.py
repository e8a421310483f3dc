"""Which pooling fits long texts, and from how many words on: measured, and not by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor
from torch.nn.functional import normalize

from figclip.adaptation.pooling import find_long_pooling, measure_text_pooling
from figclip.annotations.captions import TEMPLATES
from figclip.annotations.counterfactuals import build_counterfeit_pools
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.pooling import Pooling, TextPooling
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_retrieval import DenseValidation, build_validation
from figclip.video.stored import open_stored_videos
from tests.dense_sets import KnowingEmbedder, dense_caption, write_store
from tests.small_runs import IMAGE_SIZE, make_records

T = 2
WORDS = np.repeat([3, 8, 12], [8, 4, 4])


def groups(count: int) -> list[str]:
    return [str(one) for one in range(count)]


def long_pooling(
    gain_N: np.ndarray, names: list[str], words_N: np.ndarray = WORDS, **others: np.ndarray
) -> tuple[Pooling, int | None]:
    """Of a pooling with these gains over a mean that hits nothing."""
    hits: dict[Pooling, np.ndarray] = {"mean": np.zeros(len(words_N)), "vc": gain_N, **others}  # type: ignore[dict-item]
    return find_long_pooling(words_N, hits, names)


def test_the_least_words_from_which_texts_gain():
    # By hand: from 8 words on 4 x 0.5 + 4 x 1 = 6; from 12 on 4; from 3 on 6 - 8 x 0.5 = 2.
    gains = np.repeat([-0.5, 0.5, 1.0], [8, 4, 4])
    assert long_pooling(gains, groups(16)) == ("vc", 8)
    assert long_pooling(np.abs(gains), groups(16)) == ("vc", 3)
    assert long_pooling(-np.abs(gains), groups(16)) == ("mean", None)
    # Of equal totals the one with more words: fewer texts leave what is proven, the mean.
    assert long_pooling(np.where(WORDS == 8, 0.0, gains), groups(16)) == ("vc", 12)
    # The other pooling gains 16 x 0.5 = 8 on all texts.
    assert long_pooling(gains, groups(16), both=np.full(16, 0.5)) == ("both", 3)


def test_what_may_be_chance_is_no_gain():
    rng = np.random.default_rng(0)
    words = np.full(400, 10)
    noise = rng.choice([-1.0, 1.0], size=400)
    noise -= noise.mean()
    assert long_pooling(noise + 0.01, groups(400), words) == ("mean", None)
    assert long_pooling(noise + 0.2, groups(400), words) == ("vc", 10)
    # The same 400 texts of two films are two draws: one film's gain is no proof.
    films = ["a", "b"] * 200
    one_gains = np.where(np.arange(400) % 2, -0.1, 0.4)
    assert long_pooling(one_gains, films, words) == ("mean", None)
    assert long_pooling(np.full(400, 0.2), films, words) == ("vc", 10)


class Pools(VideoContextualizer):
    """Pools as the mean does; what it knows more is in the frames that it gets."""

    def __init__(self) -> None:
        super().__init__(16, num_layers=1, head_dim=8)

    def pool(self, frames_NTD: Tensor, *, frames_per_event: int) -> Tensor:
        assert frames_NTD.shape[1] == frames_per_event == T
        return normalize(frames_NTD.sum(dim=1), dim=-1)


def validation_of(folder: Path, events: list[int]) -> DenseValidation:
    records = make_records(events)
    store = write_store(folder / "own.store", records, frames_per_event=T)
    return build_validation(
        open_stored_videos([store], size=IMAGE_SIZE),
        pools=build_counterfeit_pools(records),
        frames_per_event=T,
        seed=0,
    )


def measure(
    validation: DenseValidation, merged: FrameTextEmbedder, trained: FrameTextEmbedder
) -> TextPooling:
    return measure_text_pooling(
        validation,
        merged=merged,
        trained=trained,
        contextualizer=Pools(),
        template=TEMPLATES["default"],
        seed=0,
    )


def test_a_contextualizer_that_knows_dense_captions_gets_long_texts(tmp_path: Path):
    """The mean has every event as its verb, the contextualizer as its dense caption."""
    found = measure(
        validation_of(tmp_path, [4] * 6),
        KnowingEmbedder(wording=lambda event: event.verb),
        KnowingEmbedder(wording=dense_caption),
    )
    measured = found.measured
    assert list(measured)[:3] == [
        *("dense captions", "plain sentences", "plain sentences that leave details out"),
    ]
    assert list(measured)[3:6] == ["who does what to whom", "who does what", "verbs"]
    assert measured["verbs"].words == 1
    assert measured["verbs"].mean == 1 and measured["verbs"].vc < 0.5
    assert measured["dense captions"].vc == 1 and measured["dense captions"].mean < 0.5
    # One that has something of both finds both.
    assert measured["dense captions"].both == 1
    assert found.from_words is not None
    assert found.from_words <= measured["dense captions"].words


def test_one_that_knows_nothing_more_gets_none(tmp_path: Path):
    one = KnowingEmbedder(wording=dense_caption)
    found = measure(validation_of(tmp_path, [4] * 6), one, one)
    assert (found.from_words, found.long, found.contrast) == (None, "mean", "mean")
    assert one.num_frames == 6 * 4 * T  # embedded once
    for row in found.measured.values():
        assert row.mean == pytest.approx(row.vc) == pytest.approx(row.both)


def test_videos_without_events_say_nothing(tmp_path: Path):
    one = KnowingEmbedder()
    found = measure(validation_of(tmp_path, [0]), one, one)
    assert found == TextPooling(from_words=None)

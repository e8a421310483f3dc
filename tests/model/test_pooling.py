"""Which pooling fits which texts."""

from __future__ import annotations

import pytest
import torch

from figclip.errors import ConfigError
from figclip.model.pooling import MeasuredPooling, TextPooling, find_pooling, mean_of_both


@pytest.mark.parametrize(
    ("from_words", "texts", "expected"),
    [
        (None, ["a man hands a cup to a woman in the park"], "mean"),
        (4, ["a man runs"], "mean"),
        (4, ["a man  runs\nfast"], "both"),
        (4, [], "mean"),
        # The median counts: 1, 3, 9 words; and 3, 5.
        (4, ["run", "a man runs", "a man hands a cup to a woman slowly"], "mean"),
        (4, ["a man runs", "a man runs very fast"], "both"),
        (0, ["run"], "both"),
    ],
)
def test_long_texts_get_what_fits_them(from_words: int | None, texts: list[str], expected: str):
    pooling = TextPooling(from_words=from_words, long="both", contrast="vc")
    assert pooling.fit(texts) == expected
    assert pooling.fit(texts, contrast=True) == ("mean" if expected == "mean" else "vc")


def test_both_is_the_middle_of_two_directions():
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(mean_of_both(first, second), torch.tensor([[0.5**0.5, 0.5**0.5]]))


def test_unknown_poolings_are_refused_by_name():
    assert [find_pooling(one) for one in ("mean", "vc", "both", "auto")] == [
        *("mean", "vc", "both", "auto")
    ]
    with pytest.raises(ConfigError, match="unknown pooling 'max'") as caught:
        find_pooling("max")
    assert caught.value.fix == "Poolings are mean, vc, both, auto"


def test_what_was_found_is_said_in_a_sentence():
    none = TextPooling(from_words=None)
    assert none.sentence == "Pooling: the mean of frames fits texts of every length"
    dense = MeasuredPooling(words=28.0, mean=0.86, vc=0.925, both=0.93)
    some = TextPooling(from_words=9, long="both", measured={"dense captions": dense})
    assert some.sentence == (
        "Pooling: texts of 9 words or more find most by both (dense captions: 86.0 → 93.0 %); "
        "--pooling auto uses it"
    )

"""Sentences about one picture, by two models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from figclip.demo.comparing import MAX_SENTENCE_CHARS, MAX_SENTENCES, Comparer, sentences_of
from figclip.demo.media import Medium
from figclip.errors import ConfigError
from figclip.model.figclip import FiGCLIP
from tests.model_folders import adapt_at_random
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video

PUSH, PULL, SIT = "a man pushes a woman", "a woman pushes a man", "a cat sits"


@pytest.fixture(scope="module")
def comparer(tmp_path_factory: pytest.TempPathFactory) -> Comparer:
    folder = tmp_path_factory.mktemp("models")
    base = write_tiny_clip(folder / "base")
    adapt_at_random(base).write(folder / "model")
    models = [FiGCLIP.from_pretrained(folder / "model", alpha=alpha) for alpha in (0.0, 1.0)]
    return Comparer(*models)


def test_scores_are_those_of_the_two_models(comparer: Comparer, tmp_path: Path):
    Image.effect_noise((32, 32), 80).convert("RGB").save(tmp_path / "a.png")
    found = comparer.compare(Medium(path=tmp_path / "a.png"), [PUSH, PULL, SIT])
    for model, side, choice in (
        (comparer.base, "base", found.base_choice),
        (comparer.adapted, "adapted", found.adapted_choice),
    ):
        picture_D = model.encode_image([tmp_path / "a.png"])[0]
        expected_N = model.encode_text([PUSH, PULL, SIT]) @ picture_D
        scores = [getattr(one, side) for one in found.sentences]
        similarity = [one.similarity for one in scores]
        assert similarity == pytest.approx(expected_N.tolist(), abs=1e-6)
        scale = model.backbone.clip.logit_scale.exp()
        shares = torch.softmax(scale * expected_N, dim=0).tolist()
        assert [one.share for one in scores] == pytest.approx(shares, abs=1e-5)
        assert scores[0].margin == pytest.approx(similarity[0] - max(similarity[1:]))
        assert choice == int(expected_N.argmax())
    differences = [one.base.similarity - one.adapted.similarity for one in found.sentences]
    assert max(map(abs, differences)) > 1e-4


def test_spans_of_videos_are_seen(comparer: Comparer, tmp_path: Path):
    path = draw_video(tmp_path / "a.mp4", stamps=range(30))
    (one,) = comparer.compare(Medium(path=path, span_s=(1.0, 2.0)), [PUSH]).sentences
    seen_D = comparer.base.encode_video([path], spans=[(1.0, 2.0)], pooling="mean")[0]
    expected = comparer.base.encode_text([PUSH])[0] @ seen_D
    assert one.base.similarity == pytest.approx(expected.item(), abs=1e-6)
    assert (one.base.share, one.base.margin) == (1.0, None)


def test_counterparts_that_are_there_are_not_offered(comparer: Comparer, tmp_path: Path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    medium = Medium(path=tmp_path / "a.png")
    (alone,) = comparer.compare(medium, [PUSH]).sentences
    assert [one.changed for one in alone.counterparts] == ["roles", "pushes: pulls"]
    first, second, third = comparer.compare(medium, [PUSH, PULL, SIT]).sentences
    assert [one.changed for one in first.counterparts] == ["pushes: pulls"]
    assert second.counterparts and not third.counterparts


def test_sentences_are_lines():
    assert sentences_of(f"  {PUSH}\t \n\n{PULL}\r\n{PUSH} ") == [PUSH, PULL]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n ", "no sentence yet"),
        ("\n".join(map(str, range(MAX_SENTENCES + 1))), "13 sentences are too many"),
        ("\n".join(map(str, range(5_000))), "5,000 sentences are too many"),
        ("x" * (MAX_SENTENCE_CHARS + 1), "longer than 500 characters"),
    ],
)
def test_too_much_is_refused(text: str, why: str):
    with pytest.raises(ConfigError, match=why):
        sentences_of(text)

"""The mini SigLIP's tokenizer: whole words in lower case, any text, special tokens first."""

from __future__ import annotations

import random

import pytest

from figclip.miniworld.mini_clip import MAX_TOKENS
from figclip.miniworld.mini_siglip import TEXT_LENGTH, build_siglip_tokenizer
from figclip.miniworld.situations import sample_story
from figclip.miniworld.wording import EVALUATION_STYLES, dense_captions, natural_sentence


@pytest.fixture(scope="module")
def tokenizer():
    return build_siglip_tokenizer(seed=0)


def test_special_tokens_come_first_and_texts_end(tokenizer):
    assert len(tokenizer) <= MAX_TOKENS
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (0, 1, 2)
    padded = tokenizer("a red cat", padding="max_length")["input_ids"]
    assert len(padded) == TEXT_LENGTH
    assert padded[3:] == [1] + [0] * (TEXT_LENGTH - 4)


@pytest.mark.parametrize(
    "text",
    ["a woman in purple", "In this photo, the action is chase", "a dog greeted angrily, kitchen"],
)
def test_words_of_the_world_are_one_token(tokenizer, text):
    expected = text.lower().replace(",", " ,").split()
    assert [one.strip("▁") for one in tokenizer.tokenize(text)] == expected


def test_any_text_can_be_written(tokenizer):
    text = "ünïcödé 球 🎈 it's 3,000.5 zebra"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text


def test_every_sentence_fits(tokenizer):
    rng = random.Random(3)
    for _ in range(100):
        story = sample_story(rng, held_out=None)
        texts = [natural_sentence(one, rng.choice(EVALUATION_STYLES)) for one in story]
        ids = tokenizer([*texts, *dense_captions(story, rng)])["input_ids"]
        assert max(map(len, ids)) <= TEXT_LENGTH

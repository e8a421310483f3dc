"""The mini CLIP's tokenizer: the same every time, whole words, and any text."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from tokenizers.pre_tokenizers import ByteLevel

from figclip.miniworld.mini_clip import CONTEXT_LENGTH, MAX_TOKENS, build_tokenizer
from figclip.miniworld.situations import sample_story
from figclip.miniworld.wording import EVALUATION_STYLES, dense_captions, natural_sentence


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(seed=0)


def test_is_small(tokenizer):
    assert 514 < len(tokenizer) <= MAX_TOKENS
    assert tokenizer.model_max_length == CONTEXT_LENGTH


def test_special_tokens_come_last_and_around(tokenizer):
    start, end = len(tokenizer) - 2, len(tokenizer) - 1
    ids = tokenizer("a red cat")["input_ids"]
    assert (ids[0], ids[-1]) == (start, end)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (start, end)


@pytest.mark.parametrize(
    "text", ["a woman in purple", "In this photo, the action is chase", "greeted angrily, kitchen"]
)
def test_words_of_the_world_are_one_token(tokenizer, text):
    assert len(tokenizer.tokenize(text)) == len(text.replace(",", " ,").split())


def test_any_text_can_be_written(tokenizer):
    text = "Ünïcödé 球 🎈 it's 3,000.5 zebra"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    symbols = set(ByteLevel.alphabet())
    written = "".join(tokenizer.convert_ids_to_tokens(ids)).replace("</w>", "")
    assert set(written) <= symbols
    assert tokenizer.eos_token_id not in ids
    assert "zebra" in written


def test_every_sentence_fits(tokenizer):
    rng = random.Random(3)
    for _ in range(100):
        story = sample_story(rng, held_out=None)
        texts = [natural_sentence(one, rng.choice(EVALUATION_STYLES)) for one in story]
        ids = tokenizer([*texts, *dense_captions(story, rng)])["input_ids"]
        assert max(map(len, ids)) <= CONTEXT_LENGTH


@pytest.mark.slow
def test_is_the_same_in_another_process(tokenizer):
    code = (
        "from figclip.miniworld.mini_clip import build_tokenizer\n"
        "print(build_tokenizer(seed=0).backend_tokenizer.to_str())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == tokenizer.backend_tokenizer.to_str()


def test_byte_symbols_begin_the_vocabulary(tokenizer):
    vocab = tokenizer.get_vocab()
    symbols = sorted(ByteLevel.alphabet())
    assert [vocab[symbol] for symbol in symbols] == list(range(256))
    assert [vocab[symbol + "</w>"] for symbol in symbols] == list(range(256, 512))

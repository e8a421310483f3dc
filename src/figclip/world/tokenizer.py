"""The mini CLIP's tokenizer: CLIP's own byte-level BPE, with merges learnt from the mini world."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

from figclip.data.captions import TEMPLATES
from figclip.world.dense_captions import dense_captions
from figclip.world.grammar import Story, sample_story
from figclip.world.web_captions import web_caption
from figclip.world.wording import TRAINING_STYLES, natural_sentence

CONTEXT_LENGTH = 77
MAX_TOKENS = 1500
"""Most entries of the vocabulary; the world's words need fewer, and each becomes one token."""

_NUM_STORIES = 600
_END_OF_WORD = "</w>"
_SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
_MIN_FREQUENCY = 1


def build_tokenizer(*, seed: int) -> CLIPTokenizer:
    """Learn merges from web captions, natural sentences and dense captions of drawn stories.

    As CLIP's, the vocabulary begins with the bytes, then the bytes at a word's end, so that every
    text can be written, and ends with the start and end tokens.

    Args:
        seed: Of the stories. The same seed gives the same tokenizer.
    """
    symbols = sorted(ByteLevel.alphabet())
    vocab = {symbol: i for i, symbol in enumerate([*symbols, *(s + _END_OF_WORD for s in symbols)])}
    plain = _clip_tokenizer(vocab, [])
    merges = _learn_merges(
        plain.backend_tokenizer,
        num_merges=MAX_TOKENS - len(vocab) - len(_SPECIAL_TOKENS),
        seed=seed,
    )
    for first, second in merges:
        vocab.setdefault(first + second, len(vocab))
    return _clip_tokenizer(vocab, merges)


def _clip_tokenizer(vocab: dict[str, int], merges: list[tuple[str, str]]) -> CLIPTokenizer:
    """CLIP's normaliser and word splitter over a vocabulary, to which special tokens are added."""
    whole = dict(vocab)
    for special in _SPECIAL_TOKENS:
        whole[special] = len(whole)
    return CLIPTokenizer(vocab=whole, merges=merges, model_max_length=CONTEXT_LENGTH)  # pyright: ignore


def _learn_merges(splitter: Tokenizer, *, num_merges: int, seed: int) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first, of the words that the splitter makes."""
    learner = Tokenizer(BPE())
    learner.normalizer = splitter.normalizer
    learner.pre_tokenizer = splitter.pre_tokenizer
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=num_merges + 2 * len(alphabet),
        min_frequency=_MIN_FREQUENCY,
        initial_alphabet=alphabet,
        end_of_word_suffix=_END_OF_WORD,
        show_progress=False,
    )
    learner.train_from_iterator(_sentences(seed), trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [(first, second) for first, second in merges][:num_merges]


def _sentences(seed: int) -> Iterator[str]:
    """What the world's texts read like."""
    rng = random.Random(f"tokenizer:{seed}")
    for _ in range(_NUM_STORIES):
        story: Story = sample_story(rng, held_out=False)
        yield from (web_caption(situation, rng) for situation in story)
        for situation in story:
            yield natural_sentence(situation, rng.choice(TRAINING_STYLES))
        yield from dense_captions(story, rng, template=rng.choice(list(TEMPLATES.values())))

from __future__ import annotations

import itertools

import pytest
import torch

from figclip.heads.text_decoder import TextDecoder, TextMemory, beam_search
from figclip.heads.vocabulary import END, PAD, UNKNOWN

WIDTH, TOKENS, LENGTH = 8, 6, 4


def make_decoder(seed: int) -> TextDecoder:
    torch.manual_seed(seed)
    decoder = TextDecoder(
        TOKENS, width=WIDTH, num_layers=1, num_heads=2, dropout=0.0, max_length=LENGTH
    )
    # Sharper than fresh weights, so that sequences differ in probability.
    decoder.token_embedding.weight.data *= 3
    return decoder.eval()


def make_inputs(seed: int, num: int = 5) -> TextMemory:
    generator = torch.Generator().manual_seed(seed)
    return TextMemory(
        prefix_ND=3 * torch.randn(num, WIDTH, generator=generator),
        memory_NSD=3 * torch.randn(num, 3, WIDTH, generator=generator),
        memory_mask_NS=torch.ones(num, 3, dtype=torch.bool),
    )


def one_row(about: TextMemory, row: int) -> TextMemory:
    part = slice(row, row + 1)
    return TextMemory(about.prefix_ND[part], about.memory_NSD[part], about.memory_mask_NS[part])


@torch.no_grad()
def mean_log_probability(
    decoder: TextDecoder, inputs: TextMemory, row: int, tokens: list[int]
) -> float:
    """Of one sequence, by the decoder's own forward."""
    one = one_row(inputs, row)
    logits = decoder(torch.tensor([tokens]), one)[0]
    logits[:, [PAD, UNKNOWN]] = -torch.inf
    return logits.log_softmax(dim=-1)[range(len(tokens)), tokens].mean().item()


def all_sequences() -> list[list[int]]:
    """Every sequence that ends with END, or is of the largest length without."""
    words = [token for token in range(TOKENS) if token not in (PAD, END, UNKNOWN)]
    whole = [list(s) for s in itertools.product(words, repeat=LENGTH)]
    ended = [[*s, END] for length in range(LENGTH) for s in itertools.product(words, repeat=length)]
    return whole + ended


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_that_holds_everything_finds_the_best_of_all_sequences(seed: int):
    decoder, inputs = make_decoder(seed), make_inputs(seed)
    found = beam_search(decoder, inputs, beam=500)
    for row, tokens in enumerate(found):
        best = max(all_sequences(), key=lambda s: mean_log_probability(decoder, inputs, row, s))
        assert tokens == [token for token in best if token != END]


@torch.no_grad()
def test_a_beam_of_one_takes_the_likeliest_token_each_time():
    decoder, inputs = make_decoder(7), make_inputs(7)
    for row, tokens in enumerate(beam_search(decoder, inputs, beam=1)):
        one = one_row(inputs, row)
        written: list[int] = []
        while len(written) < LENGTH:
            logits = decoder(torch.tensor([[*written, 0]]), one)[0, -1]
            logits[[PAD, UNKNOWN]] = -torch.inf
            written.append(int(logits.argmax()))
            if written[-1] == END:
                break
        assert tokens == [token for token in written if token != END]


def test_a_row_does_not_depend_on_those_beside_it():
    decoder, inputs = make_decoder(3), make_inputs(3)
    together = beam_search(decoder, inputs, beam=3)
    for row in range(5):
        one = one_row(inputs, row)
        assert beam_search(decoder, one, beam=3) == [together[row]]


def test_nothing_to_write_about_gives_nothing():
    assert beam_search(make_decoder(0), make_inputs(0, num=0), beam=2) == []


def test_padding_and_unknown_words_are_never_written():
    decoder, inputs = make_decoder(1), make_inputs(1, num=20)
    decoder.token_embedding.weight.data[[PAD, UNKNOWN]] *= 100
    written = {token for row in beam_search(decoder, inputs, beam=2) for token in row}
    assert written.isdisjoint({PAD, UNKNOWN, END})

from __future__ import annotations

import itertools

import pytest
import torch

from figclip.heads.text_decoder import PartOrder, TextDecoder, TextMemory, beam_search
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
    for row, one in enumerate(found):
        best = max(all_sequences(), key=lambda s: mean_log_probability(decoder, inputs, row, s))
        assert list(one.tokens) == [token for token in best if token != END]
        mean = mean_log_probability(decoder, inputs, row, best)
        assert one.mean_log_probability == pytest.approx(mean, abs=1e-5)


@torch.no_grad()
def test_a_beam_of_one_takes_the_likeliest_token_each_time():
    decoder, inputs = make_decoder(7), make_inputs(7)
    for row, found in enumerate(beam_search(decoder, inputs, beam=1)):
        one = one_row(inputs, row)
        written: list[int] = []
        while len(written) < LENGTH:
            logits = decoder(torch.tensor([[*written, 0]]), one)[0, -1]
            logits[[PAD, UNKNOWN]] = -torch.inf
            written.append(int(logits.argmax()))
            if written[-1] == END:
                break
        assert list(found.tokens) == [token for token in written if token != END]


def test_a_row_does_not_depend_on_those_beside_it():
    decoder, inputs = make_decoder(3), make_inputs(3)
    together = beam_search(decoder, inputs, beam=3)
    for row in range(5):
        one = one_row(inputs, row)
        (alone,) = beam_search(decoder, one, beam=3)
        assert alone.tokens == together[row].tokens


def test_nothing_to_write_about_gives_nothing():
    assert beam_search(make_decoder(0), make_inputs(0, num=0), beam=2) == []


def test_padding_and_unknown_words_are_never_written():
    decoder, inputs = make_decoder(1), make_inputs(1, num=20)
    decoder.token_embedding.weight.data[[PAD, UNKNOWN]] *= 100
    written = {token for row in beam_search(decoder, inputs, beam=2) for token in row.tokens}
    assert written.isdisjoint({PAD, UNKNOWN, END})


MARKS = (3, 4)
ORDERS = [[4, 3], [3], [], [3, 4], [4]]
"""Marks that each row must have; of a vocabulary of two marks and two words."""


def make_parts(orders: list[list[int]]) -> PartOrder:
    rows = [[*one, *[END] * (3 - len(one))] for one in orders]
    is_mark = [token in MARKS for token in range(TOKENS + 1)]
    return PartOrder(torch.tensor(rows), torch.tensor(is_mark))


def sequences_of(order: list[int], length: int) -> list[list[int]]:
    """Every sequence with these parts in this order, cut at the length."""
    words = [5, 6]
    found = [[]]
    for mark in order:
        texts = [list(w) for n in range(1, length) for w in itertools.product(words, repeat=n)]
        found = [[*one, mark, *text] for one in found for text in texts]
    return list(map(list, dict.fromkeys(tuple([*one, END][:length]) for one in found)))


@torch.no_grad()
def mean_of_parts(decoder: TextDecoder, about: TextMemory, row: int, tokens: list[int]) -> float:
    """Mean log-probability where the end of a part is that of whatever else may follow it."""
    logits = decoder(torch.tensor([tokens]), one_row(about, row))[0]
    logits[:, [PAD, UNKNOWN]] = -torch.inf
    each = logits.softmax(dim=-1)
    ends = [*MARKS, END]
    chosen = [
        each[place, ends].sum() if token in ends else each[place, token]
        for place, token in enumerate(tokens)
    ]
    return torch.stack(chosen).log().mean().item()


@pytest.mark.parametrize("seed", range(4))
def test_parts_come_in_order_and_are_the_best_of_all_that_do(seed: int):
    torch.manual_seed(seed)
    decoder = TextDecoder(
        TOKENS + 1, width=WIDTH, num_layers=1, num_heads=2, dropout=0.0, max_length=6
    )
    decoder.token_embedding.weight.data *= 3
    about = make_inputs(seed)
    found = beam_search(decoder.eval(), about, beam=500, parts=make_parts(ORDERS))
    for row, (one, order) in enumerate(zip(found, ORDERS, strict=True)):
        marks = [token for token in one.tokens if token in MARKS]
        assert marks == order[: len(marks)] and bool(marks) == bool(order)
        every = sequences_of(order, 6)
        best = max(every, key=lambda s: mean_of_parts(decoder, about, row, s))
        assert list(one.tokens) == [token for token in best if token != END]
    alone = make_parts(ORDERS[:1])
    (first,) = beam_search(decoder, one_row(about, 0), beam=500, parts=alone)
    assert first.tokens == found[0].tokens

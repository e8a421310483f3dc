from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from figclip.heads.text_decoder import TextDecoder, TextMemory

WIDTH, HEADS, TOKENS = 16, 4, 11


def make_decoder(*, layers: int = 2) -> TextDecoder:
    torch.manual_seed(0)
    decoder = TextDecoder(
        TOKENS, width=WIDTH, num_layers=layers, num_heads=HEADS, dropout=0.1, max_length=8
    )
    return decoder.eval()


def make_inputs(num: int = 3, places: int = 5) -> TextMemory:
    generator = torch.Generator().manual_seed(1)
    return TextMemory(
        prefix_ND=torch.randn(num, WIDTH, generator=generator),
        memory_NSD=torch.randn(num, places, WIDTH, generator=generator),
        memory_mask_NS=torch.arange(places) < torch.tensor([[5], [3], [1]])[:num],
    )


@torch.no_grad()
def test_writing_token_by_token_equals_reading_all_at_once():
    decoder, inputs = make_decoder(), make_inputs()
    tokens_NL = torch.randint(TOKENS, (3, 6), generator=torch.Generator().manual_seed(2))
    at_once = decoder(tokens_NL, inputs)
    state = decoder.start(inputs)
    step, state = decoder.write(inputs.prefix_ND[:, None], state)
    steps = [step]
    for place in range(5):
        step, state = decoder.write(decoder.embed(tokens_NL[:, place : place + 1]), state)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), at_once, atol=1e-6, rtol=0)


@torch.no_grad()
def test_rows_of_a_state_go_on_as_their_own_sequences():
    decoder, inputs = make_decoder(), make_inputs()
    state = decoder.start(inputs)
    _, state = decoder.write(inputs.prefix_ND[:, None], state)
    order = torch.tensor([2, 0, 0])
    token = decoder.embed(torch.tensor([[4], [4], [4]]))
    whole, _ = decoder.write(token, state)
    chosen, _ = decoder.write(token, state.rows(order))
    torch.testing.assert_close(chosen, whole[order], atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_token_sees_neither_later_tokens_nor_absent_memory():
    decoder, inputs = make_decoder(), make_inputs()
    tokens_NL = torch.full((3, 5), 3)
    before = decoder(tokens_NL, inputs)
    changed = tokens_NL.clone()
    changed[:, 3] = 7
    after = decoder(changed, inputs)
    torch.testing.assert_close(after[:, :4], before[:, :4], atol=0, rtol=0)
    assert not torch.allclose(after[:, 4], before[:, 4])
    hidden = inputs.memory_NSD.masked_fill(~inputs.memory_mask_NS[..., None], 1e4)
    unseen = decoder(tokens_NL, replace(inputs, memory_NSD=hidden))
    torch.testing.assert_close(unseen, before, atol=1e-6, rtol=0)
    seen = decoder(tokens_NL, replace(inputs, memory_NSD=inputs.memory_NSD + 1))
    assert not torch.allclose(seen, before)


@torch.no_grad()
def test_layers_are_those_of_torchs_own_decoder():
    decoder, inputs = make_decoder(layers=1), make_inputs()
    ours = decoder.layers[0]
    theirs = nn.TransformerDecoderLayer(
        WIDTH, HEADS, 4 * WIDTH, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    kv_weight, kv_bias = ours.memory_kv.weight, ours.memory_kv.bias
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": ours.self_qkv.weight,
            "self_attn.in_proj_bias": ours.self_qkv.bias,
            "self_attn.out_proj.weight": ours.self_out.weight,
            "self_attn.out_proj.bias": ours.self_out.bias,
            "multihead_attn.in_proj_weight": torch.cat([ours.memory_q.weight, kv_weight]),
            "multihead_attn.in_proj_bias": torch.cat([ours.memory_q.bias, kv_bias]),
            "multihead_attn.out_proj.weight": ours.memory_out.weight,
            "multihead_attn.out_proj.bias": ours.memory_out.bias,
            "linear1.weight": ours.mlp[0].weight,
            "linear1.bias": ours.mlp[0].bias,
            "linear2.weight": ours.mlp[2].weight,
            "linear2.bias": ours.mlp[2].bias,
            **{f"norm1.{k}": v for k, v in ours.norm_self.state_dict().items()},
            **{f"norm2.{k}": v for k, v in ours.norm_memory.state_dict().items()},
            **{f"norm3.{k}": v for k, v in ours.norm_mlp.state_dict().items()},
        }
    )
    hidden = torch.randn(3, 6, WIDTH, generator=torch.Generator().manual_seed(3))
    memory, mask = inputs.memory_NSD, inputs.memory_mask_NS
    expected = theirs(
        hidden,
        memory,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(6) < 0,
        memory_key_padding_mask=~mask,
    )
    found, _ = ours(hidden, None, ours.read_memory(memory), mask)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_dropout_is_of_training_only():
    decoder, inputs = make_decoder(), make_inputs()
    tokens_NL = torch.full((3, 4), 3)
    assert torch.equal(decoder(tokens_NL, inputs), decoder(tokens_NL, inputs))
    decoder.train()
    assert not torch.equal(decoder(tokens_NL, inputs), decoder(tokens_NL, inputs))


@pytest.mark.parametrize("length", [1, 8])
def test_lengths_up_to_the_largest_fit(length: int):
    logits = make_decoder()(torch.zeros(1, length, dtype=torch.long), make_inputs(1))
    assert logits.shape == (1, length, TOKENS)

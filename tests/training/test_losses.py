"""Losses: hand-worked values, a slow oracle, masks, and precision."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize
from transformers import SiglipConfig, SiglipModel

from figclip.config import ModelConfig, RunConfig, TextConfig, TrainConfig
from figclip.training import losses
from figclip.training.losses import (
    concept_loss,
    equal_mask,
    info_nce,
    keep_loss,
    mean_of_segments,
    sigmoid_loss,
)
from tests.small_runs import make_run, write_tiny_clip

# At this scale a similarity of 1 weighs 3 in a softmax, of 0 weighs 1, of -1 weighs 1/3.
LOG_3 = torch.tensor(math.log(3.0))
AXES = torch.eye(2)
NOTHING = torch.zeros(2, 2, dtype=torch.bool)


def value(loss: Tensor) -> float:
    assert loss.dtype == torch.float32
    return loss.item()


def test_two_right_pairs_by_hand():
    loss = info_nce(AXES, AXES, logit_scale=LOG_3, excluded_NN=NOTHING)
    assert value(loss) == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_two_swapped_pairs_by_hand():
    loss = info_nce(AXES, AXES.flip(0), logit_scale=LOG_3, excluded_NN=NOTHING)
    assert value(loss) == pytest.approx(math.log(4), abs=1e-6)


def test_all_alike_is_chance():
    alike = torch.tensor([[1.0, 0.0]] * 5)
    nothing = torch.zeros(5, 5, dtype=torch.bool)
    loss = info_nce(alike, alike, logit_scale=torch.tensor(100.0), excluded_NN=nothing)
    assert value(loss) == pytest.approx(math.log(5), abs=1e-6)


def test_hard_negatives_enter_one_direction_by_hand():
    # Each item's negatives: its own text again (weight 3) and its opposite (weight 1/3).
    negatives = torch.stack([AXES, -AXES], dim=1)
    present = torch.ones(2, 2, dtype=torch.bool)
    loss = info_nce(
        AXES,
        AXES,
        logit_scale=LOG_3,
        excluded_NN=NOTHING,
        negatives_NKD=negatives,
        negative_present_NK=present,
    )
    to_text = math.log((3 + 1 + 3 + 1 / 3) / 3)
    assert value(loss) == pytest.approx((to_text + math.log(4 / 3)) / 2, abs=1e-6)


def test_masked_negatives_count_for_nothing_by_hand():
    negatives = torch.stack([AXES, -AXES], dim=1)
    present = torch.tensor([[True, False], [False, False]])
    loss = info_nce(
        AXES,
        AXES,
        logit_scale=LOG_3,
        excluded_NN=NOTHING,
        negatives_NKD=negatives,
        negative_present_NK=present,
    )
    to_text = (math.log(7 / 3) + math.log(4 / 3)) / 2
    assert value(loss) == pytest.approx((to_text + math.log(4 / 3)) / 2, abs=1e-6)


def test_no_columns_of_negatives_is_no_negatives():
    loss = info_nce(
        AXES,
        AXES,
        logit_scale=LOG_3,
        excluded_NN=NOTHING,
        negatives_NKD=torch.zeros(2, 0, 2),
        negative_present_NK=torch.zeros(2, 0, dtype=torch.bool),
    )
    assert value(loss) == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_excluded_pairs_leave_both_directions_by_hand():
    both = torch.tensor([[False, True], [True, False]])
    assert value(info_nce(AXES, AXES, logit_scale=LOG_3, excluded_NN=both)) == 0.0
    # Visual 0 without text 1, hence text 1 without visual 0; the other two keep both.
    one = torch.tensor([[False, True], [False, False]])
    loss = info_nce(AXES, AXES, logit_scale=LOG_3, excluded_NN=one)
    assert value(loss) == pytest.approx(math.log(4 / 3) / 2, abs=1e-6)


def test_masked_and_excluded_rows_get_no_gradient_and_no_nan():
    visual = AXES.clone().requires_grad_()
    text = normalize(torch.ones(2, 2), dim=-1).requires_grad_()
    negatives = torch.full((2, 1, 2), 0.5).requires_grad_()
    loss = info_nce(
        visual,
        text,
        logit_scale=torch.tensor(100.0),
        excluded_NN=torch.tensor([[False, True], [True, False]]),
        negatives_NKD=negatives,
        negative_present_NK=torch.zeros(2, 1, dtype=torch.bool),
    )
    loss.backward()
    for tensor in (visual, text, negatives):
        assert tensor.grad is not None
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


def oracle(
    visual: Tensor, text: Tensor, scale: float, excluded: Tensor, hard: Tensor, present: Tensor
) -> float:
    """The formula, term by term."""
    N, total = len(visual), 0.0
    for i in range(N):
        keep_text = [j for j in range(N) if not excluded[i, j]]
        keep_visual = [j for j in range(N) if not excluded[j, i]]
        own = scale * float(visual[i] @ text[i])
        to_text = [math.exp(scale * float(visual[i] @ text[j])) for j in keep_text]
        to_text += [
            math.exp(scale * float(visual[i] @ hard[i, k]))
            for k in range(hard.shape[1])
            if present[i, k]
        ]
        to_visual = [math.exp(scale * float(visual[j] @ text[i])) for j in keep_visual]
        total += (math.log(sum(to_text)) - own + math.log(sum(to_visual)) - own) / 2
    return total / N


@given(
    N=st.integers(1, 6),
    K=st.integers(0, 3),
    D=st.integers(1, 5),
    scale=st.floats(0.1, 100),
    seed=st.integers(0, 2**32),
)
def test_info_nce_equals_the_formula(N: int, K: int, D: int, scale: float, seed: int):
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> Tensor:
        return normalize(
            torch.randn(*shape, generator=generator, dtype=torch.float64) + 1e-3, dim=-1
        )

    visual, text, hard = unit(N, D), unit(N, D), unit(N, K, D)
    excluded = torch.rand(N, N, generator=generator) < 0.3
    excluded.fill_diagonal_(False)
    present = torch.rand(N, K, generator=generator) < 0.7
    found = info_nce(
        visual,
        text,
        logit_scale=torch.tensor(scale, dtype=torch.float64),
        excluded_NN=excluded,
        negatives_NKD=hard,
        negative_present_NK=present,
    )
    assert found.item() == pytest.approx(
        oracle(visual, text, scale, excluded, hard, present), rel=1e-9, abs=1e-9
    )


def test_clips_largest_temperature_neither_overflows_nor_loses_precision():
    visual = normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    scale, nothing = torch.tensor(100.0), torch.zeros(50, 50, dtype=torch.bool)
    found = info_nce(visual, -visual, logit_scale=scale, excluded_NN=nothing)
    exact = info_nce(
        visual.double(), -visual.double(), logit_scale=scale.double(), excluded_NN=nothing
    )
    assert value(found) == pytest.approx(exact.item(), rel=1e-6)


def test_sigmoid_pairs_by_hand():
    # Right pairs have the logit log 3, hence 3/4; wrong ones the logit 0, hence 1/2.
    nothing = torch.tensor(0.0)
    loss = sigmoid_loss(AXES, AXES, logit_scale=LOG_3, logit_bias=nothing, excluded_NN=NOTHING)
    assert value(loss) == pytest.approx(math.log(4 / 3) + math.log(2), abs=1e-6)
    biased = sigmoid_loss(AXES, AXES, logit_scale=LOG_3, logit_bias=-LOG_3, excluded_NN=NOTHING)
    assert value(biased) == pytest.approx(math.log(2) + math.log(4 / 3), abs=1e-6)
    one = torch.tensor([[False, True], [False, False]])
    loss = sigmoid_loss(AXES, AXES, logit_scale=LOG_3, logit_bias=nothing, excluded_NN=one)
    assert value(loss) == pytest.approx(math.log(4 / 3) + math.log(2) / 2, abs=1e-6)


def test_sigmoid_hard_negatives_are_more_wrong_pairs_by_hand():
    negatives = torch.stack([AXES, -AXES], dim=1)
    for present, added in (
        (torch.ones(2, 2, dtype=torch.bool), math.log(4) + math.log(4 / 3)),
        (torch.tensor([[True, False], [False, False]]), math.log(4) / 2),
    ):
        loss = sigmoid_loss(
            AXES,
            AXES,
            logit_scale=LOG_3,
            logit_bias=torch.tensor(0.0),
            excluded_NN=NOTHING,
            negatives_NKD=negatives,
            negative_present_NK=present,
        )
        assert value(loss) == pytest.approx(math.log(4 / 3) + math.log(2) + added, abs=1e-6)


def test_sigmoid_loss_is_that_of_transformers():
    config = SiglipConfig(
        text_config={"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "vocab_size": 9, "bos_token_id": None,
                     "eos_token_id": None},
        vision_config={"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "image_size": 4, "patch_size": 2},
    )  # fmt: skip
    torch.manual_seed(0)
    model = SiglipModel(config).eval()
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-2.0)
        out = model(torch.arange(6).view(3, 2), torch.randn(3, 3, 4, 4), return_loss=True)
        found = sigmoid_loss(
            out.image_embeds,
            out.text_embeds,
            logit_scale=model.logit_scale.exp().reshape(()),
            logit_bias=model.logit_bias.reshape(()),
            excluded_NN=torch.zeros(3, 3, dtype=torch.bool),
        )
    assert value(found) == pytest.approx(out.loss.item(), rel=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_towers_hand_fp32_to_the_losses(
    precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[torch.dtype, torch.dtype, bool]] = []

    def spy(visual_ND: Tensor, text_ND: Tensor, **options):
        loss = info_nce(visual_ND, text_ND, **options)
        seen.append((visual_ND.dtype, loss.dtype, torch.is_autocast_enabled("cpu")))
        return loss

    monkeypatch.setattr(losses, "info_nce", spy)
    config = RunConfig(
        recipe="test",
        text=TextConfig(verb_negatives=1),
        model=ModelConfig(lora_rank=2, contextualizer_layers=1, contextualizer_head_dim=16),
        train=TrainConfig(precision=precision),
    )
    run = make_run(write_tiny_clip(tmp_path), config, events_per_video=(1, 1))
    run.trainee.accumulate_gradients(run.batch, loss_scale=1.0)
    assert seen == [(torch.float32, torch.float32, False)] * 4


def test_everything_is_made_on_the_device_of_the_embeddings():
    """The meta device refuses what lies elsewhere, as a GPU does."""
    rows = torch.zeros(3, 2, device="meta")
    nothing = torch.zeros(3, 3, dtype=torch.bool, device="meta")
    scale = torch.zeros((), device="meta")
    loss = info_nce(rows, rows, logit_scale=scale, excluded_NN=nothing)
    assert loss.device.type == "meta"


def test_equal_text_mask_by_hand():
    found = equal_mask(torch.tensor([7, 8, 7, 7]))
    assert found.int().tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1], [1, 0, 1, 0]]


def test_equal_mask_by_hand():
    found = equal_mask(torch.tensor([0, 0, 1]))
    assert found.int().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_mean_of_segments_by_hand():
    rows = torch.tensor([[1.0, 10.0], [5.0, 20.0], [3.0, 30.0]])
    found = mean_of_segments(rows, torch.tensor([1, 0, 1]), num_segments=2)
    assert found.tolist() == [[5.0, 20.0], [2.0, 20.0]]


@pytest.mark.parametrize(("temperature", "odds"), [(1, 3), (2, math.sqrt(3))])
def test_what_is_kept_by_hand(temperature: float, odds: float):
    """The base finds its text with 3/4, softened with less; the adapted model both with 1/2."""
    loss = keep_loss(
        normalize(torch.ones(1, 2), dim=-1),
        AXES,
        base_picture_ND=AXES[:1],
        base_text_MD=AXES,
        logit_scale=LOG_3,
        temperature=temperature,
    )
    one, other = odds / (1 + odds), 1 / (1 + odds)
    expected = one * math.log(one / (1 / 2)) + other * math.log(other / (1 / 2))
    assert value(loss) == pytest.approx(temperature**2 * expected, abs=1e-6)


def test_nothing_is_lost_where_nothing_moved_and_a_common_turn_loses_nothing():
    pictures, texts = (normalize(torch.randn(5, 4), dim=-1) for _ in range(2))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    for turned in (torch.eye(4), turn):
        loss = keep_loss(
            pictures @ turned,
            texts @ turned,
            base_picture_ND=pictures,
            base_text_MD=texts,
            logit_scale=torch.tensor(10.0),
            temperature=3,
        )
        assert value(loss) == pytest.approx(0, abs=1e-5)


def concepts(visual: Tensor, phrases: Tensor, belongs: list[list[int]]) -> float:
    mask = torch.tensor(belongs, dtype=torch.bool)
    return value(concept_loss(visual, phrases, belongs_NM=mask, logit_scale=LOG_3))


def test_one_phrase_each_is_info_nce():
    expected = info_nce(AXES, AXES, logit_scale=LOG_3, excluded_NN=NOTHING)
    assert concepts(AXES, AXES, [[1, 0], [0, 1]]) == pytest.approx(value(expected), abs=1e-6)


def test_phrases_of_one_event_do_not_compete_by_hand():
    # The first event has both phrases, at weights 3 and 1; the second has the second, at 3.
    # Its own are no false ones: the first event's loss is 0, the second's log (3 + 1) / 3.
    # The first phrase has a false event, the second none: log (3 + 1) / 3 and 0.
    assert concepts(AXES, AXES, [[1, 1], [0, 1]]) == pytest.approx(
        (math.log(4 / 3) / 2 + math.log(4 / 3) / 2) / 2, abs=1e-6
    )


def test_where_all_is_true_there_is_nothing_to_learn():
    visual = AXES.clone().requires_grad_()
    everywhere = torch.ones(2, 2, dtype=torch.bool)
    loss = concept_loss(visual, AXES, belongs_NM=everywhere, logit_scale=torch.tensor(100.0))
    loss.backward()
    assert value(loss.detach()) == 0.0
    assert visual.grad is not None and not visual.grad.any()


def test_all_events_count_alike_however_many_phrases_they_have():
    # The first event has three phrases like itself, the second one unlike itself.
    phrases = torch.stack([AXES[0], AXES[0], AXES[0], AXES[0]])
    found = concepts(AXES, phrases, [[1, 1, 1, 0], [0, 0, 0, 1]])
    # Weight 3 against a false 3; in the other, 1 against three times 1.
    by_event = (math.log(2) + math.log(4)) / 2
    by_phrase = (3 * math.log(4 / 3) + math.log(4)) / 4
    assert found == pytest.approx((by_event + by_phrase) / 2, abs=1e-6)


def test_with_a_bias_each_pair_of_event_and_phrase_stands_alone_by_hand():
    # Logits are log 3 on the diagonal and 0 off it, minus log 3: 0 and -log 3.
    loss = concept_loss(
        AXES,
        AXES,
        belongs_NM=torch.tensor([[True, True], [False, True]]),
        logit_scale=LOG_3,
        logit_bias=-LOG_3,
    )
    # Three true pairs of log 2, log 4 and log 2; one false one of log (4 / 3); two phrases.
    assert value(loss) == pytest.approx(math.log(2 * 4 * 2 * 4 / 3) / 2, abs=1e-6)

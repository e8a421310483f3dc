"""The model card: the hub reads its head, and its numbers are those that it was given."""

from __future__ import annotations

import dataclasses

import pytest
from huggingface_hub import EvalResult, ModelCard

from figclip.model.card import CardFacts, CardScore, StrengthPrice, build_card, data_names
from figclip.model.folder import ModelInfo

INFO = ModelInfo(
    activation="quick_gelu", adaptation="lora_image", alpha=0.6, lora_scale=1.0,
    pixel_pipeline="pil", pooling="mean", base="openai/clip-vit-base-patch32", base_hash="ba5e",
    contextualizer=None,
    provenance={"recipe": "default", "step": 7, "data": "da7a", "config": {"train": {"lr": 1e-3}},
                "packages": {"torch": "2.9"}},
)  # fmt: skip
ACCURACY = CardScore(
    task="composition", data="pairs", source="swap.jsonl", data_hash="5e7", split="test",
    metric="accuracy", unit="fraction", base=0.505, adapted=0.6344444, difference=0.1294444,
    interval=(-0.0216, 0.2468),
)  # fmt: skip
RANK = dataclasses.replace(
    ACCURACY, task="dense_retrieval", metric="mean rank", unit="rank", base=None, adapted=3.25,
    difference=None, interval=None, split=None,
)  # fmt: skip
FACTS = CardFacts(
    data_names=("vidsitu",),
    num_videos=1234,
    num_val_videos=60,
    price=StrengthPrice(alpha=0.6, detail=(0.5, 0.625), kept=(0.9, 0.889), loss_bound=0.0149),
    scores=(ACCURACY, RANK),
)


def build(info: ModelInfo | None = INFO, facts: CardFacts = FACTS, *, alpha: float = 0.6) -> str:
    return build_card(info, weights="we16", alpha=alpha, facts=facts)


def test_the_hub_reads_its_head():
    data = ModelCard(build()).data
    head = {**data.to_dict()}
    del head["model-index"]
    assert head == {
        "base_model": INFO.base,
        "base_model_relation": "finetune",
        "datasets": ["vidsitu"],
        "language": "en",
        "library_name": "transformers",
        "license": "other",
        "license_name": "as-the-base-model",
        "license_link": f"https://huggingface.co/{INFO.base}",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "figclip", "video"],
    }
    assert data.model_name == "clip-vit-base-patch32-figclip"


def test_scores_are_read_back_as_they_were():
    results = ModelCard(build()).data.eval_results
    assert results is not None and all(isinstance(one, EvalResult) for one in results)
    found = {(one.task_type, one.metric_name, one.metric_type): one for one in results}
    accuracy = found["composition", "accuracy", "accuracy"]
    assert accuracy.metric_value == ACCURACY.adapted
    assert accuracy.metric_args == {
        "base": 0.505, "difference": 0.1294444, "interval_95": [-0.0216, 0.2468],
        "unit": "fraction",
    }  # fmt: skip
    assert (accuracy.dataset_type, accuracy.dataset_name) == ("pairs", "swap.jsonl")
    assert (accuracy.dataset_split, accuracy.dataset_revision) == ("test", "5e7")
    assert found["dense-retrieval", "mean rank", "mean-rank"].metric_value == 3.25


def test_the_body_says_what_it_gained_and_cost():
    text = ModelCard(build()).text
    assert "| composition | swap.jsonl (test) | accuracy | 50.5 | 63.4 | +12.9 [-2.2, +24.7] |" in (
        text
    )
    assert "| mean rank (lower is better) |  | 3.2 |  |" in text
    assert "50.0 → 62.5, kept tests 90.0 → 88.9, a loss of at most 1.5 points" in text
    assert "1,234 trained on, 60 held back; annotated as `vidsitu`" in text
    for said in ("`we16`", "`ba5e`", "`da7a`", "`default`", '"lr": 0.001', "strength 0.6", "arXiv"):
        assert said in text


def test_what_is_not_known_is_not_claimed():
    text = build(facts=CardFacts(), alpha=1.0)
    assert "have not been scored" in text and "model-index" not in text
    assert "was not measured" in text and "trained on," not in text
    other = build(alpha=1.0)
    assert "The tests of the run chose 0.6." in other and "90.0" not in other
    local = build(dataclasses.replace(INFO, base=""))
    assert "base_model" not in local and "license_link" not in local
    assert "nothing was adapted" in build(None, CardFacts(), alpha=0.0)


@pytest.mark.parametrize("hostile", ["a|b\n# c", "<script>x</script>", "`x` \x1b[2J", "---"])
def test_names_of_others_stay_in_their_cell(hostile: str):
    score = dataclasses.replace(ACCURACY, source=hostile)
    facts = dataclasses.replace(FACTS, scores=(score,), data_names=(hostile,))
    card = ModelCard(build(facts=facts))
    assert [one.dataset_name for one in card.data.eval_results or ()] == [hostile]
    [row] = [line for line in card.text.splitlines() if line.startswith("| composition")]
    assert row.replace(r"\|", "").count("|") == 7
    assert "<script" not in row and "\x1b" not in card.text


def test_data_are_called_as_prepare_calls_them():
    coverages = [{"name": "vidsitu"}, {"name": "own"}, {}, {"name": "vidsitu"}]
    assert data_names(coverages) == ("vidsitu", "own")

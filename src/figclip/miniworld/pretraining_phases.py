"""What each phase of a mini model's pretraining trains, and the batches that it is trained on.

A batch is a pure function of (seed, step): stills, captions, paraphrases. No combination that is
held out is among them.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from figclip.annotations.captions import text_hash
from figclip.miniworld.drawing.frames import draw_still
from figclip.miniworld.situations import (
    COLOURS,
    DIRECTIONS,
    KINDS,
    MANNERS,
    SCENES,
    SIZES,
    VERBS,
    EditKind,
    Situation,
    can_edit,
    edit,
    sample_situation,
)
from figclip.miniworld.wording import TRAINING_STYLES, dense_captions, natural_sentence, web_caption
from figclip.model.backbone import Backbone
from figclip.model.families import projection, vision_config
from figclip.training.loop import ParameterGroup
from figclip.training.losses import contrastive_loss, equal_mask, info_nce

# Sides that pictures are drawn at, and how often. Marks and outlines differ with the size; frames
# of videos come from 224 pixels, which take 2.4 times as long as 64.
_DRAWN_PX = {64: 0.5, 128: 0.35, 224: 0.15}
_CAPTIONS_A_STILL = 2
_DENSE_RATE = 0.5
_SEED_RANGE = 2**31


@dataclass(frozen=True, slots=True)
class StillBatch:
    """Stills with what they show; steps count from 1.

    `captions`: `_CAPTIONS_A_STILL` web captions a still, first one of each, then another of each.
    """

    step: int
    situations: tuple[Situation, ...]
    frames_NHWC: UInt8[Tensor, "N H W C"]
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParaphraseBatch:
    """Texts that say the same, and near ones that do not; steps count from 1.

    `negatives` are the positives' words for a situation with one thing changed, and equal to the
    positive where it does not tell that thing.
    """

    step: int
    anchors: tuple[str, ...]
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawStills:
    """Draws the captioned stills of a step."""

    seed: str
    size: int
    image_size: int

    def __call__(self, step: int) -> StillBatch:
        """The batch of a step."""
        rng = random.Random(f"stills:{self.seed}:{step}")
        situations = tuple(sample_situation(rng, held_out=False) for _ in range(self.size))
        frames = [self._draw(situation, rng) for situation in situations]
        captions = [web_caption(s, rng) for _ in range(_CAPTIONS_A_STILL) for s in situations]
        return StillBatch(step, situations, torch.from_numpy(np.stack(frames)), tuple(captions))

    def _draw(self, situation: Situation, rng: random.Random) -> UInt8[np.ndarray, "H W C"]:
        """One still, drawn at one of several sizes and reduced."""
        (drawn_px,) = rng.choices(list(_DRAWN_PX), weights=list(_DRAWN_PX.values()))
        picture = draw_still(situation, seed=rng.randrange(_SEED_RANGE), size_px=drawn_px)
        size = (self.image_size, self.image_size)
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteParaphrases:
    """Writes the paraphrases of a step."""

    seed: str
    size: int

    def __call__(self, step: int) -> ParaphraseBatch:
        """The batch of a step."""
        rng = random.Random(f"paraphrases:{self.seed}:{step}")
        rows = [self._row(sample_situation(rng, held_out=False), rng) for _ in range(self.size)]
        anchors, positives, negatives = zip(*rows, strict=True)
        return ParaphraseBatch(step, anchors, positives, negatives)

    def _row(self, situation: Situation, rng: random.Random) -> tuple[str, str, str]:
        """Anchor, positive and negative of one situation."""
        first, second = rng.sample(TRAINING_STYLES, 2)
        is_dense = rng.random() < _DENSE_RATE
        anchor = (
            dense_captions((situation,), rng)[0] if is_dense else natural_sentence(situation, first)
        )
        kinds = [kind for kind in get_args(EditKind) if can_edit(situation, kind)]
        changed = edit(situation, rng.choice(kinds), rng)
        return anchor, natural_sentence(situation, second), natural_sentence(changed, second)


_PARAPHRASE_SCALE = 20.0
_MICRO_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Learning rates and weight decay of a phase.

    Muon trains the towers' hidden matrices, AdamW the rest. All matrices but embeddings decay.
    """

    matrices: float
    rest: float
    weight_decay: float = 0.05


@dataclass(frozen=True, slots=True)
class _Question:
    """One fact of a still: its possible answers, and how to read the right one."""

    answers: tuple[str, ...]
    read: Callable[[Situation], str]


QUESTIONS: dict[str, _Question] = {
    "agent_kind": _Question(KINDS, lambda s: s.agent.kind),
    "agent_colour": _Question(COLOURS, lambda s: s.agent.colour),
    "agent_size": _Question(SIZES, lambda s: s.agent.size),
    "patient_kind": _Question((*KINDS, ""), lambda s: s.patient.kind if s.patient else ""),
    "patient_colour": _Question((*COLOURS, ""), lambda s: s.patient.colour if s.patient else ""),
    "patient_size": _Question((*SIZES, ""), lambda s: s.patient.size if s.patient else ""),
    "verb": _Question(tuple(VERBS), lambda s: s.verb),
    "direction": _Question(DIRECTIONS, lambda s: s.direction),
    "manner": _Question(MANNERS, lambda s: s.manner),
    "scene": _Question(SCENES, lambda s: s.scene),
}
"""The facts that the vision tower is warmed up on."""


class FactTrainee:
    """The vision tower with a linear head for each fact; implements `training.loop.Trainee`.

    This teaches the tower by labels what web-scale pretraining teaches a real CLIP's: contrastive
    training from scratch does not learn to see within the budget of a mini world.
    """

    def __init__(self, backbone: Backbone, *, rates: Rates, seed: int) -> None:
        self._backbone = backbone
        self._rates = rates
        width = vision_config(backbone.clip.config).hidden_size
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.heads = nn.ModuleDict(
                {name: nn.Linear(width, len(q.answers)) for name, q in QUESTIONS.items()}
            )

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The tower, and the heads."""
        tower = self._backbone.clip.vision_model.named_parameters(prefix="clip.vision_model")
        heads = self.heads.named_parameters(prefix="heads")
        return _groups("vision", {**dict(tower), **dict(heads)}, self._rates)

    def accumulate_gradients(self, batch: StillBatch, *, loss_scale: float) -> Mapping[str, Tensor]:
        """Sum of the facts' cross entropies, in nats; with the share answered right."""
        losses, right = self._answer(batch)
        loss = torch.stack(list(losses.values())).sum()
        (loss * loss_scale).backward()
        return {"loss": loss, **{f"right/{name}": share for name, share in right.items()}}

    @torch.no_grad()
    def accuracy(self, batch: StillBatch) -> dict[str, float]:
        """Share of each fact answered right, and their mean as `score`."""
        _, right = self._answer(batch)
        shares = {name: share.item() for name, share in right.items()}
        return {**shares, "score": sum(shares.values()) / len(shares)}

    def _answer(self, batch: StillBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Loss, and share right, of each fact."""
        pooled_ND = _pool_frames(self._backbone, batch.frames_NHWC).float()
        losses: dict[str, Tensor] = {}
        right: dict[str, Tensor] = {}
        for name, question in QUESTIONS.items():
            answers = [question.answers.index(question.read(s)) for s in batch.situations]
            labels_N = torch.tensor(answers)
            logits = self.heads[name](pooled_ND)
            losses[name] = F.cross_entropy(logits, labels_N)
            right[name] = (logits.argmax(dim=1) == labels_N).float().mean()
        return losses, right

    def after_step(self) -> None:
        """Nothing is bounded."""

    def name_items(self, batch: StillBatch) -> list[str]:
        """The captions."""
        return list(batch.captions)


@dataclass(frozen=True, slots=True)
class ParaphraseTrainee:
    """The text tower, told which sentences say the same; implements `training.loop.Trainee`."""

    backbone: Backbone
    rates: Rates

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The tower and its projection, if it has one."""
        named = _named(self.backbone, ("text_model.", "text_projection."))
        return _groups("text", named, self.rates)

    def accumulate_gradients(
        self, batch: ParaphraseBatch, *, loss_scale: float
    ) -> Mapping[str, Tensor]:
        """InfoNCE of anchors and positives, with the negatives; and how often it is right."""
        loss, right = paraphrase_loss(self.backbone, batch)
        (loss * loss_scale).backward()
        return {"loss": loss, "right": right}

    def after_step(self) -> None:
        """Nothing is bounded."""

    def name_items(self, batch: ParaphraseBatch) -> list[str]:
        """The anchors."""
        return list(batch.anchors)


_POOLED_MLP = "vision_model.head.mlp."
"""Of SigLIPs: what stands in for the projection that they do not have."""


@dataclass(frozen=True, slots=True)
class WebTrainee:
    """Both towers on stills with web captions; implements `training.loop.Trainee`.

    Paraphrases go on beside, at a low weight: web captions alone let the text tower forget them.
    The vision tower takes `vision_share` of the rates: the whole wipes out what it knows of roles.
    What it ends in takes the whole, a projection or the products after SigLIP's pooling: only
    there can pictures move towards texts.
    """

    backbone: Backbone
    rates: Rates
    vision_share: float
    paraphrase_weight: float
    paraphrases: WriteParaphrases

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The vision tower but its end at its share of the rates, all else at the whole."""
        rest = _named(self.backbone, ("text_", "visual_projection.", _POOLED_MLP, "logit_"))
        tower = _named(self.backbone, ("vision_model.",))
        vision = {name: one for name, one in tower.items() if name not in rest}
        slow = replace(
            self.rates,
            matrices=self.rates.matrices * self.vision_share,
            rest=self.rates.rest * self.vision_share,
        )
        return [*_groups("vision", vision, slow), *_groups("rest", rest, self.rates)]

    def accumulate_gradients(self, batch: StillBatch, *, loss_scale: float) -> Mapping[str, Tensor]:
        """The family's contrastive loss, mean over sets of captions, and the paraphrases' loss.

        Stills with the same caption are no negatives of each other.
        """
        with _autocast():
            pooled_ND = _pool_frames(self.backbone, batch.frames_NHWC)
            stills_ND = projection(self.backbone.clip, "visual")(pooled_ND)
        stills_ND = normalize(stills_ND.float(), dim=-1)
        texts_MD = _embed_texts(self.backbone, batch.captions)
        scale, bias = self.backbone.logit_scale, self.backbone.logit_bias
        contrast = contrastive_loss(scale, bias)
        hashes_M = torch.tensor([text_hash(text) for text in batch.captions])
        sets = zip(texts_MD.split(len(stills_ND)), hashes_M.split(len(stills_ND)), strict=True)
        parts = [
            contrast(stills_ND, texts_ND, excluded_NN=equal_mask(hashes_N))
            for texts_ND, hashes_N in sets
        ]
        web = torch.stack(parts).mean()
        paraphrase, right = paraphrase_loss(self.backbone, self.paraphrases(batch.step))
        loss = web + self.paraphrase_weight * paraphrase
        (loss * loss_scale).backward()
        return {
            "loss": loss,
            "loss/web": web,
            "loss/paraphrase": paraphrase,
            "right/paraphrase": right,
            "scale": scale,
            **({} if bias is None else {"bias": bias}),
        }

    def after_step(self) -> None:
        """Keep the temperature within the family's bound."""
        self.backbone.clip.logit_scale.data.clamp_(max=self.backbone.family.max_log_scale)

    def name_items(self, batch: StillBatch) -> list[str]:
        """The captions."""
        return list(batch.captions)


@torch.no_grad()
def zero_shot_accuracy(backbone: Backbone, batch: StillBatch) -> dict[str, float]:
    """How often the right word, in a short phrase, is nearest to a still; `score` is their mean."""
    with _autocast():
        stills_ND = normalize(backbone.encode_frames(batch.frames_NHWC), dim=-1)
    right: dict[str, float] = {}
    for name, phrase in _PHRASES.items():
        question = QUESTIONS[name]
        texts_KD = _embed_texts(backbone, [phrase.format(one) for one in question.answers])
        answers = [question.answers.index(question.read(s)) for s in batch.situations]
        nearest_N = (stills_ND @ texts_KD.T).argmax(dim=1)
        right[name] = (nearest_N == torch.tensor(answers)).float().mean().item()
    return {**right, "score": sum(right.values()) / len(right)}


_PHRASES = {
    "agent_kind": "a photo of a {}",
    "scene": "a photo of the {}",
    "verb": "the action is {}",
    "direction": "direction is {}",
    "manner": "manner is {}",
}


def paraphrase_loss(
    backbone: Backbone, batch: ParaphraseBatch
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """InfoNCE of anchors and positives, and how often an anchor's own positive is nearest.

    Negatives that read like their positive are masked.
    """
    texts = [*batch.anchors, *batch.positives, *batch.negatives]
    anchors_ND, positives_ND, negatives_ND = _embed_texts(backbone, texts).chunk(3)
    pairs = zip(batch.positives, batch.negatives, strict=True)
    present_NK: Bool[Tensor, "N K"] = torch.tensor([[one != other] for one, other in pairs])
    hashes_N: Int[Tensor, " N"] = torch.tensor([text_hash(text) for text in batch.positives])
    loss = info_nce(
        anchors_ND,
        positives_ND,
        logit_scale=torch.tensor(_PARAPHRASE_SCALE),
        excluded_NN=equal_mask(hashes_N),
        negatives_NKD=negatives_ND[:, None],
        negative_present_NK=present_NK,
    )
    with torch.no_grad():
        own_N = (anchors_ND * positives_ND).sum(dim=1)
        hard_N = (anchors_ND * negatives_ND).sum(dim=1)
        is_nearest_N = (anchors_ND @ positives_ND.T).argmax(dim=1) == torch.arange(len(own_N))
        beats_negative_N = (own_N > hard_N) | ~present_NK[:, 0]
        right = (is_nearest_N & beats_negative_N).float().mean()
    return loss, right


def _pool_frames(backbone: Backbone, frames_NHWC: UInt8[Tensor, "N H W C"]) -> Float[Tensor, "N D"]:
    """What the vision tower makes of frames, by transformers' own attention.

    That of `Backbone.encode_frames` saves memory, and takes half as long again to train a whole
    tower with on a CPU.
    """
    mean, std = (backbone.get_buffer(f"pixel_{name}") for name in ("mean", "std"))
    with _autocast():
        pixels = (frames_NHWC.permute(0, 3, 1, 2).float() / 255 - mean) / std
        return backbone.clip.vision_model(pixel_values=pixels.contiguous()).pooler_output


def _embed_texts(backbone: Backbone, texts: Sequence[str]) -> Float[Tensor, "N D"]:
    """Normalised embeddings, short texts apart from long ones."""
    distinct = list(dict.fromkeys(texts))
    parts = list(backbone.micro_batches(distinct, size=_MICRO_BATCH))
    rows: list[Tensor] = []
    for part in parts:
        with _autocast():
            rows.append(backbone.encode_tokens(backbone.tokenize([distinct[i] for i in part])))
    order = {distinct[i]: row for row, i in enumerate(i for part in parts for i in part)}
    return normalize(torch.cat(rows)[torch.tensor([order[text] for text in texts])], dim=-1)


def _autocast() -> torch.autocast:
    """bf16 on the CPU, more than twice as fast as fp32 where the CPU has it."""
    return torch.autocast("cpu", dtype=torch.bfloat16)


def _named(backbone: Backbone, prefixes: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """The CLIP's parameters of some parts, by their names in checkpoints."""
    return {
        f"clip.{name}": parameter
        for name, parameter in backbone.clip.named_parameters()
        if name.startswith(prefixes)
    }


def _groups(
    name: str, parameters: Mapping[str, nn.Parameter], rates: Rates
) -> list[ParameterGroup]:
    """Hidden matrices for Muon; other matrices, and what does not decay, for AdamW."""

    def kind(key: str, parameter: nn.Parameter) -> str:
        if ".encoder.layers." in key and parameter.ndim == 2:
            return "hidden"
        return "other" if parameter.ndim >= 2 and "position" not in key else "no_decay"

    members: dict[str, dict[str, nn.Parameter]] = {"hidden": {}, "other": {}, "no_decay": {}}
    for key, parameter in parameters.items():
        members[kind(key, parameter)][key] = parameter
    return [
        ParameterGroup(
            name=f"{name}_{part}",
            parameters=chosen,
            lr=rates.matrices if part == "hidden" else rates.rest,
            weight_decay=0.0 if part == "no_decay" else rates.weight_decay,
            method="muon" if part == "hidden" else "adamw",
        )
        for part, chosen in members.items()
        if chosen
    ]

"""The trainee of the main job: a CLIP and its contextualizer under the losses.

Parallel processes: every process embeds its own videos and its share of the texts, all embeddings
are gathered without gradient, the process's own rows are put back with theirs, and the same global
loss is formed everywhere. Summing the processes' gradients then gives the gradient of that loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, distributed
from torch.nn.functional import normalize

from figclip.annotations.captions import text_hash
from figclip.annotations.texts import MASKED, EventTexts, TextTable
from figclip.config import RunConfig
from figclip.model.backbone import Backbone, TokenBatch
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.families import logit_parameters
from figclip.training.batches import ClipBatch, rank_slice, segment_index
from figclip.training.gradient_cache import GradientCache, Held
from figclip.training.loop import ParameterGroup, decay_groups
from figclip.training.losses import (
    concept_loss,
    contrastive_loss,
    equal_mask,
    keep_loss,
    mean_of_segments,
)

TEXTS_A_STEP = 64
"""Texts that pictures are compared with in a step where the text tower is trained."""


@dataclass(frozen=True, slots=True)
class VisualEmbeddings:
    """What the losses see of the global batch. N events of B videos, all in batch order.

    `event_mean_ND` are means of an event's normalised frame embeddings, not normalised; the others
    are the contextualizer's outputs, None without one.
    """

    event_mean_ND: Float[Tensor, "N D"]
    event_context_ND: Float[Tensor, "N D"] | None
    video_context_BD: Float[Tensor, "B D"] | None


@dataclass(frozen=True, slots=True)
class TextTargets:
    """The texts of the global batch.

    Attributes:
        caption_ND: Normalised embedding of each event's caption.
        negative_NKD: Normalised embeddings of its hard negatives.
        negative_present_NK: False where a negative is masked.
        event_hash_N: Equal where captions are.
        video_hash_B: Equal where all captions of two videos are.
        video_of_N: Index of each event's video in the batch.
    """

    caption_ND: Float[Tensor, "N D"]
    negative_NKD: Float[Tensor, "N K D"]
    negative_present_NK: Tensor
    event_hash_N: Int[Tensor, " N"]
    video_hash_B: Int[Tensor, " B"]
    video_of_N: Int[Tensor, " N"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """What the base makes of all pictures of the run and of texts that it knows; normalised."""

    picture_ND: Float[Tensor, "N D"]
    texts: tuple[str, ...]
    text_MD: Float[Tensor, "M D"]


def held_frames(
    config: RunConfig, backbone: Backbone, num_frames: int, *, activation_bytes: int
) -> Held:
    """The micro-batches of frames whose activations fit."""
    micro_batch = config.train.micro_batch
    return Held.fitting(
        -(-num_frames // micro_batch),
        room_bytes=activation_bytes / _num_trained_towers(config),
        whole_bytes=micro_batch * backbone.frame_activation_bytes(),
        lean_bytes=micro_batch * backbone.frame_activation_bytes(lean=True),
    )


def held_texts(
    config: RunConfig, backbone: Backbone, num_texts: int, *, activation_bytes: int
) -> Held:
    """The micro-batches of texts whose activations fit, beside those of frames."""
    micro_batch = config.train.micro_batch
    return Held.fitting(
        -(-num_texts // micro_batch),
        room_bytes=activation_bytes / _num_trained_towers(config),
        whole_bytes=micro_batch * backbone.text_activation_bytes(),
        lean_bytes=None,
    )


def _num_trained_towers(config: RunConfig) -> int:
    """Between how many the memory is shared."""
    return config.model.trains_image_tower + config.model.trains_text_tower


class ClipTrainee:
    """A CLIP being adapted; implements `training.loop.Trainee`.

    The backbone has its adaptation added (`model.lora.add_adaptation`) and is on its device. There
    is no contextualizer when the recipe has no loss for it. `text_embeddings_MD` are those of
    `texts.texts`, normalised, when the text tower is frozen; None when it is trained, and texts are
    embedded in every step.

    Micro-batches whose activations fit into `activation_bytes` are encoded once a step, the others
    twice or almost. It changes no bit of the gradients.
    """

    def __init__(
        self,
        backbone: Backbone,
        contextualizer: VideoContextualizer | None,
        *,
        config: RunConfig,
        texts: TextTable,
        text_embeddings_MD: Float[Tensor, "M D"] | None,
        video_ids: Sequence[str],
        accelerator: Accelerator,
        teacher: Teacher | None = None,
        activation_bytes: int = 0,
    ) -> None:
        self.backbone = backbone
        self.contextualizer = contextualizer
        self._config = config
        self._texts = texts
        self._text_embeddings_MD = text_embeddings_MD
        self._video_ids = video_ids
        self._accelerator = accelerator
        self.teacher = teacher
        self._activation_bytes = activation_bytes
        self._base_scale = backbone.logit_scale.detach()
        for parameter in logit_parameters(backbone.clip).values():
            parameter.requires_grad_(config.loss.learn_logit_scale)
        # No dropout anywhere: micro-batches are encoded twice and must agree with themselves.
        backbone.eval()

    def parameter_groups(self) -> list[ParameterGroup]:
        """Towers, contextualizer and temperature, each with and without weight decay."""
        train = self._config.train
        towers = {
            f"clip.{name}": parameter
            for name, parameter in self.backbone.clip.named_parameters()
            if parameter.requires_grad and name not in logit_parameters(self.backbone.clip)
        }
        groups = decay_groups("towers", towers, lr=train.lr, weight_decay=train.weight_decay)
        if self.contextualizer is not None:
            context = {
                f"contextualizer.{name}": parameter
                for name, parameter in self.contextualizer.named_parameters()
            }
            groups += decay_groups(
                "contextualizer",
                context,
                lr=train.contextualizer_lr,
                weight_decay=train.weight_decay,
            )
        if self._config.loss.learn_logit_scale:
            scale = {
                f"clip.{name}": parameter
                for name, parameter in logit_parameters(self.backbone.clip).items()
            }
            groups.append(
                ParameterGroup(name="logit_scale", parameters=scale, lr=train.lr, weight_decay=0.0)
            )
        return groups

    def accumulate_gradients(self, batch: ClipBatch, *, loss_scale: float) -> Mapping[str, Tensor]:
        """Gradients of the global loss, summed over processes, exact at any micro-batch size."""
        frames = self._embed_frames(batch)
        event_ND, picture_ND = frames.embeddings_ND.tensor_split([len(batch.frames_NHWC)])
        kept = self._kept_texts(batch.step)
        texts, embeddings_MD, rows = self._embed_texts(batch, kept)
        visual = self._gather(self._visual(event_ND, batch), batch)
        targets = self._targets(batch, embeddings_MD, rows)
        parts = self._losses(visual, targets)
        if self._config.loss.concept:
            parts["concept"] = self._concept(visual, batch, embeddings_MD, rows)
        if self.teacher is not None:
            parts["keep"] = self._keep(picture_ND, batch, self.teacher, embeddings_MD, kept)
        total = torch.stack([weight * parts[name] for name, weight in self._weights().items()])
        total = total.sum()
        (total * loss_scale).backward()
        if self._config.model.trains_image_tower:
            frames.backward()
        if texts is not None:
            texts.backward()
        self._sum_gradients()
        return {"loss": total, **{f"loss/{name}": part for name, part in parts.items()}}

    def after_step(self) -> None:
        """Keep the temperature within the family's own bound."""
        if self._config.loss.learn_logit_scale:
            self.backbone.clip.logit_scale.data.clamp_(max=self.backbone.family.max_log_scale)

    def name_items(self, batch: ClipBatch) -> list[str]:
        """Video ids of the global batch, with the annotation drawn."""
        return [f"{self._video_ids[i.video_idx]}#{i.annotation_idx}" for i in batch.items]

    def _weights(self) -> dict[str, float]:
        """Weights of the losses that are switched on."""
        loss = self._config.loss
        weights = {
            "event": loss.event,
            "event_context": loss.event_context,
            "video": loss.video,
            "video_context": loss.video_context,
            "concept": loss.concept,
            "keep": 0.0 if self.teacher is None else self._config.keep.weight,
        }
        return {name: weight for name, weight in weights.items() if weight > 0}

    def _embed_frames(self, batch: ClipBatch) -> GradientCache[Tensor]:
        """This process's frames through the image tower, those of videos before pictures."""
        merged = self.backbone.merge_weights()

        trains_all = self._config.model.adaptation == "full"

        def encode(part_NHWC: Tensor, *, lean: bool = False) -> Tensor:
            # Products with trained weights round otherwise where no graph is made (torch 2.13).
            with torch.set_grad_enabled(trains_all or torch.is_grad_enabled()):
                return self.backbone.encode_frames(part_NHWC, merged=merged, lean=lean)

        shown = [batch.frames_NHWC, *([batch.pictures.frames_NHWC] if batch.pictures else [])]
        device = self._accelerator.device
        frames_NHWC = torch.cat([one.to(device, non_blocking=True) for one in shown])
        held = held_frames(
            self._config,
            self.backbone,
            len(frames_NHWC),
            activation_bytes=self._activation_bytes,
        )
        parts = frames_NHWC.split(self._config.train.micro_batch)
        return GradientCache(encode, parts, held=held, encode_lean=partial(encode, lean=True))

    def _kept_texts(self, step: int) -> Int[np.ndarray, " K"]:
        """Indices of the teacher's texts that this step compares pictures with."""
        num = 0 if self.teacher is None else len(self.teacher.texts)
        if self._text_embeddings_MD is not None or num <= TEXTS_A_STEP:
            return np.arange(num)
        rng = np.random.default_rng([self._config.train.seed, step, 2])
        return rng.choice(num, TEXTS_A_STEP, replace=False)

    def _keep(
        self,
        picture_ND: Float[Tensor, "N D"],
        batch: ClipBatch,
        teacher: Teacher,
        embeddings_MD: Float[Tensor, "M D"],
        kept: Int[np.ndarray, " K"],
    ) -> Tensor:
        """The loss of the step's pictures, all processes'."""
        assert batch.pictures is not None, "a teacher has pictures"
        device, drawn = self._accelerator.device, batch.pictures.picture_idxs
        ranks = self._accelerator.num_processes
        shares = [rank_slice(len(drawn), rank=rank, num_ranks=ranks) for rank in range(ranks)]
        rows_ND = self._gather_rows(picture_ND, [last - first for first, last in shares])
        base_text_MD = teacher.text_MD[torch.from_numpy(kept)].to(device)
        # Texts of a trained tower were embedded behind those of the events.
        text_MD = base_text_MD
        if self._text_embeddings_MD is None:
            text_MD = embeddings_MD[len(embeddings_MD) - len(kept) :]
        return keep_loss(
            normalize(rows_ND, dim=-1),
            text_MD,
            base_picture_ND=teacher.picture_ND[list(drawn)].to(device),
            base_text_MD=base_text_MD,
            logit_scale=self._base_scale,
            temperature=self._config.keep.temperature,
        )

    def _concept(
        self,
        visual: VisualEmbeddings,
        batch: ClipBatch,
        embeddings_MD: Float[Tensor, "M D"],
        row_of: Mapping[int, int],
    ) -> Tensor:
        """The loss of the events' phrases; equal ones, of whatever events, are one."""
        concept_NC = np.concatenate([t.concept_PC for t in self._texts_of(batch)])
        event_M, place_M = np.nonzero(concept_NC != MASKED)
        rows, row_M = np.unique(concept_NC[event_M, place_M], return_inverse=True)
        hashes = [text_hash(self._texts.texts[row]) for row in rows]
        _, first, phrase_of_row = np.unique(hashes, return_index=True, return_inverse=True)
        belongs_NM = np.zeros((len(concept_NC), len(first)), bool)
        belongs_NM[event_M, phrase_of_row[row_M]] = True
        embedded = torch.tensor([row_of[int(row)] for row in rows[first]])
        return concept_loss(
            normalize(visual.event_mean_ND, dim=-1),
            embeddings_MD[embedded.to(embeddings_MD.device)],
            belongs_NM=torch.from_numpy(belongs_NM).to(embeddings_MD.device),
            logit_scale=self.backbone.logit_scale,
            logit_bias=self.backbone.logit_bias,
        )

    def _embed_texts(
        self, batch: ClipBatch, kept: Int[np.ndarray, " K"]
    ) -> tuple[GradientCache[TokenBatch] | None, Tensor, dict[int, int]]:
        """Embeddings of the batch's texts, and the row in them of each row of the text table.

        Where the text tower is trained, those of the teacher's texts `kept` follow.
        """
        texts = self._texts_of(batch)
        rows = [one.ravel() for t in texts for one in (t.caption_P, t.negative_PK, t.concept_PC)]
        needed = np.unique(np.concatenate(rows))
        needed = needed[needed != MASKED]
        row_of = {int(row): i for i, row in enumerate(needed)}
        device = self._accelerator.device
        if self._text_embeddings_MD is not None:
            return None, self._text_embeddings_MD[torch.from_numpy(needed)].to(device), row_of

        strings = [self._texts.texts[row] for row in needed]
        if self.teacher is not None:
            strings += [self.teacher.texts[i] for i in kept]
        parts = list(self.backbone.micro_batches(strings, size=self._config.train.micro_batch))
        # Dealt like cards, as they are sorted by length: every process gets long and short ones.
        ranks = self._accelerator.num_processes
        shares = [parts[rank::ranks] for rank in range(ranks)]
        own = [[strings[i] for i in part] for part in shares[self._accelerator.process_index]]
        cache, local_ND = None, self.backbone.clip.logit_scale.new_zeros(0, self.backbone.dim)
        if own:
            tokens = [self.backbone.tokenize(part) for part in own]
            held = held_texts(
                self._config,
                self.backbone,
                sum(map(len, own)),
                activation_bytes=self._activation_bytes,
            )
            cache = GradientCache(self.backbone.encode_tokens, tokens, held=held)
            local_ND = cache.embeddings_ND
        rows_MD = self._gather_rows(local_ND, [sum(map(len, share)) for share in shares])
        order = torch.tensor([i for share in shares for part in share for i in part])
        return cache, normalize(rows_MD[order.argsort().to(device)], dim=-1), row_of

    def _texts_of(self, batch: ClipBatch) -> list[EventTexts]:
        """Texts of each video of the global batch."""
        return [self._texts.event_texts(i.video_idx, i.annotation_idx) for i in batch.items]

    def _visual(self, embeddings_ND: Float[Tensor, "F D"], batch: ClipBatch) -> VisualEmbeddings:
        """Event means and contextualizer outputs of this process's videos."""
        num_frames = self._config.data.frames_per_event
        frames_NTD = normalize(embeddings_ND, dim=-1).unflatten(0, (-1, num_frames))
        means_ND = frames_NTD.mean(dim=1)
        if self.contextualizer is None:
            return VisualEmbeddings(means_ND, None, None)
        local = self._texts_of(batch)[batch.first : batch.first + batch.num_local]
        counts = [len(one.caption_P) for one in local]
        present_BP = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
        present_BP = present_BP.to(embeddings_ND.device)
        padded_BPTD = frames_NTD.new_zeros(*present_BP.shape, *frames_NTD.shape[1:])
        padded_BPTD[present_BP] = frames_NTD
        mask_BPT = present_BP[..., None].expand(*present_BP.shape, num_frames)
        contexts = self.contextualizer(padded_BPTD, frame_mask_BPT=mask_BPT)
        return VisualEmbeddings(means_ND, contexts.event_BPD[present_BP], contexts.video_BD)

    def _gather(self, local: VisualEmbeddings, batch: ClipBatch) -> VisualEmbeddings:
        """The global batch's embeddings; only this process's rows carry gradient."""
        events = [len(one.caption_P) for one in self._texts_of(batch)]
        ranks = self._accelerator.num_processes
        shares = [rank_slice(len(events), rank=rank, num_ranks=ranks) for rank in range(ranks)]
        videos_R = [last - first for first, last in shares]
        events_R = [sum(events[first:last]) for first, last in shares]
        context = (local.event_context_ND, local.video_context_BD)
        return VisualEmbeddings(
            self._gather_rows(local.event_mean_ND, events_R),
            None if context[0] is None else self._gather_rows(context[0], events_R),
            None if context[1] is None else self._gather_rows(context[1], videos_R),
        )

    def _gather_rows(self, rows_ND: Float[Tensor, "N D"], counts: Sequence[int]) -> Tensor:
        """Rows of all processes in order, the own ones with gradient."""
        if self._accelerator.num_processes == 1:
            return rows_ND
        padded = rows_ND.new_zeros(max(counts), rows_ND.shape[1])
        padded[: len(rows_ND)] = rows_ND.detach()
        gathered = self._accelerator.gather(padded)
        assert isinstance(gathered, Tensor)
        blocks = gathered.split(max(counts))
        parts = [block[:count] for block, count in zip(blocks, counts, strict=True)]
        parts[self._accelerator.process_index] = rows_ND
        return torch.cat(parts)

    def _targets(
        self, batch: ClipBatch, embeddings_MD: Float[Tensor, "M D"], row_of: Mapping[int, int]
    ) -> TextTargets:
        """Text embeddings, masks and hashes of the global batch."""
        device = self._accelerator.device
        texts = self._texts_of(batch)
        caption_N = np.concatenate([t.caption_P for t in texts])
        negative_NK = np.concatenate([t.negative_PK for t in texts])
        present_NK = negative_NK != MASKED
        first = int(caption_N[0])  # stands in for masked negatives, which nothing reads
        look_up = np.vectorize(row_of.__getitem__, otypes=[np.int64])
        captions = torch.from_numpy(look_up(caption_N)).to(device)
        filled_NK = np.where(present_NK, negative_NK, first)
        negatives = torch.from_numpy(look_up(filled_NK) if filled_NK.size else filled_NK)
        return TextTargets(
            caption_ND=embeddings_MD[captions],
            negative_NKD=embeddings_MD[negatives.to(device)],
            negative_present_NK=torch.from_numpy(present_NK).to(device),
            event_hash_N=torch.from_numpy(np.concatenate([t.hash_P for t in texts])).to(device),
            video_hash_B=torch.tensor([t.video_hash for t in texts], device=device),
            video_of_N=segment_index([len(t.caption_P) for t in texts]).to(device),
        )

    def _losses(self, visual: VisualEmbeddings, targets: TextTargets) -> dict[str, Tensor]:
        """The losses that are switched on, by name."""
        text = self._config.text
        num_videos = len(targets.video_hash_B)
        contrast = contrastive_loss(self.backbone.logit_scale, self.backbone.logit_bias)
        excluded_NN = torch.zeros(
            (len(targets.event_hash_N),) * 2, dtype=torch.bool, device=self.backbone.device
        )
        excluded_BB = excluded_NN.new_zeros(num_videos, num_videos)
        if text.mask_equal_texts:
            excluded_NN = excluded_NN | equal_mask(targets.event_hash_N)
            excluded_BB = excluded_BB | equal_mask(targets.video_hash_B)
        if not text.video_negatives:
            excluded_NN = excluded_NN | equal_mask(targets.video_of_N)

        def by_event(visual_ND: Tensor) -> Tensor:
            return contrast(
                visual_ND,
                targets.caption_ND,
                excluded_NN=excluded_NN,
                negatives_NKD=targets.negative_NKD,
                negative_present_NK=targets.negative_present_NK,
            )

        def mean_by_video(rows_ND: Tensor) -> Tensor:
            means = mean_of_segments(rows_ND, targets.video_of_N, num_segments=num_videos)
            return normalize(means, dim=-1)

        video_text_BD = mean_by_video(targets.caption_ND)

        def by_video(visual_BD: Tensor) -> Tensor:
            return contrast(visual_BD, video_text_BD, excluded_NN=excluded_BB)

        weights = self._weights()
        losses: dict[str, Tensor] = {}
        if "event" in weights:
            losses["event"] = by_event(normalize(visual.event_mean_ND, dim=-1))
        if "video" in weights:
            losses["video"] = by_video(mean_by_video(visual.event_mean_ND))
        if "event_context" in weights and visual.event_context_ND is not None:
            losses["event_context"] = by_event(visual.event_context_ND)
        if "video_context" in weights and visual.video_context_BD is not None:
            losses["video_context"] = by_video(visual.video_context_BD)
        return losses

    def _sum_gradients(self) -> None:
        """Sum gradients over processes; average those that every process holds whole.

        Frames, texts and contextualizer outputs carry gradient for the process's own rows only:
        their sum is the global gradient. All go in one message: a message a parameter (149 for
        ViT-B/32) is mostly waiting.
        """
        ranks = self._accelerator.num_processes
        if ranks == 1:
            return
        named = {n: p for group in self.parameter_groups() for n, p in group.parameters.items()}
        parts: list[Tensor] = []
        for name, parameter in named.items():
            part = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parts.append((part / ranks if _is_whole(name) else part).flatten())
            parameter.grad = None
        flat = torch.cat(parts)
        distributed.all_reduce(flat)
        sums = flat.split([len(part) for part in parts])
        for parameter, part in zip(named.values(), sums, strict=True):
            parameter.grad = part.view_as(parameter)


def _is_whole(name: str) -> bool:
    """Whether every process holds a parameter's whole gradient: a global loss has one of them."""
    return name in ("clip.logit_scale", "clip.logit_bias")

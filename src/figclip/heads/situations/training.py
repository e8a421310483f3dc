"""What a head for situations is trained on, and its trainee of the training loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from figclip.config import SituationConfig
from figclip.heads.features import EventFeatures
from figclip.heads.run import HeadTrainee
from figclip.heads.situations.head import (
    SituationHead,
    SituationVocabulary,
    verb_of,
    written_roles,
)
from figclip.heads.situations.relation_reader import EventWords, middle_rows
from figclip.heads.vocabulary import PAD, UNKNOWN, encode_roles
from figclip.records import Annotation, VideoRecord
from figclip.training.batches import BatchItem

_IGNORED = -100


@dataclass(frozen=True, slots=True)
class SituationTargets:
    """What is true of the events of one annotation: ids, and the tokens of each event's roles.

    A verb that training never saw is `num_verbs`; no relation is `_IGNORED`. Roles are with the
    end.
    """

    verb_P: tuple[int, ...]
    relation_P: tuple[int, ...]
    roles: tuple[tuple[int, ...], ...]


def build_targets(
    annotation: Annotation, vocabulary: SituationVocabulary, *, max_tokens: int
) -> SituationTargets:
    """Ids of what an annotation says; roles beyond `max_tokens` are cut."""
    verb_of_name = {verb: i for i, verb in enumerate(vocabulary.verbs)}
    relation_of_name = {name: i for i, name in enumerate(vocabulary.relations)}
    return SituationTargets(
        verb_P=tuple(
            verb_of_name.get(verb_of(event), len(verb_of_name)) for event in annotation.events
        ),
        relation_P=tuple(relation_of_name.get(e.relation, _IGNORED) for e in annotation.events),
        roles=tuple(
            tuple(encode_roles(written_roles(event), vocabulary.roles)[:max_tokens])
            for event in annotation.events
        ),
    )


class SituationTrainee(HeadTrainee[SituationHead]):
    """A head being trained."""

    def __init__(
        self,
        head: SituationHead,
        features: EventFeatures,
        records: Sequence[VideoRecord],
        *,
        vocabulary: SituationVocabulary,
        config: SituationConfig,
    ) -> None:
        ids = [record.id for record in records]
        super().__init__(head, ids, loss=config.loss, train=config.train)
        self._features = features
        self._targets = {
            item: build_targets(
                records[item.video_idx].annotations[item.annotation_idx],
                vocabulary,
                max_tokens=config.head.max_words,
            )
            for item in features.rows
        }
        self._num_verbs = len(vocabulary.verbs)

    @torch.no_grad()
    def validate(self, items: Sequence[BatchItem]) -> dict[str, float]:
        """Share of what is right of each part that is trained; `score` is their mean.

        Verbs, relations, and tokens of roles given those before them.
        """
        self.head.eval()
        right, counted = Counter[str](), Counter[str]()
        size = self._train.videos_per_batch
        for start in range(0, len(items), size):
            for part, answers in self._trained(items[start : start + size]).items():
                right[part] += answers.num_right()
                counted[part] += int(answers.counted_N.sum())
        shares = {part: right[part] / num for part, num in counted.items()}
        return {**shares, "score": float(np.mean(list(shares.values()) or [0.0]))}

    def accumulate_gradients(
        self, batch: Sequence[BatchItem], *, loss_scale: float
    ) -> Mapping[str, Tensor]:
        """Gradients of the weighted sum of the losses."""
        self.head.train()
        losses = {name: answers.loss() for name, answers in self._trained(batch).items()}
        return self._add_gradients(losses, loss_scale=loss_scale)

    def _trained(self, items: Sequence[BatchItem]) -> dict[str, _Answers]:
        """Logits and targets of the parts that have weight and something to be right about."""
        device = self.head.own_event.device
        frames_BPTD, mask_BPT = self._features.padded(items)
        mask_BPT = mask_BPT.to(device)
        tokens = self.head.encode(frames_BPTD.to(device), frame_mask_BPT=mask_BPT)
        targets = [self._targets[item] for item in items]
        video_N, event_N = mask_BPT.any(dim=2).nonzero(as_tuple=True)
        verb_N = torch.tensor([v for one in targets for v in one.verb_P], device=device)
        roles_NL = pad_sequence(
            [torch.tensor(role) for one in targets for role in one.roles],
            batch_first=True,
            padding_value=PAD,
        ).to(device)
        memory = self.head.role_memory(tokens, video_N=video_N, event_N=event_N, verb_N=verb_N)
        role_target_NL = roles_NL.masked_fill((roles_NL == PAD) | (roles_NL == UNKNOWN), _IGNORED)
        answers = {
            "verbs": _Answers(
                self.head.verb_logits(tokens)[video_N, event_N],
                verb_N.masked_fill(verb_N == self._num_verbs, _IGNORED),
            ),
            "roles": _Answers(
                self.head.decoder(roles_NL, memory).flatten(0, 1), role_target_NL.flatten()
            ),
        }
        if self.head.relation_classifier is not None:
            relation_N = torch.tensor([r for t in targets for r in t.relation_P], device=device)
            middle_N = torch.tensor(middle_rows([len(t.verb_P) for t in targets]), device=device)
            logits_NR = self.head.relation_logits(
                tokens.event_BPD[video_N, event_N], EventWords(verb_N, roles_NL), middle_N=middle_N
            )
            answers["relations"] = _Answers(logits_NR, relation_N)
        return {
            name: one
            for name, one in answers.items()
            if getattr(self._loss, name) > 0 and bool(one.counted_N.any())
        }


@dataclass(frozen=True, slots=True)
class _Answers:
    """Logits of N choices, and what is right; `_IGNORED` where nothing is."""

    logits_NV: Float[Tensor, "N V"]
    target_N: Int[Tensor, " N"]

    @property
    def counted_N(self) -> Bool[Tensor, " N"]:
        """Where something is right."""
        return self.target_N != _IGNORED

    def loss(self) -> Float[Tensor, ""]:
        """Mean cross entropy, in nats."""
        return F.cross_entropy(self.logits_NV, self.target_N, ignore_index=_IGNORED)

    def num_right(self) -> int:
        """Choices whose largest logit is the right one."""
        return int(((self.logits_NV.argmax(dim=1) == self.target_N) & self.counted_N).sum())

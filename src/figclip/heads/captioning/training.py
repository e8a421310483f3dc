"""What a head for dense captioning is trained on, and its trainee of the training loop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from figclip.config import CaptioningConfig, CaptioningLoss
from figclip.datasets.dense_captions import CaptionedSpan, ReferenceVideo
from figclip.heads.captioning.head import (
    CaptioningHead,
    FoundEvents,
    FrameTokens,
    edges,
    generalised_iou,
    sentence_memory,
)
from figclip.heads.captioning.parts import FRAMES_AT_ONCE, parts_of_videos, sentences_at_once
from figclip.heads.captioning.predict import predict_captions
from figclip.heads.captioning.videos import CaptionedVideo, VideoFeatures
from figclip.heads.run import HeadTrainee
from figclip.heads.vocabulary import END, PAD, UNKNOWN, Vocabulary, build_vocabulary
from figclip.metrics.localisation import TIOUS, SpanLists, f1, localise
from figclip.metrics.ptb import tokenize
from figclip.training.batches import BatchItem

_IGNORED = -100
_FOCAL_ALPHA, _FOCAL_GAMMA = 0.25, 2.0


@dataclass(frozen=True, slots=True)
class CaptioningTargets:
    """The events of one annotation that can be learnt: edges as shares of the video, and tokens.

    `edge_G2` is start and end of each; sentences are with the end.
    """

    edge_G2: Float[Tensor, "G 2"]
    sentences: tuple[tuple[int, ...], ...]


def sentence_words(sentences: Iterable[str]) -> list[str]:
    """Sentences as they are learnt and written: the tokens that captions are scored by."""
    return tokenize(list(sentences))


def build_caption_vocabulary(
    videos: Sequence[CaptionedVideo], *, min_word_count: int
) -> Vocabulary:
    """The words of all sentences; rarer ones are unknown."""
    events = [e for video in videos for one in video.annotations for e in one.events]
    return build_vocabulary(
        sentence_words(event.sentence for event in events), min_count=min_word_count
    )


def span_within(event: CaptionedSpan, duration_s: float) -> tuple[float, float] | None:
    """Start and end as shares of a video, cut at its ends; None where nothing of it is within."""
    start, end = (min(max(t / duration_s, 0.0), 1.0) for t in (event.start_s, event.end_s))
    return (start, end) if end > start else None


def build_caption_targets(
    annotation: ReferenceVideo,
    vocabulary: Vocabulary,
    *,
    duration_s: float,
    max_tokens: int,
    max_events: int,
) -> CaptioningTargets:
    """Spans and tokens of the events that lie within the video, at most `max_events`, in order.

    `duration_s` is that of the file, which may differ from what the annotation says; longer
    sentences are cut.
    """
    told = [(span_within(event, duration_s), event.sentence) for event in annotation.events]
    kept = [(span, sentence) for span, sentence in told if span is not None][:max_events]
    lines = sentence_words(sentence for _, sentence in kept)
    return CaptioningTargets(
        torch.tensor([span for span, _ in kept], dtype=torch.float32).reshape(-1, 2),
        tuple(tuple([*vocabulary.word_ids(line), END][:max_tokens]) for line in lines),
    )


@torch.no_grad()
def match_events(
    span_Q2: Float[Tensor, "Q 2"],
    confidence_Q: Float[Tensor, " Q"],
    target_G2: Float[Tensor, "G 2"],
    *,
    loss: CaptioningLoss,
) -> tuple[Int[Tensor, " G"], Int[Tensor, " G"]]:
    """The one-to-one assignment of queries, ascending, to events that costs least.

    Spans are middle and length, confidences logits; targets, no more than queries, are start and
    end.
    """
    iou_QG = generalised_iou(edges(span_Q2)[:, None], target_G2[None])
    cost_QG = -loss.spans * iou_QG - loss.confidence * confidence_Q.sigmoid()[:, None]
    query_G, event_G = linear_sum_assignment(cost_QG.cpu().double().numpy())
    device = span_Q2.device
    return torch.as_tensor(query_G, device=device), torch.as_tensor(event_G, device=device)


@dataclass(frozen=True, slots=True)
class _Matched:
    """Which query of which video is to hold which event, of one layer."""

    video_N: Int[Tensor, " N"]
    query_N: Int[Tensor, " N"]
    event_N: Int[Tensor, " N"]

    def split(self, size: int) -> list["_Matched"]:
        """So many at a time; of none one part."""
        parts = (one.split(size) for one in (self.video_N, self.query_N, self.event_N))
        return [_Matched(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the losses of a batch are means over; none is 0."""

    videos: int
    events: int
    words: int


class CaptioningTrainee(HeadTrainee[CaptioningHead]):
    """A head being trained."""

    def __init__(
        self,
        head: CaptioningHead,
        features: VideoFeatures,
        videos: Sequence[CaptionedVideo],
        *,
        vocabulary: Vocabulary,
        config: CaptioningConfig,
    ) -> None:
        ids = [video.id for video in videos]
        super().__init__(head, ids, loss=config.loss, train=config.train)
        self._matching = config.loss
        self._taught_layers = config.sentences.layers
        self._features = features
        self._videos = videos
        self._vocabulary = vocabulary
        self._targets = {
            BatchItem(video_idx, annotation_idx): build_caption_targets(
                annotation,
                vocabulary,
                duration_s=features.duration_s(video_idx),
                max_tokens=config.head.max_words,
                max_events=head.num_queries,
            )
            for video_idx, video in enumerate(videos)
            for annotation_idx, annotation in enumerate(video.annotations)
        }

    @torch.no_grad()
    def validate(self, video_idxs: Sequence[int]) -> dict[str, float]:
        """F1 of the spans, share of right words given those before; `score` is their mean."""
        self.head.eval()
        predicted = predict_captions(
            self.head, self._features, video_idxs, vocabulary=self._vocabulary, with_sentences=False
        )
        annotated = [self._videos[i].annotations[0].events for i in video_idxs]
        predictions, references = (
            SpanLists(
                np.array([(e.start_s, e.end_s) for one in events for e in one]).reshape(-1, 2),
                np.array([len(one) for one in events], np.int64),
            )
            for events in (predicted, annotated)
        )
        scores = [
            localise(predictions, [references], tiou=tiou, is_official=False) for tiou in TIOUS
        ]
        spans = float(np.mean([f1(one.recall, one.precision) for one in scores]))
        words = self._share_of_right_words([BatchItem(i, 0) for i in video_idxs])
        return {"spans": spans, "words": words, "score": (spans + words) / 2}

    def _share_of_right_words(self, items: Sequence[BatchItem]) -> float:
        """Logits of the words and ends of annotated sentences, from those before them."""
        num_right, num_words = 0, 0
        for part in self._parts(items):
            frames, found, _ = self._look(part)
            matched = self._match(part, found, -1)
            for some in matched.split(sentences_at_once(frames.place_BS.shape[1])):
                logits, targets = self._words(part, frames, found, some, layer=-1)
                counted = targets != _IGNORED
                num_right += int(((logits.argmax(dim=-1) == targets) & counted).sum())
                num_words += int(counted.sum())
        return num_right / max(num_words, 1)

    def accumulate_gradients(
        self, batch: Sequence[BatchItem], *, loss_scale: float
    ) -> Mapping[str, Tensor]:
        """Gradients of the weighted sum of the losses; a few long videos at a time."""
        self.head.train()
        whole = self._counts(batch)
        parts = [
            self._add_gradients(self._losses(part, of=whole), loss_scale=loss_scale)
            for part in self._parts(batch)
        ]
        return {name: torch.stack([one[name].detach() for one in parts]).sum() for name in parts[0]}

    def _parts(self, items: Sequence[BatchItem]) -> list[list[BatchItem]]:
        """What goes through the head at once; where that is not all, videos of like lengths."""
        counts = [len(self._features.times_s[item.video_idx]) for item in items]
        size = self._train.videos_per_batch
        if len(items) > size or len(items) * max(counts) > FRAMES_AT_ONCE:
            order = sorted(range(len(items)), key=counts.__getitem__)
            items, counts = [items[i] for i in order], [counts[i] for i in order]
        parts = parts_of_videos(counts, most_videos=size)
        return [[items[i] for i in positions] for positions in parts]

    def _counts(self, batch: Sequence[BatchItem]) -> _Counts:
        sentences = [one for item in batch for one in self._targets[item].sentences]
        num_words = sum(token != UNKNOWN for one in sentences for token in one)
        return _Counts(len(batch), max(len(sentences), 1), max(num_words, 1))

    def _losses(self, items: Sequence[BatchItem], *, of: _Counts) -> dict[str, Tensor]:
        """What some items add to the losses of a batch; all but the count's are means of layers."""
        frames, found, count_BQ = self._look(items)
        num_layers = len(found.span_LBQ2)
        matched = [self._match(items, found, layer) for layer in range(num_layers)]
        confidence = [
            _focal_loss(found.confidence_LBQ[layer], one) for layer, one in enumerate(matched)
        ]
        spans = [
            (
                1 - generalised_iou(_found_edges(found, layer, one), self._target_edges(items, one))
            ).sum()
            for layer, one in enumerate(matched)
        ]
        captions = [
            self._caption_loss(items, frames, found, matched[layer], layer=layer)
            for layer in (range(num_layers) if self._taught_layers == "all" else [-1])
        ]
        count_B = torch.tensor(
            [len(self._targets[item].sentences) - 1 for item in items], device=count_BQ.device
        )
        count = F.cross_entropy(count_BQ, count_B.clamp(min=0), reduction="sum")
        return {
            "confidence": torch.stack(confidence).mean() / of.events,
            "spans": torch.stack(spans).mean() / of.events,
            "count": count / of.videos,
            "captions": torch.stack(captions).mean() / of.words,
        }

    def _look(self, items: Sequence[BatchItem]) -> tuple[FrameTokens, FoundEvents, Tensor]:
        rows = self._features.padded([item.video_idx for item in items], self.head.device)
        frames = self.head.encode(rows)
        found, count_BQ = self.head.find(frames)
        return frames, found, count_BQ

    def _match(self, items: Sequence[BatchItem], found: FoundEvents, layer: int) -> _Matched:
        device = found.span_LBQ2.device
        parts = [
            match_events(
                found.span_LBQ2[layer, row],
                found.confidence_LBQ[layer, row],
                self._targets[item].edge_G2.to(device),
                loss=self._matching,
            )
            for row, item in enumerate(items)
        ]
        counts = torch.tensor([len(queries) for queries, _ in parts], device=device)
        return _Matched(
            torch.arange(len(items), device=device).repeat_interleave(counts),
            torch.cat([queries for queries, _ in parts]),
            torch.cat([events for _, events in parts]),
        )

    def _target_edges(self, items: Sequence[BatchItem], matched: _Matched) -> Float[Tensor, "N 2"]:
        targets = pad_sequence([self._targets[item].edge_G2 for item in items], batch_first=True)
        return targets.to(matched.video_N.device)[matched.video_N, matched.event_N]

    def _caption_loss(
        self,
        items: Sequence[BatchItem],
        frames: FrameTokens,
        found: FoundEvents,
        matched: _Matched,
        *,
        layer: int,
    ) -> Float[Tensor, ""]:
        """Sum over the words of the matched events' sentences."""

        def loss(part: _Matched) -> Tensor:
            logits, words = self._words(items, frames, found, part, layer=layer)
            return F.cross_entropy(
                logits.flatten(0, 1), words.flatten(), ignore_index=_IGNORED, reduction="sum"
            )

        parts = matched.split(sentences_at_once(frames.place_BS.shape[1]))
        if len(parts) == 1:
            return loss(matched)
        # Each sentence has a copy of its video's frames, which is made anew for the gradients.
        return torch.stack([checkpoint(loss, part, use_reentrant=False) for part in parts]).sum()

    def _words(
        self,
        items: Sequence[BatchItem],
        frames: FrameTokens,
        found: FoundEvents,
        matched: _Matched,
        *,
        layer: int,
    ) -> tuple[Float[Tensor, "N L V"], Int[Tensor, "N L"]]:
        """Logits and targets of the words of the matched events' sentences."""
        memory = sentence_memory(
            frames,
            found.query_LBQD[layer],
            video_N=matched.video_N,
            query_N=matched.query_N,
            edge_N2=self._target_edges(items, matched),
        )
        places = zip(matched.video_N.tolist(), matched.event_N.tolist(), strict=True)
        sentences = [torch.tensor(self._targets[items[v]].sentences[e]) for v, e in places]
        tokens_NL = (
            pad_sequence(sentences, batch_first=True, padding_value=PAD)
            if sentences
            else torch.zeros((0, 1), dtype=torch.int64)
        )
        tokens_NL = tokens_NL.to(matched.video_N.device)
        unlearnt_NL = (tokens_NL == PAD) | (tokens_NL == UNKNOWN)
        logits_NLV = self.head.decoder(tokens_NL, memory)
        return logits_NLV, tokens_NL.masked_fill(unlearnt_NL, _IGNORED)


def _found_edges(found: FoundEvents, layer: int, matched: _Matched) -> Float[Tensor, "N 2"]:
    return edges(found.span_LBQ2[layer, matched.video_N, matched.query_N])


def _focal_loss(confidence_BQ: Tensor, matched: _Matched) -> Float[Tensor, ""]:
    """Sum over queries of the focal loss of whether each is matched.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 5.
    """
    target_BQ = torch.zeros_like(confidence_BQ)
    target_BQ[matched.video_N, matched.query_N] = 1.0
    entropy_BQ = F.binary_cross_entropy_with_logits(confidence_BQ, target_BQ, reduction="none")
    probability_BQ = confidence_BQ.sigmoid()
    miss_BQ = target_BQ * (1 - probability_BQ) + (1 - target_BQ) * probability_BQ
    weight_BQ = target_BQ * _FOCAL_ALPHA + (1 - target_BQ) * (1 - _FOCAL_ALPHA)
    return (weight_BQ * miss_BQ**_FOCAL_GAMMA * entropy_BQ).sum()

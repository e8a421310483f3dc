"""What a trained head says of whole videos: spans, sentences, and how sure it is."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.heads.captioning.head import (
    CaptioningHead,
    FoundEvents,
    FrameTokens,
    edges,
    sentence_memory,
)
from figclip.heads.captioning.parts import parts_of_videos, sentences_at_once
from figclip.heads.captioning.videos import VideoFeatures
from figclip.heads.text_decoder import Written, beam_search
from figclip.heads.vocabulary import Vocabulary
from figclip.runtime.progress import CountProgress

_VIDEOS_AT_ONCE = 16


@torch.inference_mode()
def predict_captions(
    head: CaptioningHead,
    features: VideoFeatures,
    video_idxs: Sequence[int],
    *,
    vocabulary: Vocabulary,
    with_sentences: bool = True,
    on_progress: CountProgress | None = None,
) -> list[tuple[CaptionedSpan, ...]]:
    """The events of each video in the order of their starts, cut at its ends, in milliseconds.

    As many as the head counts: those it is surest of, and of their sentences, too, where the head
    is built to ask for these (`rerank`) and they are written. The same features give the same
    answer.
    """
    head.eval()
    predicted: list[tuple[CaptionedSpan, ...]] = []
    counts = [len(features.times_s[i]) for i in video_idxs]
    for positions in parts_of_videos(counts, most_videos=_VIDEOS_AT_ONCE):
        part = [video_idxs[i] for i in positions]
        frames = head.encode(features.padded(part, head.device))
        found, count_BQ = head.find(frames)
        sure_BQ = found.confidence_LBQ[-1].sigmoid()
        written: dict[tuple[int, int], Written] = {}
        worth_BQ = sure_BQ
        if with_sentences and head.rerank:
            written = _write(head, frames, found, torch.ones_like(sure_BQ, dtype=torch.bool))
            means = [one.mean_log_probability for one in written.values()]
            worth_BQ = sure_BQ + head.rerank * sure_BQ.new_tensor(means).view_as(sure_BQ)
        is_chosen_BQ = _is_best(worth_BQ, count_BQ.argmax(dim=1) + 1)
        if with_sentences and not written:
            written = _write(head, frames, found, is_chosen_BQ)
        for row, video_idx in enumerate(part):
            duration_s = features.duration_s(video_idx)
            events: list[CaptionedSpan] = []
            for query in is_chosen_BQ[row].nonzero()[:, 0].tolist():
                edge_2 = edges(found.span_LBQ2[-1, row, query]).clamp(0, 1)
                start_s, end_s = (round(edge * duration_s, 3) for edge in edge_2.tolist())
                one = written.get((row, query))
                events.append(
                    CaptionedSpan(
                        start_s=start_s,
                        end_s=end_s,
                        sentence="" if one is None else vocabulary.text(one.tokens),
                        score=float(sure_BQ[row, query]),
                    )
                )
            predicted.append(tuple(sorted(events, key=lambda e: (e.start_s, e.end_s))))
        if on_progress is not None:
            on_progress(len(predicted), len(video_idxs))
    return predicted


def _is_best(worth_BQ: Float[Tensor, "B Q"], num_B: Int[Tensor, " B"]) -> Bool[Tensor, "B Q"]:
    """Whether a query is among so many best ones of its video; of equal ones the first are."""
    rank_BQ = worth_BQ.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return rank_BQ < num_B[:, None]


def _write(
    head: CaptioningHead,
    frames: FrameTokens,
    found: FoundEvents,
    is_wanted_BQ: Bool[Tensor, "B Q"],
) -> dict[tuple[int, int], Written]:
    """Sentences of some queries, by video and query, in this order."""
    # Each beam holds the frames of its video.
    at_once = sentences_at_once(frames.place_BS.shape[1])
    wanted_N2 = is_wanted_BQ.nonzero()
    texts: list[Written] = []
    for video_N, query_N in (part.unbind(1) for part in wanted_N2.split(at_once)):
        memory = sentence_memory(
            frames,
            found.query_LBQD[-1],
            video_N=video_N,
            query_N=query_N,
            edge_N2=edges(found.span_LBQ2[-1, video_N, query_N]).clamp(0, 1),
        )
        texts += beam_search(head.decoder, memory, beam=head.beam)
    keys = ((video, query) for video, query in wanted_N2.tolist())
    return dict(zip(keys, texts, strict=True))

"""What a trained head says of whole videos: spans, sentences, and how sure it is."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.heads.captioning.head import (
    CaptioningHead,
    FoundEvents,
    FrameTokens,
    edges,
    sentence_memory,
)
from figclip.heads.captioning.videos import VideoFeatures
from figclip.heads.text_decoder import beam_search
from figclip.heads.vocabulary import Vocabulary
from figclip.runtime.progress import CountProgress

_VIDEOS_AT_ONCE = 16
_PAIRS_AT_ONCE = 2**24
"""Most pairs of frames that attend to each other at once: half a gigabyte with eight heads."""
_FRAMES_AT_ONCE = 2**14
"""Most frames that sentences look at, each counted once a sentence."""


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

    As many as the head counts, those it is surest of. The same features give the same answer.
    """
    head.eval()
    predicted: list[tuple[CaptionedSpan, ...]] = []
    for part in _parts(features, video_idxs):
        frames = head.encode(features.padded(part, head.device))
        found, count_BQ = head.find(frames)
        num_B = count_BQ.argmax(dim=1) + 1
        confidence_BQ = found.confidence_LBQ[-1]
        rank_BQ = confidence_BQ.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        video_N, query_N = (rank_BQ < num_B[:, None]).nonzero(as_tuple=True)
        edge_N2 = edges(found.span_LBQ2[-1])[video_N, query_N].clamp(0, 1)
        sentences = [""] * len(video_N)
        if with_sentences:
            sentences = _sentences(head, vocabulary, frames, found, (video_N, query_N, edge_N2))
        events: list[list[CaptionedSpan]] = [[] for _ in part]
        sure_N = confidence_BQ.sigmoid()[video_N, query_N]
        rows = zip(video_N.tolist(), edge_N2.tolist(), sure_N.tolist(), sentences, strict=True)
        for row, (first, last), sure, sentence in rows:
            duration_s = features.duration_s(part[row])
            start_s, end_s = round(first * duration_s, 3), round(last * duration_s, 3)
            events[row].append(
                CaptionedSpan(start_s=start_s, end_s=end_s, sentence=sentence, score=sure)
            )
        predicted += [tuple(sorted(one, key=lambda e: (e.start_s, e.end_s))) for one in events]
        if on_progress is not None:
            on_progress(len(predicted), len(video_idxs))
    return predicted


def _parts(features: VideoFeatures, video_idxs: Sequence[int]) -> Iterator[list[int]]:
    """The videos, as many at a time as memory allows."""
    part: list[int] = []
    longest = 0
    for video_idx in video_idxs:
        longest = max(longest, len(features.times_s[video_idx]))
        if part and (len(part) == _VIDEOS_AT_ONCE or (len(part) + 1) * longest**2 > _PAIRS_AT_ONCE):
            yield part
            part, longest = [], len(features.times_s[video_idx])
        part.append(video_idx)
    if part:
        yield part


def _sentences(
    head: CaptioningHead,
    vocabulary: Vocabulary,
    frames: FrameTokens,
    found: FoundEvents,
    events: tuple[Tensor, Tensor, Tensor],
) -> list[str]:
    # Each beam holds the frames of its video.
    at_once = max(1, _FRAMES_AT_ONCE // frames.place_BS.shape[1])
    sentences: list[str] = []
    parts = zip(*(one.split(at_once) for one in events), strict=True)
    for video_N, query_N, edge_N2 in parts:
        memory = sentence_memory(frames, found, video_N=video_N, query_N=query_N, edge_N2=edge_N2)
        written = beam_search(head.decoder, memory, beam=head.beam)
        sentences += [vocabulary.text(tokens) for tokens in written]
    return sentences

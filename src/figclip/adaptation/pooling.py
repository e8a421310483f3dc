"""Measures on held-back videos which pooling fits texts of many words, and of how many."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from figclip.annotations.captions import Template, caption_event, plain_sentence
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.pooling import MeasuredPooling, Pooling, TextPooling, mean_of_both, num_words
from figclip.records import Event
from figclip.runtime.progress import CountProgress, no_progress
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_events import (
    ContrastEmbeddings,
    DenseEvents,
    VisualEmbeddings,
)
from figclip.tasks.dense_retrieval import DenseValidation, retrieve_events
from figclip.tasks.media import embed_unique_texts, normalised_rows
from figclip.video.sampling import event_times_s

STANDARD_ERRORS = 1.645
"""So many a gain must exceed: it is above 0 in 95 of 100 draws of videos."""
SHARE_TOLD = 0.7
"""Of the details, in sentences that leave some out as people do."""
_EVENTS_AT_ONCE = 256
_CONTRASTS = "told apart from counterfeits"

Visual = Mapping[Pooling, Float32[np.ndarray, "N D"]]


def measure_text_pooling(
    validation: DenseValidation,
    *,
    merged: FrameTextEmbedder,
    trained: FrameTextEmbedder,
    contextualizer: VideoContextualizer,
    template: Template,
    seed: int,
    on_progress: CountProgress = no_progress,
) -> TextPooling:
    """Compare the poolings on every event of held-back videos, worded at length and briefly.

    Each event is a clip of its own, as in search. It is looked for by each of its wordings among
    all events, and the text among all texts of that wording; and its plain sentence is told apart
    from counterfeits.

    Args:
        validation: The events and their counterfeits.
        merged: Embeds texts, and frames for the mean: the model at its strength.
        trained: Embeds frames for the contextualizer: the model at strength 1.
        contextualizer: Trained on these.
        template: That of the dense captions.
        seed: Of the details that are left out.
        on_progress: Told how many events of how many are embedded.
    """
    events = validation.events
    if not events.events:
        return TextPooling(from_words=None)
    visual = _embed(
        events,
        merged,
        trained,
        contextualizer,
        frames_per_event=validation.frames_per_event,
        on_progress=on_progress,
    )
    measured: dict[str, MeasuredPooling] = {}
    words: list[int] = []
    hits: dict[Pooling, list[Float64[np.ndarray, " N"]]] = {one: [] for one in visual}
    for name, wording in _wordings(template, random.Random(seed)).items():
        texts = [wording(one.event) for one in events.events]
        found = _hits(events, texts, visual, merged)
        counts = [num_words(text) for text in texts]
        scores: dict[Pooling, float] = {
            pooling: float(hit_N.mean()) for pooling, hit_N in found.items()
        }
        measured[name] = _measured(median(counts), scores)
        words += counts
        for pooling, hit_N in found.items():
            hits[pooling].append(hit_N)
    hit_M: dict[Pooling, Float64[np.ndarray, " M"]] = {
        pooling: np.concatenate(parts) for pooling, parts in hits.items()
    }
    groups = list(events.group_ids) * len(measured)
    long, from_words = find_long_pooling(np.array(words), hit_M, groups)
    contrast: Pooling = "mean"
    if validation.contrasts:
        accuracies = _tell_apart(validation, visual, merged)
        measured[_CONTRASTS] = _measured(measured["plain sentences"].words, accuracies)
        contrast = "vc" if accuracies["vc"] > accuracies["mean"] else "mean"
    return TextPooling(from_words=from_words, long=long, contrast=contrast, measured=measured)


def find_long_pooling(
    word_M: Int64[np.ndarray, " M"],
    hit_M: Mapping[Pooling, Float64[np.ndarray, " M"]],
    groups: Sequence[str],
) -> tuple[Pooling, int | None]:
    """Which pooling gains most over the mean, and from how many words on.

    Where no gain is beyond chance, the mean and None. Texts of one group (a film) are one draw.
    """
    group_M = np.unique(groups, return_inverse=True)[1]
    best: tuple[float, Pooling, int | None] = (0.0, "mean", None)
    for pooling in hit_M:
        gain_M = hit_M[pooling] - hit_M["mean"]
        for least in np.unique(word_M):
            gain_G = np.bincount(group_M, weights=np.where(word_M >= least, gain_M, 0.0))
            total = float(gain_G.sum())
            spread = math.sqrt(len(gain_G)) * float(gain_G.std())
            if total > STANDARD_ERRORS * spread and total >= best[0]:
                best = total, pooling, int(least)
    return best[1], best[2]


def _measured(words: float, scores: Mapping[Pooling, float]) -> MeasuredPooling:
    """A row of what was measured."""
    return MeasuredPooling(words=words, mean=scores["mean"], vc=scores["vc"], both=scores["both"])


def _wordings(template: Template, rng: random.Random) -> dict[str, Callable[[Event], str]]:
    """The same event in more words and fewer."""
    return {
        "dense captions": lambda event: caption_event(event, template=template),
        "plain sentences": plain_sentence,
        "plain sentences that leave details out": lambda event: plain_sentence(_told(event, rng)),
        "who does what to whom": lambda event: plain_sentence(_numbered(event, num_roles=None)),
        "who does what": lambda event: plain_sentence(_numbered(event, num_roles=1)),
        "verbs": lambda event: event.verb,
    }


def _told(event: Event, rng: random.Random) -> Event:
    """An event with some of its roles, and perhaps its scene."""
    roles = tuple(role for role in event.roles if rng.random() < SHARE_TOLD)
    return replace(event, roles=roles, scene=event.scene if rng.random() < SHARE_TOLD else "")


def _numbered(event: Event, *, num_roles: int | None) -> Event:
    """An event with its first numbered roles only, and nowhere."""
    numbered = tuple(role for role in event.roles if not role.is_modifier)
    return replace(event, roles=numbered[:num_roles], scene="")


def _embed(
    events: DenseEvents,
    merged: FrameTextEmbedder,
    trained: FrameTextEmbedder,
    contextualizer: VideoContextualizer,
    *,
    frames_per_event: int,
    on_progress: CountProgress,
) -> Visual:
    """Each event, alone, by each pooling."""
    device = next(contextualizer.parameters()).device
    means: list[Float32[np.ndarray, "N D"]] = []
    contexts: list[Float32[np.ndarray, "N D"]] = []
    for start in range(0, len(events.events), _EVENTS_AT_ONCE):
        refs = [
            (one.video_idx, time_s)
            for one in events.events[start : start + _EVENTS_AT_ONCE]
            for time_s in event_times_s(one.event, frames_per_event)
        ]
        frames_FD = merged.embed_frames(events.videos, refs)
        means.append(frames_FD.reshape(-1, frames_per_event, frames_FD.shape[1]).sum(axis=1))
        if trained is not merged:
            frames_FD = trained.embed_frames(events.videos, refs)
        frames_NTD = torch.from_numpy(frames_FD).unflatten(0, (-1, frames_per_event)).to(device)
        with torch.inference_mode():
            pooled_ND = contextualizer.pool(frames_NTD, frames_per_event=frames_per_event)
        contexts.append(pooled_ND.float().cpu().numpy())
        on_progress(min(start + _EVENTS_AT_ONCE, len(events.events)), len(events.events))
    mean_ND, vc_ND = normalised_rows(np.concatenate(means)), np.concatenate(contexts)
    both_ND = mean_of_both(torch.from_numpy(mean_ND), torch.from_numpy(vc_ND)).numpy()
    return {"mean": mean_ND, "vc": vc_ND, "both": both_ND}


def _hits(
    events: DenseEvents, texts: Sequence[str], visual: Visual, embedder: FrameTextEmbedder
) -> dict[Pooling, Float64[np.ndarray, " N"]]:
    """For each event whether its text finds it, and it its text; half a hit for one of them."""
    named = zip(events.events, texts, strict=True)
    worded = replace(events, events=tuple(replace(one, caption=text) for one, text in named))
    texts_ND = embed_unique_texts(embedder, texts)
    hits: dict[Pooling, Float64[np.ndarray, " N"]] = {}
    for pooling, event_ND in visual.items():
        directions = retrieve_events(worded, VisualEmbeddings(event_ND, event_ND), texts_ND)
        each = [one.values[f"{one.block} R@1"] for one in directions]
        hits[pooling] = np.mean(each, axis=0)
    return hits


def _tell_apart(
    validation: DenseValidation, visual: Visual, embedder: FrameTextEmbedder
) -> dict[Pooling, float]:
    """How often an event's sentence is told from its counterfeits, mean over their kinds."""
    found: dict[Pooling, list[float]] = {pooling: [] for pooling in visual}
    for contrasts in validation.contrasts.values():
        texts = ContrastEmbeddings(embedder, contrasts)
        for pooling, event_ND in visual.items():
            chosen = texts.choose(event_ND[list(contrasts.event_idxs)])
            found[pooling].append(float(chosen.accuracy_N.mean()))
    return {pooling: float(np.mean(each)) for pooling, each in found.items()}

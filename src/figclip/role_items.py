"""What the scores of roles are computed of: texts with their references, and mentions.

Source:
    github.com/TheShadow29/VidSitu @ b794988, `EvalFnCap` of `vidsitu_code/evl_fns.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figclip.data.role_keys import short_role
from figclip.data.situation_predictions import PredictedEvent
from figclip.data.situation_truth import UNSCORED_ROLES, TrueEvent, TrueVideo
from figclip.metrics.situations.coreference import CoreferenceVideo


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleVideo:
    """One video with what is compared.

    Attributes:
        video: The video.
        kept: Its annotations that count, in this order.
        events: What was predicted; empty when nothing was.
    """

    video: TrueVideo
    kept: tuple[tuple[TrueEvent, ...], ...]
    events: tuple[PredictedEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleItem:
    """A role of an event, as the first annotation that counts names it.

    Attributes:
        video_idx: Position of the video among those scored.
        event_name: `Ev1`.
        name: `Arg1 (vehicle or path)`.
        verb_id: Of the event.
        candidate: The predicted text; empty when there is none.
        references: What those annotators wrote who give the role.
    """

    video_idx: int
    event_name: str
    name: str
    verb_id: str
    candidate: str
    references: tuple[str, ...]

    @property
    def mention(self) -> str:
        """Name of the role in co-reference: `Ev1_Arg1`."""
        return _mention(self.event_name, self.name)


def role_items(videos: Sequence[RoleVideo]) -> list[RoleItem]:
    """All roles that are scored, in the order of the videos, events and roles."""
    items: list[RoleItem] = []
    for video_idx, one in enumerate(videos):
        for event_idx, event in enumerate(one.kept[0]):
            texts = one.events[event_idx].texts if one.events else {}
            for name in _scored_names(event):
                given = (events[event_idx].roles.get(name) for events in one.kept)
                items.append(
                    RoleItem(
                        video_idx=video_idx,
                        event_name=one.video.event_names[event_idx],
                        name=name,
                        verb_id=event.verb_id,
                        candidate=texts.get(short_role(name), ""),
                        references=tuple(text for text in given if text is not None),
                    )
                )
    return items


def coreference_videos(
    videos: Sequence[RoleVideo],
    *,
    annotator: int,
    cider_of_video: Sequence[Mapping[str, float]],
    with_empty: bool,
) -> list[CoreferenceVideo]:
    """The mentions of each video by one annotator, and of the prediction.

    Args:
        videos: What is compared.
        annotator: Position among the annotations that count; videos without so many are left out.
        cider_of_video: CIDEr of the predicted texts by the name of the mention.
        with_empty: Keep videos of which nothing was predicted; officially they are left out.
    """
    compared: list[CoreferenceVideo] = []
    for one, cider in zip(videos, cider_of_video, strict=True):
        if annotator >= len(one.kept) or not (one.events or with_empty):
            continue
        true: list[tuple[str, str]] = []
        predicted: list[tuple[str, str]] = []
        for event_idx, event in enumerate(one.kept[annotator]):
            event_name = one.video.event_names[event_idx]
            texts = one.events[event_idx].texts if one.events else {}
            for name in _scored_names(event):
                mention = _mention(event_name, name)
                true.append((mention, event.roles[name]))
                short = short_role(name)
                if short in texts:
                    predicted.append((mention, texts[short]))
        compared.append(CoreferenceVideo(true=true, predicted=predicted, cider=cider))
    return compared


def _scored_names(event: TrueEvent) -> list[str]:
    """The roles of an event that count, by full name."""
    return [name for name in event.roles if short_role(name) not in UNSCORED_ROLES]


def _mention(event_name: str, name: str) -> str:
    """Name of a mention."""
    return f"{event_name}_{short_role(name)}"

"""Frozen records that flow through figclip, and the glossary of tensor-shape letters.

Shape letters, used as suffixes of tensor names (`frames_BPTD`) and in jaxtyping annotations:

    B  videos                 N  items (frames, texts, events: whatever a flat list holds)
    P  events of a video      K  hard negatives of an event
    T  frames of an event     D  embedding
    C  channels, or phrases   L  tokens
    H  height                 W  width
    Q  queries                M  rows of a table of texts
    S  tokens of the contextualizer
"""

from dataclasses import dataclass, field

MODIFIER_SLOT = "ArgM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One semantic role of an event, text verbatim as annotated.

    Attributes:
        name: What the role is called, without its slot: `walker`, `direction`,
            `wait-er (not waiter, that's the other sense)`.
        text: The filler: `man with short hair`. May say nothing (`-`): see `annotations.roles`.
        slot: `Arg0` … `Arg9`, or `ArgM` for a modifier.
    """

    name: str
    text: str
    slot: str

    @property
    def is_modifier(self) -> bool:
        """True for direction, manner, goal, …; False for numbered roles."""
        return self.slot == MODIFIER_SLOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A short span of a video with a verb and its roles.

    Attributes:
        start_s: Start in seconds from the first displayed frame.
        end_s: End in seconds, exclusive, > start_s.
        verb: The bare verb: `deflect`.
        gloss: What tells its senses apart: `block, avoid`; empty when not annotated.
        sense: Identifier of the sense: `deflect.01`; empty when not annotated.
        roles: In the order of the annotation.
        scene: Scene of the event; empty when not annotated.
        relation: VidSitu's relation to the middle event (`Causes`, …); empty when not annotated.
    """

    start_s: float
    end_s: float
    verb: str
    gloss: str = ""
    sense: str = ""
    roles: tuple[Role, ...] = ()
    scene: str = ""
    relation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What one annotator says of one video: its events in order, or plain sentences, or both."""

    events: tuple[Event, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """A video with all its annotations.

    Attributes:
        id: Unique in its set.
        video: Path relative to the videos folder; for VidSitu the segment id, whose file may carry
            any video extension.
        split: `train`, `valid`, …
        group: Videos of one group never part ways between training and validation (a film, a
            YouTube video). Empty: the hash of the video's content, known once it is prepared.
        annotations: At least one.
    """

    id: str
    video: str
    split: str
    group: str
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationSet:
    """All that was read from one source.

    Attributes:
        name: `vidsitu` or `events`.
        source: The path that was read.
        records: In the order of the source.
        split_sizes: Videos that each official split lists, annotated or not.
        notices: What was handled by rule, with counts, one sentence each
            (`5 events have a verb outside the vocabulary: kept`).
    """

    name: str
    source: str
    records: tuple[VideoRecord, ...]
    split_sizes: dict[str, int] = field(default_factory=dict[str, int])
    notices: tuple[str, ...] = ()


def event_key(video_id: str, *, annotation_idx: int, event_idx: int) -> str:
    """Name of one event in logs, caches and seeds: `v_x_seg_0_10#0/3`."""
    return f"{video_id}#{annotation_idx}/{event_idx}"

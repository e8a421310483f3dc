"""The configuration of a task head: frozen dataclasses, validated; JSON and `--set` by `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from figclip.config import MAX_POSITIONS, check_choice, check_range
from figclip.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTrainConfig:
    """Optimisation of a head, validation and checkpoints."""

    seed: int = 0
    """Seed of initial weights, data order and dropout."""
    epochs: int = 10
    videos_per_batch: int = 16
    """Videos of a batch."""
    val_fraction: float = 0.05
    """Share of the train split's groups held back to choose the checkpoint; 0 for none."""
    lr: float = 1e-4
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices."""
    warmup_fraction: float = 0.05
    """Share of all steps with linearly rising learning rate."""
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float = 1.0
    """Gradient norm above which gradients are scaled down; 0 for no clipping."""
    keep_checkpoints: int = 2
    """Latest checkpoints kept on disk besides the best one; one is written every epoch."""

    def __post_init__(self) -> None:
        check_range("train.seed", self.seed, low=0, high=2**63 - 1)
        for count in ("epochs", "videos_per_batch", "keep_checkpoints"):
            check_range(f"train.{count}", getattr(self, count), low=1)
        check_range("train.val_fraction", self.val_fraction, low=0.0, high=0.5)
        check_range("train.lr", self.lr, low=0.0, high=10.0)
        check_range("train.weight_decay", self.weight_decay, low=0.0, high=10.0)
        check_range("train.warmup_fraction", self.warmup_fraction, low=0.0, high=1.0)
        check_range("train.clip_norm", self.clip_norm, low=0.0)
        check_choice(self, "train", "schedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerConfig:
    """Size of a head."""

    width: int = 512
    heads: int = 8
    """Attention heads; must divide `width`."""
    encoder_layers: int = 3
    """Of the temporal transformer over frame features."""
    decoder_layers: int = 3
    """Of the decoder that writes text."""
    dropout: float = 0.1
    max_words: int = 60
    """Most tokens of a written text; longer ones are cut in training, and counted."""
    min_word_count: int = 2
    """Words that occur less often in the training texts are unknown, and never written."""
    beam: int = 3
    """Sequences held while a text is written; 1 takes the most probable word each time."""

    def __post_init__(self) -> None:
        for count in ("width", "heads", "encoder_layers", "decoder_layers", "min_word_count"):
            check_range(f"head.{count}", getattr(self, count), low=1, high=2**20)
        check_range("head.dropout", self.dropout, low=0.0, high=0.9)
        check_range("head.max_words", self.max_words, low=2, high=1024)
        check_range("head.beam", self.beam, low=1, high=64)
        if self.width % self.heads:
            raise ConfigError(
                f"a width of {self.width} does not split into {self.heads} heads",
                where="head.heads",
                fix=f"Choose a divisor of {self.width}.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFrames:
    """Which frames of an event the features are of."""

    per_event: int = 4
    """T: frames at the midpoints of T equal segments of an event."""

    def __post_init__(self) -> None:
        check_range("frames.per_event", self.per_event, low=1, high=MAX_POSITIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationLoss:
    """Weights of the three losses; 0 leaves a part untrained, and it is then not scored."""

    verbs: float = 1.0
    """Cross entropy of an event's verb."""
    roles: float = 1.0
    """Cross entropy of the tokens of its roles, given its verb."""
    relations: float = 1.0
    """Cross entropy of its relation to the middle event."""

    def __post_init__(self) -> None:
        for part in ("verbs", "roles", "relations"):
            check_range(f"loss.{part}", getattr(self, part), low=0.0)
        if self.verbs + self.roles + self.relations == 0:
            raise ConfigError("all weights are 0", where="loss", fix="Set one of them above 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationConfig:
    """Everything that, with model and data, decides a head for situations."""

    recipe: str
    frames: EventFrames = field(default_factory=EventFrames)
    head: TransformerConfig = field(default_factory=TransformerConfig)
    loss: SituationLoss = field(default_factory=SituationLoss)
    train: HeadTrainConfig = field(default_factory=HeadTrainConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrames:
    """Which frames of a whole video the features are of."""

    per_second: float = 1.0
    """Frames a second, evenly; a video of more than 2,048 of them gives 2,048, evenly."""

    def __post_init__(self) -> None:
        check_range("frames.per_second", self.per_second, low=0.01, high=100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQueries:
    """The queries that look for events."""

    num: int = 10
    """Queries; no more events of a video can be found."""
    decoder_layers: int = 2
    """In each they look at the frames and move their spans."""

    def __post_init__(self) -> None:
        check_range("queries.num", self.num, low=1, high=1000)
        check_range("queries.decoder_layers", self.decoder_layers, low=1, high=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptioningLoss:
    """Weights of the losses; those of spans and confidence are also the costs of matching."""

    confidence: float = 2.0
    """Focal loss of whether a query has found an event."""
    spans: float = 4.0
    """1 minus the generalised IoU of found and annotated span."""
    count: float = 0.5
    """Cross entropy of the number of events."""
    captions: float = 2.0
    """Cross entropy of the words of the sentence."""

    def __post_init__(self) -> None:
        for part in ("confidence", "spans", "count", "captions"):
            check_range(f"loss.{part}", getattr(self, part), low=0.0)
            if getattr(self, part) == 0:
                raise ConfigError("is 0", where=f"loss.{part}", fix="Every part is needed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptioningConfig:
    """Everything that, with model and data, decides a head for dense captioning."""

    recipe: str
    frames: VideoFrames = field(default_factory=VideoFrames)
    head: TransformerConfig = field(default_factory=TransformerConfig)
    queries: EventQueries = field(default_factory=EventQueries)
    loss: CaptioningLoss = field(default_factory=CaptioningLoss)
    train: HeadTrainConfig = field(default_factory=HeadTrainConfig)

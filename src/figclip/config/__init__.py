"""The configuration of a run or a task head: frozen dataclasses that check themselves.

A recipe (`config.recipes`) is a function that returns a whole config. The class that owns a field
checks it; `RunConfig` checks combinations. Nothing below `adaptation` and `heads` takes a config:
losses, metrics and decoding take plain arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args, get_origin, get_type_hints

from figclip.errors import ConfigError

MAX_POSITIONS = 32
"""Most events of a video, and most frames of an event, that the contextualizer has places for."""

MAX_LAYERS = 48
"""Most layers of a contextualizer; a folder that claims more is not built."""

TemplateName = Literal["default", "srl_clip", "figclip_v1"]
NegativePolicy = Literal["balanced", "matched", "uniform"]
Adaptation = Literal["lora_image", "lora_text", "lora_both", "full"]
Precision = Literal["fp32", "bf16", "fp16"]
Keep = Literal["best", "last"]


POSITIVE, NOT_NEGATIVE, SEEDS = (1, math.inf), (0, math.inf), (0, 2**63 - 1)


def check(config: object, section: str, **bounds: tuple[float, float]) -> None:
    """Refuse numbers beyond their bounds, which are inclusive, and choices that a type lacks.

    Raises:
        ConfigError: It names the field.
    """
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        # NaN is never within. Not math.isinf: it cannot take numbers beyond the largest float.
        if not low <= value <= high or abs(value) == math.inf:
            wanted = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise ConfigError(f"is {value!r}, must be {wanted}", where=f"{section}.{name}")
    for name, kind in get_type_hints(type(config)).items():
        value, choices = getattr(config, name), get_args(kind)
        if get_origin(kind) is Literal and value not in choices:
            wanted = f"one of {', '.join(choices)}"
            raise ConfigError(f"is {value!r}, must be {wanted}", where=f"{section}.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which frames and videos make a batch, and what is held back for validation."""

    frames_per_event: int = 4
    """T: frames at the midpoints of T equal segments of an event."""
    videos_per_batch: int = 20
    """B: videos of a global batch, over all processes."""
    val_fraction: float = 0.05
    """Share of the train split's groups held back to choose the checkpoint; 0 for none."""
    loader_workers: int = 2
    """Processes that read the frame store ahead of training; 0 reads in the training process."""

    def __post_init__(self) -> None:
        check(
            self,
            "data",
            frames_per_event=(1, MAX_POSITIONS),
            videos_per_batch=POSITIVE,
            val_fraction=(0, 0.5),
            loader_workers=(0, 64),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """How an annotation becomes a dense caption and its hard negatives."""

    template: TemplateName = "default"
    """Wording of the captions, see `annotations.captions`."""
    verb_negatives: int = 4
    """K: negatives an event with another verb and its role names; 0 for none."""
    filler_negatives: int = 0
    """Further negatives with one filler replaced (ours, not in the papers)."""
    negative_policy: NegativePolicy = "balanced"
    """How verbs are drawn, see `annotations.verb_negatives`. Text alone sees through `matched` and
    through `uniform`, the papers' way."""
    video_negatives: bool = True
    """Let the other events of a video be negatives of each other."""
    mask_equal_texts: bool = True
    """Leave events with equal captions out of each other's denominators."""

    def __post_init__(self) -> None:
        check(self, "text", verb_negatives=(0, 64), filler_negatives=(0, 64))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which CLIP is adapted, and how."""

    base: str = "openai/clip-vit-base-patch32"
    """Hub id or folder of a `transformers` CLIP."""
    adaptation: Adaptation = "lora_image"
    """LoRA on q/k/v of the image tower, the text tower, or both; or full fine-tuning of both."""
    lora_rank: int = 64
    lora_alpha: float = 64.0
    """LoRA's own scale is lora_alpha / lora_rank; 64 / 64 is our choice, the papers are silent."""
    contextualizer_layers: int = 6
    """Layers of the Video Contextualizer; 0 for none (then its loss weights must be 0)."""
    contextualizer_head_dim: int = 64
    """Width of one attention head; the number of heads is the projection dim over it."""

    def __post_init__(self) -> None:
        check(
            self,
            "model",
            lora_rank=(1, 4096),
            lora_alpha=(1e-6, math.inf),
            contextualizer_layers=(0, MAX_LAYERS),
            contextualizer_head_dim=POSITIVE,
        )
        if not self.base:
            raise ConfigError("is empty", where="model.base", fix="Give a hub id or a folder.")

    @property
    def trains_image_tower(self) -> bool:
        """Whether embeddings of frames change in training."""
        return self.adaptation != "lora_text"

    @property
    def trains_text_tower(self) -> bool:
        """Whether embeddings of texts change in training; otherwise they are computed once."""
        return self.adaptation != "lora_image"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """Weights of the four losses (docs/method.md); 0 switches a part off."""

    event: float = 1.0
    """CE: mean of an event's frames against its caption."""
    event_context: float = 1.0
    """VCE: the contextualizer's event output against the caption."""
    video: float = 0.25
    """CV: mean of all frames against the mean of the captions."""
    video_context: float = 0.25
    """VCV: the contextualizer's video output against the mean of the captions."""
    learn_logit_scale: bool = False
    """Train CLIP's temperature too; otherwise it keeps its pretrained value."""

    def __post_init__(self) -> None:
        weights = {"event", "event_context", "video", "video_context"}
        check(self, "loss", **dict.fromkeys(weights, NOT_NEGATIVE))
        if not any(getattr(self, part) for part in weights):
            raise ConfigError("all weights are 0", where="loss", fix="Set one of them above 0.")

    @property
    def needs_contextualizer(self) -> bool:
        """Whether any loss reads the contextualizer's outputs."""
        return self.event_context > 0 or self.video_context > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepConfig:
    """What holds the adapted CLIP to its base on unlabelled pictures (docs/keeping.md)."""

    weight: float = 0.0
    """Weight of the loss; 0 for none, as in the papers."""
    pictures: int = 24
    """Pictures a step, over all processes."""
    texts: int = 512
    """Most texts that pictures are compared with; of more so many are drawn."""

    def __post_init__(self) -> None:
        check(self, "keep", weight=NOT_NEGATIVE, pictures=POSITIVE, texts=(2, 2**20))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Optimisation, validation and checkpoints."""

    seed: int = 0
    """Seed of initial weights, data order and negatives."""
    epochs: int = 20
    lr: float = 1e-5
    """Peak learning rate of the towers."""
    contextualizer_lr: float = 1e-4
    """Peak learning rate of the contextualizer, which starts from scratch."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices; biases, norms and embeddings of positions have none."""
    warmup_fraction: float = 0.05
    """Share of all steps with linearly rising learning rate."""
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float = 1.0
    """Gradient norm above which gradients are scaled down; 0 for no clipping."""
    precision: Precision = "fp32"
    """Autocast of the towers' forward passes; weights and losses stay fp32."""
    micro_batch: int = 16
    """Frames, or texts, that pass through a tower at once. Changes memory, not gradients."""
    validate_every: int = 0
    """Steps between validations; 0: once an epoch."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0: once an epoch."""
    keep_checkpoints: int = 2
    """Latest checkpoints kept on disk besides the best one."""
    keep: Keep = "best"
    """Which weights become `model/`: best on val, or those of the last step."""

    def __post_init__(self) -> None:
        check(
            self,
            "train",
            seed=SEEDS,
            epochs=POSITIVE,
            lr=(0, 10),
            contextualizer_lr=(0, 10),
            weight_decay=(0, 10),
            warmup_fraction=(0, 1),
            clip_norm=NOT_NEGATIVE,
            micro_batch=POSITIVE,
            validate_every=NOT_NEGATIVE,
            checkpoint_every=NOT_NEGATIVE,
            keep_checkpoints=POSITIVE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that, with the data, decides the result of a run."""

    recipe: str
    data: DataConfig = field(default_factory=DataConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    keep: KeepConfig = field(default_factory=KeepConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if self.loss.needs_contextualizer and self.model.contextualizer_layers == 0:
            raise ConfigError(
                "losses that read the contextualizer have weight, but it has no layers",
                where="model.contextualizer_layers",
                fix="Set loss.event_context=0 and loss.video_context=0, or give it layers.",
            )
        if self.model.contextualizer_layers > 0 and not self.loss.needs_contextualizer:
            raise ConfigError(
                "the contextualizer has layers, but no loss trains it",
                where="model.contextualizer_layers",
                fix="Set model.contextualizer_layers=0, or give its losses weight.",
            )


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
        check(
            self,
            "train",
            seed=SEEDS,
            epochs=POSITIVE,
            videos_per_batch=POSITIVE,
            val_fraction=(0, 0.5),
            lr=(0, 10),
            weight_decay=(0, 10),
            warmup_fraction=(0, 1),
            clip_norm=NOT_NEGATIVE,
            keep_checkpoints=POSITIVE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerConfig:
    """Size of a head."""

    width: int = 512
    heads: int = 8
    """Attention heads; must divide `width`."""
    encoder_layers: int = 3
    """Layers of the temporal transformer over frame features."""
    decoder_layers: int = 3
    """Layers of the decoder that writes text."""
    dropout: float = 0.1
    max_words: int = 60
    """Most tokens of a written text; longer ones are cut in training, and counted."""
    min_word_count: int = 2
    """Words that occur less often in the training texts are unknown, and never written."""
    beam: int = 3
    """Sequences held while a text is written; 1 takes the most probable word each time."""

    def __post_init__(self) -> None:
        counts = ("width", "heads", "encoder_layers", "decoder_layers", "min_word_count")
        check(self, "head", **dict.fromkeys(counts, (1, 2**20)))
        check(self, "head", dropout=(0, 0.9), max_words=(2, 1024), beam=(1, 64))
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
        check(self, "frames", per_event=(1, MAX_POSITIONS))


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
        check(self, "loss", verbs=NOT_NEGATIVE, roles=NOT_NEGATIVE, relations=NOT_NEGATIVE)
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
        check(self, "frames", per_second=(0.01, 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQueries:
    """The queries that look for events."""

    num: int = 10
    """Queries; no more events of a video can be found."""
    decoder_layers: int = 2
    """In each they look at the frames and move their spans."""

    def __post_init__(self) -> None:
        check(self, "queries", num=(1, 1000), decoder_layers=(1, 100))


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
            check(self, "loss", **{part: NOT_NEGATIVE})
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

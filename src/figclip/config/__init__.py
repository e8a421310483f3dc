"""The configuration of a run or a task head: frozen dataclasses that check themselves.

A recipe (`config.recipes`) is a function that returns a whole config. The class that owns a field
checks it; `RunConfig` checks combinations. Nothing below `adaptation` and `heads` takes a config:
losses, metrics and decoding take plain arguments.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

from figclip.errors import ConfigError

MAX_POSITIONS = 32
"""Most events of a video, and most frames of an event, that the contextualizer has places for."""

MAX_LAYERS = 48
"""Most layers of a contextualizer; a folder that claims more is not built."""

TemplateName = Literal["default", "srl_clip", "figclip_v1"]
NegativePolicy = Literal["balanced", "matched", "uniform"]
Adaptation = Literal["lora_image", "lora_text", "lora_both", "full"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Keep = Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a number, inclusive; an infinite one is never reached."""

    low: float
    high: float = math.inf


Count = Annotated[int, Within(1)]
Share = Annotated[float, Within(0, 1)]
Rate = Annotated[float, Within(0, 10)]
NotNegative = Annotated[float, Within(0)]
Steps = Annotated[int, Within(0)]
Seed = Annotated[int, Within(0, 2**63 - 1)]
Size = Annotated[int, Within(1, 2**20)]
HeldBack = Annotated[float, Within(0, 0.5)]


class Section:
    """Settings under one name, which are checked against the types of their fields."""

    __slots__ = ()
    section = ""

    def __post_init__(self) -> None:
        """Refuse numbers beyond their bounds, and choices that a type lacks.

        Raises:
            ConfigError: It names the field.
        """
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            value, where = getattr(self, name), f"{self.section}.{name}"
            choices = get_args(kind)
            if get_origin(kind) is Literal and value not in choices:
                raise ConfigError(f"is {value!r}, must be one of {', '.join(choices)}", where=where)
            for bounds in getattr(kind, "__metadata__", ()):
                low, high = bounds.low, bounds.high
                # NaN is never within. Not math.isinf: it cannot take numbers beyond any float.
                if not low <= value <= high or abs(value) == math.inf:
                    wanted = f"between {low:g} and {high:g}"
                    wanted = f"at least {low:g}" if high == math.inf else wanted
                    raise ConfigError(f"is {value!r}, must be {wanted}", where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig(Section):
    """Which frames and videos make a batch, and what is held back for validation."""

    section = "data"
    frames_per_event: Annotated[int, Within(1, MAX_POSITIONS)] = 4
    """T: frames at the midpoints of T equal segments of an event."""
    videos_per_batch: Count = 20
    """B: videos of a global batch, over all processes."""
    val_fraction: HeldBack = 0.05
    """Share of the train split's groups held back to choose the checkpoint; 0 for none."""
    loader_workers: Annotated[int, Within(0, 64)] = 2
    """Processes that read the frame store ahead of training; 0 reads in the training process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig(Section):
    """How an annotation becomes a dense caption and its hard negatives."""

    section = "text"
    template: TemplateName = "default"
    """Wording of the captions, see `annotations.captions`."""
    verb_negatives: Annotated[int, Within(0, 64)] = 4
    """K: negatives an event with another verb and its role names; 0 for none."""
    filler_negatives: Annotated[int, Within(0, 64)] = 0
    """Further negatives with one filler replaced (ours, not in the papers)."""
    negative_policy: NegativePolicy = "balanced"
    """How verbs are drawn, see `annotations.verb_negatives`. Text alone sees through `matched` and
    through `uniform`, the papers' way."""
    video_negatives: bool = True
    """Let the other events of a video be negatives of each other."""
    mask_equal_texts: bool = True
    """Leave events with equal captions out of each other's denominators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(Section):
    """Which CLIP is adapted, and how."""

    section = "model"
    base: str = "openai/clip-vit-base-patch32"
    """Hub id or folder of a `transformers` CLIP."""
    adaptation: Adaptation = "lora_image"
    """LoRA on q/k/v of the image tower, the text tower, or both; or full fine-tuning of both."""
    lora_rank: Annotated[int, Within(1, 4096)] = 64
    lora_alpha: Annotated[float, Within(1e-6)] = 64.0
    """LoRA's own scale is lora_alpha / lora_rank; 64 / 64 is our choice, the papers are silent."""
    contextualizer_layers: Annotated[int, Within(0, MAX_LAYERS)] = 6
    """Layers of the Video Contextualizer; 0 for none (then its loss weights must be 0)."""
    contextualizer_head_dim: Count = 64
    """Width of one attention head; the number of heads is the projection dim over it."""

    def __post_init__(self) -> None:
        Section.__post_init__(self)
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
class LossConfig(Section):
    """Weights of the losses (docs/method.md); 0 switches a part off."""

    section = "loss"
    event: NotNegative = 1.0
    """CE: mean of an event's frames against its caption."""
    event_context: NotNegative = 1.0
    """VCE: the contextualizer's event output against the caption."""
    video: NotNegative = 0.25
    """CV: mean of all frames against the mean of the captions."""
    video_context: NotNegative = 0.25
    """VCV: the contextualizer's video output against the mean of the captions."""
    concept: NotNegative = 0.0
    """Mean of an event's frames against each of the phrases that it is made of."""
    learn_logit_scale: bool = False
    """Train CLIP's temperature too; otherwise it keeps its pretrained value."""

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        weights = (self.event, self.event_context, self.video, self.video_context, self.concept)
        if not any(weights):
            raise ConfigError("all weights are 0", where="loss", fix="Set one of them above 0.")

    @property
    def needs_contextualizer(self) -> bool:
        """Whether any loss reads the contextualizer's outputs."""
        return self.event_context > 0 or self.video_context > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepConfig(Section):
    """What holds the adapted CLIP to its base on unlabelled pictures (docs/training.md)."""

    section = "keep"
    weight: NotNegative = 0.0
    """Weight of the loss; 0 for none, as in the papers."""
    temperature: Annotated[float, Within(1, 100)] = 3.0
    """What the base's similarities are softened by: at 1, little but the best texts counts."""
    pictures: Count = 24
    """Pictures a step, over all processes."""
    texts: Annotated[int, Within(2, 2**20)] = 512
    """Most texts that pictures are compared with; of more so many are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig(Section):
    """Optimisation, validation and checkpoints."""

    section = "train"
    seed: Seed = 0
    """Seed of initial weights, data order and negatives."""
    epochs: Count = 20
    lr: Rate = 1e-5
    """Peak learning rate of the towers."""
    contextualizer_lr: Rate = 1e-4
    """Peak learning rate of the contextualizer, which starts from scratch."""
    weight_decay: Rate = 0.01
    """Decoupled weight decay of matrices; biases, norms and embeddings of positions have none."""
    warmup_fraction: Share = 0.05
    """Share of all steps with linearly rising learning rate."""
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: NotNegative = 1.0
    """Gradient norm above which gradients are scaled down; 0 for no clipping."""
    precision: Precision = "auto"
    """Autocast of the towers' forward passes; weights and losses stay fp32.

    `auto` is bf16 on a GPU that has it, and fp32 otherwise.
    """
    micro_batch: Count = 40
    """Frames, or texts, that pass through a tower at once. Changes memory, not gradients."""
    activations_gib: NotNegative = 0.0
    """GiB that activations may take; what does not fit is computed twice, to the same gradients.

    0 takes a share of what is free when the run starts: half of it, on a GPU four fifths.
    """
    validate_every: Steps = 0
    """Steps between validations; 0: once an epoch."""
    checkpoint_every: Steps = 0
    """Steps between checkpoints; 0: once an epoch."""
    keep_checkpoints: Count = 2
    """Latest checkpoints kept on disk besides the best one."""
    keep: Keep = "best"
    """Which weights become `model/`: best on val, or those of the last step."""


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
class HeadTrainConfig(Section):
    """Optimisation of a head, validation and checkpoints."""

    section = "train"
    seed: Seed = 0
    """Seed of initial weights, data order and dropout."""
    epochs: Count = 10
    videos_per_batch: Count = 16
    """Videos of a batch."""
    val_fraction: HeldBack = 0.05
    """Share of the train split's groups held back to choose the checkpoint; 0 for none."""
    lr: Rate = 1e-4
    """Peak learning rate."""
    weight_decay: Rate = 0.01
    """Decoupled weight decay of matrices."""
    warmup_fraction: Share = 0.05
    """Share of all steps with linearly rising learning rate."""
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: NotNegative = 1.0
    """Gradient norm above which gradients are scaled down; 0 for no clipping."""
    keep_checkpoints: Count = 2
    """Latest checkpoints kept on disk besides the best one; one is written every epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerConfig(Section):
    """Size of a head."""

    section = "head"
    width: Size = 512
    heads: Size = 8
    """Attention heads; must divide `width`."""
    encoder_layers: Size = 3
    """Layers of the temporal transformer over frame features."""
    decoder_layers: Size = 3
    """Layers of the decoder that writes text."""
    dropout: Annotated[float, Within(0, 0.9)] = 0.1
    max_words: Annotated[int, Within(2, 1024)] = 60
    """Most tokens of a written text; longer ones are cut in training, and counted."""
    min_word_count: Size = 2
    """Words that occur less often in the training texts are unknown, and never written."""
    beam: Annotated[int, Within(1, 64)] = 3
    """Sequences held while a text is written; 1 takes the most probable word each time."""

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        if self.width % self.heads:
            raise ConfigError(
                f"a width of {self.width} does not split into {self.heads} heads",
                where="head.heads",
                fix=f"Choose a divisor of {self.width}.",
            )


FrameLayer = Literal["embedding", "pooled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFrames(Section):
    """Which frames of an event the features are of, and where in the model these are taken."""

    section = "frames"
    per_event: Annotated[int, Within(1, MAX_POSITIONS)] = 4
    """T: frames at the midpoints of T equal segments of an event."""
    layer: FrameLayer = "embedding"
    """CLIP's embedding, or what its image tower pools before it is projected (`pooled`)."""


RelationInputs = Literal["outputs", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationInputs(Section):
    """What parts of a head read besides features."""

    section = "inputs"
    relations: RelationInputs = "outputs"
    """Of two events: their outputs alone, or also the annotated verbs and roles of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationLoss(Section):
    """Weights of the three losses; 0 leaves a part untrained, and it is then not scored."""

    section = "loss"
    verbs: NotNegative = 1.0
    """Cross entropy of an event's verb."""
    roles: NotNegative = 1.0
    """Cross entropy of the tokens of its roles, given its verb."""
    relations: NotNegative = 1.0
    """Cross entropy of its relation to the middle event."""

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        if self.verbs + self.roles + self.relations == 0:
            raise ConfigError("all weights are 0", where="loss", fix="Set one of them above 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationConfig:
    """Everything that, with model and data, decides a head for situations."""

    recipe: str
    frames: EventFrames = field(default_factory=EventFrames)
    head: TransformerConfig = field(default_factory=TransformerConfig)
    inputs: SituationInputs = field(default_factory=SituationInputs)
    loss: SituationLoss = field(default_factory=SituationLoss)
    train: HeadTrainConfig = field(default_factory=HeadTrainConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrames(Section):
    """Which frames of a whole video the features are of, and where in the model they are taken."""

    section = "frames"
    per_second: Annotated[float, Within(0.01, 100)] = 1.0
    """Frames a second, evenly; a video of more than 2,048 of them gives 2,048, evenly."""
    layer: FrameLayer = "embedding"
    """As of `EventFrames`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQueries(Section):
    """The queries that look for events."""

    section = "queries"
    num: Annotated[int, Within(1, 1000)] = 10
    """Queries; no more events of a video can be found."""
    decoder_layers: Annotated[int, Within(1, 100)] = 2
    """In each they look at the frames and move their spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSentences(Section):
    """How sentences of events are taught, and what say they have in which events are told."""

    section = "sentences"
    layers: Literal["last", "all"] = "last"
    """Layers of the queries that are taught to write: only the last, which writes, or each."""
    rerank: NotNegative = 0.0
    """Weight of a sentence's mean log-probability a word beside the confidence, when as many events
    are chosen as are counted. 0 asks no sentence, and then only those chosen are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptioningLoss(Section):
    """Weights of the losses; those of spans and confidence are also the costs of matching."""

    section = "loss"
    confidence: NotNegative = 2.0
    """Focal loss of whether a query has found an event."""
    spans: NotNegative = 4.0
    """1 minus the generalised IoU of found and annotated span."""
    count: NotNegative = 0.5
    """Cross entropy of the number of events."""
    captions: NotNegative = 2.0
    """Cross entropy of the words of the sentence."""

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        for part in ("confidence", "spans", "count", "captions"):
            if getattr(self, part) == 0:
                raise ConfigError("is 0", where=f"loss.{part}", fix="Every part is needed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptioningConfig:
    """Everything that, with model and data, decides a head for dense captioning."""

    recipe: str
    frames: VideoFrames = field(default_factory=VideoFrames)
    head: TransformerConfig = field(default_factory=TransformerConfig)
    queries: EventQueries = field(default_factory=EventQueries)
    sentences: EventSentences = field(default_factory=EventSentences)
    loss: CaptioningLoss = field(default_factory=CaptioningLoss)
    train: HeadTrainConfig = field(default_factory=HeadTrainConfig)

"""The configuration of a run or a task head: frozen dataclasses, validated, with JSON and `--set`.

A recipe (`recipes.py`) is a function that returns a whole config. The class that owns a field
checks it; `RunConfig` checks combinations. Nothing below `adaptation` and `heads` takes a config:
losses, metrics and decoding take plain arguments.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from figclip.errors import ConfigError

CONFIG_FORMAT = 1
MAX_POSITIONS = 32
"""Most events of a video, and most frames of an event, that the contextualizer has places for."""

MAX_LAYERS = 48
"""Most layers of a contextualizer; a folder that claims more is not built."""

TemplateName = Literal["default", "srl_clip", "figclip_v1"]
NegativePolicy = Literal["balanced", "matched", "uniform"]
Adaptation = Literal["lora_image", "lora_text", "lora_both", "full"]
Precision = Literal["fp32", "bf16", "fp16"]
Keep = Literal["best", "last"]


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
        check_range("data.frames_per_event", self.frames_per_event, low=1, high=MAX_POSITIONS)
        check_range("data.videos_per_batch", self.videos_per_batch, low=1)
        check_range("data.val_fraction", self.val_fraction, low=0.0, high=0.5)
        check_range("data.loader_workers", self.loader_workers, low=0, high=64)


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
        check_range("text.verb_negatives", self.verb_negatives, low=0, high=64)
        check_range("text.filler_negatives", self.filler_negatives, low=0, high=64)
        for name in ("template", "negative_policy"):
            check_choice(self, "text", name)


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
        check_choice(self, "model", "adaptation")
        check_range("model.lora_rank", self.lora_rank, low=1, high=4096)
        check_range("model.lora_alpha", self.lora_alpha, low=1e-6)
        check_range(
            "model.contextualizer_layers", self.contextualizer_layers, low=0, high=MAX_LAYERS
        )
        check_range("model.contextualizer_head_dim", self.contextualizer_head_dim, low=1)
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
        for part in ("event", "event_context", "video", "video_context"):
            check_range(f"loss.{part}", getattr(self, part), low=0.0)
        if self.event + self.event_context + self.video + self.video_context == 0:
            raise ConfigError("all weights are 0", where="loss", fix="Set one of them above 0.")

    @property
    def needs_contextualizer(self) -> bool:
        """Whether any loss reads the contextualizer's outputs."""
        return self.event_context > 0 or self.video_context > 0


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
        check_range("train.epochs", self.epochs, low=1)
        for rate in ("lr", "contextualizer_lr"):
            check_range(f"train.{rate}", getattr(self, rate), low=0.0, high=10.0)
        check_range("train.weight_decay", self.weight_decay, low=0.0, high=10.0)
        check_range("train.warmup_fraction", self.warmup_fraction, low=0.0, high=1.0)
        check_range("train.clip_norm", self.clip_norm, low=0.0)
        check_range("train.micro_batch", self.micro_batch, low=1)
        check_range("train.seed", self.seed, low=0, high=2**63 - 1)
        for count in ("validate_every", "checkpoint_every"):
            check_range(f"train.{count}", getattr(self, count), low=0)
        check_range("train.keep_checkpoints", self.keep_checkpoints, low=1)
        for name in ("schedule", "precision", "keep"):
            check_choice(self, "train", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that, with the data, decides the result of a run."""

    recipe: str
    data: DataConfig = field(default_factory=DataConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
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


Config = TypeVar("Config")
"""A dataclass of sections, each a dataclass of settings: `RunConfig`, or that of a head."""


def to_json(config: Any) -> str:
    """The config as indented JSON text, with its format version; `from_json` reads it back."""
    content: dict[str, Any] = {"format": CONFIG_FORMAT, **dataclasses.asdict(config)}
    return json.dumps(content, indent=2) + "\n"


def from_json(text: str, kind: type[Config], *, where: str = "config.json") -> Config:
    """Read a config of a kind, written by `to_json`.

    Raises:
        ConfigError: not JSON, a newer format, an unknown or missing field, or a bad value.
    """
    try:
        content = json.loads(text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # ValueError: also for digits beyond Python's limit
        raise ConfigError(f"is not JSON ({error})", where=where) from error
    if not isinstance(content, dict):
        raise ConfigError("is not a JSON object", where=where)
    table = cast(dict[str, Any], content)
    version = table.pop("format", None)
    if version != CONFIG_FORMAT:
        raise ConfigError(
            f"has format {version!r}, this version reads {CONFIG_FORMAT}",
            where=where,
            fix="Use the figclip version that wrote it, or a newer one.",
        )
    return _build(kind, table, path="")


def apply_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """Apply `--set` overrides, parsed against the types of the fields.

    Args:
        config: Where to start from: a dataclass of sections.
        overrides: Each `section.field=value`, for example `train.lr=1e-4`. Later ones win.

    Raises:
        ConfigError: no `=`, an unknown key (valid ones are listed), or a value of another type.
    """
    changes: dict[str, dict[str, Any]] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(
                f"{override!r} has no '='", where="--set", fix="Write --set train.lr=1e-4."
            )
        section_name, field_type = _field_type(type(config), key.strip())
        changes.setdefault(section_name, {})[key.strip().partition(".")[2]] = _parse(
            value.strip(), field_type, key=key.strip()
        )
    sections = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in changes.items()
    }
    return cast(Config, dataclasses.replace(cast(Any, config), **sections))


def valid_keys(kind: type[Any]) -> list[str]:
    """All keys that `--set` accepts for a kind of config, in the order of the classes."""
    hints = get_type_hints(kind)
    return [
        f"{section}.{entry.name}"
        for section, hint in hints.items()
        if dataclasses.is_dataclass(hint)
        for entry in dataclasses.fields(hint)
    ]


def _field_type(kind: type[Any], key: str) -> tuple[str, Any]:
    """Section name and field type of a dotted key."""
    if key not in valid_keys(kind):
        near = difflib.get_close_matches(key, valid_keys(kind), n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"unknown key {key!r}",
            where="--set",
            fix=f"{hint}Valid keys: {', '.join(valid_keys(kind))}.",
        )
    section, _, name = key.partition(".")
    return section, get_type_hints(get_type_hints(kind)[section])[name]


def _parse(text: str, kind: Any, *, key: str) -> Any:
    """Parse the text of an override as a bool, int, float, choice or string."""
    if kind is bool:
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise ConfigError(f"{text!r} is not true or false", where=f"--set {key}")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            noun = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{text!r} is not {noun}", where=f"--set {key}") from error
    return text


def _build(kind: type[Config], table: Mapping[str, Any], *, path: str) -> Config:
    """Build a config dataclass from parsed JSON; every field must be there, and no other."""
    hints = get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    missing = sorted(set(hints) - set(table))
    if unknown or missing:
        raise ConfigError(
            f"unknown fields {unknown}, missing fields {missing}", where=path or "config"
        )
    values: dict[str, Any] = {}
    for name, expected in hints.items():
        value = table[name]
        where = f"{path}.{name}".lstrip(".")
        if dataclasses.is_dataclass(expected):
            if not isinstance(value, dict):
                raise ConfigError("is not an object", where=where)
            values[name] = _build(
                cast(type[Any], expected), cast(dict[str, Any], value), path=where
            )
        else:
            values[name] = _checked(value, expected, where=where)
    return kind(**values)


def _checked(value: Any, kind: Any, *, where: str) -> Any:
    """The value, if it is of the field's type; whole numbers pass as floats."""
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError("is too large a number", where=where) from error
    if get_origin(kind) is Literal:
        return value  # the owning class checks choices, for JSON and Python alike
    allowed = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if type(value) not in allowed:
        raise ConfigError(f"{value!r} is not of type {kind}", where=where)
    return value


def check_range(
    where: str, value: float, *, low: float = -math.inf, high: float = math.inf
) -> None:
    """Raise unless low <= value <= high (NaN never is)."""
    # Not math.isinf: it cannot take whole numbers beyond the largest float.
    if not low <= value <= high or abs(value) == math.inf:
        bounds = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise ConfigError(f"is {value!r}, must be {bounds}", where=where)


def check_choice(config: object, section: str, name: str) -> None:
    """Raise unless the field's value is one of its Literal's choices."""
    choices = get_args(get_type_hints(type(config))[name])
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(
            f"is {value!r}, must be one of {', '.join(choices)}", where=f"{section}.{name}"
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

"""How a model embeds: what every function and verb that loads one takes, beside the device."""

from dataclasses import dataclass

from figclip.config import Count, Precision, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSettings(Section):
    """How frames and texts pass through the towers of a model. See docs/evaluation.md.

    Attributes:
        precision: That of the towers' products; `auto` is bf16 on a GPU that has it, else fp32.
            Every device takes all of them, though not each is faster there.
        batch_size: Most frames, or texts, that pass through a tower at once. It changes speed and
            memory, and of embeddings the last bits.

    Raises:
        ConfigError: no such precision, or fewer than one at once.
    """

    section = "embedding"
    precision: Precision = "auto"
    batch_size: Count = 32


DEFAULT_EMBEDDING = EmbeddingSettings()

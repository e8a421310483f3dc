"""Tokenizers of the families of models: loaded, checked, written, and named by what they do."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from transformers import AutoTokenizer, CLIPTokenizer, PreTrainedTokenizerBase
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer
from transformers.utils.hub import cached_file

from figclip.errors import ConfigError, ModelError
from figclip.model.loading import load_named, load_part

LEGACY_EOS = 2
"""CLIP's configurations with this end token pool at the highest token id, whatever it is."""

_SENTENCEPIECE = "spiece.model"
_FIX = "Use the tokenizer files that belong to the weights."

Tokenizer: TypeAlias = PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRules:
    """How a family of models reads texts.

    Attributes:
        load: The tokenizer of a source, for a text tower of that configuration, checked.
        pads: Texts are padded to the context length, and the tower sees the padding, as it did in
            training; otherwise padding is masked.
        splits_at_spaces: No token reaches beyond a space.
        write: Files beside those of `save_pretrained`.
    """

    load: Callable[[str, Any], Tokenizer]
    pads: bool = False
    splits_at_spaces: bool = False
    write: Callable[[Tokenizer, Path], None] = lambda tokenizer, folder: None


def check_tokenizer(tokenizer: Tokenizer, config: Any, source: str, *, end: int) -> None:
    """Ids must be within the tower's vocabulary, and texts end with the token it pools at.

    transformers makes a tokenizer of two entries where the files are absent, and a tower that never
    sees its end token pools at the start token: both give embeddings that mean nothing.

    Raises:
        ModelError: it is not the tokenizer of a text tower of this configuration.
    """
    if len(tokenizer) > config.vocab_size:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} entries, the text tower only {config.vocab_size}",
            where=source,
            fix=_FIX,
        )
    if tokenizer.eos_token_id != end:
        raise ModelError(
            f"the tokenizer ends texts with token {tokenizer.eos_token_id}, the text tower reads "
            f"them at token {end}",
            where=source,
            fix=f"{_FIX} If they do, correct text_config.eos_token_id in config.json.",
        )


def check_clip_tokenizer(tokenizer: Tokenizer, config: Any, source: str) -> None:
    """`check_tokenizer` for CLIP's text tower."""
    is_legacy = config.eos_token_id == LEGACY_EOS
    end = config.vocab_size - 1 if is_legacy else config.eos_token_id
    check_tokenizer(tokenizer, config, source, end=end)


def _check_end(tokenizer: Tokenizer, source: str) -> None:
    """Texts must end with the end token, and there must be one to pad with."""
    ids = tokenizer("a")["input_ids"]
    if tokenizer.pad_token_id is None or len(ids) < 2 or ids[-1] != tokenizer.eos_token_id:
        raise ModelError(
            "its tokenizer does not end a text with its end token, or has none to pad with",
            where=source,
            fix=_FIX,
        )


def tokenizer_content(tokenizer: Any) -> bytes:
    """All that decides what a tokenizer makes of a text."""
    if hasattr(tokenizer, "backend_tokenizer"):
        return tokenizer.backend_tokenizer.to_str().encode()
    return tokenizer.sp_model.serialized_model_proto() + repr(tokenizer.do_lower_case).encode()


def _load_clip(source: str, config: Any) -> Tokenizer:
    """CLIP's own."""
    tokenizer = load_part(CLIPTokenizer, source)
    check_clip_tokenizer(tokenizer, config, source)
    return tokenizer


def _write_clip(tokenizer: Any, folder: Path) -> None:
    """vocab.json and merges.txt, which version 4 of transformers reads."""
    tokenizer.backend_tokenizer.model.save(str(folder))


def _load_named_by_its_files(source: str, config: Any) -> Tokenizer:
    """The one that its own files name: MetaCLIP 2 has XLM-V's or mT5's; it pools at the end."""
    tokenizer = load_part(AutoTokenizer, source)
    check_tokenizer(tokenizer, config, source, end=config.eos_token_id)
    _check_end(tokenizer, source)
    return tokenizer


def _load_siglip(source: str, config: Any) -> Tokenizer:
    """SentencePiece's of the first SigLIPs, or Gemma's of SigLIP 2.

    SigLIP 2 was trained on lower-cased texts. Its checkpoints of fixed resolution name Gemma's
    tokenizer, which transformers loads without that; its class for SigLIP 2 has it.
    """
    tokenizer = _load_sentencepiece(source)
    if tokenizer is None:
        tokenizer = load_part(Siglip2Tokenizer, source)
    # Before anything is padded: files may say nothing, or more than the tower reads.
    tokenizer.model_max_length = config.max_position_embeddings
    own: Any = tokenizer.eos_token_id  # the tower reads the last token, whatever it is
    check_tokenizer(tokenizer, config, source, end=own)
    _check_end(tokenizer, source)
    return tokenizer


def _load_sentencepiece(source: str) -> Any:
    """The tokenizer of the first SigLIPs; None where there are no files of one."""
    found = load_named(
        "SiglipTokenizer",
        source,
        lambda: cached_file(
            source,
            _SENTENCEPIECE,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        ),
    )
    if found is None:
        return None
    for needed in ("sentencepiece", "google.protobuf"):
        try:
            import_module(needed)
        except ImportError as error:
            raise ConfigError(
                f"needs {needed} for its texts",
                where=source,
                fix='Install it: pip install "figclip[siglip]"',
            ) from error
    module = import_module("transformers.models.siglip.tokenization_siglip")
    return load_part(module.SiglipTokenizer, source, model_input_names=["input_ids"])


CLIP_TEXTS = TextRules(load=_load_clip, splits_at_spaces=True, write=_write_clip)
NAMED_TEXTS = TextRules(load=_load_named_by_its_files)
SIGLIP_TEXTS = TextRules(load=_load_siglip, pads=True)

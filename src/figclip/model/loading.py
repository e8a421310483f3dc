"""Parts of a model as transformers loads them, its failures as ModelError."""

from collections.abc import Callable
from typing import Any

from huggingface_hub.errors import LocalEntryNotFoundError

from figclip.errors import ModelError


def load_part(kind: Any, source: str, **options: Any) -> Any:
    """`kind.from_pretrained`, by folder or hub id.

    Raises:
        ModelError: it cannot be found or loaded.
    """
    return load_named(kind.__name__, source, lambda: kind.from_pretrained(source, **options))


def load_named(name: str, source: str, load: Callable[[], Any]) -> Any:
    """What `load` returns; its failures say that `source` cannot be loaded as `name`.

    Raises:
        ModelError: it cannot be found or loaded.
    """
    try:
        return load()
    except Exception as error:  # tokenizers raises nothing more special for a damaged file
        if isinstance(error.__cause__, LocalEntryNotFoundError):
            raise ModelError(
                "is not a folder here, and the hub cannot be reached to fetch it",
                where=source,
                fix="Give the folder of a CLIP, or try again with a network.",
            ) from error
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else "no details"
        raise ModelError(
            f"cannot be loaded as {name} ({type(error).__name__}: {first_line})",
            where=source,
            fix="Give a folder that CLIPModel.save_pretrained wrote with its processor, or a hub "
            "id that this machine can reach.",
        ) from error

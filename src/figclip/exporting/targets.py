"""What an export is for: who loads it, how it is written, and how that library loads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from figclip.errors import ConfigError
from figclip.exporting.agreement import Loaded
from figclip.model.card import Library
from figclip.model.families import Family
from figclip.model.figclip import FiGCLIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One value of `--to`.

    Attributes:
        library: What the card says of it.
        needs: Modules without which it can be neither written nor checked.
        extra: The extra of figclip that installs them.
        write: Writes the files into an existing folder.
        load: Loads them by the library's own documented call, once for each precision.
        families: Names of the families of models that it can hold; None for all.
    """

    library: Library
    needs: tuple[str, ...] = ()
    extra: str = ""
    write: Callable[[FiGCLIP, Path], None]
    load: Callable[[Path], list[Loaded]]
    families: tuple[str, ...] | None = None


def check_family(name: str, target: Target, family: Family) -> None:
    """Refuse a model that the target cannot hold; a `ConfigError`."""
    if target.families is not None and family.name not in target.families:
        raise ConfigError(
            f"cannot hold a {family.title}: figclip knows no names for its parts there",
            where=f"--to {name}",
            fix="Take --to hf or --to sentence-transformers",
        )


def check_installed(name: str, target: Target) -> None:
    """Find out whether the library is there, before long work; a `ConfigError` if it is not."""
    for module in target.needs:
        optional(module, extra=target.extra, where=f"--to {name}")


def optional(module: str, *, extra: str, where: str) -> Any:
    """A module of an extra; a `ConfigError` with the line that installs it if it is not there."""
    try:
        return import_module(module)
    except ImportError as error:
        fix = f'Install it: pip install "figclip[{extra}]"'
        raise ConfigError(f"needs {module} ({error})", where=where, fix=fix) from error

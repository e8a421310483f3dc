"""A kill at any file operation, within the process of the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from figclip.runtime import files


class Killed(BaseException):
    """Stands for the kill: not an Exception, so that nothing may swallow it."""


def kill_at(
    patch: pytest.MonkeyPatch, call: int, *, saving: tuple[object, str] | None = None
) -> list[int]:
    """Let the call-th file operation raise, and all after it, as the process is gone.

    Args:
        patch: Undoes it.
        call: Which one, from 1.
        saving: Where a function that writes its second argument has its name; killed, it leaves
            half of the file.

    Returns:
        The number of operations so far, the one item of a list.
    """
    count = [0]

    def counted(
        function: Callable[..., Any], *, half: Callable[..., Any] = lambda *_: None
    ) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == call:
                half(*args)
            if count[0] >= call:
                raise Killed
            return function(*args, **options)

        return wrapped

    write_bytes = Path.write_bytes
    if saving is not None:
        saved = counted(
            getattr(*saving), half=lambda _, path, *__: write_bytes(Path(path), b"half")
        )
        patch.setattr(*saving, saved)
    for name in ("open", "fsync"):
        patch.setattr(os, name, counted(getattr(os, name)))
    for name in ("mkdir", "rename", "replace", "unlink", "write_bytes", "write_text"):
        patch.setattr(Path, name, counted(getattr(Path, name)))
    patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    patch.setattr(files, "_exchange", counted(files._exchange))
    return count

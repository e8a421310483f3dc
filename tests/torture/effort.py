"""How much torture: a little in the slow tier, all of it by `make torture`."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("FIGCLIP_TORTURE") == "full"


def effort(short: int, full: int) -> int:
    """Number of cases."""
    return full if IS_FULL else short

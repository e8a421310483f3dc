"""The command line with all weights in float64, which shows what rounding hides.

Run by tests in several processes; not a test itself.
"""

from __future__ import annotations

import figclip.assembly
import figclip.selection
from figclip.cli import main


def _widened(module: object, name: str) -> None:
    """Replace a function of a module by one whose result is in float64."""
    build = getattr(module, name)
    setattr(module, name, lambda *args, **options: build(*args, **options).double())


if __name__ == "__main__":
    _widened(figclip.assembly, "load_backbone")
    _widened(figclip.assembly, "_build_contextualizer")
    _widened(figclip.selection, "_text_embeddings")
    main()

"""The command line with all weights in float64, which shows what rounding hides.

Run by tests in several processes; not a test itself. It writes how much each process has encoded
into the folder $ENCODED.
"""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from pathlib import Path

import figclip.adaptation.adapt
import figclip.adaptation.assembly
from figclip.cli import main
from figclip.model.backbone import Backbone

encoded: Counter[str] = Counter()
"""Frames and texts."""


def widen(module: object, name: str) -> None:
    """Replace a function of a module by one whose result is in float64."""
    build = getattr(module, name)
    setattr(module, name, lambda *args, **options: build(*args, **options).double())


def count(method: str, kind: str) -> None:
    """Count the rows that a method of the backbone is given."""
    encode = getattr(Backbone, method)

    def counted(self, inputs, **options):  # noqa: ANN001, ANN003, ANN202
        encoded[kind] += len(getattr(inputs, "ids_NL", inputs))
        return encode(self, inputs, **options)

    setattr(Backbone, method, counted)


def write_counts() -> None:
    file = Path(os.environ["ENCODED"]) / f"{os.environ.get('RANK', '0')}.json"
    file.write_text(json.dumps(encoded))


if __name__ == "__main__":
    widen(figclip.adaptation.assembly, "load_backbone")
    widen(figclip.adaptation.assembly, "_build_contextualizer")
    widen(figclip.adaptation.adapt, "_text_embeddings")
    count("encode_frames", "frames")
    count("encode_tokens", "texts")
    atexit.register(write_counts)
    main()

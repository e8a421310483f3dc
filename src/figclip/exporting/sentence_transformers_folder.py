"""`--to sentence-transformers`: a folder with a module of figclip, which also takes videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from figclip.exporting.agreement import Loaded
from figclip.exporting.hf import write_hf
from figclip.exporting.targets import Target
from figclip.model.card import Library
from figclip.model.figclip import FiGCLIP

MODULE = "figclip.exporting.clip_module.ClipModule"


def _write(model: FiGCLIP, folder: Path) -> None:
    """A plain CLIP, and what sentence-transformers looks for beside it."""
    write_hf(model, folder)
    files: dict[str, Any] = {
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": MODULE}],
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "similarity_fn_name": "cosine",
            "prompts": {},
            "default_prompt_name": None,
        },
        # Only for hubs and mteb, which look here for what a model takes.
        "sentence_bert_config.json": {"modality_config": {"text": {}, "image": {}, "video": {}}},
        "figclip_module.json": {"preset": "figclip", "pixel_pipeline": model.video_pipeline.name},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def _load(folder: Path) -> list[Loaded]:
    """As sentence-transformers' documentation has it, on the CPU."""
    library: Any = import_module("sentence_transformers")
    model = library.SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")

    def embed(inputs: Sequence[str] | Sequence[Image.Image]) -> Tensor:
        return model.encode(list(inputs), convert_to_tensor=True, show_progress_bar=False)

    return [Loaded(precision="fp32", embed_images=embed, embed_texts=embed)]


SENTENCE_TRANSFORMERS = Target(
    library=Library(
        name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        usage="""\
from sentence_transformers import SentenceTransformer

# The flag lets it import figclip, which must be installed: the folder holds no code.
model = SentenceTransformer("THIS_FOLDER", trust_remote_code=True)
videos = model.encode(["clip.mp4"])
texts = model.encode(["a man pushes a woman", "a woman pushes a man"])
print(model.similarity(videos, texts))""",
    ),
    needs=("sentence_transformers",),
    extra="sentence-transformers",
    write=_write,
    load=_load,
)

"""Run by an environment with transformers 4: embeds what its argument says, as any user would.

Usage: python old_transformers.py FOLDER PICTURES.npz TEXTS.json OUT.npz
"""

# pyright: basic, reportCallIssue=false, reportGeneralTypeIssues=false
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

folder, pictures, texts, out = sys.argv[1:]
assert transformers.__version__.startswith("4."), transformers.__version__
processor = CLIPProcessor.from_pretrained(folder)
model, info = CLIPModel.from_pretrained(folder, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"], info
with np.load(pictures) as arrays:
    images = [Image.fromarray(arrays[name]) for name in sorted(arrays)]
sentences = json.loads(Path(texts).read_text())
inputs = processor(
    text=sentences, images=images, padding=True, truncation=True, return_tensors="pt"
)
with torch.no_grad():
    output = model.eval()(**inputs)
np.savez(
    out,
    images=output.image_embeds.numpy(),
    texts=output.text_embeds.numpy(),
    ids=inputs["input_ids"].numpy(),
    present=inputs["attention_mask"].numpy(),
    version=transformers.__version__,
    max_length=processor.tokenizer.model_max_length,
    fast=processor.tokenizer.is_fast,
)

"""`--to onnx` and `--to transformers.js`: both towers as ONNX, in three precisions.

config.json, preprocessor_config.json, tokenizer files     as for transformers
onnx/text_model.onnx, onnx/vision_model.onnx               fp32
onnx/…_fp16.onnx, onnx/…_quantized.onnx                    fp16; weights and products of 8 bits

The names are those that transformers.js looks for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoProcessor, PreTrainedConfig

from figclip.exporting.agreement import Loaded
from figclip.exporting.hf import write_hf
from figclip.exporting.targets import Target
from figclip.model.card import Library
from figclip.model.families import CLIP, DualEncoder, find_family, projection
from figclip.model.figclip import FiGCLIP
from figclip.runtime.files import make_folder

OPSET = 18
SUFFIXES = {"fp32": "", "fp16": "_fp16", "int8": "_quantized"}
"""Ends of the names of files, by precision."""


class _TextTower(nn.Module):
    """Token ids and, where padding is masked, their mask to embeddings that are not normalised."""

    def __init__(self, clip: DualEncoder, *, end: int) -> None:
        super().__init__()
        self.clip = clip
        self.end = end

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        # transformers.js 4 cuts a long text without its end, the token that the tower reads.
        has_end = (input_ids == self.end).any(dim=1, keepdim=True)
        ended = torch.cat([input_ids[:, :-1], torch.full_like(input_ids[:, :1], self.end)], dim=1)
        ids = torch.where(has_end, input_ids, ended)
        found = self.clip.text_model(input_ids=ids, attention_mask=attention_mask)
        return projection(self.clip, "text")(found.pooler_output)


class _ImageTower(nn.Module):
    """Normalised pixels to embeddings that are not normalised."""

    def __init__(self, clip: DualEncoder) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pixel_values: Tensor) -> Tensor:
        # Not `encode_pixels`: what it joins at run time could not be quantised.
        pooled = self.clip.vision_model(pixel_values).pooler_output
        return projection(self.clip, "visual")(pooled)


def _write(model: FiGCLIP, folder: Path) -> None:
    """All files."""
    write_hf(model, folder)
    (folder / "model.safetensors").unlink()
    make_folder(folder / "onnx")
    clip, size = model.backbone.clip, model.backbone.preprocessing.image_size
    tokens = model.backbone.tokenize(["a man", "a man pushes a woman"])
    end: Any = model.backbone.tokenizer.eos_token_id
    batch = torch.export.Dim("batch")
    inputs, shape = {"input_ids": tokens.ids_NL}, {0: batch}
    if not model.backbone.family.texts.pads:
        inputs["attention_mask"] = tokens.present_NL
        shape[1] = torch.export.Dim("sequence", max=model.backbone.context_length)
    _export(
        _TextTower(clip, end=end),
        inputs,
        dict.fromkeys(inputs, shape),
        folder / "onnx" / "text_model.onnx",
    )
    _export(
        _ImageTower(clip),
        {"pixel_values": torch.zeros(2, 3, size, size)},
        {"pixel_values": {0: batch}},
        folder / "onnx" / "vision_model.onnx",
    )


def _export(
    tower: nn.Module, inputs: dict[str, Tensor], shapes: dict[str, Any], file: Path
) -> None:
    """One tower, in each precision."""
    onnx, float16 = import_module("onnx"), import_module("onnxruntime.transformers.float16")
    quantization: Any = import_module("onnxruntime.quantization")
    with warnings.catch_warnings():
        # The exporter asks torch under names that torch has deprecated.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            tower.eval(),
            kwargs=inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=["text_embeds" if "input_ids" in inputs else "image_embeds"],
            dynamic_shapes=shapes,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.save(str(file))
    half = float16.convert_float_to_float16(onnx.load(file), keep_io_types=True)
    onnx.save(half, file.with_stem(f"{file.stem}{SUFFIXES['fp16']}"))
    with TemporaryDirectory() as aside:
        inferred = Path(aside) / file.name
        quantization.quant_pre_process(
            file, inferred, skip_optimization=True, skip_symbolic_shape=True
        )
        quantization.quantize_dynamic(
            inferred,
            file.with_stem(f"{file.stem}{SUFFIXES['int8']}"),
            per_channel=True,
            op_types_to_quantize=["MatMul"],
        )


def _load(folder: Path) -> list[Loaded]:
    """Each precision by onnxruntime, behind the processor of transformers."""
    onnxruntime: Any = import_module("onnxruntime")
    processor: Any = AutoProcessor.from_pretrained(folder)
    config = PreTrainedConfig.get_config_dict(folder)[0]
    pads = find_family(config["model_type"], source=str(folder)).texts.pads

    def open_tower(name: str) -> Any:
        return onnxruntime.InferenceSession(
            folder / "onnx" / name, providers=["CPUExecutionProvider"]
        )

    def load(precision: str, suffix: str) -> Loaded:
        text, image = (open_tower(f"{name}_model{suffix}.onnx") for name in ("text", "vision"))

        def embed_images(images: Sequence[Image.Image]) -> Tensor:
            inputs = processor.image_processor(images=list(images), return_tensors="np")
            return torch.from_numpy(image.run(None, dict(inputs))[0])

        def embed_texts(texts: Sequence[str]) -> Tensor:
            inputs = processor.tokenizer(
                list(texts),
                padding="max_length" if pads else True,
                truncation=True,
                return_tensors="np",
            )
            return torch.from_numpy(text.run(None, dict(inputs))[0])

        return Loaded(precision=precision, embed_images=embed_images, embed_texts=embed_texts)

    return [load(precision, suffix) for precision, suffix in SUFFIXES.items()]


def _target(library: Library, *, families: tuple[str, ...] | None) -> Target:
    """The same folder, for one library or the other."""
    return Target(
        library=library,
        needs=("onnx", "onnxscript", "onnxruntime"),
        extra="onnx",
        families=families,
        write=_write,
        load=_load,
    )


_LIMIT = f"ONNX opset {OPSET}. The files `…_fp16.onnx` and `…_quantized.onnx` round."

ONNX = _target(
    Library(
        name="onnx",
        pipeline_tag="zero-shot-image-classification",
        usage="""\
import onnxruntime
from transformers import AutoProcessor

processor = AutoProcessor.from_pretrained("THIS_FOLDER")
tower = onnxruntime.InferenceSession("THIS_FOLDER/onnx/text_model.onnx")
tokens = processor.tokenizer(["a man pushes a woman"], return_tensors="np")
(texts,) = tower.run(None, dict(tokens))""",
        limits=(_LIMIT,),
    ),
    families=None,
)

TRANSFORMERS_JS = _target(
    Library(
        name="transformers.js",
        pipeline_tag="image-feature-extraction",
        usage="""\
import { AutoTokenizer, CLIPTextModelWithProjection } from "@huggingface/transformers";

const tokenizer = await AutoTokenizer.from_pretrained("THIS_FOLDER");
const model = await CLIPTextModelWithProjection.from_pretrained("THIS_FOLDER", { dtype: "fp32" });
const inputs = tokenizer(["a man pushes a woman"], { padding: true, truncation: true });
const { text_embeds } = await model(inputs);""",
        limits=(_LIMIT,),
    ),
    families=(CLIP.name,),
)

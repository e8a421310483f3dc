"""The module of sentence-transformers that an export names: texts, images and videos.

sentence-transformers imports it by its path, which is written into exports: it stays here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from sentence_transformers.base.modality import (  # pyright: ignore[reportMissingImports]
    infer_batch_modality,
)
from sentence_transformers.base.modules import (  # pyright: ignore[reportMissingImports]
    InputModule,
)
from torch import Tensor
from torch.nn.functional import normalize

from figclip.errors import ModelError, shown
from figclip.model.backbone import Backbone, TokenBatch, load_backbone
from figclip.model.folder import write_clip_files
from figclip.video.container import video_duration_s
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.images import read_image
from figclip.video.pixels import PixelPipeline, image_to_pixels
from figclip.video.sampling import clip_times_s, find_preset


class ClipModule(InputModule):
    """Embeds texts, images and videos as figclip does; rows of length 1.

    A text is a string, an image a path, a picture of Pillow or an array of 8 bits. A video is a
    path, whose frames are taken as the preset says, an array of frames, or `{"video": frames}`. Of
    given frames at most as many are taken, at the midpoints of equal parts.

    Attributes:
        preset: Name of the preset of frames, see docs/evaluation.md.
        pixel_pipeline: What prepares the frames of videos.
    """

    config_file_name = "figclip_module.json"
    config_keys = ["preset", "pixel_pipeline"]
    save_in_root = True

    def __init__(self, backbone: Backbone, *, preset: str, pixel_pipeline: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = backbone.tokenizer
        self.preset = preset
        self.pixel_pipeline = pixel_pipeline
        size, own = backbone.preprocessing.image_size, backbone.preprocessing.pipeline
        self._image_pipeline = PixelPipeline(name=own, size=size)
        self._video_pipeline = PixelPipeline(name=pixel_pipeline, size=size)

    @property
    def modalities(self) -> list[Any]:
        """What it embeds."""
        return ["text", "image", "video"]

    @property
    def max_seq_length(self) -> int:
        """Most tokens of a text; longer ones are cut."""
        return self.backbone.context_length

    def get_embedding_dimension(self) -> int:
        """D, the width of the joint embedding."""
        return self.backbone.dim

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **options: Any
    ) -> dict[str, Tensor]:
        """Decode and tokenise.

        Args:
            inputs: Texts, or images, or videos.
            prompt: What is put before each text.
            options: Of other modules of sentence-transformers; none is heeded.

        Returns:
            Tokens, or the frames of all inputs and how many each has.

        Raises:
            VideoError: a file that cannot be decoded.
            ModelError: something else than a text, an image or a video.
        """
        del options
        modality = infer_batch_modality(inputs)
        given = [one[modality] if modality in _keys(one) else one for one in inputs]
        if modality == "text":
            tokens = self.backbone.tokenize([(prompt or "") + str(one) for one in given])
            return {"input_ids": tokens.ids_NL, "attention_mask": tokens.present_NL}
        if modality == "image":
            pictures = [_to_picture(one) for one in given]
            frames = [image_to_pixels(one, pipeline=self._image_pipeline)[None] for one in pictures]
        elif modality == "video":
            frames = [self._frames(one) for one in given]
        else:
            raise ModelError(f"got {shown(modality)}, takes texts, images and videos")
        counts = torch.tensor([len(one) for one in frames])
        return {"frames": torch.from_numpy(np.concatenate(frames)), "frame_counts": counts}

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Embed what `preprocess` made; `sentence_embedding` has a row for each input."""
        del options
        if "input_ids" in features:
            tokens = TokenBatch(features["input_ids"], features["attention_mask"], ())
            rows_ND = self.backbone.encode_tokens(tokens)
        else:
            embedded = normalize(self.backbone.encode_frames(features["frames"]), dim=-1)
            parts = embedded.split(features["frame_counts"].tolist())
            rows_ND = torch.stack([part.mean(dim=0) for part in parts])
        return {**features, "sentence_embedding": normalize(rows_ND, dim=-1)}

    @classmethod
    def load(  # pyright: ignore[reportIncompatibleMethodOverride] - options of it by name
        cls, model_name_or_path: str, subfolder: str = "", **options: Any
    ) -> ClipModule:
        """Load it from a folder, or from the hub."""
        known = ("token", "cache_folder", "revision", "local_files_only")
        place = {name: options[name] for name in known if name in options}
        config = cls.load_config(model_name_or_path, subfolder=subfolder, **place)
        folder = cls.load_dir_path(model_name_or_path, subfolder=subfolder, **place)
        return cls(load_backbone(str(folder)), **config)

    def save(self, output_path: str, *args: Any, **options: Any) -> None:
        """Write the folder that `load` reads, a plain CLIP."""
        del args, options
        write_clip_files(
            Path(output_path),
            state=self.backbone.clip.state_dict(),
            config=self.backbone.clip.config,
            tokenizer=self.backbone.tokenizer,
            preprocessing=self.backbone.preprocessing,
        )
        self.save_config(output_path)

    def _frames(self, video: Any) -> UInt8[np.ndarray, "T S S 3"]:
        """The frames of a video that are looked at, resized and cropped."""
        sampling = find_preset(self.preset).sampling
        if isinstance(video, str):
            times_s = clip_times_s(video_duration_s(video), sampling)
            return decode_frames(video, times_s, pipeline=self._video_pipeline).frames_NHWC
        found = video["array"] if isinstance(video, Mapping) else video
        if len(found) == 0:
            raise ModelError("a video has no frames")
        # Without times every frame lasts a second, so that the rule finds places among them.
        wanted = len(clip_times_s(float(len(found)), sampling))
        places = range(len(found))
        if wanted < len(found):
            places = [int(one) for one in sample_midpoints(0.0, float(len(found)), num=wanted)]
        pictures = [_to_picture(found[place]) for place in places]
        return np.stack([image_to_pixels(one, pipeline=self._video_pipeline) for one in pictures])


def _keys(value: Any) -> frozenset[str]:
    """Keys of a mapping; an array has none."""
    return frozenset(value) if isinstance(value, Mapping) else frozenset()


def _to_picture(value: Any) -> Image.Image:
    """A picture from what sentence-transformers takes for one."""
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, str):
        return read_image(Path(value))
    array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ModelError(
            f"a picture is an array of {array.dtype} and shape {array.shape}",
            fix="Give 8 bits, height x width x 3 or 3 x height x width",
        )
    return Image.fromarray(np.ascontiguousarray(array))

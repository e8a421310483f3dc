"""Tasks of mteb on made-up pictures and films."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification

import datasets
from tests.slow.pictures import film, random_picture

LABELS = [0, 1, 0, 1]


def of_task(name: str, kind: Any, modality: Any, category: Any) -> TaskMetadata:
    return TaskMetadata(
        name=name, description="made up", dataset={"path": "made/up", "revision": "1"}, type=kind,
        category=category, eval_splits=["test"], eval_langs=["eng-Latn"], main_score="accuracy",
        modalities=[modality, "text"],
    )  # fmt: skip


class Pictures(AbsTaskZeroShotClassification):
    metadata = of_task("MadeUpPictures", "ZeroShotClassification", "image", "i2t")
    input_column_name = "image"

    def load_data(self, *args: Any, **options: Any) -> None:
        content = {"image": [random_picture(seed) for seed in range(4)], "label": LABELS}
        test = datasets.Dataset.from_dict(content).cast_column("image", datasets.Image())
        self.dataset, self.data_loaded = datasets.DatasetDict(test=test), True

    def get_candidate_labels(self) -> list[str]:
        return ["a man pushes a woman", "a woman pushes a man"]


class Videos(Pictures):
    """Its decoder stands in for torchcodec's, which needs a system FFmpeg."""

    metadata = of_task("MadeUpVideos", "VideoZeroshotClassification", "video", "v2t")
    input_column_name = "video"

    def load_data(self, *args: Any, **options: Any) -> None:
        test = datasets.Dataset.from_dict({"video": list(range(4)), "label": LABELS})
        self.dataset = datasets.DatasetDict(test=test.with_transform(self._decoded))
        self.data_loaded = True

    @staticmethod
    def _decoded(batch: dict[str, Any]) -> dict[str, Any]:
        decoders = {"video": [decoder(seed) for seed in batch.get("video", ())]}
        return {**batch, **(decoders if "video" in batch else {})}


def decoder(seed: int) -> SimpleNamespace:
    frames = torch.from_numpy(np.stack([np.asarray(one) for one in film(seed)]))
    return SimpleNamespace(
        metadata=SimpleNamespace(num_frames=30, end_stream_seconds=3.0),
        get_frames_at=lambda idxs: SimpleNamespace(data=frames.permute(0, 3, 1, 2)[idxs]),
    )

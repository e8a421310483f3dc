"""What a head of full size takes for videos of an hour, one frame a second."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

GIB = 2**30
NUM_FRAMES, NUM_VIDEOS = 3600, 4
CODE = """
import json, sys, torch
from figclip.config.recipes import build_captioning_recipe
from figclip.datasets.dense_captions import CaptionedSpan, ReferenceVideo
from figclip.heads.captioning.predict import predict_captions
from figclip.heads.captioning.task import TASK
from figclip.heads.captioning.training import CaptioningTrainee
from figclip.heads.captioning.videos import CaptionedVideo, VideoFeatures
from figclip.heads.vocabulary import Vocabulary
from figclip.runtime.memory import peak_memory_bytes
from figclip.training.batches import BatchItem

num_frames, num_videos = map(int, sys.argv[1:])
words = tuple(f"w{i}" for i in range(5000))
vocabulary = Vocabulary(marks=(), words=words)
events = tuple(
    CaptionedSpan(start_s=360.0 * i, end_s=360.0 * i + 350, sentence=" ".join(words[:15]))
    for i in range(10)
)
annotation = ReferenceVideo(id="v", duration_s=float(num_frames), events=events)
videos = [CaptionedVideo(id="v", annotations=(annotation,), clip_idx=0)] * num_videos
times_s = tuple(i + 0.5 for i in range(num_frames))
rows = torch.nn.functional.normalize(torch.randn(num_frames, 768), dim=1)
features = VideoFeatures((rows,) * num_videos, (times_s,) * num_videos)
config = build_captioning_recipe("captioning")
head = TASK.fresh_head(config, vocabulary, feature_dim=768)
trainee = CaptioningTrainee(head, features, videos, vocabulary=vocabulary, config=config)
cpu = torch.device("cpu")
peaks = [peak_memory_bytes(cpu)]
predict_captions(head, features, range(num_videos), vocabulary=vocabulary)
peaks.append(peak_memory_bytes(cpu))
batch = [BatchItem(i, 0) for i in range(num_videos)]
trainee.accumulate_gradients(batch, loss_scale=1.0)
peaks.append(peak_memory_bytes(cpu))
print(json.dumps(peaks))
"""


def test_hours_of_video_take_as_much_memory_as_one():
    """A batch of four hours; attention alone would hold 7 GiB of pairs, each layer."""
    command = [sys.executable, "-c", CODE, str(NUM_FRAMES), str(NUM_VIDEOS)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1200)
    before, predicted, trained = json.loads(answer.stdout)
    assert predicted - before < 1.0 * GIB
    assert trained - before < 2.0 * GIB

"""Every kind of file that figclip writes and reads again: one of each, and what is made of it.

Another kind joins by a line in `KINDS`. Not among them are formats of others, which cannot hold a
check (predictions, annotations, videos, a base), and what nobody reads again (pictures, the page,
the coverage beside a store).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figclip.adaptation.adapt import adapt
from figclip.annotations.vidsitu import load_source
from figclip.config import HeadTrainConfig, SituationConfig, TransformerConfig, parsing
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.sources import DataSource
from figclip.heads.run import head_file, load_head, read_head_info
from figclip.heads.situations.task import TASK, finetune_situations
from figclip.miniworld.stages import lay_out_base
from figclip.model.backbone import load_backbone, state_hash, weights_hash
from figclip.model.embedding_cache import EmbeddingCache
from figclip.model.figclip import FiGCLIP
from figclip.reporting.result_files import read_items, read_summary
from figclip.reporting.run_data import read_run_data
from figclip.search.index_file import IndexFile
from figclip.search.indexing import index
from figclip.training.run_folder import RunFolder, data_before, read_text
from figclip.video.store import FrameStore, FrameStoreWriter, QuarantinedVideo
from tests.adapted_world import make_world
from tests.kept_sets import write_kept_world
from tests.reporting.written_runs import WrittenRun, write_summary

STORE, CACHE, RUN, HEADS = "drawn/frames.store", "cache.sqlite", "my run", "heads"
MINI_CLIP, INDEX = "mini-clip-0", "videos.index"
HEAD = SituationConfig(
    recipe="test",
    frames=dataclasses.replace(SituationConfig(recipe="").frames, per_event=2),
    head=TransformerConfig(
        width=16, heads=2, encoder_layers=1, decoder_layers=1, max_words=20, min_word_count=1
    ),
    train=HeadTrainConfig(epochs=1, videos_per_batch=40, lr=1e-3),
)
DIM, NUM_VECTORS = 16, 300


@dataclass(frozen=True)
class Kind:
    """Files by a pattern below the folder, and all that figclip makes of one, as something equal.

    `read` is given the folder and the file.
    """

    files: str
    read: Callable[[Path, Path], object]


def write_files(folder: Path) -> None:
    """One of every kind, by what writes it."""
    world = make_world(folder / "drawn", num_videos=2)
    with FrameStoreWriter(world.store, spec=FrameStore.open(world.store).spec) as store:
        bad = {"split": "train", "path": "a.mp4", "reason": "damaged", "detail": "damaged: half"}
        store.quarantine(QuarantinedVideo(id="a", **bad))
    embed(folder / CACHE)
    kept = write_kept_world(folder / "kept")
    adapt(
        kept.config("train.keep=best"),
        data=[kept.store],
        out=folder / RUN,
        keep=[kept.colours],
        cache=folder / "caches",
        cpu=True,
    )
    evaluate(
        folder / RUN,
        base=kept.base,
        data=[kept.colours, DataSource(name="events", path=kept.store)],
        out=folder / RUN / "eval",
        frames_per_event=2,
        sweep_alpha=True,
        cache=folder / "caches",
    )
    write_summary(WrittenRun(folder))
    lay_out_base(folder / MINI_CLIP, 0)
    index(world.base, [world.videos], out=folder / INDEX)
    events = DataSource(name="vidsitu", path=kept.store)
    finetune_situations(HEAD, model=folder / RUN, data=events, out=folder / HEADS, cpu=True)


def embed(file: Path) -> bytes:
    """Vectors through an embedding cache."""
    items = [f"text {number}" for number in range(NUM_VECTORS)]

    def compute(part: list[str]) -> np.ndarray:
        seeds = [int(one.split()[1]) for one in part]
        return np.stack([np.random.default_rng(s).random(DIM, np.float32) for s in seeds])

    cache = EmbeddingCache(file, model="a model")
    contents = [one.encode() for one in items]
    return cache.embed(items, contents=contents, dim=DIM, compute=compute).tobytes()


def read_store(_: Path, file: Path) -> object:
    """Annotations, videos, frames, files."""
    with FrameStore.open(file) as store:
        records, source = store.records(), store.source()
        videos = []
        for video in dict.fromkeys(one.video_hash for one in records):
            times_us = store.frame_times_us(video)
            frames = store.read_frames(video, times_us).tobytes()
            videos.append((store.find_video(video), times_us, frames))
        loaded = None if source is None else load_source(source)
        return repr((store.spec, records, store.quarantine(), store.coverage, loaded)), videos


def read_model(folder: Path, _: Path) -> object:
    """The model at a strength that needs the adapter, and its words."""
    model = FiGCLIP.from_pretrained(folder / RUN, alpha=0.5)
    assert model.contextualizer is not None
    backbone = model.backbone
    tokens = backbone.tokenize(["a man pushes a woman", "Zoë's 2 dogs run away"])
    return repr(
        (
            weights_hash(backbone.clip),
            str(backbone.clip.config),
            backbone.preprocessing,
            tokens,
            weights_hash(model.contextualizer),
            model.info,
        )
    )


def read_index(_: Path, file: Path) -> object:
    """Files, windows, pictures."""
    with IndexFile(file) as opened:
        windows = opened.windows()
        pictures = [
            opened.thumbnail(windows.hashes[video_idx], int(number))
            for video_idx, number in zip(windows.video_idx_N, windows.number_N, strict=True)
        ]
        rows = (windows.hashes, windows.spans_us_N2.tobytes(), windows.vectors_ND.tobytes())
        return repr((opened.spec, opened.files(), opened.content_hash(), rows, pictures))


def read_mini_clip(folder: Path, _: Path) -> object:
    """The base of a quickstart that goes on."""
    lay_out_base(folder / MINI_CLIP, 0)
    clip = load_backbone(str(folder / MINI_CLIP))
    return weights_hash(clip.clip), repr((clip.preprocessing, clip.tokenize(["a red cat", "Zoë"])))


def read_run(folder: Path, _: Path) -> object:
    """What a report shows, and what a resumed run is held to."""
    data = read_run_data(folder / RUN)
    items = [list(read_items(result)) for result in data.results]
    return repr((data, items, data_before(RunFolder(folder / RUN))))


def read_without_strength(folder: Path, file: Path) -> object:
    """As a report without `strength.json` does: then the sweep is shown."""
    strength = folder / RUN / "strength.json"
    hidden = strength.rename(strength.with_suffix(".hidden"))
    try:
        return read_run(folder, file)
    finally:
        hidden.rename(strength)


def read_checkpoint(_: Path, file: Path) -> object:
    """Tensors and counters."""
    step = int(file.parent.name.removeprefix("step-"))
    checkpoint = RunFolder(file.parents[2]).load_checkpoint(step)
    return checkpoint.state, state_hash(checkpoint.tensors)


def read_heads(folder: Path, _: Path) -> object:
    """What heads can say, how they are built, their weights, and what they have seen."""
    run = RunFolder(folder / HEADS)
    info = read_head_info(run.path, task=TASK.name)
    config = parsing.from_json(read_text(run.config), SituationConfig)
    vocabulary = TASK.build_vocabulary(*(tuple(info.vocabulary[name]) for name in TASK.lists))
    head = TASK.fresh_head(config, vocabulary, feature_dim=info.feature_dim)
    weights = []
    for name in info.models:
        load_head(head_file(run.path, name), head)
        weights.append(weights_hash(head))
    return repr((info, config, weights, data_before(run)))


KINDS = {
    "store": Kind(STORE, read_store),
    "embedding cache": Kind(CACHE, lambda _, file: hashlib.sha256(embed(file)).digest()),
    "model weights": Kind(f"{RUN}/model/**/*.safetensors", read_model),
    "model settings": Kind(f"{RUN}/model/**/*.*[!s]", read_model),
    "index": Kind(INDEX, read_index),
    "mini CLIP": Kind(f"{MINI_CLIP}/*", read_mini_clip),
    "run": Kind(f"{RUN}/*.json*", read_run),
    "checkpoint": Kind(f"{RUN}/checkpoints/*/*", read_checkpoint),
    "result": Kind(f"{RUN}/eval/actions*.json*", read_run),
    "sweep": Kind(f"{RUN}/eval/sweep.json", read_without_strength),
    "summary": Kind(
        f"{RUN}/eval/summary.json",
        lambda folder, file: (read_summary(file), read_run(folder, file)),
    ),
    "times": Kind(f"{RUN}/eval/timings.json", read_run),
    "heads": Kind(f"{HEADS}/*.json", read_heads),
    "head weights": Kind(f"{HEADS}/*/head.safetensors", read_heads),
    "checkpoint of heads": Kind(f"{HEADS}/*/checkpoints/*/*", read_checkpoint),
}

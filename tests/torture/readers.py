"""Every reader there is, with good files of its own. Another one joins by a line in `READERS`.

What figclip writes is the content of `fixtures/before_the_house.tar.xz`, whose files
have no hashes: with them, most damage would be refused before it is parsed.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from figclip.adaptation.keeping import read_texts
from figclip.annotations.vidsitu import load_source
from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.situations import load_situation_truth
from figclip.heads.feature_archive import FeatureArchive
from figclip.heads.run import read_head_info
from figclip.model.embedding_cache import EmbeddingCache
from figclip.model.figclip import FiGCLIP
from figclip.reporting.head_data import read_head_data
from figclip.reporting.result_files import read_costs, read_items, read_result_files, read_summary
from figclip.reporting.run_data import read_curve, read_run_data
from figclip.scoring.score import score_predictions
from figclip.search import approximate
from figclip.search.approximate import LEAST_WINDOWS, open_approximate
from figclip.search.index_file import IndexFile, IndexWriter
from figclip.training.run_folder import RunFolder
from figclip.video.images import read_image
from figclip.video.store import FrameStore
from tests.annotation_files import own_event, own_video, write_csv, write_jsonl, write_vidsitu
from tests.reporting.written_runs import WrittenRun, write_strength, write_summary
from tests.search.test_index_file import SPEC, file, video
from tests.situation_files import relation_rows, role_rows, verb_rows, write_official


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A way to read files: how good ones are made, which are damaged, and what reads them.

    Attributes:
        write: Makes good files in a folder; the second argument holds what old figclip wrote.
        read: Reads the folder; may raise a `FigclipError`.
        files: Pattern of those that are damaged, below the folder.
        share: How many of a thousand cases are its.
    """

    write: Callable[[Path, Path], None]
    read: Callable[[Path], object]
    files: str = "*"
    share: int = 15


def texts(**contents: str) -> Callable[[Path, Path], None]:
    """Writes text files; `__` in a name is its dot."""

    def write(folder: Path, _: Path) -> None:
        for name, content in contents.items():
            (folder / name.replace("__", ".")).write_text(content)

    return write


def part(*names: str) -> Callable[[Path, Path], None]:
    """Copies files or folders of those that old figclip wrote."""

    def write(folder: Path, old: Path) -> None:
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            is_folder = (old / name).is_dir()
            (shutil.copytree if is_folder else shutil.copy)(old / name, target)

    return write


def benchmark(name: str, *, split: str | None = None) -> Callable[[Path], object]:
    """Reads a benchmark's folder, or the only file of one's own."""

    def read(folder: Path) -> object:
        path = next(folder.iterdir()) if name in ("retrieval", "pairs", "actions") else folder
        return load_benchmark(name, path, split=split)

    return read


def write_own(folder: Path, _: Path) -> None:
    events = [own_event(roles={"walker": "man", "direction": "up"}, slots={"walker": "Arg1"})]
    other = own_video(id="b", video="b.mp4", events=[own_event()], captions=["a man walks"])
    write_jsonl(folder / "own.jsonl", [own_video(events=events), other])


def write_table(folder: Path, _: Path) -> None:
    row = {"video": "a.mp4", "start_s": 0, "end_s": 2.5, "verb": "walk (on foot)"}
    rows = [{**row, "role:walker:Arg1": "man", "role:goal": "home"}, {**row, "annotation": "2"}]
    columns = list(dict.fromkeys(key for one in rows for key in one))
    write_csv(folder / "own.csv", [{key: one.get(key, "") for key in columns} for one in rows])


def predictions(rows: list[dict[str, Any]], suffix: str) -> Reader:
    """Predictions of VidSitu, as JSON or a pickle."""
    content = pickle.dumps(rows) if suffix == ".pkl" else json.dumps(rows).encode()

    def write(folder: Path, _: Path) -> None:
        write_official(folder / "truth")
        (folder / f"found{suffix}").write_bytes(content)

    def read(folder: Path) -> object:
        data = f"vidsitu:{folder / 'truth'}"
        return score_predictions(folder / f"found{suffix}", data=data, out=folder.parent / "scores")

    return Reader(write=write, files="found.*", read=read, share=10)


def read_dense(folder: Path) -> object:
    data = f"activitynet:{folder / 'val_1.json'}"
    return score_predictions(folder / "found.json", data=data, out=folder.parent / "scores")


def read_store(folder: Path) -> None:
    with FrameStore.open(folder / "frames.store") as store:
        store.quarantine()
        for stored in store.records():
            store.find_video(stored.video_hash)
            store.read_frames(stored.video_hash, store.frame_times_us(stored.video_hash)[:2])
        if (source := store.source()) is not None:
            load_source(source)
        dict(store.coverage)


def write_index(folder: Path, _: Path) -> None:
    with IndexWriter(folder / "videos.index", spec=SPEC) as writer:
        for name in ("a", "b"):
            writer.add_video(video(name))
            writer.set_file(file(f"/videos/{name}.mp4", name))
        writer.set_file(file("/videos/c.mp4", problem="empty: has 0 bytes"))


def write_approximate(folder: Path, _: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(LEAST_WINDOWS, 4)).astype(np.float32)
    open_approximate(folder / "a", "ivfpq", vectors_ND=vectors, content_hash="a")


def read_approximate(folder: Path) -> object:
    return approximate._read(
        folder / "a.ivfpq", kind="ivfpq", content_hash="a", num_windows=LEAST_WINDOWS
    )


def read_index(folder: Path) -> object:
    with IndexFile(folder / "videos.index") as index:
        windows = index.windows()
        for video_hash in windows.hashes:
            index.thumbnail(video_hash, 0)
        return index.files(), index.content_hash(), windows


def write_cache(folder: Path, _: Path) -> None:
    read_cache(folder)


def read_cache(folder: Path) -> None:
    cache = EmbeddingCache(folder / "cache.sqlite", model="m")
    contents = [bytes([number]) for number in range(3)]
    cache.embed(
        contents, contents=contents, dim=4, compute=lambda new: np.ones((len(new), 4), "f4")
    )


def read_results(folder: Path) -> None:
    for result in read_result_files(folder / "run" / "eval"):
        list(read_items(result))


def write_summaries(folder: Path, _: Path) -> None:
    written = WrittenRun(folder)
    (written.run / "eval").mkdir(parents=True)
    write_summary(written)
    write_strength(written)


def read_summaries(folder: Path) -> None:
    run = WrittenRun(folder).run
    read_costs(run / "eval" / "timings.json")
    read_summary(run / "eval" / "summary.json")
    read_curve(run, alpha=0.5, results=())


def write_pictures(folder: Path, _: Path) -> None:
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "ppm", "webp"):
        Image.new("RGB", (20, 10), "red").save(folder / f"picture.{suffix}")


def write_features(folder: Path, _: Path) -> None:
    """As others publish them; HDF5 only where h5py is installed."""
    rows = np.random.default_rng(0).normal(size=(5, 3))
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "v_a_feats.npy", rows)
    np.savez(folder / "stored.npz", v_a=rows, v_b=rows.astype("f2"))
    np.savez_compressed(folder / "packed.npz", v_a=rows[:, None])
    save_file({"v_a": rows.astype("f4")}, folder / "features.safetensors")
    if find_spec("h5py"):
        import h5py

        with h5py.File(folder / "features.h5", "w") as file:
            file.create_group("v_a")["c3d_features"] = rows


def read_features(folder: Path) -> object:
    found = []
    for path in sorted(folder.iterdir()):
        archive = FeatureArchive.open(path)
        found += [archive.content_hash(), *archive.read(sorted(archive.keys))]
    return found


PARAGRAPHS = '{"v_a": {"duration": 9, "timestamps": [[0, 2], [3, 9.5]], "sentences": ["a", "b"]}}'
DENSE = (
    '{"version": "1", "results": {"v_a": [{"sentence": "a b", "timestamp": [0, 2], "score": 1}]}}'
)
SUGAR = '{"0": {"filename": "a.jpg", "caption": "a", "negative_caption": "b"}}'
SUGAR_PP = '[{"id": 1, "filename": "a", "caption": "a", "caption2": "b", "negative_caption": "c"}]'
ARO = (
    '[{"image_path": "a.jpg", "bbox_x": 0, "bbox_y": 1, "bbox_w": 2, "bbox_h": 3, "relation_name": '
    '"on", "attributes": ["a", "b"], "true_caption": "a", "false_caption": "b"}]'
)
WINOGROUND = (
    '{"id": 0, "image_0": "a", "image_1": "b", "caption_0": "c", "caption_1": "d", "tag": "e"}\n'
)
VELOCITI = "video_id,pos,neg,in_subset,event\na,he,she,True,Ev1\nb,he,she,False,Ev2\n"
OLD_VELOCITI = "cap1,cap2,ev,gt,video_id\nhe,she,Ev1,cap1,a\nhe,she,Ev1,cap2,b\n"
OWN_RETRIEVAL = (
    '{"video": "a.mp4", "captions": ["a"], "id": "1"}\n{"image": "b", "captions": ["b"]}\n'
)
OWN_PAIRS = '{"video": "a", "positives": ["a"], "negatives": ["b"], "subset": "s", "split": "x"}\n'
OWN_ACTIONS = "file,label\na.mp4,run\nb.mp4,nod\n"

READERS: dict[str, Reader] = {
    "own annotations": Reader(
        write=write_own, read=lambda d: load_source(d / "own.jsonl"), share=230
    ),
    "own table": Reader(write=write_table, read=lambda d: load_source(d / "own.csv"), share=150),
    "vidsitu": Reader(
        write=lambda d, _: write_vidsitu(d), files="**/*.json", read=load_source, share=100
    ),
    "vidsitu truth": Reader(
        write=lambda d, _: write_official(d),
        read=lambda d: load_situation_truth(d, "valid"),
        share=80,
    ),
    "verbs": predictions(verb_rows(), ".json"),
    "roles": predictions(role_rows(), ".json"),
    "relations": predictions(relation_rows(), ".json"),
    "pickled verbs": predictions(verb_rows(), ".pkl"),
    "pickled roles": predictions(role_rows(), ".pkl"),
    "dense captions": Reader(
        write=texts(val_1__json=PARAGRAPHS, found__json=DENSE), read=read_dense, share=70
    ),
    "texts": Reader(
        write=texts(texts__txt="a photo\nof a dog\n"),
        read=lambda d: read_texts(d / "texts.txt"),
        share=10,
    ),
    "msrvtt": Reader(
        write=texts(MSRVTT_JSFUSION_test__csv="key,video_id,sentence\n0,a,b\n"),
        read=benchmark("msrvtt"),
    ),
    "activitynet": Reader(write=texts(val_1__json=PARAGRAPHS), read=benchmark("activitynet")),
    "youcook2": Reader(write=texts(yc2_val__json=PARAGRAPHS), read=benchmark("youcook2"), share=10),
    "hmdb51": Reader(
        write=texts(run_test_split1__txt="a_run_1.avi 2\nb_run_2.avi 1\n"),
        read=benchmark("hmdb51", split="1"),
        share=10,
    ),
    "ucf101": Reader(
        write=texts(classInd__txt="1 Run\n2 Nod\n", testlist01__txt="Run/v_Run_g01_c01.avi\n"),
        read=benchmark("ucf101", split="1"),
        share=10,
    ),
    "kinetics": Reader(
        write=texts(
            classes__txt="run\nnod\n", val__csv="label,youtube_id,time_start,time_end\nrun,a,0,10\n"
        ),
        read=benchmark("kinetics"),
    ),
    "sugarcrepe": Reader(write=texts(add_att__json=SUGAR), read=benchmark("sugarcrepe"), share=10),
    "sugarcrepe_pp": Reader(
        write=texts(swap_obj__json=SUGAR_PP), read=benchmark("sugarcrepe_pp"), share=10
    ),
    "aro": Reader(write=texts(visual_genome_relation__json=ARO), read=benchmark("aro")),
    "winoground": Reader(
        write=texts(examples__jsonl=WINOGROUND), read=benchmark("winoground"), share=10
    ),
    "velociti": Reader(
        write=texts(coref__csv=VELOCITI, sequence__csv=OLD_VELOCITI),
        read=benchmark("velociti"),
        share=20,
    ),
    "own retrieval": Reader(
        write=texts(r__jsonl=OWN_RETRIEVAL), read=benchmark("retrieval"), share=20
    ),
    "own pairs": Reader(write=texts(p__jsonl=OWN_PAIRS), read=benchmark("pairs"), share=20),
    "own actions": Reader(write=texts(a__csv=OWN_ACTIONS), read=benchmark("actions")),
    "store": Reader(write=part("frames.store"), read=read_store, share=50),
    "index": Reader(write=write_index, read=read_index, share=20),
    "approximate index": Reader(write=write_approximate, read=read_approximate, share=10),
    "embedding cache": Reader(write=write_cache, read=read_cache, share=10),
    "model": Reader(
        write=part("run/model"),
        files="run/model/**/*.*",
        read=lambda d: FiGCLIP.from_pretrained(d / "run/model"),
        share=4,
    ),
    "run": Reader(write=part("run"), files="run/*.json*", read=lambda d: read_run_data(d / "run")),
    "results": Reader(write=part("run/eval"), files="run/eval/*", read=read_results),
    "summary": Reader(write=write_summaries, files="**/*.json", read=read_summaries),
    "checkpoint": Reader(
        write=part("run/checkpoints"),
        files="run/checkpoints/**/*.*",
        read=lambda d: RunFolder(d / "run").load_checkpoint(2),
    ),
    "heads": Reader(
        write=part("heads"),
        files="heads/**/*.json*",
        read=lambda d: (read_head_info(d / "heads"), read_head_data(d / "heads")),
        share=10,
    ),
    "features": Reader(write=write_features, files="**/*.*", read=read_features, share=20),
    "pictures": Reader(
        write=write_pictures,
        read=lambda d: [read_image(one) for one in sorted(d.iterdir())],
        share=16,
    ),
}

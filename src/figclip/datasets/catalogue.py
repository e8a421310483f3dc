"""The benchmarks that can be read, by name: what their files are, and how to load them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from figclip.datasets.actions import SPLITS, read_hmdb51, read_kinetics, read_ucf101
from figclip.datasets.composition import (
    ARO_FILES,
    VELOCITI_SUBSET,
    read_aro,
    read_sugarcrepe,
    read_sugarcrepe_pp,
    read_velociti,
    read_winoground,
)
from figclip.datasets.files import ALL
from figclip.datasets.own_files import read_actions, read_pairs, read_retrieval
from figclip.datasets.records import Benchmark, MediumKind
from figclip.datasets.retrieval import read_activitynet, read_msrvtt, read_youcook2
from figclip.errors import DataError

Family = Literal["retrieval", "actions", "composition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkEntry:
    """A benchmark of the catalogue.

    Attributes:
        family: What kind of set it is, which decides the task.
        media: What it needs besides the files: images, videos; of one's own files, either.
        files: What PATH is, in a few words.
        splits: Names of its splits; None where the files decide.
        default_split: Taken when none is named; `all` for everything.
    """

    family: Family
    media: tuple[MediumKind, ...]
    files: str
    splits: tuple[str, ...] | None
    default_split: str
    read: Callable[[Path, str], Benchmark]


BENCHMARKS: Mapping[str, BenchmarkEntry] = {
    "msrvtt": BenchmarkEntry(
        family="retrieval",
        media=("video",),
        files="folder with MSRVTT_JSFUSION_test.csv",
        splits=("1k-A",),
        default_split="1k-A",
        read=read_msrvtt,
    ),
    "youcook2": BenchmarkEntry(
        family="retrieval",
        media=("video",),
        files="folder with yc2_val.json or para_yc2_val.json",
        splits=("val",),
        default_split="val",
        read=read_youcook2,
    ),
    "activitynet": BenchmarkEntry(
        family="retrieval",
        media=("video",),
        files="folder with val_1.json, val_2.json",
        splits=("val_1", "val_2"),
        default_split="val_1",
        read=read_activitynet,
    ),
    "retrieval": BenchmarkEntry(
        family="retrieval",
        media=("image", "video"),
        files="your .jsonl of captions",
        splits=None,
        default_split=ALL,
        read=read_retrieval,
    ),
    "hmdb51": BenchmarkEntry(
        family="actions",
        media=("video",),
        files="folder with <class>_test_split<1..3>.txt",
        splits=SPLITS,
        default_split=SPLITS[0],
        read=read_hmdb51,
    ),
    "ucf101": BenchmarkEntry(
        family="actions",
        media=("video",),
        files="folder with classInd.txt, testlist0<1..3>.txt",
        splits=SPLITS,
        default_split=SPLITS[0],
        read=read_ucf101,
    ),
    "kinetics": BenchmarkEntry(
        family="actions",
        media=("video",),
        files="folder with a class list and <split>.csv or <split>.txt",
        splits=None,
        default_split="val",
        read=read_kinetics,
    ),
    "actions": BenchmarkEntry(
        family="actions",
        media=("image", "video"),
        files="your .csv of files and labels",
        splits=None,
        default_split=ALL,
        read=read_actions,
    ),
    "sugarcrepe": BenchmarkEntry(
        family="composition",
        media=("image",),
        files="folder with add_att.json … swap_obj.json",
        splits=(ALL,),
        default_split=ALL,
        read=read_sugarcrepe,
    ),
    "sugarcrepe_pp": BenchmarkEntry(
        family="composition",
        media=("image",),
        files="folder with replace_att.json … swap_obj.json",
        splits=(ALL,),
        default_split=ALL,
        read=read_sugarcrepe_pp,
    ),
    "aro": BenchmarkEntry(
        family="composition",
        media=("image",),
        files="folder with visual_genome_relation.json, visual_genome_attribution.json",
        splits=tuple(ARO_FILES),
        default_split="vg_relation",
        read=read_aro,
    ),
    "winoground": BenchmarkEntry(
        family="composition",
        media=("image",),
        files="folder with examples.jsonl",
        splits=(ALL,),
        default_split=ALL,
        read=read_winoground,
    ),
    "velociti": BenchmarkEntry(
        family="composition",
        media=("video",),
        files="folder with <test>.csv files",
        splits=(ALL, VELOCITI_SUBSET),
        default_split=ALL,
        read=read_velociti,
    ),
    "pairs": BenchmarkEntry(
        family="composition",
        media=("image", "video"),
        files="your .jsonl of true and false captions",
        splits=None,
        default_split=ALL,
        read=read_pairs,
    ),
}


def load_benchmark(name: str, path: Path, *, split: str | None = None) -> Benchmark:
    """Load a benchmark from its official files, or a file of one's own.

    Raises:
        DataError: Unknown name or split, or missing files; the message lists what there is.
        AnnotationError: The files have problems; all are listed, in their order.
    """
    if name not in BENCHMARKS:
        raise DataError(
            f"unknown benchmark {name!r}", fix=f"Benchmarks are {', '.join(BENCHMARKS)}"
        )
    entry = BENCHMARKS[name]
    if split is not None and entry.splits is not None and split not in entry.splits:
        raise DataError(
            f"{name} has no split {split!r}",
            where=str(path),
            fix=f"Splits are {', '.join(entry.splits)}",
        )
    return entry.read(path, entry.default_split if split is None else split)

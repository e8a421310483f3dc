"""The benchmarks that can be read, by name: what their files are, and how to load them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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

    Its family decides the task. `media` is what it needs besides the files: images, videos; of
    one's own files, either. `files` says in a few words what PATH is, and `read` loads a split.
    `splits` is None where the files decide.
    """

    family: Family
    files: str
    read: Callable[[Path, str], Benchmark]
    media: tuple[MediumKind, ...]
    splits: tuple[str, ...] | None = (ALL,)
    default_split: str = ALL


_retrieval = partial(BenchmarkEntry, family="retrieval", media=("video",))
_actions = partial(BenchmarkEntry, family="actions", media=("video",))
_composition = partial(BenchmarkEntry, family="composition", media=("image",))
_own = partial(BenchmarkEntry, media=("image", "video"), splits=None)

BENCHMARKS: Mapping[str, BenchmarkEntry] = {
    "msrvtt": _retrieval(
        files="folder with MSRVTT_JSFUSION_test.csv",
        read=read_msrvtt,
        splits=("1k-A",),
        default_split="1k-A",
    ),
    "youcook2": _retrieval(
        files="folder with yc2_val.json or para_yc2_val.json",
        read=read_youcook2,
        splits=("val",),
        default_split="val",
    ),
    "activitynet": _retrieval(
        files="folder with val_1.json, val_2.json",
        read=read_activitynet,
        splits=("val_1", "val_2"),
        default_split="val_1",
    ),
    "retrieval": _own(family="retrieval", files="your .jsonl of captions", read=read_retrieval),
    "hmdb51": _actions(
        files="folder with <class>_test_split<1..3>.txt",
        read=read_hmdb51,
        splits=SPLITS,
        default_split=SPLITS[0],
    ),
    "ucf101": _actions(
        files="folder with classInd.txt, testlist0<1..3>.txt",
        read=read_ucf101,
        splits=SPLITS,
        default_split=SPLITS[0],
    ),
    "kinetics": _actions(
        files="folder with a class list and <split>.csv or <split>.txt",
        read=read_kinetics,
        splits=None,
        default_split="val",
    ),
    "actions": _own(family="actions", files="your .csv of files and labels", read=read_actions),
    "sugarcrepe": _composition(
        files="folder with add_att.json … swap_obj.json", read=read_sugarcrepe
    ),
    "sugarcrepe_pp": _composition(
        files="folder with replace_att.json … swap_obj.json", read=read_sugarcrepe_pp
    ),
    "aro": _composition(
        files="folder with visual_genome_relation.json, visual_genome_attribution.json",
        read=read_aro,
        splits=tuple(ARO_FILES),
        default_split="vg_relation",
    ),
    "winoground": _composition(files="folder with examples.jsonl", read=read_winoground),
    "velociti": _composition(
        files="folder with <test>.csv files",
        read=read_velociti,
        media=("video",),
        splits=(ALL, VELOCITI_SUBSET),
    ),
    "pairs": _own(
        family="composition", files="your .jsonl of true and false captions", read=read_pairs
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

"""The one ground truth of situations: what the annotation files say, wherever they lie.

Heads and prediction files are scored by it: of a folder, of a file, or of a frame store, which
keeps the files that it was prepared from. It is that of the whole split, whichever videos are
there, because annotators are drawn over the split.
"""

import shlex
from collections.abc import Collection
from dataclasses import replace
from importlib.resources.abc import Traversable

from figclip.annotations.splits import EVALUATED_SPLIT
from figclip.annotations.vidsitu import load_source
from figclip.datasets.situations import (
    PARTS,
    Part,
    SituationTruth,
    load_situation_truth,
    situation_truth_of,
)
from figclip.errors import AnnotationError, DataError, StoreError
from figclip.evaluation.sources import DataSource
from figclip.video.store import FrameStore, is_store


def open_truth(source: DataSource, *, parts: Collection[Part] = PARTS) -> SituationTruth:
    """What annotators say of the videos of a split, those that are not there included.

    Args:
        source: `vidsitu` or `events`. Without a split it is that of `valid`; of own annotations
            without such a split, of all.
        parts: For VidSitu, what to score; files that only other parts need are not read.

    Raises:
        AnnotationError: the annotation files have problems, or one is missing.
        DataError: VidSitu's files under the name of own annotations, or the other way round; no
            such split.
        StoreError: a store that cannot be used: damaged, prepared from files with problems, or
            before the files were kept.
    """
    files = _annotation_files(source)
    _check_name(source, files)
    try:
        if source.name == "vidsitu":
            split = source.split or EVALUATED_SPLIT
            truth = load_situation_truth(files, split, parts=parts)
        else:
            truth = _own_truth(source, files)
    except AnnotationError as error:
        if not is_store(source.path):
            raise
        fix = f"Put that right in the files, then run: {_prepare_command(source)}"
        raise StoreError(str(error), where=str(source.path), fix=fix) from error
    return truth


def _annotation_files(source: DataSource) -> Traversable:
    if not is_store(source.path):
        return source.path
    files = FrameStore.open(source.path).source()
    if files is None:
        raise StoreError(
            "was prepared before stores kept the annotation files, by which situations are scored",
            where=str(source.path),
            fix=f"Run: {_prepare_command(source)} (what is there is not decoded again), or give "
            f"--data {source.name}:SOURCE,videos=DIR,store={source.path}",
        )
    return files


def _prepare_command(source: DataSource) -> str:
    command = FrameStore.open(source.path).spec.prepare_command
    return command.replace("--out STORE", f"--out {shlex.quote(str(source.path))}")


def _check_name(source: DataSource, files: Traversable) -> None:
    """Refuse annotations that the source's NAME does not mean: they would be scored otherwise."""
    is_official = source.name == "vidsitu"
    if is_official and files.is_file():
        held, name = "own annotations", "events"
    elif not is_official and files.is_dir():
        held, name = "VidSitu's files", "vidsitu"
    else:
        return
    raise DataError(
        f"holds {held}, which situations of {source.name} are not scored by",
        where=str(source.path),
        fix=f"Give it as {name}:{source.path}",
    )


def _own_truth(source: DataSource, files: Traversable) -> SituationTruth:
    annotations = load_source(files)
    splits = {record.split for record in annotations.records}
    split = source.split or (EVALUATED_SPLIT if EVALUATED_SPLIT in splits else None)
    if split is not None and split not in splits:
        what, fix = f"has no split {split}", f"Splits are {', '.join(sorted(splits))}"
        raise DataError(what, where=str(source.path), fix=fix)
    records = tuple(one for one in annotations.records if split in (None, one.split))
    return replace(situation_truth_of(replace(annotations, records=records)), split=split)

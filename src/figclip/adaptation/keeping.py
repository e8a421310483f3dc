"""Unlabelled pictures on which the adapted CLIP is held to its base: found, decoded, embedded.

A step compares what both see in pictures: the distribution over sparse texts (`training.losses`).
"""

import hashlib
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from figclip.adaptation.assembly import RunParts
from figclip.annotations.captions import text_hash
from figclip.annotations.sparse_texts import sparse_texts
from figclip.config import KeepConfig, RunConfig
from figclip.datasets.records import LeftOut, Medium, MediumKind
from figclip.errors import ConfigError, DataError
from figclip.evaluation.results import left_out_json
from figclip.evaluation.seen_items import media_in
from figclip.model.backbone import Backbone
from figclip.model.embedder import Embedder, FrameRef
from figclip.model.folder import medium_hash
from figclip.preparation.clips import prepare_files
from figclip.records import VideoRecord
from figclip.runtime.progress import Progress
from figclip.runtime.reading import read_bytes
from figclip.training.clip_trainee import Teacher
from figclip.video.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from figclip.video.sampling import frame_times_s
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredFrames, StoredVideos

IMAGES_OPTION, TEXTS_OPTION = "--keep-images", "--keep-texts"
SAMPLING = "midpoints_4"
"""Which frames of a video are pictures."""
MAX_PICTURES = 20_000
"""Most files, or frames of the training videos that stand in for them; so many are drawn.

At 224 px their pixels take 3 GB; by 1,000 steps of 24, all have been shown once.
"""
HELD_BACK = "it shows a video of the data that is not trained on"
FEW_TEXTS = 50
"""With fewer texts, little of what the base sees is compared; that is worth a word."""
NUM_NAMED = 5

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPictures:
    """Pictures of a run, decoded.

    Attributes:
        source: Where they are read from.
        frames: Video or clip, and time in seconds, of each picture.
        media: `medium_hash` of their files.
        hash: Of the pictures in their order.
        name: What they are, for people.
        left_out: Files that cannot be used, and why.
    """

    source: StoredFrames
    frames: tuple[FrameRef, ...]
    media: frozenset[str]
    hash: str
    name: str
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingPlan:
    """What a run keeps, read but not decoded yet.

    Attributes:
        files: Images and videos; None for the training videos' own frames.
        texts: What they are compared with; None for what the annotations name.
    """

    files: Mapping[Medium, Path] | None
    texts: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What a run keeps.

    Attributes:
        pictures: Where the adapted CLIP is held to its base.
        texts: What the pictures are compared with.
    """

    pictures: KeptPictures
    texts: tuple[str, ...]

    @property
    def hash(self) -> str:
        """Of pictures and texts."""
        content = "\n".join((self.pictures.hash, *self.texts))
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """What `data.json` of a run says of it."""
        return {
            "keeping": self.hash,
            "pictures": self.pictures.name,
            "pictures_left_out": left_out_json(self.pictures.left_out),
        }

    def notices(self, backbone: Backbone) -> tuple[str, ...]:
        """Files left out, a few of them by name; how little is compared, and texts that are cut."""
        notices = [
            f"{IMAGES_OPTION}: {one['count']:,} left out, {one['reason']}: "
            f"{', '.join(one['items'][:NUM_NAMED])}. data.json lists all."
            for one in left_out_json(self.pictures.left_out)
        ]
        if len(self.texts) < FEW_TEXTS:
            notices.append(
                f"Only {len(self.texts)} texts say what pictures show, so little of what the base "
                f"sees is held: give some hundred by {TEXTS_OPTION}."
            )
        if num_cut := backbone.count_cut(self.texts):
            notices.append(
                f"{num_cut:,} of {len(self.texts):,} texts that say what pictures show are longer "
                f"than the text tower's {backbone.context_length} tokens and are cut: write short "
                f"ones, and give them by {TEXTS_OPTION}."
            )
        return tuple(notices)

    def build_teacher(self, embedder: Embedder) -> Teacher:
        """What the base, which `embedder` embeds with, makes of pictures and texts."""
        pictures = self.pictures
        return Teacher(
            picture_ND=torch.from_numpy(embedder.embed_frames(pictures.source, pictures.frames)),
            texts=self.texts,
            text_MD=torch.from_numpy(embedder.embed_texts(self.texts)),
        )


def plan_keeping(
    images: Sequence[Path], texts: Path | None, config: KeepConfig, *, out: Path
) -> KeepingPlan | None:
    """Look for pictures and read texts, before anything is decoded.

    Args:
        images: Images, videos, folders of them; none for the training videos' own frames.
        texts: One text a line; None for what the annotations name.
        config: Weight and numbers.
        out: The run folder.

    Returns:
        None where the weight is 0.

    Raises:
        ConfigError: pictures or texts are given, but no weight; or `out` lies among pictures.
        DataError: no image or video is there, or the texts cannot be read.
    """
    for given, option in ((images, IMAGES_OPTION), (texts, TEXTS_OPTION)):
        if given and not config.weight:
            raise ConfigError(
                "has no effect: keep.weight is 0",
                where=option,
                fix="Set keep.weight=1, or leave it out",
            )
    if not config.weight:
        return None
    files = find_pictures(images) if images else None
    for path in images:
        if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(path)):
            raise ConfigError(
                "holds the run folder: what runs draw would be taken for pictures to keep",
                where=f"{IMAGES_OPTION} {path}",
                fix="Choose an --out that is not below it",
            )
    return KeepingPlan(
        files=files,
        texts=None if texts is None else read_texts(texts),
    )


def open_keeping(
    plan: KeepingPlan,
    config: RunConfig,
    parts: RunParts,
    *,
    stores: Path,
    on_progress: Progress | None,
) -> Keeping:
    """Decode pictures that are not decoded yet, and choose the texts.

    Args:
        plan: Of `plan_keeping`.
        config: The run's configuration.
        parts: What the run is made of.
        stores: Folder of the pictures' frame stores.
        on_progress: Told what is being decoded.

    Raises:
        DataError: not one picture can be read, or the annotations name too little.
        StoreError: a store of earlier runs cannot be used.
    """
    seed = config.train.seed
    before = parts.before
    if plan.texts is None and before is not None and before.kept_texts:
        texts = before.kept_texts
    else:
        texts = choose_texts(plan.texts, parts.records, limit=config.keep.texts, seed=seed)
    if plan.files is None:
        frames = () if before is None else before.kept_frames
        frames_per_event = config.data.frames_per_event
        frames = frames or draw_frames(parts.records, frames_per_event=frames_per_event, seed=seed)
        pictures = training_frames(parts.train, frames)
    else:
        spec = StoreSpec(
            pipeline=parts.videos.stores[0].spec.pipeline,
            size=parts.backbone.preprocessing.image_size,
        )
        pictures = open_pictures(
            plan.files,
            spec,
            stores=stores,
            held_back=media_in(parts.videos) - media_in(parts.train),
            seed=seed,
            on_progress=on_progress,
        )
    return Keeping(pictures=pictures, texts=texts)


def find_pictures(paths: Sequence[Path]) -> dict[Medium, Path]:
    """Images and videos at paths, and in folders and below them; by suffix, sorted by path.

    Raises:
        DataError: a path that is not there, that cannot be read, or without any image or video.
    """
    found: dict[Medium, Path] = {}
    for path in paths:
        try:
            here = [path] if path.is_file() else _files_below(path)
        except OSError as error:
            raise DataError(
                "does not exist" if not path.exists() else f"cannot be read ({error})",
                where=f"{IMAGES_OPTION} {path}",
                fix="Give images, videos, or folders of them that can be read",
            ) from error
        media: dict[Path, MediumKind] = {
            file: kind for file in here if (kind := _kind_of(file)) is not None
        }
        if not media:
            raise DataError(
                "holds no image or video",
                where=f"{IMAGES_OPTION} {path}",
                fix="Give images, videos, or folders of them",
            )
        found |= {Medium(kind=kind, name=str(file)): file for file, kind in media.items()}
    return found


def _files_below(folder: Path) -> list[Path]:
    """All files in a folder and below it; linked folders are not searched."""

    def refuse(error: OSError) -> None:
        raise error

    found = os.walk(folder, onerror=refuse)
    return sorted(Path(root, name) for root, _, names in found for name in names)


def _kind_of(file: Path) -> MediumKind | None:
    """`video` or `image`; None for neither."""
    suffix = file.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "image" if suffix in IMAGE_SUFFIXES else None


def open_pictures(
    files: Mapping[Medium, Path],
    spec: StoreSpec,
    *,
    stores: Path,
    held_back: frozenset[str],
    seed: int,
    on_progress: Progress | None,
) -> KeptPictures:
    """Decode what is not decoded yet; of a video, four frames are pictures.

    Args:
        files: Of very many, MAX_PICTURES are drawn by `seed`.
        spec: Pixels of videos.
        stores: Folder of the frame stores.
        held_back: `medium_hash` of videos that are no pictures: what chooses the checkpoint, or is
            tested on, should not be trained on.
        seed: Of the run.
        on_progress: Told what is being decoded.

    Raises:
        DataError: not one can be used.
        StoreError: a store of earlier runs cannot be used.
    """
    drawn = dict(_draw(tuple(files.items()), MAX_PICTURES, seed=seed, what="kept files"))
    clips = prepare_files(
        drawn,
        stores=stores,
        pipeline=spec.pipeline,
        size=spec.size,
        sampling=SAMPLING,
        on_progress=on_progress,
    )
    hash_of = {medium: medium_hash(clips.key_of[i]) for medium, i in clips.clip_of.items()}
    shown = [medium for medium, one in hash_of.items() if one not in held_back]
    left_out = dict(clips.absent)
    left_out |= {medium: HELD_BACK for medium, one in hash_of.items() if one in held_back}
    if not shown:
        medium, reason = next(iter(left_out.items()))
        raise DataError(
            f"not one of {len(drawn):,} files can be used, {medium.name!r}: {reason}",
            where=IMAGES_OPTION,
            fix="Give images or videos that can",
        )
    clips = clips.subset(shown)
    frames = tuple(
        (clip_idx, time_s) for clip_idx, times_s in enumerate(clips.times_s) for time_s in times_s
    )
    return KeptPictures(
        source=clips,
        frames=frames,
        media=frozenset(map(medium_hash, clips.key_of)),
        hash=_hash_of(clips, frames),
        name=f"{len(frames):,} pictures"
        + (f", by {len(drawn):,} of {len(files):,} files" if len(drawn) < len(files) else ""),
        left_out=tuple(LeftOut(item=medium.name, reason=why) for medium, why in left_out.items()),
    )


def draw_frames(
    records: Sequence[VideoRecord], *, frames_per_event: int, seed: int
) -> tuple[FrameRef, ...]:
    """Frames of the videos' first annotations, of too many so many as are drawn by the seed."""
    frames = [
        (video_idx, time_s)
        for video_idx, record in enumerate(records)
        for annotation in record.annotations[:1]
        for time_s in frame_times_s(annotation, frames_per_event=frames_per_event)
    ]
    return tuple(_draw(frames, MAX_PICTURES, seed=seed, what="kept frames"))


def training_frames(train: StoredVideos, frames: tuple[FrameRef, ...]) -> KeptPictures:
    """Frames of the training videos, where no pictures are given.

    They show nothing beyond what is trained on, so they hold less; a store has no frames outside
    the annotated events.
    """
    return KeptPictures(
        source=train,
        frames=frames,
        media=media_in(train),
        hash=_hash_of(train, frames),
        name=f"{len(frames):,} frames of the training videos, as no {IMAGES_OPTION} is given",
    )


def _draw(items: Sequence[Item], limit: int, *, seed: int, what: str) -> Sequence[Item]:
    """All, or so many of them in an order drawn by the seed."""
    return items if len(items) <= limit else random.Random(f"{what}/{seed}").sample(items, limit)


def _hash_of(source: StoredFrames, frames: Sequence[FrameRef]) -> str:
    """Hash of pictures in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for video_idx, time_s in frames:
        digest.update(source.content_key(video_idx, time_s))
    return digest.hexdigest()


def read_texts(file: Path) -> tuple[str, ...]:
    """Texts of a file, one a line; empty lines, and what CLIP reads alike, are skipped.

    Raises:
        DataError: it cannot be read, or has fewer than two texts.
    """
    try:
        lines = read_bytes(file).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read ({error})",
            where=f"{TEXTS_OPTION} {file}",
            fix="Give a UTF-8 file with one text a line",
        ) from error
    texts_by_hash: dict[int, str] = {}
    for line in filter(str.strip, lines):
        texts_by_hash.setdefault(text_hash(line), line.strip())
    texts = tuple(texts_by_hash.values())
    if len(texts) < 2:
        raise DataError(
            f"has {len(texts)} different texts, two or more are needed",
            where=f"{TEXTS_OPTION} {file}",
            fix="Write one text a line, for example `a photo of a dog`",
        )
    return texts


def choose_texts(
    given: Sequence[str] | None, records: Sequence[VideoRecord], *, limit: int, seed: int
) -> tuple[str, ...]:
    """The texts that pictures are compared with: those given, or what the annotations name.

    Raises:
        DataError: the annotations name too little.
    """
    if given is not None:
        return tuple(_draw(given, limit, seed=seed, what="kept texts"))
    texts = sparse_texts(records, limit=limit, seed=seed)
    if len(texts) < 2:
        raise DataError(
            "the annotations name fewer than two things to compare pictures with",
            where="keep.weight",
            fix=f"Give texts by {TEXTS_OPTION} FILE, or set keep.weight=0",
        )
    return texts

"""Reads videos for an index on several machines.

One process writes the index: a row is small beside the work behind it.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, cast

from figclip.errors import ModelError, VideoError
from figclip.model.embedding_settings import EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.preparation.prepare import decode_all
from figclip.runtime.device import pick_device
from figclip.runtime.fleet import run_on_ray
from figclip.runtime.progress import no_progress
from figclip.search.addresses import local_copy
from figclip.search.embedding import embed_videos, is_model_of
from figclip.search.index_file import IndexedFile, IndexedVideo, IndexSpec
from figclip.search.reading import Survey, VideoJob, read_video, survey_file

FILES_AT_ONCE = 8
"""Files that a machine is handed together: it decodes one while it embeds another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadVideo:
    """Files of one content, each with its hash or its problem; None for a video that is known."""

    files: tuple[IndexedFile, ...]
    video: IndexedVideo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read: as `figclip index` does on one machine.

    Attributes:
        known: Hashes of videos that need not be decoded.
        batch_size: Frames of a video that are embedded together.
        limit_s: Seconds that reading a file may take up to the next frame.
        batch_limit_s: And up to the next batch of frames, or its hash.
    """

    spec: IndexSpec
    known: frozenset[str]
    batch_size: int
    limit_s: float
    batch_limit_s: float


def read_on_ray(
    files: Sequence[IndexedFile], reading: Reading, *, address: str
) -> Generator[ReadVideo]:
    """Read files on all machines of a Ray cluster; each as soon as it is done.

    Rows are those of one process, bit for bit on CPUs of the same kind. What a machine was at when
    it was lost is done again by another. Each machine must have figclip, the model and the files:
    at the same paths, or by addresses.

    Args:
        files: What is to be read.
        reading: How.
        address: `local`: a cluster of this machine alone; else that of a cluster, as `ray start`
            prints it.

    Raises:
        ConfigError: Ray is not installed, or no cluster is at the address.
        FigclipError: a machine cannot work: its model is another one, for example.
    """
    parts = [files[i : i + FILES_AT_ONCE] for i in range(0, len(files), FILES_AT_ONCE)]
    for results in run_on_ray(parts, partial(_read_part, reading=reading), address=address):
        yield from results


def _read_part(files: Sequence[IndexedFile], num_cpus: int, *, reading: Reading) -> list[ReadVideo]:
    """Read some files, on some machine."""
    model = _load_model(reading.spec, batch_size=reading.batch_size)
    return list(_Reader(reading, model, num_cpus).read(files))


@cache
def _load_model(spec: IndexSpec, *, batch_size: int) -> FiGCLIP:
    """The model of an index, in its precision, once per process."""
    embedding = EmbeddingSettings(precision=cast(Any, spec.precision), batch_size=batch_size)
    model = FiGCLIP.from_pretrained(spec.model, device=pick_device(), embedding=embedding)
    if not is_model_of(spec, model):
        where, fix = f"{spec.model} on {platform.node()}", "Copy the model there"
        raise ModelError("is another model than here", where=where, fix=fix)
    return model


@dataclass(frozen=True, slots=True)
class _Reader:
    """What reads files on a machine of the cluster, or on one of its GPUs."""

    reading: Reading
    model: FiGCLIP
    num_cpus: int

    def read(self, files: Sequence[IndexedFile]) -> Generator[ReadVideo]:
        """What became of each file; equal ones of them are decoded once."""
        at_hand: dict[IndexedFile, IndexedFile] = {}
        with ExitStack() as copies:
            for file in files:
                try:
                    at_hand[copies.enter_context(local_copy(file))] = file
                except VideoError as error:
                    yield ReadVideo(files=(file.set_aside(error),))
            yield from self._read_local(at_hand)

    def _read_local(self, at_hand: Mapping[IndexedFile, IndexedFile]) -> Generator[ReadVideo]:
        """Files of this machine; `at_hand` says of which each is a copy."""
        jobs: dict[str, VideoJob] = {}
        files_of: defaultdict[str, list[IndexedFile]] = defaultdict(list)
        for copy, survey in self._survey(list(at_hand)):
            if isinstance(survey, VideoError):
                yield ReadVideo(files=(at_hand[copy].set_aside(survey),))
                continue
            files_of[survey.hash].append(replace(at_hand[copy], hash=survey.hash))
            if survey.hash not in self.reading.known:
                jobs.setdefault(survey.hash, VideoJob(file=copy, survey=survey))
        for job, video in self._embed(list(jobs.values())):
            files = files_of.pop(job.survey.hash)
            if isinstance(video, VideoError):
                yield ReadVideo(files=tuple(file.set_aside(video) for file in files))
            else:
                yield ReadVideo(files=tuple(files), video=video)
        for known in files_of.values():
            yield ReadVideo(files=tuple(known))

    def _survey(
        self, files: Sequence[IndexedFile]
    ) -> Generator[tuple[IndexedFile, Survey | VideoError]]:
        """Hash files and measure them."""
        look = partial(survey_file, known=self.reading.known, spec=self.reading.spec)
        limit_s = self.reading.batch_limit_s
        return decode_all(files, look, num_workers=self.num_cpus, limit_s=limit_s)

    def _embed(
        self, jobs: Sequence[VideoJob]
    ) -> Generator[tuple[VideoJob, IndexedVideo | VideoError]]:
        """Decode and embed videos."""
        read = partial(
            read_video,
            spec=self.reading.spec,
            pipeline=self.model.video_pipeline,
            batch_size=self.reading.batch_size,
            limit_s=self.reading.limit_s,
        )
        return embed_videos(
            jobs,
            read,
            model=self.model,
            num_workers=self.num_cpus,
            num_threads=self.num_cpus,
            limit_s=self.reading.batch_limit_s,
            on_progress=no_progress,
            in_context=bool(self.reading.spec.context_hash),
        )

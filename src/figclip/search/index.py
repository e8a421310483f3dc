"""An index with its model, ready to be searched by a sentence, a picture or a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from PIL import Image

from figclip.errors import ConfigError, ModelError, StoreError, VideoError
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.model.pooling import Pooling
from figclip.runtime.progress import CountProgress
from figclip.search.addresses import address_of, place_of
from figclip.search.approximate import ApproximateIndex, Kind, num_proposed, open_approximate
from figclip.search.embedding import is_model_of
from figclip.search.index_file import IndexedFile, IndexFile, IndexSpec, Windows
from figclip.search.moments import Moment, best_first, find_moments

NUM_RERANKED = 300
"""So many hits are ordered anew where there are counterparts."""
_MARGIN_SHARE: dict[Pooling, float] = {"mean": 0.5, "vc": 0.3, "both": 0.3}
"""By the margin alone, what shows one fact most plainly would come first, whoever does it: of 2,000
clips, 0.5 % instead of 73 % are then found first. Half of it leaves that as it is, and puts a third
of the twins behind that came before. Margins in context are larger (LOG.md, 2026-11-29)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A moment of a video.

    Attributes:
        path: Where the video is: on this machine, or by an address (`search.addresses`).
        also_at: Other paths with the same content.
        start_s: Where the moment begins, in seconds from the first displayed frame.
        end_s: Where it ends.
        score: Cosine similarity of the query and the best window.
        margin: What `score` is above the best similarity of a counterpart with the same window;
            None where nothing was searched `against`.
        windows: Numbers of its windows within the video.
        best_window: Number of the one that scores highest.
        video: SHA-256 of the video's file.
        pooling: How its windows were compared: by the `mean` of their frames or, with a long
            sentence, in context (`vc` or `both`), see `model.pooling`.
    """

    path: Path
    also_at: tuple[Path, ...]
    start_s: float
    end_s: float
    score: float
    margin: float | None
    windows: tuple[int, ...]
    best_window: int
    video: str
    pooling: Pooling = "mean"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: paths are texts."""
        paths = {"path": place_of(self.path), "also_at": [place_of(one) for one in self.also_at]}
        return {**asdict(self), **paths}


class Index:
    """Moments of own videos: windows, their embeddings and the model that made them, in memory.

    What `figclip index` adds afterwards is seen by who opens the index again.

    Example:
        >>> from figclip import Index
        >>> index = Index.open("holiday.index")  # doctest: +SKIP
        >>> for hit in index.search(text="a man hands a cup to a woman"):  # doctest: +SKIP
        ...     print(hit.path, hit.start_s, hit.end_s)

    Attributes:
        path: The file.
        spec: How it was made.
        model: What embeds queries.
        windows: What is searched.
        approximate: What proposes windows, where not all are compared with the query.
    """

    def __init__(
        self,
        path: Path,
        *,
        spec: IndexSpec,
        model: FiGCLIP,
        windows: Windows,
        files: Sequence[IndexedFile],
        approximate: ApproximateIndex | None = None,
    ) -> None:
        self.path, self.spec, self.model, self.windows = path, spec, model, windows
        self.approximate = approximate
        self._files = {file.path: file for file in files}
        paths: dict[str, list[Path]] = {video_hash: [] for video_hash in windows.hashes}
        for file in files:  # by path
            if file.hash in paths:
                paths[file.hash].append(file.path)
        self._paths = tuple(tuple(paths[one]) for one in windows.hashes)
        self._bounds_V = np.searchsorted(windows.video_idx_N, np.arange(len(windows.hashes) + 1))
        by_path = sorted(range(len(self._paths)), key=lambda video_idx: self._paths[video_idx])
        self._path_ranks_N = np.argsort(by_path)[windows.video_idx_N]

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        model: str | Path | FiGCLIP | None = None,
        device: str | torch.device = "cpu",
        embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
        approximate: Kind | None = None,
        on_progress: CountProgress | None = None,
    ) -> Index:
        """Load an index and its model.

        Args:
            path: What `figclip index` wrote.
            model: Where its model is now, or that model; None: where it was.
            device: Where queries are embedded.
            embedding: How queries are embedded, whatever the precision of the rows. Device and
                precision of a model that is given stay as they are.
            approximate: Search by a graph (`hnsw`) or by codes (`ivfpq`) that lie beside the index
                and are made where there are none. With a `path_glob`, and by long sentences where
                the index has embeddings in context, it is searched exactly.
            on_progress: Told how many windows are in, while that is made.

        Raises:
            ConfigError: `approximate` cannot be made of this index.
            StoreError: no index, of a newer format, damaged, or of another model.
            ModelError: the model cannot be loaded.
        """
        with IndexFile(path) as file:
            spec = file.spec
            if not isinstance(model, FiGCLIP):
                model = _load_model(path, spec, model, device=device, embedding=embedding)
            if not is_model_of(spec, model):
                raise StoreError(
                    f"is of another model: {spec.model} as it was",
                    where=str(path),
                    fix="Give that model, or make an index with this one",
                )
            with file.held():
                windows, files, content_hash = file.windows(), file.files(), file.content_hash()
        proposing = None
        if approximate is not None:
            proposing = open_approximate(
                Path(path),
                approximate,
                vectors_ND=windows.vectors_ND,
                content_hash=content_hash,
                on_progress=on_progress,
            )
        return cls(
            Path(path),
            spec=spec,
            model=model,
            windows=windows,
            files=files,
            approximate=proposing,
        )

    def search(
        self,
        *,
        text: str | None = None,
        image: str | Path | Image.Image | None = None,
        video: str | Path | None = None,
        k: int = 10,
        against: Sequence[str] = (),
        path_glob: str | None = None,
    ) -> tuple[Hit, ...]:
        """The moments that are most like a sentence, a picture or a video.

        Neighbouring windows of one moment are one hit, see `search.moments.find_moments`. Of equal
        scores the first path comes first, then the earlier moment.

        Args:
            text: A sentence. Just one of text, image and video is given.
            image: A picture, or its file.
            video: A video file, of which 20 frames are looked at.
            k: Most hits.
            against: Counterparts of the sentence (`a woman hands a cup to a man`). The first 300
                hits, or k if that is more, are then ordered by score plus half the margin (in
                context 0.3 of it).
            path_glob: Only videos with such a path; `*.mp4` and `party/*` may stand at its end.

        Raises:
            ConfigError: nothing or several things to search for, or no such path.
            VideoError: the picture or video cannot be read.
        """
        _check_query(text, image, video, k=k, against=against)
        queries_QD = self._embed(text=text, image=image, video=video, against=against)
        pooling = "mean" if text is None else self.pooling_for(text)
        num_wanted = max(k, NUM_RERANKED) if against else k
        moments = self._moments(queries_QD[0], pooling, path_glob=path_glob, num=num_wanted)
        hit = partial(self._hit, pooling=pooling, path_glob=path_glob)
        if not against:
            return tuple(hit(one) for one in moments)
        best_CD = self._vectors(pooling)[[one.best for one in moments]]
        counter_C = np.vecdot(best_CD[:, None], queries_QD[1:]).max(axis=1).tolist()
        hits = [
            hit(one, margin=one.score - counter)
            for one, counter in zip(moments, counter_C, strict=True)
        ]
        return tuple(sorted(hits, key=_less_like_counterparts)[:k])

    def pooling_for(self, text: str) -> Pooling:
        """How windows are compared with a sentence."""
        return "mean" if self.windows.context_ND is None else self.model.pooling_for([text])

    def find_file(self, hit: Hit) -> Path:
        """Where the video of a hit is as it was indexed: its first path, or a copy.

        Raises:
            VideoError: `changed`, `missing` or `elsewhere`, all of them.
        """
        if all(map(address_of, (hit.path, *hit.also_at))):
            fix = "Copy it here, and index the copy"
            raise VideoError("elsewhere: not on this machine", where=place_of(hit.path), fix=fix)
        there = [path for path in (hit.path, *hit.also_at) if path.exists()]
        for path in there:
            file, status = self._files[path], path.stat()
            if (file.num_bytes, file.mtime_ns) == (status.st_size, status.st_mtime_ns):
                return path
        what = "changed: since it was indexed" if there else "missing: no such file"
        raise VideoError(what, where=str(hit.path), fix="Run `figclip index` again")

    def thumbnail(self, video: str, window: int) -> bytes:
        """The JPEG of a window of a video, as a `Hit` names them.

        Raises:
            StoreError: there is no such window, or the index has gone.
        """
        with IndexFile(self.path) as file:
            return file.thumbnail(video, window)

    def _embed(
        self,
        *,
        text: str | None,
        image: str | Path | Image.Image | None,
        video: str | Path | None,
        against: Sequence[str],
    ) -> Float32[np.ndarray, "Q D"]:
        """The query, and its counterparts below it."""
        if text is not None:
            return self.model.encode_text([text, *against]).numpy()
        if image is not None:
            return self.model.encode_image([image]).numpy()
        assert video is not None, "one of the three is given"
        return self.model.encode_video([video], pooling="mean").numpy()

    def _vectors(self, pooling: Pooling) -> Float32[np.ndarray, "N D"]:
        """The embeddings of all windows."""
        context_ND = self.windows.context_ND
        return self.windows.vectors_ND if pooling == "mean" or context_ND is None else context_ND

    def _moments(
        self,
        query_D: Float32[np.ndarray, " D"],
        pooling: Pooling,
        *,
        path_glob: str | None,
        num: int,
    ) -> list[Moment]:
        """The best moments."""
        vectors_ND = self._vectors(pooling)
        grown = partial(self._grown, query_D, vectors_ND, num=num)
        if self.approximate is None or path_glob is not None or pooling != "mean":
            scores_N = vectors_ND @ query_D
            among_M = self._windows_at(path_glob)
            return grown(among_M, scores_N[among_M])
        num_windows = num_proposed(num)
        while True:
            among_M = self.approximate.propose(query_D, num=num_windows)
            found = grown(among_M, vectors_ND[among_M] @ query_D)
            if len(found) == num or num_windows >= len(vectors_ND):
                return found
            num_windows *= 4

    def _grown(
        self,
        query_D: Float32[np.ndarray, " D"],
        vectors_ND: Float32[np.ndarray, "N D"],
        among_M: Int64[np.ndarray, " M"],
        scores_M: Float32[np.ndarray, " M"],
        *,
        num: int,
    ) -> list[Moment]:
        """The best moments whose best windows are among some."""
        seeds = best_first(
            scores_M,
            among_M=among_M,
            tie_breaks_N=self._path_ranks_N,
            exact_of=lambda part_P: np.vecdot(vectors_ND[part_P], query_D),
        )
        moments = find_moments(
            seeds,
            windows=self.windows,
            bounds_V=self._bounds_V,
            scores_of=cache(lambda windows: vectors_ND[windows.start : windows.stop] @ query_D),
        )
        return list(islice(moments, num))

    def _windows_at(self, path_glob: str | None) -> Int64[np.ndarray, " M"]:
        """Positions of the windows of videos with such a path."""
        num_windows = len(self.windows.video_idx_N)
        if path_glob is None:
            return np.arange(num_windows)
        is_meant_V = np.array(
            [any(_matches(path, path_glob) for path in paths) for paths in self._paths], bool
        )
        if not is_meant_V.any():
            raise ConfigError(
                "no video of the index has such a path",
                where=f"--path {path_glob}",
                fix="Give a pattern of whole paths or of their ends, such as '*.mp4' or 'party/*'",
            )
        return np.flatnonzero(is_meant_V[self.windows.video_idx_N])

    def _hit(
        self,
        moment: Moment,
        *,
        pooling: Pooling,
        path_glob: str | None,
        margin: float | None = None,
    ) -> Hit:
        """A moment with where it is; a path that was asked for comes first."""
        windows = self.windows
        video_idx = int(windows.video_idx_N[moment.best])
        spans_us = windows.spans_us_N2[moment.windows.start : moment.windows.stop]
        path, *others = sorted(
            self._paths[video_idx],
            key=lambda path: path_glob is not None and not _matches(path, path_glob),
        )
        return Hit(
            path=path,
            also_at=tuple(others),
            start_s=spans_us[:, 0].min().item() / 1e6,
            end_s=spans_us[:, 1].max().item() / 1e6,
            score=moment.score,
            margin=margin,
            windows=tuple(windows.number_N[one].item() for one in moment.windows),
            best_window=windows.number_N[moment.best].item(),
            video=windows.hashes[video_idx],
            pooling=pooling,
        )


def _less_like_counterparts(hit: Hit) -> float:
    """What hits are ordered by where there are counterparts, the smallest first."""
    assert hit.margin is not None
    return -(hit.score + _MARGIN_SHARE[hit.pooling] * hit.margin)


def shown_time(time_s: float) -> str:
    """A time as players show it: `0:12.5`, `1:02:03.0`."""
    tenths = round(time_s * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else str(minutes)
    return f"{start}:{rest // 10:02d}.{rest % 10}"


def _load_model(
    path: str | Path,
    spec: IndexSpec,
    model: str | Path | None,
    *,
    device: str | torch.device,
    embedding: EmbeddingSettings,
) -> FiGCLIP:
    """The model of an index, from where it is said to be, or from where it was."""
    try:
        return FiGCLIP.from_pretrained(
            spec.model if model is None else model, device=device, embedding=embedding
        )
    except ModelError as error:
        if model is not None:
            raise
        raise ModelError(
            f"its model {spec.model} cannot be loaded ({error.what})",
            where=str(path),
            fix="Give where it is now: --model",
        ) from error


def _check_query(*things: str | Path | Image.Image | None, k: int, against: Sequence[str]) -> None:
    """Refuse what cannot be searched for."""
    text = things[0]
    if sum(one is not None for one in things) != 1:
        raise ConfigError(
            "just one thing is searched for: a sentence, a picture or a video",
            fix='Give one of them, such as "a man hands a cup to a woman"',
        )
    if isinstance(against, str):
        raise ConfigError("takes a list of counterparts, got one text", fix="Write [text]")
    if against and text is None:
        raise ConfigError(
            "counterparts belong to a sentence", where="--not", fix="Search for a sentence"
        )
    if any(isinstance(one, str) and not one.strip() for one in (text, *against)):
        raise ConfigError("a sentence is empty", fix="Say what happens, or leave it out")
    if any("\ud800" <= sign <= "\udfff" for one in (text, *against) for sign in str(one)):
        raise ConfigError("a sentence is not in UTF-8", fix="Write it in UTF-8")
    if k < 1:
        raise ConfigError(f"cannot give {k} hits", where="-k", fix="Give 1 or more")


def _matches(path: Path, pattern: str) -> bool:
    """Whether a pattern is of the whole path, or of its end from some folder on."""
    place = place_of(path)
    return fnmatchcase(place, pattern) or fnmatchcase(place, f"*/{pattern}")

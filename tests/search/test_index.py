"""Searching an index: what is found, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from figclip import Hit, Index
from figclip.errors import ConfigError, ModelError, StoreError, VideoError
from figclip.model.embedder import model_identity
from figclip.model.figclip import FiGCLIP
from figclip.search.index import shown_time
from figclip.search.index_file import IndexedFile, IndexedVideo, IndexSpec, IndexWriter
from figclip.search.playlists import write_playlist
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps

PUSH, PULL, REST = "a man pushes a woman", "a woman pulls a cat", "nothing at all"


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def model(clip_folder: Path) -> FiGCLIP:
    return FiGCLIP.from_pretrained(clip_folder)


@pytest.fixture(scope="module")
def index(model: FiGCLIP, tmp_path_factory: pytest.TempPathFactory) -> Index:
    shown = {
        "b.mp4+party/copy.mkv": [REST, REST, PUSH, PUSH, REST, REST],
        "a.mp4": [REST, PULL, REST],
        "c.mp4": [PUSH],
    }
    path = write_index(tmp_path_factory.mktemp("index") / "my.index", model, shown)
    return Index.open(path, model=model)


def places(hits: tuple[Hit, ...]) -> list[tuple[str, float, float]]:
    return [(hit.path.name, hit.start_s, hit.end_s) for hit in hits]


def test_a_sentence_finds_the_moments_that_show_it_by_path(index: Index):
    hits = index.search(text=PUSH, k=2)
    assert places(hits) == [("b.mp4", 2.0, 5.0), ("c.mp4", 0.0, 2.0)]
    assert [hit.score for hit in hits] == pytest.approx([1, 1])
    assert hits[0].also_at == (Path("/videos/party/copy.mkv"),)
    assert hits[0].windows == (2, 3) and hits[0].best_window == 2
    assert hits[0].video == "hash of b.mp4+party/copy.mkv" and hits[0].margin is None
    assert index.thumbnail(hits[0].video, 3)[:2] == b"\xff\xd8"


def test_no_more_than_there_are(index: Index):
    hits = index.search(text=PULL, k=1000)
    assert places(hits)[0] == ("a.mp4", 1.0, 3.0)
    assert len(hits) < 10 == len(index.windows.number_N)


def test_paths_are_chosen_by_a_pattern_of_their_whole_or_end(index: Index):
    (hit,) = index.search(text=PUSH, path_glob="party/*", k=1)
    assert hit.path == Path("/videos/party/copy.mkv") and hit.also_at == (Path("/videos/b.mp4"),)
    assert {hit.path.name for hit in index.search(text=PUSH, path_glob="*/a.mp4")} == {"a.mp4"}
    with pytest.raises(ConfigError, match=r"--path \*.avi: no video of the index"):
        index.search(text=PUSH, path_glob="*.avi")


def test_counterparts_order_hits_by_score_and_half_the_margin(index: Index, model: FiGCLIP):
    push, pull, rest = model.encode_text([PUSH, PULL, REST]).numpy()
    hits = index.search(text=PUSH, against=[PULL, REST])
    assert places(hits)[:2] == [("b.mp4", 2.0, 5.0), ("c.mp4", 0.0, 2.0)]
    assert hits[0].margin == pytest.approx(1 - max(push @ pull, push @ rest), abs=1e-6)
    order = [hit.score + (hit.margin or 0) / 2 for hit in hits]
    assert order == sorted(order, reverse=True)
    both = "a man pulls a woman"
    found = [index.search(text=both, against=against)[0].path.name for against in ([], [PUSH])]
    assert found == ["b.mp4", "a.mp4"]


def test_a_picture_and_a_video_are_embedded_by_the_model(
    index: Index, model: FiGCLIP, tmp_path: Path
):
    video = draw_video(tmp_path / "query.mp4", stamps=regular_stamps(30))
    (hit,) = index.search(video=video, k=1)
    expected = (index.windows.vectors_ND @ model.encode_video([video]).numpy()[0]).max()
    assert hit.score == pytest.approx(expected, abs=1e-6)


def test_an_index_without_videos_finds_nothing(model: FiGCLIP, tmp_path: Path):
    index = Index.open(write_index(tmp_path / "none.index", model, {}), model=model)
    assert index.search(text=PUSH, against=[PULL]) == ()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "just one thing is searched for"),
        ({"text": PUSH, "image": "a.png"}, "just one thing is searched for"),
        ({"text": " "}, "a sentence is empty"),
        ({"text": PUSH, "against": [""]}, "a sentence is empty"),
        ({"text": PUSH, "against": ["\udcff"]}, "a sentence is not in UTF-8"),
        ({"text": PUSH, "against": PULL}, r"got one text. Write \[text\]"),
        ({"image": "a.png", "against": [PUSH]}, "counterparts belong to a sentence"),
        ({"text": PUSH, "k": 0}, "-k: cannot give 0 hits"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    index: Index, query: dict[str, object], message: str
):
    with pytest.raises(ConfigError, match=message):
        index.search(**query)


def test_another_model_and_a_model_that_has_gone_are_refused_by_name(
    index: Index, clip_folder: Path, tmp_path: Path
):
    with pytest.raises(ModelError, match="no-such-model cannot be loaded.*Give where it is now"):
        Index.open(index.path)
    with pytest.raises(StoreError, match="is of another model: .*no-such-model"):
        Index.open(index.path, model=write_tiny_clip(tmp_path / "other", seed=1))
    assert Index.open(index.path, model=clip_folder).spec == index.spec


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [(0, "0:00.0"), (12.54, "0:12.5"), (59.97, "1:00.0"), (3723, "1:02:03.0")],
)
def test_times_are_shown_as_players_show_them(time_s: float, shown: str):
    assert shown_time(time_s) == shown


def test_approximate_search_finds_the_same_and_with_paths_searches_exactly(
    model: FiGCLIP, tmp_path: Path
):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(10_000, 32)).astype(np.float32)
    vectors[1234] = model.encode_text([PUSH]).numpy()[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    starts = np.arange(100) * 1_000_000
    spec = IndexSpec(
        model="none", model_hash=model_identity(model.backbone), pipeline="pil", dim=32
    )
    path = tmp_path / "my.index"
    with IndexWriter(path, spec=spec) as writer:
        for number in range(100):
            part = slice(100 * number, 100 * (number + 1))
            video = IndexedVideo(
                hash=f"{number:02d}",
                duration_s=100.0,
                spans_us=np.stack([starts, starts + 1_000_000], axis=1),
                vectors_ND=vectors[part],
                thumbnails=(b"",) * 100,
            )
            writer.add_video(video)
            file = IndexedFile(
                path=Path(f"/videos/{number:02d}.mp4"), num_bytes=1, mtime_ns=1, hash=video.hash
            )
            writer.set_file(file)
    exact = Index.open(path, model=model)
    told: list[tuple[int, int]] = []
    graph = Index.open(
        path, model=model, approximate="hnsw", on_progress=lambda *one: told.append(one)
    )
    assert graph.approximate is not None and told == [(10_000, 10_000)]
    assert graph.search(text=PUSH, k=1) == exact.search(text=PUSH, k=1)
    assert graph.search(text=PUSH, k=1)[0].path.name == "12.mp4"
    narrow = {"text": PUSH, "path_glob": "3?.mp4", "k": 50}
    assert graph.search(**narrow) == exact.search(**narrow)
    # More moments than windows were proposed at first.
    assert len(graph.search(text=PUSH, k=9_000)) == len(exact.search(text=PUSH, k=9_000)) > 5_000


def test_a_copy_takes_the_place_of_a_file_that_has_changed_or_gone(model: FiGCLIP, tmp_path: Path):
    one, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path in (one, other):
        path.write_bytes(b"video")
    path = write_index(tmp_path / "i", model, {"a.mp4+b.mp4": [PUSH]}, folder=str(tmp_path))
    index = Index.open(path, model=model)
    (hit,) = index.search(text=PUSH)
    assert index.find_file(hit) == one
    one.write_bytes(b"another video")
    assert index.find_file(hit) == other
    other.unlink()
    with pytest.raises(
        VideoError, match=r"a.mp4: changed: since it was indexed. Run `figclip index"
    ):
        index.find_file(hit)
    one.unlink()
    with pytest.raises(VideoError, match="missing"):
        index.find_file(hit)


def test_what_is_elsewhere_is_told_by_its_address(model: FiGCLIP, tmp_path: Path):
    path = write_index(tmp_path / "my.index", model, {"a.mp4": [PUSH]}, folder="s3://bucket")
    index = Index.open(path, model=model)
    (hit,) = index.search(text=PUSH, path_glob="s3://bucket/*")
    assert hit.as_dict()["path"] == "s3://bucket/a.mp4"
    with pytest.raises(VideoError, match=r"s3://bucket/a\.mp4: elsewhere: not on this machine"):
        index.find_file(hit)
    write_playlist(tmp_path / "hits.m3u", [hit])
    assert (tmp_path / "hits.m3u").read_text().splitlines()[-1] == "s3://bucket/a.mp4"

"""The cache of embeddings: computed once, keyed by model and content, shared by processes."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from figclip.errors import StoreError
from figclip.model.embedding_cache import EmbeddingCache


class Counter:
    """Embeds a number as [n, n / 3], and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, items: list[int]) -> np.ndarray:
        self.asked.append(list(items))
        return vectors(items)


def vectors(items: list[int]) -> np.ndarray:
    return np.array([[n, n / 3] for n in items], np.float32)


def embed(cache: EmbeddingCache, items: list[int], compute: Counter, **options: int) -> np.ndarray:
    contents = [b"%d" % n for n in items]
    return cache.embed(items, contents=contents, dim=2, compute=compute, **options)


def test_a_flipped_bit_of_a_vector_is_noticed(tmp_path: Path):
    file, vector = tmp_path / "c", np.array([[1.5, -2.0, 0.25]], np.float32)
    cache = EmbeddingCache(file, model="m")

    def embed() -> np.ndarray:
        return cache.embed(["a"], contents=[b"a"], dim=3, compute=lambda items: vector)

    embed()
    content = file.read_bytes()
    start = content.index(vector.tobytes())
    for position in range(start, start + vector.nbytes + 4):
        damaged = bytearray(content)
        damaged[position] ^= 4
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"does not match its checksum. Delete the file"):
            embed()
    file.write_bytes(content)
    assert np.array_equal(embed(), vector)


def test_a_vector_of_another_key_is_noticed(tmp_path: Path):
    """A damaged index leads to another row."""
    cache = EmbeddingCache(tmp_path / "c", model="m")
    numbers = np.eye(2, dtype=np.float32)
    cache.embed(["a", "b"], contents=[b"a", b"b"], dim=2, compute=lambda items: numbers)
    with closing(sqlite3.connect(tmp_path / "c")) as db, db:
        db.execute("UPDATE embeddings SET vector = (SELECT max(vector) FROM embeddings)")
    with pytest.raises(StoreError, match="checksum"):
        cache.embed(["a", "b"], contents=[b"a", b"b"], dim=2, compute=lambda items: numbers)


def test_vectors_of_earlier_versions_have_no_checksum(tmp_path: Path):
    cache = EmbeddingCache(tmp_path / "c", model="m")
    vector = np.array([[1.5, -2.0]], np.float32)
    cache.embed(["a"], contents=[b"a"], dim=2, compute=lambda items: vector)
    with closing(sqlite3.connect(tmp_path / "c")) as db, db:
        db.execute("UPDATE embeddings SET vector = ?", (vector.tobytes(),))
    found = cache.embed(["a"], contents=[b"a"], dim=2, compute=lambda items: 0 * vector)
    assert np.array_equal(found, vector)


def test_everything_is_computed_once_and_comes_back_bit_for_bit(tmp_path: Path):
    file, compute = tmp_path / "new folder" / "c.sqlite", Counter()
    cache = EmbeddingCache(file, model="m")
    np.testing.assert_array_equal(embed(cache, [1, 2, 3], compute), vectors([1, 2, 3]))
    again = EmbeddingCache(file, model="m")
    found = embed(again, [4, 2, 4, 1], compute)
    np.testing.assert_array_equal(found, vectors([4, 2, 4, 1]))
    assert found.dtype == np.float32
    assert compute.asked == [[1, 2, 3], [4]]


def test_the_same_content_twice_in_one_call_is_computed_once(tmp_path: Path):
    compute = Counter()
    found = embed(EmbeddingCache(tmp_path / "c", model="m"), [5, 5, 6, 5], compute)
    np.testing.assert_array_equal(found, vectors([5, 5, 6, 5]))
    assert [sorted(part) for part in compute.asked] == [[5, 6]]


@pytest.mark.parametrize("other", ["n", "m ", "", "x" * 64 + "b", "x" * 5000])
def test_models_do_not_share_embeddings(tmp_path: Path, other: str):
    names = ["x" * 64 + "a" if other.startswith("x") else "m", other]
    for name in names:
        compute = Counter()
        embed(EmbeddingCache(tmp_path / "c", model=name), [1], compute)
        assert compute.asked == [[1]], f"the embedding of another model was given to {name!r}"


def test_more_items_than_one_statement_takes(tmp_path: Path):
    items = list(range(2_001))
    embed(EmbeddingCache(tmp_path / "c", model="m"), items, Counter())
    compute = Counter()
    found = embed(EmbeddingCache(tmp_path / "c", model="m"), items[::-1], compute)
    np.testing.assert_array_equal(found, vectors(items[::-1]))
    assert compute.asked == []


def test_an_interrupted_run_loses_at_most_a_chunk(tmp_path: Path):
    class KilledError(Exception):
        pass

    class Failing(Counter):
        def __call__(self, items: list[int]) -> np.ndarray:
            if len(self.asked) == 2:
                raise KilledError
            return super().__call__(items)

    failing = Failing()
    with pytest.raises(KilledError):
        embed(EmbeddingCache(tmp_path / "c", model="m"), list(range(10)), failing, chunk=3)
    assert failing.asked == [[0, 1, 2], [3, 4, 5]]
    compute = Counter()
    embed(EmbeddingCache(tmp_path / "c", model="m"), list(range(10)), compute, chunk=3)
    assert compute.asked == [[6, 7, 8], [9]]


def fill(file: Path, first: int) -> list[list[float]]:
    """Embed 200 numbers, half of them also another process's."""
    cache = EmbeddingCache(file, model="m")
    items = list(range(first, first + 200))
    return embed(cache, items, Counter(), chunk=10).tolist()


@pytest.mark.slow
def test_processes_share_one_file(tmp_path: Path):
    file = tmp_path / "c.sqlite"
    starts = [0, 100, 200]
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        for first, found in zip(starts, pool.map(fill, [file] * 3, starts), strict=True):
            assert found == vectors(list(range(first, first + 200))).tolist()
    compute = Counter()
    embed(EmbeddingCache(file, model="m"), list(range(400)), compute)
    assert compute.asked == []


NUM_OPENERS = 8
NUM_FILES = int(os.environ.get("FIGCLIP_CACHE_FILES", "5"))
"""Caches of each kind that all open at once; 100 take about two minutes."""


def write_nothing(file: Path) -> None:
    """A fresh cache."""


def write_empty_file(file: Path) -> None:
    """What is left of a process that was killed before it wrote anything."""
    file.touch()


def write_bare_table(file: Path) -> None:
    """What an earlier figclip left when it was killed while it made the cache."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE embeddings (key BLOB PRIMARY KEY, vector BLOB)")


def write_wal_cache(file: Path) -> None:
    """What an earlier figclip wrote."""
    embed(EmbeddingCache(file, model="m"), [1], Counter())
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)


KINDS = [write_nothing, write_empty_file, write_bare_table, write_wal_cache]


def open_at_once(files: list[Path], barrier: Barrier, first: int) -> list[str]:
    """Open, fill and read each cache at the same moment as the others; what went wrong."""
    wrong = []
    for file in files:
        barrier.wait(60)
        try:
            cache = EmbeddingCache(file, model="m")
            items = list(range(first, first + 20))
            found = embed(cache, items, Counter(), chunk=10)
            np.testing.assert_array_equal(found, vectors(items))
        except Exception as error:  # reported by the test: the others must not wait for us
            wrong.append(f"{file.name}: {error!r}")
    return wrong


@pytest.mark.slow
def test_eight_processes_open_and_fill_one_cache_at_once(tmp_path: Path):
    files = [tmp_path / f"{kind.__name__}-{n}" for kind in KINDS for n in range(NUM_FILES)]
    for file, kind in zip(files, np.repeat(np.array(KINDS), NUM_FILES), strict=True):
        kind(file)
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(NUM_OPENERS, mp_context=context) as pool,
    ):
        barrier = manager.Barrier(NUM_OPENERS)
        starts = [10 * n for n in range(NUM_OPENERS)]  # each shares half with the next
        jobs = [pool.submit(open_at_once, files, barrier, first) for first in starts]
        assert [job.result() for job in jobs] == [[]] * NUM_OPENERS
    for file in files:
        compute = Counter()
        embed(EmbeddingCache(file, model="m"), list(range(90)), compute)
        assert compute.asked == []
        assert journal_of(file) == ("wal" if "wal" in file.name else "delete")
    # Without a log beside any: what is open in WAL leaves one only when it is killed.
    new = {path.name for path in tmp_path.iterdir() if "wal_cache" not in path.name}
    assert new == {file.name for file in files if "wal_cache" not in file.name}


def journal_of(file: Path) -> str:
    with closing(sqlite3.connect(file)) as db:
        return db.execute("PRAGMA journal_mode").fetchone()[0]


def test_a_cache_of_before_keeps_its_embeddings(tmp_path: Path):
    write_wal_cache(tmp_path / "c")
    compute = Counter()
    found = embed(EmbeddingCache(tmp_path / "c", model="m"), [1], compute)
    np.testing.assert_array_equal(found, vectors([1]))
    assert compute.asked == []


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("precious " * 1000)
    with pytest.raises(StoreError, match=r"notes\.txt: is not an embedding cache"):
        EmbeddingCache(file, model="m")
    assert file.read_text() == "precious " * 1000


def test_damage_that_sqlite_cannot_even_quote_is_named(tmp_path: Path):
    """Its message quotes bytes that are no UTF-8."""
    file = tmp_path / "cache.sqlite"
    EmbeddingCache(file, model="m")
    content = file.read_bytes()
    file.write_bytes(content.replace(b"TABLE embeddings", b"TABLE embe:\xc8ings"))
    assert file.read_bytes() != content
    with pytest.raises(StoreError, match="is not an embedding cache"):
        EmbeddingCache(file, model="m")


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path):
    file = tmp_path / "photos.sqlite"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE photos (name TEXT)")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="database of another program"):
        EmbeddingCache(file, model="m")
    assert file.read_bytes() == before


def test_a_newer_format_is_refused(tmp_path: Path):
    file = tmp_path / "c.sqlite"
    EmbeddingCache(file, model="m")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("PRAGMA user_version=2")
    with pytest.raises(StoreError, match="format 2, this version reads 1"):
        EmbeddingCache(file, model="m")


def test_vectors_of_another_length_are_refused(tmp_path: Path):
    cache = EmbeddingCache(tmp_path / "c", model="m")
    embed(cache, [1], Counter())
    with closing(sqlite3.connect(tmp_path / "c")) as db, db:
        db.execute("UPDATE embeddings SET vector = ?", (b"123",))
    with pytest.raises(StoreError, match="has not 2 numbers.*Delete the file"):
        embed(cache, [1], Counter())


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_to_be_deleted(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be read or written.*FIGCLIP_CACHE=DIR"):
        EmbeddingCache(tmp_path / "file" / "c", model="m")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be read or written.*FIGCLIP_CACHE=DIR"):
        EmbeddingCache(tmp_path / "folder", model="m")


def test_running_out_of_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = EmbeddingCache(tmp_path / "c", model="m")
    connect = EmbeddingCache._connect

    def full(self: EmbeddingCache) -> sqlite3.Connection:
        connection = connect(self)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(EmbeddingCache, "_connect", full)
    with pytest.raises(StoreError, match="cannot be read or written .*full"):
        embed(cache, list(range(5000)), Counter())

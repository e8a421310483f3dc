"""Arrays of others by name: every layout reads alike, and what is hostile is named."""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import figclip.heads.feature_archive as feature_archive
from figclip.errors import ConfigError, DataError
from figclip.heads.feature_archive import FeatureArchive

ARRAYS = {
    "v_one": np.arange(6, dtype=np.float32).reshape(2, 3),
    "v_two": np.full((1, 2, 3), -0.5, np.float16),
    "v_three": np.asfortranarray(np.linspace(0, 1, 8).reshape(4, 2)),
}


def write_folder(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    (path / "README.txt").write_text("how they were made")
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    file = path.with_suffix(".npz")
    np.savez_compressed(file, **arrays)
    return file


def write_safetensors(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    file = path.with_suffix(".safetensors")
    save_file(
        {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()}, file
    )
    return file


def write_hdf5(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """As ActivityNet's C3D: a group a video."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path.with_suffix(".hdf5"), "w") as file:
        for name, array in arrays.items():
            file.create_group(name).create_dataset("c3d_features", data=array)
    return path.with_suffix(".hdf5")


def write_flat_hdf5(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """As TSP's: an array a video."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")
    return path.with_suffix(".h5")


WRITERS: tuple[Callable[[Path, dict[str, np.ndarray]], Path], ...] = (
    write_folder,
    write_npz,
    write_safetensors,
    write_hdf5,
    write_flat_hdf5,
)


def read_all(path: Path) -> dict[str, np.ndarray]:
    archive = FeatureArchive.open(path)
    keys = sorted(archive.keys)
    return dict(zip(keys, archive.read(keys), strict=True))


@pytest.mark.parametrize("write", WRITERS)
def test_every_layout_reads_alike(tmp_path: Path, write: Callable[..., Path]):
    found = read_all(write(tmp_path / "feats", ARRAYS))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == np.float32 and found[name].flags.c_contiguous
        assert np.array_equal(found[name], array.astype(np.float32)), name


@pytest.mark.parametrize("write", WRITERS)
def test_numbers_that_cannot_be_features_are_named_with_their_key(
    tmp_path: Path, write: Callable[..., Path]
):
    bad = {
        "whole": (np.ones((2, 2), np.int64), "holds int64, not floating-point"),
        "nan": (np.array([[1.0, np.nan]]), "not finite"),
        "large": (np.array([[1e300]]), "beyond float32"),
    }
    arrays = {name: array for name, (array, _) in bad.items()}
    path = write(tmp_path / "feats", {"good": np.ones((1, 2)), **arrays})
    archive = FeatureArchive.open(path)
    assert np.array_equal(next(archive.read(["good"])), np.ones((1, 2))), "only what is asked for"
    for name, (_, said) in bad.items():
        with pytest.raises(DataError, match=f"{path.name}: {name}: .*{said}"):
            list(archive.read([name]))
    with pytest.raises(DataError, match=f"{path.name}: absent: "):
        list(archive.read(["absent"]))


@pytest.mark.parametrize("write", WRITERS)
def test_the_hash_is_that_of_the_content(tmp_path: Path, write: Callable[..., Path]):
    paths = []
    changed = {**ARRAYS, "v_one": np.ones((2, 3))}
    for folder, arrays in (("a", ARRAYS), ("b", ARRAYS), ("c", changed)):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "feats", arrays))
    first, same, other = (FeatureArchive.open(path).content_hash() for path in paths)
    # HDF5 and safetensors may lay the same content out in more than one way.
    assert first != other and (first == same or write in (write_hdf5, write_flat_hdf5, write_npz))


@pytest.mark.parametrize("write", WRITERS)
def test_arrays_are_refused_for_their_size_before_they_are_read(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    arrays = {"small": np.ones((1, 2), np.float32), "big": np.ones((99, 2))}
    path = write(tmp_path / "feats", arrays)
    monkeypatch.setattr(feature_archive, "MAX_FILE_BYTES", 200)
    read = feature_archive.read_bytes
    monkeypatch.setattr(feature_archive, "read_bytes", lambda file: read(file, limit=200))
    archive = FeatureArchive.open(path)
    assert len(list(archive.read(["small"]))) == 1
    with pytest.raises(DataError, match=r"big: cannot be read .*(more|larger) than 200"):
        list(archive.read(["big"]))


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def header(shape: str, *, descr: str = "'<f4'", version: int = 1, data: bytes = b"") -> bytes:
    said = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = len(said).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + said + data


class Exploding:
    def __reduce__(self) -> Any:
        return (os.abort, ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(np.array([Exploding()]), allow_pickle=True), "Python objects"),
        (pickle.dumps(Exploding()), "no array of numbers"),
        (npy(np.ones((3, 4)))[:-1], "95 bytes of numbers, and its shape (3, 4) takes 96"),
        (npy(np.ones((3, 4))) + b"\0", "97 bytes of numbers"),
        (npy(np.ones(2, dtype=[("a", "f4"), ("b", "f4")])), "no array of numbers"),
        (npy(np.array(["text"])), "not floating-point"),
        (header("(1000000000000, 512)"), "takes 2,048,000,000,000,000"),
        (header("(-1, -4)", data=bytes(16)), "no array of numbers"),
        (header("(4,)", descr="'|O'"), "Python objects"),
        (header("(4,)", descr="'nonsense'"), "nonsense"),
        (header("(1, 1)", descr="__import__('os').abort()"), "no array of numbers"),
        (header("(" + "9" * 5000 + ",)"), "digits"),
        (header(" " * 70_000 + "(1,)", version=2, data=bytes(4)), "no array of numbers"),
        (b"", "no array of numbers"),
        (b"\x93NUMPY", "no array of numbers"),
    ],
)
@pytest.mark.parametrize("is_packed", [True, False])
def test_hostile_npy_files_are_named(tmp_path: Path, content: bytes, said: str, is_packed: bool):
    path = tmp_path / ("feats.npz" if is_packed else "feats")
    if is_packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("v_bad.npy", content)
    else:
        path.mkdir()
        (path / "v_bad.npy").write_bytes(content)
    with pytest.raises(DataError, match="v_bad: cannot be read") as error:
        read_all(path)
    assert said in str(error.value)


@pytest.mark.parametrize(("shape", "version"), [("(2L, 1L)", 1), ("(2, 1)", 2), ("( 2,1, )", 3)])
def test_headers_of_other_writers_are_read(tmp_path: Path, shape: str, version: int):
    content = header(shape, version=version, data=np.float32([1, 2]).tobytes())
    (tmp_path / "v.npy").write_bytes(content)
    assert read_all(tmp_path)["v"].tolist() == [[1.0], [2.0]]


def test_what_is_no_file_of_features(tmp_path: Path):
    (tmp_path / "feats.pkl").write_bytes(pickle.dumps(Exploding()))
    (tmp_path / "feats").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    for suffix in ("npz", "safetensors"):
        (tmp_path / f"text.{suffix}").write_text("no features")
    np.savez(tmp_path / "nothing.npz")
    for name, said in {
        "absent.npz": "does not exist. Features are .npz",
        "feats.pkl": "is no file of features that is read here.*numpy.savez",
        "feats": "is no file of features",
        "empty": "holds no arrays. Give the folder that the .npy files are in",
        "nothing.npz": "holds no arrays",
        "pipe.npz": "is a pipe or a device",
        "text.npz": "cannot be read",
        "text.safetensors": "cannot be read",
    }.items():
        with pytest.raises(DataError, match=said):
            FeatureArchive.open(tmp_path / name)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "feats.npz", "w") as archive:
        archive.writestr("v.npy", npy(np.ones((1, 1))))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("v.npy", npy(np.zeros((1, 1))))
    with pytest.raises(DataError, match="holds 'v' twice"):
        FeatureArchive.open(tmp_path / "feats.npz")


def test_hdf5_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "feats.h5").write_bytes(b"")
    said = r'needs h5py. Install it: pip install "figclip\[features\]"'
    with pytest.raises(ConfigError, match=said):
        FeatureArchive.open(tmp_path / "feats.h5")


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "raw").write_bytes(bytes(8))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["v"] = np.ones((2, 1), np.float32)
    with h5py.File(tmp_path / "feats.h5", "w") as file:
        file["outside"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "v")
        file["soft"] = h5py.SoftLink("/empty")
        file.create_dataset("raw", (2, 1), "f4", external=[(str(tmp_path / "raw"), 0, 8)])
        layout = h5py.VirtualLayout((2, 1), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "v", shape=(2, 1))
        file.create_virtual_dataset("virtual", layout)
        file.create_group("empty")
        both = file.create_group("both")
        both["a"], both["b"] = np.ones((1, 1)), np.ones((1, 1))
        file.create_group("deep").create_group("deeper")
        file.create_dataset("vast", (2**40, 2**10), "f4", chunks=(1, 2**10))
        file["texts"] = np.array([b"a"], dtype=object).astype("S1")
    archive = FeatureArchive.open(tmp_path / "feats.h5")
    for key, said in {
        "outside": "is a link",
        "soft": "is a link",
        "raw": "no array that lies in the file",
        "virtual": "no array that lies in the file",
        "empty": "is a group of 0 arrays",
        "both": "is a group of 2 arrays",
        "deep": "no array that lies in the file",
        "vast": "more than 256,000,000",
        "texts": "not floating-point",
    }.items():
        with pytest.raises(DataError, match=f"feats.h5: {key}: cannot be read .*{said}"):
            list(archive.read([key]))
    (tmp_path / "cut.h5").write_bytes((tmp_path / "other.h5").read_bytes()[:-8])
    with pytest.raises(DataError, match="cut.h5: cannot be read"):
        FeatureArchive.open(tmp_path / "cut.h5")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject, tmp_path_factory: Any):
    folder = tmp_path_factory.mktemp("damaged")
    write = data.draw(st.sampled_from((write_npz, write_safetensors, write_folder)))
    path = write(folder / "feats", ARRAYS)
    file = path / "v_one.npy" if path.is_dir() else path
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = read_all(path)
    except DataError as error:
        assert error.where.startswith(str(path))
    else:
        assert all(np.isfinite(array).all() for array in found.values())

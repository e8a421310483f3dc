"""Read arrays that others publish by names of videos: npz, safetensors, HDF5, or npy files.

Only arrays that are asked for are read, one after the other. Files are hostile: Python objects are
never loaded, links lead nowhere, and sizes are checked before memory is taken.
"""

from __future__ import annotations

import hashlib
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open

from figclip.errors import ConfigError, DataError, shown
from figclip.runtime.reading import MAX_FILE_BYTES, damage_named, open_file, read_bytes

_HASHED_AT_ONCE = 2**20
_NPY, _MAX_HEADER_BYTES = b"\x93NUMPY", 2**16
_HEADER = re.compile(
    rb"\s*\{\s*'descr':\s*'([^']*)',\s*'fortran_order':\s*(True|False),"
    rb"\s*'shape':\s*\(([\dL,\s]*)\),?\s*\}\s*"
)
"""Of an array of plain numbers, whichever program wrote it; Python 2 wrote `5L`."""
_DAMAGES = (zipfile.BadZipFile, zlib.error, RuntimeError, SafetensorError)
_FIX = "Write it again, or leave it out"
_KINDS = ".npz, .safetensors, .h5 or .hdf5, or a folder of .npy files"


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file: the names of its arrays, and what reads one of them."""

    keys: list[str]
    load: Callable[[str], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureArchive:
    """Arrays by name, in a file or a folder."""

    path: Path
    keys: frozenset[str]

    @classmethod
    def open(cls, path: Path) -> FeatureArchive:
        """List what a file or folder holds.

        Raises:
            ConfigError: HDF5, and h5py is not installed.
            DataError: it is absent, of another kind, damaged, or holds nothing.
        """
        with _open(path) as opened:
            counts = Counter(opened.keys)
        if not counts:
            fix = "Give the folder that the .npy files are in" if path.is_dir() else "Give another"
            raise DataError("holds no arrays", where=str(path), fix=fix)
        if twice := [key for key, count in counts.items() if count > 1]:
            raise DataError(f"holds {shown(twice[0])} twice", where=str(path), fix=_FIX)
        return cls(path=path, keys=frozenset(counts))

    def read(self, keys: Iterable[str]) -> Iterator[Float32[np.ndarray, "*shape"]]:
        """The arrays of some keys in their order; a `DataError` for one that cannot be used.

        It names the key: no floating-point numbers, some that are not finite, or more than 256 MB.
        """
        with _open(self.path) as opened:
            for key in keys:
                with damage_named(f"{self.path}: {key}", DataError, fix=_FIX, also=_DAMAGES):
                    array = _checked(opened.load(key))
                yield array

    def content_hash(self) -> str:
        """Hash of a file's bytes; of a folder, of the names and bytes of its npy files."""
        if not self.path.is_dir():
            return _hash_file(self.path)
        digest = hashlib.blake2b(digest_size=16)
        for key in sorted(self.keys):
            digest.update(repr((key, _hash_file(_npy_file(self.path, key)))).encode())
        return digest.hexdigest()


def _hash_file(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with damage_named(path, DataError, fix=_FIX), open_file(path) as file:
        while content := file.read(_HASHED_AT_ONCE):
            digest.update(content)
    return digest.hexdigest()


def _open(path: Path) -> AbstractContextManager[_Opened]:
    """Open by the kind of file."""
    if not path.exists():
        raise DataError("does not exist", where=str(path), fix=f"Features are {_KINDS}")
    kind = _OPENERS.get("" if path.is_dir() else path.suffix.lower() or path.name)
    if kind is None:
        fix = f"Features are {_KINDS}; what a pickle holds can be written by numpy.savez"
        raise DataError("is no file of features that is read here", where=str(path), fix=fix)
    if not path.is_dir() and not path.is_file():
        raise DataError("is a pipe or a device, not a file", where=str(path))
    return kind(path)


def _checked(array: np.ndarray) -> Float32[np.ndarray, "*shape"]:
    """The numbers as float32."""
    if array.dtype.kind != "f":
        raise ValueError(f"holds {array.dtype}, not floating-point numbers")
    with np.errstate(over="ignore"):  # too large a number becomes infinite, and is refused
        numbers = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("holds numbers that are not finite, or beyond float32")
    return numbers


def _require_size(num_bytes: int) -> None:
    """Refuse an array before it is read."""
    if num_bytes > MAX_FILE_BYTES:
        raise ValueError(f"takes {num_bytes:,} bytes, more than {MAX_FILE_BYTES:,}")


# --- Folders of npy files, and npz


def _npy_file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npy"


@contextmanager
def _open_folder(path: Path) -> Generator[_Opened]:
    with damage_named(path, DataError, fix=_FIX):
        keys = [file.stem for file in path.iterdir() if file.suffix == ".npy"]
    yield _Opened(keys, lambda key: _parse_npy(read_bytes(_npy_file(path, key))))


@contextmanager
def _open_npz(path: Path) -> Generator[_Opened]:
    with damage_named(path, DataError, fix=_FIX, also=_DAMAGES):
        archive = zipfile.ZipFile(path)
    with archive:

        def load(key: str) -> np.ndarray:
            member = archive.getinfo(f"{key}.npy")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("is packed in a way that numpy has not")
            _require_size(member.file_size)
            return _parse_npy(archive.read(member))

        names = [name for name in archive.namelist() if name.endswith(".npy")]
        yield _Opened([name.removesuffix(".npy") for name in names], load)


def _parse_npy(content: bytes) -> np.ndarray:
    """An array of numbers in numpy's format, of which nothing is evaluated.

    A `ValueError` if it is none.
    """
    start = 10 if content[6:7] == b"\1" else 12  # the length of the header takes 2 bytes, or 4
    end = start + int.from_bytes(content[8:start], "little")
    header = _HEADER.fullmatch(content[start : min(end, start + _MAX_HEADER_BYTES)])
    if not content.startswith(_NPY) or header is None:
        raise ValueError("is no array of numbers in numpy's format")
    descr, is_fortran, lengths = (part.decode() for part in header.groups())
    dtype = np.dtype(descr)
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never loaded")
    shape = tuple(int(one.rstrip("L")) for one in lengths.replace(",", " ").split())
    needed = math.prod(shape) * dtype.itemsize
    if needed != len(content) - end:
        raise ValueError(
            f"has {len(content) - end:,} bytes of numbers, and its shape {shape} takes {needed:,}"
        )
    order = "F" if is_fortran == "True" else "C"
    return np.ndarray(shape, dtype, buffer=content, offset=end, order=order)


# --- safetensors


@contextmanager
def _open_safetensors(path: Path) -> Generator[_Opened]:
    with damage_named(path, DataError, fix=_FIX, also=_DAMAGES):
        file = safe_open(path, framework="pt")
    with file as opened:

        def load(key: str) -> np.ndarray:
            _require_size(4 * math.prod(opened.get_slice(key).get_shape()))
            tensor = opened.get_tensor(key)
            return (tensor.float() if tensor.is_floating_point() else tensor).numpy()

        yield _Opened(list(opened.keys()), load)


# --- HDF5


@contextmanager
def _open_hdf5(path: Path) -> Generator[_Opened]:
    try:
        import h5py  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        fix = 'Install it: pip install "figclip[features]"'
        raise ConfigError("needs h5py", where=str(path), fix=fix) from error
    with damage_named(path, DataError, fix=_FIX, also=_DAMAGES):
        file = h5py.File(path, "r")
        keys = list(file)

    def load(key: str) -> np.ndarray:
        found = _linked(file, key)
        if isinstance(found, h5py.Group):
            if len(found) != 1:
                raise ValueError(f"is a group of {len(found):,} arrays, and one is taken")
            found = _linked(found, str(next(iter(found))))
        if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
            raise ValueError("is no array that lies in the file")
        if found.dtype.kind != "f":
            raise ValueError(f"holds {found.dtype}, not floating-point numbers")
        # A chunk, which is unpacked whole, may be larger than the array.
        most = max(math.prod(found.shape), math.prod(found.chunks or ()))
        _require_size(most * found.dtype.itemsize)
        return found[()]

    def _linked(group: Any, name: str) -> Any:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError("is a link, which is not followed")
        return group[name]

    with file:
        yield _Opened(keys, load)


_OPENERS: Mapping[str, Callable[[Path], AbstractContextManager[_Opened]]] = {
    "": _open_folder,
    ".npz": _open_npz,
    ".safetensors": _open_safetensors,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}

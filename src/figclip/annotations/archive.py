"""How a store keeps annotations: those of each video as a line of JSON, their files as they were.

Scoring needs more than the annotations of the videos that are there: what every annotator chose,
in the order of the split. The same code reads the kept bytes and the files.
"""

import io
import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path, PurePath

from figclip.annotations.reading import Place, raise_problems
from figclip.annotations.vidsitu import find_files
from figclip.config.parsing import build
from figclip.errors import StoreError
from figclip.records import VideoRecord
from figclip.runtime.reading import DAMAGES, damage_named, parse_json, read_bytes

MAX_UNPACKED_BYTES = 1_000_000_000
"""All annotation files of a store together."""


def pack_source(source: Path) -> bytes:
    """A zip archive of a file of annotations, or of VidSitu's official files in a folder.

    Equal files give equal bytes.

    The archive holds one entry of the source's name, a file or a folder.

    Raises:
        AnnotationError: a file cannot be read.
    """
    whole, place = source.resolve(), Place(str(source))
    files = [whole]
    if whole.is_dir():
        files = [Path(str(file.path)) for file in find_files(whole, place).all]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(files):
            # "?" for bytes that are not UTF-8.
            name = file.relative_to(whole.parent).as_posix().encode(errors="replace").decode()
            try:
                content = read_bytes(file)
            except OSError as error:
                what = f"cannot be read ({error.strerror})"
                place.at(str(file)).add("", what=what, fix="Check its permissions")
                continue
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    raise_problems(place)
    return packed.getvalue()


def open_source(packed: bytes, *, where: Path) -> zipfile.Path:
    """What `pack_source` packed, to be read as on the disk; a `StoreError` if it is damaged."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(packed))
        # A few bytes can hold gigabytes of zeros.
        if sum(one.file_size for one in archive.infolist()) > MAX_UNPACKED_BYTES:
            raise ValueError(f"larger than {MAX_UNPACKED_BYTES:,} bytes unpacked")
        damaged = archive.testzip()
        names = {PurePath(name).parts[0] for name in archive.namelist()}
        if damaged is None and len(names) == 1:
            archive.filename = str(where)
            return zipfile.Path(archive) / names.pop()
        what = f"{damaged} does not match its checksum" if damaged else f"it holds {len(names)}"
    except (zipfile.BadZipFile, zlib.error, RuntimeError, *DAMAGES) as error:
        what = str(error)
    raise StoreError(
        f"its annotation files are damaged ({what})",
        where=str(where),
        fix="Run `figclip prepare` again",
    )


def record_to_json(record: VideoRecord) -> str:
    """One line of ASCII JSON; floats keep every bit, lone surrogates survive.

    Raises:
        StoreError: A time is not finite, which JSON cannot hold.
    """
    try:
        return json.dumps(asdict(record), allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise StoreError(
            "an event's time is not a finite number",
            where=f"record {record.id!r}",
            fix="Correct the annotation",
        ) from error


def record_from_json(text: str) -> VideoRecord:
    """The record that `record_to_json` wrote.

    Raises:
        StoreError: Anything else: no JSON, a missing or unknown field, a value of another type.
    """
    fix, what = "Run `figclip prepare` again", "a stored record is damaged"
    with damage_named(str(text)[:80], StoreError, fix=fix, what=what):
        return build(VideoRecord, parse_json(text))

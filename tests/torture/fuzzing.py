"""Damages the files of every reader: each is read, or refused by name, in time and memory.

By hand: `python -m tests.torture.fuzzing --cases 1000000`. What is found is written into
`corpus/`, which the tests read again: `READER/FILE@NUMBER`, with `%` for `/`.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from figclip.errors import FigclipError, printable
from tests.torture.mutations import damage
from tests.torture.readers import READERS, Reader

LIMIT_S = 2.0
"""Of CPU time, for a file of up to one megabyte; a longer one has as many times that."""
LIMIT_BYTES = 2**30
CORPUS = Path(__file__).parent / "corpus"
OLD_FILES = Path(__file__).parents[1] / "fixtures" / "before_the_house.tar.xz"


class TooSlowError(BaseException):
    """Reading computes for longer than `LIMIT_S`. Nothing catches it by accident."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A damaged file that was not refused as it must be."""

    reader: str
    file: str
    problem: str
    content: bytes


@dataclass(slots=True)
class Workplace:
    """Good files of every reader, made when they are first asked for."""

    folder: Path
    made: dict[str, list[tuple[Path, bytes]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with tarfile.open(OLD_FILES) as archive:
            archive.extractall(self.folder / "old", filter="data")

    def of(self, name: str) -> Path:
        """The folder of a reader, all its files good."""
        folder = self.folder / name
        if name not in self.made:
            folder.mkdir()
            READERS[name].write(folder, self.folder / "old")
            READERS[name].read(folder)
            files = [one for one in sorted(folder.glob(READERS[name].files)) if one.is_file()]
            assert files, f"{name} has no files"
            self.made[name] = [(one, one.read_bytes()) for one in files]
        return folder


def cases(seed: int) -> Iterator[tuple[str, random.Random]]:
    """Readers by their shares, each with its own chance."""
    names, shares = list(READERS), [one.share for one in READERS.values()]
    rng = random.Random(seed)
    while True:
        (name,) = rng.choices(names, shares)
        yield name, random.Random(rng.getrandbits(64))


def try_case(place: Workplace, name: str, rng: random.Random) -> Finding | None:
    """Damage a file of a reader and read it; the file is good again afterwards."""
    folder = place.of(name)
    file, content = rng.choice(place.made[name])
    damage(file, content, rng)
    try:
        return check(READERS[name], name, folder, file)
    finally:
        file.write_bytes(content)
        for stray in file.parent.glob(f"{file.name}-*"):  # SQLite's journals
            stray.unlink()


def check(reader: Reader, name: str, folder: Path, file: Path) -> Finding | None:
    """Read what may be damaged; None when it is read or refused as it must be."""
    before = file.read_bytes()
    problem = ""
    most, held = memory_bytes(), resident_bytes()
    try:
        with within_limits(LIMIT_S * max(1, len(before) / 1e6)):
            reader.read(folder)
    except FigclipError as error:
        message = str(error)
        if message != printable(message) or len(message) > 200_000:
            problem = f"message of {type(error).__name__} cannot be printed"
    except TooSlowError:
        problem = f"longer than {LIMIT_S:g} s a megabyte in {_ours(sys.exc_info()[1])}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        problem = f"{type(error).__name__} in {_ours(error)}: {str(error)[:80]!r}"
    if not problem and memory_bytes() > max(most, held + LIMIT_BYTES):
        problem = f"more than {LIMIT_BYTES >> 20:,} MiB"
    return Finding(name, file.relative_to(folder).as_posix(), problem, before) if problem else None


@contextmanager
def within_limits(limit_s: float) -> Generator[None]:
    """Raise where what is done computes too long."""

    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _ours(error: BaseException | None) -> str:
    """The innermost place in figclip's own code."""
    assert error is not None
    calls = [
        one for one in traceback.extract_tb(error.__traceback__) if "/figclip/" in one.filename
    ]
    return f"{Path(calls[-1].filename).name}:{calls[-1].lineno}" if calls else "no code of ours"


def memory_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    """The memory that this process has now."""
    return _pages()[1] * resource.getpagesize()


def limit_memory() -> None:
    """Let allocations fail, rather than the machine."""
    limit = _pages()[0] * resource.getpagesize() + 2 * LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _pages() -> list[int]:
    """Pages of memory that this process has asked for, and that it has."""
    return [int(number) for number in Path("/proc/self/statm").read_text().split()]


def run(num_cases: int, *, seed: int, only: Sequence[str] = ()) -> list[Finding]:
    """Try cases; one finding of each kind."""
    findings: dict[tuple[str, str], Finding] = {}
    tried: Counter[str] = Counter()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder))
        for name in only or READERS:
            place.of(name)
        gc.collect()
        gc.freeze()
        limit_memory()
        before = memory_bytes()
        for name, rng in cases(seed):
            if only and name not in only:
                continue
            finding = try_case(place, name, rng)
            if finding is not None:
                kind = finding.problem.partition(": ")[0]
                if (name, kind) not in findings:
                    findings[name, kind] = finding
                    print(f"{name} {finding.file}: {finding.problem}", file=sys.stderr, flush=True)
            tried[name] += 1
            if tried.total() >= num_cases:
                break
            if tried.total() % 100 == 0:
                gc.collect()  # what errors held is in cycles, few but large
    spent = f"{time.monotonic() - started_s:.0f} s, {(memory_bytes() - before) >> 20} MiB more"
    print(f"{tried.total():,} cases of seed {seed} in {spent}: {len(findings)} kinds of findings")
    print(json.dumps(tried))
    return list(findings.values())


def keep(finding: Finding) -> None:
    """Write a damaged file into the corpus."""
    digest = hashlib.sha256(finding.content).hexdigest()[:8]
    folder = CORPUS / finding.reader
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{finding.file.replace('/', '%')}@{digest}").write_bytes(finding.content)


def read_corpus(place: Workplace) -> list[Finding]:
    """Read all that was ever found."""
    found = []
    for kept in sorted(CORPUS.glob("*/*@*")):
        name = kept.parent.name
        folder = place.of(name)
        file = folder / kept.name.rpartition("@")[0].replace("%", "/")
        content = file.read_bytes() if file.exists() else None
        shutil.copy(kept, file)
        found.append(check(READERS[name], name, folder, file))
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
    return [one for one in found if one is not None]


def main() -> int:
    """Read the command line; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=(), choices=list(READERS))
    parser.add_argument("--keep", action="store_true", help="write what is found into the corpus")
    arguments = parser.parse_args()
    from figclip.cli.options import quiet_libraries

    quiet_libraries()
    warnings.simplefilter("ignore")
    findings = run(arguments.cases, seed=arguments.seed, only=arguments.only)
    for finding in findings if arguments.keep else ():
        keep(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

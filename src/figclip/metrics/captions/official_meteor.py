"""The official METEOR 1.5: the jar that the package `pycocoevalcap` brings, run by Java.

Behind the extra `figclip[metrics]`; nothing else needs Java. One process serves all pairs: it reads
its 1 GB of paraphrases once, in about 9 s.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from figclip.errors import MetricError

_SEPARATOR = " ||| "
NUM_STATS = 23


class OfficialMeteor:
    """A running METEOR jar: `with OfficialMeteor() as meteor: …`. Not safe for several threads.

    Sentences are given to it as pycocoevalcap gives them: tokenised and lower-cased by the caller.

    Raises:
        MetricError: `pycocoevalcap`, its jar or `java` is missing, or the jar stops.
    """

    def __init__(self) -> None:
        self._command, self._folder = _jar_command()

    def __enter__(self) -> OfficialMeteor:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stats(self, candidate: str, references: Sequence[str]) -> str:
        """The jar's 23 numbers of a candidate, with the reference with which it scores highest.

        Args:
            candidate: One sentence. `|||` in it is left out, as pycocoevalcap does.
            references: What it is scored against; not empty.

        Raises:
            MetricError: a sentence holds a line break, a reference `|||`: the jar reads lines with
                that separator. Or the jar stops.
        """
        candidate = candidate.replace("|||", "").replace("  ", " ")
        if not references or any("\n" in text or "\r" in text for text in (candidate, *references)):
            raise MetricError(
                "METEOR takes one line a sentence, and one reference at least",
                where=repr(candidate),
                fix="tokenise the sentences first",
            )
        if any("|||" in reference for reference in references):
            raise MetricError("a reference holds |||, which separates METEOR's references")
        self._write(_SEPARATOR.join(("SCORE", *references, candidate)))
        answer = self._read()
        if len(answer.split()) != NUM_STATS:
            raise MetricError(f"the METEOR jar answers {answer!r} instead of {NUM_STATS} numbers")
        return answer

    def scores(self, stats: Sequence[str]) -> tuple[list[float], float]:
        """Score of each pair, and the one of all their statistics added up.

        Args:
            stats: What `stats` gave, one per pair; not empty.

        Raises:
            MetricError: the list is empty, or the jar stops.
        """
        if not stats:
            raise MetricError("there is no caption to score")
        self._write(_SEPARATOR.join(("EVAL", *stats)))
        return [float(self._read()) for _ in stats], float(self._read())

    def _write(self, line: str) -> None:
        try:
            self._stdin.write(line + "\n")
            self._stdin.flush()
        except BrokenPipeError as error:
            raise self._stopped() from error

    def _read(self) -> str:
        line = self._stdout.readline()
        if not line:
            raise self._stopped()
        return line.strip()

    def _stopped(self) -> MetricError:
        return MetricError(
            f"the METEOR jar stopped with exit code {self._process.wait()}",
            where=str(self._folder),
            fix="it needs 2 GB of memory; run the same command by hand to see why: "
            + " ".join(self._command),
        )


def _jar_command() -> tuple[list[str], Path]:
    """Command and folder of the jar, as pycocoevalcap runs it."""
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise MetricError(
            "the official METEOR needs the package pycocoevalcap",
            fix="pip install 'figclip[metrics]', or use meteor_exact, which is another score",
        )
    folder = Path(package.submodule_search_locations[0]) / "meteor"
    if not (folder / "meteor-1.5.jar").is_file():
        raise MetricError("pycocoevalcap holds no METEOR jar", where=str(folder))
    java = shutil.which("java")
    if java is None:
        raise MetricError(
            "the official METEOR needs Java, and no `java` is on the PATH",
            fix="install a Java runtime, or use meteor_exact, which is another score",
        )
    options = ["-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    return [java, *options], folder

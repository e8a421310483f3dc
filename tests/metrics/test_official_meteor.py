"""The class that talks to the METEOR jar, with a stand-in for the jar that needs no Java."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from figclip.errors import MetricError
from figclip.metrics import meteor as official_meteor
from figclip.metrics.meteor import OfficialMeteor

# Answers SCORE with 23 numbers, the first of which is the number of texts, and EVAL with as many
# scores as statistics came, and one more. "stop" makes it stop.
STAND_IN = """
import sys
for line in sys.stdin:
    kind, *parts = line.rstrip("\\n").split(" ||| ")
    if "stop" in parts:
        sys.exit(3)
    if kind == "SCORE":
        print(len(parts), *([0] * 22), flush=True)
    else:
        print(*[0.25] * len(parts), 0.5, sep="\\n", flush=True)
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STAND_IN]
    monkeypatch.setattr(official_meteor, "_jar_command", lambda: (command, tmp_path))


@pytest.mark.usefixtures("stand_in")
def test_one_process_serves_all_pairs():
    with OfficialMeteor() as meteor:
        stats = [meteor.stats("a man", ["the man", "a boy"]), meteor.stats("", [""])]
        assert [line.split()[0] for line in stats] == ["3", "2"]
        assert meteor.scores(stats) == ([0.25, 0.25], 0.5)
        # The separator within a candidate is left out, as pycocoevalcap does.
        assert meteor.stats("a ||| b", ["c"]).split()[0] == "2"


@pytest.mark.usefixtures("stand_in")
def test_sentences_that_break_its_lines_are_named():
    with OfficialMeteor() as meteor:
        for candidate, references in (("a\nb", ["c"]), ("a", ["b\r"]), ("a", [])):
            with pytest.raises(MetricError, match="one line a sentence"):
                meteor.stats(candidate, references)
        with pytest.raises(MetricError, match=r"separates METEOR's references"):
            meteor.stats("a", ["b ||| c"])
        with pytest.raises(MetricError, match="no caption to score"):
            meteor.scores([])


@pytest.mark.usefixtures("stand_in")
def test_a_jar_that_stops_is_named():
    with OfficialMeteor() as meteor, pytest.raises(MetricError, match="stopped with exit code 3"):
        meteor.stats("stop", ["a"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(official_meteor, "find_spec", lambda name: None)
    with pytest.raises(MetricError, match=r"pip install 'figclip\[metrics\]'"):
        OfficialMeteor()


def test_a_missing_jar_and_a_missing_java_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(official_meteor, "find_spec", lambda name: package)
    with pytest.raises(MetricError, match="holds no METEOR jar"):
        OfficialMeteor()
    (tmp_path / "meteor").mkdir()
    (tmp_path / "meteor" / "meteor-1.5.jar").touch()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MetricError, match="no `java` is on the PATH"):
        OfficialMeteor()
